"""The operations of the noun ``schedules``, awaited.

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
    from pharos.mesh.topics.messages import NewMessage
    from pharos.mesh.topics.schedules import Cancelled, Created, Preview, ScheduleItem


class AsyncSchedules(AsyncNamespace):
    """Operations on ``schedules``."""

    @overload
    async def cancel(
        self,
        *,
        id: str,
        namespace: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Cancelled: ...
    @overload
    async def cancel(
        self, *, id: str, namespace: str | None = None, dry_run: Literal[True], idempotency_key: str | None = None
    ) -> Plan: ...
    async def cancel(
        self, *, id: str, namespace: str | None = None, dry_run: bool = False, idempotency_key: str | None = None
    ) -> Cancelled | Plan:
        """Take back a message that is still to come. What is declared (`Schedule`) is deleted instead.

        Args:
            namespace: Namespace.

        Needs the permission ``schedules.write``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND.
        """
        from pharos.mesh.topics.schedules import Cancelled

        input_: dict[str, object] = {"id": id, "namespace": namespace}
        if dry_run:
            return await self._caller.plan("schedules.cancel", input_)
        return await self._caller.typed(
            "schedules.cancel", input_, Cancelled, write=True, idempotency_key=idempotency_key
        )

    @overload
    async def create(
        self,
        *,
        topic: str,
        message: NewMessage,
        namespace: str | None = None,
        at: datetime | None = None,
        delay_seconds: float | None = None,
        id: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Created: ...
    @overload
    async def create(
        self,
        *,
        topic: str,
        message: NewMessage,
        namespace: str | None = None,
        at: datetime | None = None,
        delay_seconds: float | None = None,
        id: str | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def create(
        self,
        *,
        topic: str,
        message: NewMessage,
        namespace: str | None = None,
        at: datetime | None = None,
        delay_seconds: float | None = None,
        id: str | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Created | Plan:
        """Publish a message later, once. It needs the permission to publish it now.

        It survives restarts, and is published as soon as the city runs again if its time passed meanwhile. Until then
        it can be cancelled by its id.

        Args:
            namespace: Namespace.
            message: A message, such as {"type": "placed", "data": 3}.
            at: When it is to be delivered.
            delay_seconds: Instead of ``at``: from now.
            id: To cancel it by; left out: one is made. The same id cannot mean two messages.

        Needs the permission ``schedules.write``. Reversibility: compensating. With ``dry_run`` nothing changes.
        Raises a fault with code CONFLICT, FORBIDDEN, INVALID, TOO_LARGE.
        """
        from pharos.mesh.topics.schedules import Created

        input_: dict[str, object] = {
            "topic": topic,
            "namespace": namespace,
            "message": message,
            "at": at,
            "delaySeconds": delay_seconds,
            "id": id,
        }
        if dry_run:
            return await self._caller.plan("schedules.create", input_)
        return await self._caller.typed(
            "schedules.create", input_, Created, write=True, idempotency_key=idempotency_key
        )

    async def list(
        self, *, namespace: str | None = None, declared: bool | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[ScheduleItem]:
        """List the messages of a namespace that are still to come: those that are declared, then the others, by id.

        Args:
            namespace: Namespace.
            declared: Only those of ``Schedule`` resources, or only those made by ``schedules.create``; left out: both.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``topics.read``.
        """
        from pharos.core.wire import Page
        from pharos.mesh.topics.schedules import ScheduleItem

        return await self._caller.typed(
            "schedules.list",
            {"namespace": namespace, "declared": declared, "limit": limit, "cursor": cursor},
            Page[ScheduleItem],
        )

    async def preview(
        self, *, cron: str, time_zone: str = "UTC", after: datetime | None = None, limit: int = 5
    ) -> Preview:
        """See when a cron expression is due next, in UTC: also how it goes over daylight saving.

        Args:
            after: Left out: now.
            limit: Most items of the page.

        Needs the permission ``topics.read``. Raises a fault with code INVALID.
        """
        from pharos.mesh.topics.schedules import Preview

        return await self._caller.typed(
            "schedules.preview", {"cron": cron, "timeZone": time_zone, "after": after, "limit": limit}, Preview
        )
