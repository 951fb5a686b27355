"""The operations of the noun ``groups``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Page
    from pharos.mesh.topics.groups import DeliveryItem, GroupItem, RemovedGroup, Resumed, Subscribed, Suspended
    from pharos.mesh.topics.leases import LeaseItem
    from pharos.mesh.topics.working import Claimed, Failed, Released, Renewed


class AsyncGroups(AsyncNamespace):
    """Operations on ``groups``."""

    @overload
    async def acknowledge(
        self,
        *,
        lease: LeaseItem,
        position: str,
        keep: bool = False,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Renewed: ...
    @overload
    async def acknowledge(
        self,
        *,
        lease: LeaseItem,
        position: str,
        keep: bool = False,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def acknowledge(
        self,
        *,
        lease: LeaseItem,
        position: str,
        keep: bool = False,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Renewed | Plan:
        """Say that all messages up to a position are done. They are not delivered to the group again.

        With `keep` the work goes on under the same lease. Acknowledging the same again changes nothing.

        Args:
            lease: The lease, as `groups.claim` gave it.
            position: Of the last message that is done: all up to it are.
            keep: Go on with the lease; else it is given back.

        Needs the permission ``groups.consume``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code LEASE_LOST, INVALID.
        """
        from pharos.mesh.topics.working import Renewed

        input_: dict[str, object] = {"lease": lease, "position": position, "keep": keep}
        if dry_run:
            return await self._caller.plan("groups.acknowledge", input_)
        return await self._caller.typed(
            "groups.acknowledge", input_, Renewed, write=True, idempotency_key=idempotency_key
        )

    @overload
    async def claim(
        self,
        *,
        group: str,
        namespace: str | None = None,
        owner: str = "",
        lease_seconds: float = 30.0,
        limit: int = 10,
        wait_seconds: float = 0.0,
        topic: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Claimed: ...
    @overload
    async def claim(
        self,
        *,
        group: str,
        namespace: str | None = None,
        owner: str = "",
        lease_seconds: float = 30.0,
        limit: int = 10,
        wait_seconds: float = 0.0,
        topic: str | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def claim(
        self,
        *,
        group: str,
        namespace: str | None = None,
        owner: str = "",
        lease_seconds: float = 30.0,
        limit: int = 10,
        wait_seconds: float = 0.0,
        topic: str | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Claimed | Plan:
        """Take a topic to work on, with its next messages.

        The lease ends by itself unless it is renewed; then another worker may take the topic, and what this one still
        acknowledges is refused with `LEASE_LOST`. So the messages of a topic are handled in order, by one worker at a
        time, each at least once.

        Args:
            namespace: Left out: the caller's own.
            owner: Who works, for those who look; left out: the caller.
            limit: Messages to return with the lease. There may be more after them.
            wait_seconds: How long to wait for work where there is none.
            topic: Only this one.

        Needs the permission ``groups.consume``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND.
        """
        from pharos.mesh.topics.working import Claimed

        input_: dict[str, object] = {
            "group": group,
            "namespace": namespace,
            "owner": owner,
            "leaseSeconds": lease_seconds,
            "limit": limit,
            "waitSeconds": wait_seconds,
            "topic": topic,
        }
        if dry_run:
            return await self._caller.plan("groups.claim", input_)
        return await self._caller.typed("groups.claim", input_, Claimed, write=True, idempotency_key=idempotency_key)

    async def deliveries(
        self,
        *,
        group: str,
        namespace: str | None = None,
        state: Literal["ready", "leased", "delayed", "suspended", "held", "idle"] | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[DeliveryItem]:
        """List where a group stands in its topics: what waits, who works on what, what is delayed or held.

        Args:
            namespace: Left out: the caller's own.
            state: Only these; left out: all that are not idle.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``groups.consume``. Raises a fault with code NOT_FOUND.
        """
        from pharos.core.wire import Page
        from pharos.mesh.topics.groups import DeliveryItem

        return await self._caller.typed(
            "groups.deliveries",
            {"group": group, "namespace": namespace, "state": state, "limit": limit, "cursor": cursor},
            Page[DeliveryItem],
        )

    @overload
    async def fail(
        self,
        *,
        lease: LeaseItem,
        reason: str,
        detail: str = "",
        retry: bool = True,
        delay_seconds: float | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Failed: ...
    @overload
    async def fail(
        self,
        *,
        lease: LeaseItem,
        reason: str,
        detail: str = "",
        retry: bool = True,
        delay_seconds: float | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def fail(
        self,
        *,
        lease: LeaseItem,
        reason: str,
        detail: str = "",
        retry: bool = True,
        delay_seconds: float | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Failed | Plan:
        """Say that the message after the cursor could not be handled, and give the lease back.

        It comes again after a growing delay; after the last attempt that the topic's rules allow, or without `retry`,
        it becomes a dead letter with the reason. Acknowledge first what was done before it.

        Args:
            lease: The lease, as `groups.claim` gave it.
            reason: Why. It is recorded.
            detail: More about why, for people.
            retry: Whether another attempt may help; else the message becomes a dead letter at once.
            delay_seconds: Before the next attempt; left out: as the topic's rules say.

        Needs the permission ``groups.consume``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code LEASE_LOST.
        """
        from pharos.mesh.topics.working import Failed

        input_: dict[str, object] = {
            "lease": lease,
            "reason": reason,
            "detail": detail,
            "retry": retry,
            "delaySeconds": delay_seconds,
        }
        if dry_run:
            return await self._caller.plan("groups.fail", input_)
        return await self._caller.typed("groups.fail", input_, Failed, write=True, idempotency_key=idempotency_key)

    async def list(self, *, namespace: str | None = None) -> Page[GroupItem]:
        """List the groups of a namespace.

        Args:
            namespace: Namespace.

        Needs the permission ``groups.consume``.
        """
        from pharos.core.wire import Page
        from pharos.mesh.topics.groups import GroupItem

        return await self._caller.typed("groups.list", {"namespace": namespace}, Page[GroupItem])

    @overload
    async def release(
        self,
        *,
        lease: LeaseItem,
        delay_seconds: float = 0.0,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Released: ...
    @overload
    async def release(
        self,
        *,
        lease: LeaseItem,
        delay_seconds: float = 0.0,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def release(
        self, *, lease: LeaseItem, delay_seconds: float = 0.0, dry_run: bool = False, idempotency_key: str | None = None
    ) -> Released | Plan:
        """Give a lease back with the work not done, through no fault of the message: no attempt is counted.

        Args:
            lease: The lease, as `groups.claim` gave it.
            delay_seconds: The topic is ready again after so long.

        Needs the permission ``groups.consume``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code LEASE_LOST.
        """
        from pharos.mesh.topics.working import Released

        input_: dict[str, object] = {"lease": lease, "delaySeconds": delay_seconds}
        if dry_run:
            return await self._caller.plan("groups.release", input_)
        return await self._caller.typed("groups.release", input_, Released, write=True, idempotency_key=idempotency_key)

    @overload
    async def remove(
        self,
        *,
        group: str,
        namespace: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> RemovedGroup: ...
    @overload
    async def remove(
        self, *, group: str, namespace: str | None = None, dry_run: Literal[True], idempotency_key: str | None = None
    ) -> Plan: ...
    async def remove(
        self, *, group: str, namespace: str | None = None, dry_run: bool = False, idempotency_key: str | None = None
    ) -> RemovedGroup | Plan:
        """Remove a group: where it stood and its dead letters are forgotten, its workers lose their leases.

        Args:
            namespace: Left out: the caller's own.

        Needs the permission ``groups.manage``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND.
        """
        from pharos.mesh.topics.groups import RemovedGroup

        input_: dict[str, object] = {"group": group, "namespace": namespace}
        if dry_run:
            return await self._caller.plan("groups.remove", input_)
        return await self._caller.typed(
            "groups.remove", input_, RemovedGroup, write=True, idempotency_key=idempotency_key
        )

    @overload
    async def renew(
        self,
        *,
        lease: LeaseItem,
        lease_seconds: float = 30.0,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Renewed: ...
    @overload
    async def renew(
        self,
        *,
        lease: LeaseItem,
        lease_seconds: float = 30.0,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def renew(
        self,
        *,
        lease: LeaseItem,
        lease_seconds: float = 30.0,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Renewed | Plan:
        """Keep a lease for longer. Do it well before it ends: a third of its time is usual.

        Args:
            lease: The lease, as `groups.claim` gave it.
            lease_seconds: From now.

        Needs the permission ``groups.consume``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code LEASE_LOST.
        """
        from pharos.mesh.topics.working import Renewed

        input_: dict[str, object] = {"lease": lease, "leaseSeconds": lease_seconds}
        if dry_run:
            return await self._caller.plan("groups.renew", input_)
        return await self._caller.typed("groups.renew", input_, Renewed, write=True, idempotency_key=idempotency_key)

    @overload
    async def resume(
        self,
        *,
        group: str,
        topic: str,
        namespace: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Resumed: ...
    @overload
    async def resume(
        self,
        *,
        group: str,
        topic: str,
        namespace: str | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def resume(
        self,
        *,
        group: str,
        topic: str,
        namespace: str | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Resumed | Plan:
        """Deliver a suspended topic again.

        Args:
            namespace: Left out: the caller's own.

        Needs the permission ``groups.manage``. Reversibility: compensating. With ``dry_run`` nothing changes.
        Raises a fault with code NOT_FOUND.
        """
        from pharos.mesh.topics.groups import Resumed

        input_: dict[str, object] = {"group": group, "namespace": namespace, "topic": topic}
        if dry_run:
            return await self._caller.plan("groups.resume", input_)
        return await self._caller.typed("groups.resume", input_, Resumed, write=True, idempotency_key=idempotency_key)

    @overload
    async def subscribe(
        self,
        *,
        group: str,
        topics: str,
        namespace: str | None = None,
        backlog: bool = True,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Subscribed: ...
    @overload
    async def subscribe(
        self,
        *,
        group: str,
        topics: str,
        namespace: str | None = None,
        backlog: bool = True,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def subscribe(
        self,
        *,
        group: str,
        topics: str,
        namespace: str | None = None,
        backlog: bool = True,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Subscribed | Plan:
        """Have a group hear of topics: of one, of all below a name, or of all in the namespace.

        Each group gets every message, whatever other groups do; its members share the topics, one at a time on each.
        Topics that come into being later are heard of as well. Subscribing again changes nothing; what a group hears of
        never changes, make another group instead.

        Args:
            namespace: Left out: the caller's own.
            topics: ``orders``, ``orders/*`` for all below it, or ``*`` for all of the namespace.
            backlog: Whether what is in the topics already is delivered too; else only what comes from now on.

        Needs the permission ``groups.manage``. Reversibility: compensating. With ``dry_run`` nothing changes.
        Raises a fault with code CONFLICT.
        """
        from pharos.mesh.topics.groups import Subscribed

        input_: dict[str, object] = {"group": group, "namespace": namespace, "topics": topics, "backlog": backlog}
        if dry_run:
            return await self._caller.plan("groups.subscribe", input_)
        return await self._caller.typed(
            "groups.subscribe", input_, Subscribed, write=True, idempotency_key=idempotency_key
        )

    @overload
    async def suspend(
        self,
        *,
        group: str,
        topic: str,
        namespace: str | None = None,
        until: datetime | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Suspended: ...
    @overload
    async def suspend(
        self,
        *,
        group: str,
        topic: str,
        namespace: str | None = None,
        until: datetime | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def suspend(
        self,
        *,
        group: str,
        topic: str,
        namespace: str | None = None,
        until: datetime | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Suspended | Plan:
        """Let one topic rest for a group, for a while or until it is resumed. All other topics go on.

        Who works on it at the moment may end that.

        Args:
            namespace: Left out: the caller's own.
            until: Left out: until ``groups.resume``.

        Needs the permission ``groups.manage``. Reversibility: compensating. With ``dry_run`` nothing changes.
        Raises a fault with code NOT_FOUND.
        """
        from pharos.mesh.topics.groups import Suspended

        input_: dict[str, object] = {"group": group, "namespace": namespace, "topic": topic, "until": until}
        if dry_run:
            return await self._caller.plan("groups.suspend", input_)
        return await self._caller.typed(
            "groups.suspend", input_, Suspended, write=True, idempotency_key=idempotency_key
        )
