"""The operations of the noun ``deadletters``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Page
    from pharos.mesh.topics.dead_letters import DeadDetail, DeadItem, Discarded, Redriven


class AsyncDeadletters(AsyncNamespace):
    """Operations on ``deadletters``."""

    @overload
    async def discard(
        self,
        *,
        group: str,
        namespace: str | None = None,
        numbers: Sequence[int] | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Discarded: ...
    @overload
    async def discard(
        self,
        *,
        group: str,
        namespace: str | None = None,
        numbers: Sequence[int] | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def discard(
        self,
        *,
        group: str,
        namespace: str | None = None,
        numbers: Sequence[int] | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Discarded | Plan:
        """Give up messages that could not be handled. A topic that was held because of one goes on after it.

        Args:
            namespace: Left out: the caller's own.
            numbers: Left out: all, up to a thousand at once.

        Needs the permission ``groups.manage``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND.
        """
        from pharos.mesh.topics.dead_letters import Discarded

        input_: dict[str, object] = {"group": group, "namespace": namespace, "numbers": numbers}
        if dry_run:
            return await self._caller.plan("deadletters.discard", input_)
        return await self._caller.typed(
            "deadletters.discard", input_, Discarded, write=True, idempotency_key=idempotency_key
        )

    async def get(self, *, group: str, number: int, namespace: str | None = None) -> DeadDetail:
        """Look at a message that a group could not handle: what it says, and why it could not be.

        Args:
            namespace: Left out: the caller's own.

        Needs the permission ``groups.consume``. Raises a fault with code NOT_FOUND.
        """
        from pharos.mesh.topics.dead_letters import DeadDetail

        return await self._caller.typed(
            "deadletters.get", {"group": group, "namespace": namespace, "number": number}, DeadDetail
        )

    async def list(
        self, *, group: str, namespace: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[DeadItem]:
        """List the messages that a group could not handle, the oldest first, each with the reason.

        Args:
            namespace: Left out: the caller's own.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``groups.consume``. Raises a fault with code NOT_FOUND.
        """
        from pharos.core.wire import Page
        from pharos.mesh.topics.dead_letters import DeadItem

        return await self._caller.typed(
            "deadletters.list",
            {"group": group, "namespace": namespace, "limit": limit, "cursor": cursor},
            Page[DeadItem],
        )

    @overload
    async def redrive(
        self,
        *,
        group: str,
        namespace: str | None = None,
        numbers: Sequence[int] | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Redriven: ...
    @overload
    async def redrive(
        self,
        *,
        group: str,
        namespace: str | None = None,
        numbers: Sequence[int] | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def redrive(
        self,
        *,
        group: str,
        namespace: str | None = None,
        numbers: Sequence[int] | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Redriven | Plan:
        """Deliver messages again that could not be handled: those named, or all.

        Of a topic that is held, delivery goes on at the dead letter, in order. Of a topic that went on, the message is
        published to it anew, at its end, with the old one as its causation.

        Args:
            namespace: Left out: the caller's own.
            numbers: Left out: all, up to a thousand at once.

        Needs the permission ``groups.manage``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND.
        """
        from pharos.mesh.topics.dead_letters import Redriven

        input_: dict[str, object] = {"group": group, "namespace": namespace, "numbers": numbers}
        if dry_run:
            return await self._caller.plan("deadletters.redrive", input_)
        return await self._caller.typed(
            "deadletters.redrive", input_, Redriven, write=True, idempotency_key=idempotency_key
        )
