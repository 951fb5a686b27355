"""The operations of the noun ``approvals``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Json, Page
    from pharos.trust.approvals import ApprovalItem, Approved, Denied, Requested


class AsyncApprovals(AsyncNamespace):
    """Operations on ``approvals``."""

    @overload
    async def approve(
        self,
        *,
        name: str,
        namespace: str = "default",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Approved: ...
    @overload
    async def approve(
        self, *, name: str, namespace: str = "default", dry_run: Literal[True], idempotency_key: str | None = None
    ) -> Plan: ...
    async def approve(
        self, *, name: str, namespace: str = "default", dry_run: bool = False, idempotency_key: str | None = None
    ) -> Approved | Plan:
        """Make the call that someone asked for, with one's own rights.

        The approver must be permitted to make the call. If it fails, nothing has happened and the request still waits.
        Undo undoes the call, as far as it can be undone; it does not make the request wait again.

        Args:
            namespace: Namespace.

        Needs the permission ``approvals.decide``. Reversibility: exact. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, FORBIDDEN, SELF_APPROVAL, APPROVAL_DECIDED, APPROVAL_EXPIRED, CONFLICT.
        """
        from pharos.trust.approvals import Approved

        input_: dict[str, object] = {"name": name, "namespace": namespace}
        if dry_run:
            return await self._caller.plan("approvals.approve", input_)
        return await self._caller.typed(
            "approvals.approve", input_, Approved, write=True, idempotency_key=idempotency_key
        )

    @overload
    async def deny(
        self,
        *,
        name: str,
        namespace: str = "default",
        reason: str = "",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Denied: ...
    @overload
    async def deny(
        self,
        *,
        name: str,
        namespace: str = "default",
        reason: str = "",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def deny(
        self,
        *,
        name: str,
        namespace: str = "default",
        reason: str = "",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Denied | Plan:
        """Refuse what someone asked for. It is not undone: they can ask again.

        Args:
            namespace: Namespace.
            reason: What its author should know.

        Needs the permission ``approvals.decide``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, SELF_APPROVAL, APPROVAL_DECIDED, APPROVAL_EXPIRED.
        """
        from pharos.trust.approvals import Denied

        input_: dict[str, object] = {"name": name, "namespace": namespace, "reason": reason}
        if dry_run:
            return await self._caller.plan("approvals.deny", input_)
        return await self._caller.typed("approvals.deny", input_, Denied, write=True, idempotency_key=idempotency_key)

    async def list(
        self,
        *,
        state: Literal["pending", "approved", "denied", "expired"] | None = None,
        namespace: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[ApprovalItem]:
        """List requests for approval, the newest first.

        Everyone sees their own; those of others are shown to who holds ``approvals.read`` or ``approvals.decide``.

        Args:
            state: How the request stands.
            namespace: Namespace.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.
        """
        from pharos.core.wire import Page
        from pharos.trust.approvals import ApprovalItem

        return await self._caller.typed(
            "approvals.list",
            {"state": state, "namespace": namespace, "limit": limit, "cursor": cursor},
            Page[ApprovalItem],
        )

    @overload
    async def request(
        self,
        *,
        operation: str,
        arguments: Mapping[str, Json] | None = None,
        reason: str = "",
        expires_in_seconds: int = 86400,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Requested: ...
    @overload
    async def request(
        self,
        *,
        operation: str,
        arguments: Mapping[str, Json] | None = None,
        reason: str = "",
        expires_in_seconds: int = 86400,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def request(
        self,
        *,
        operation: str,
        arguments: Mapping[str, Json] | None = None,
        reason: str = "",
        expires_in_seconds: int = 86400,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Requested | Plan:
        """Ask that a write be made by someone who may.

        Anyone may ask. Asking again for the same thing while it waits returns the request that waits. Undo takes it
        back.

        Args:
            operation: Name of the write to be made.
            arguments: Its input, complete.
            reason: Why it should be made.

        Reversibility: exact. With ``dry_run`` nothing changes. Raises a fault with code NOT_FOUND, INVALID,
        NOT_APPROVABLE, APPROVAL_LIMIT.
        """
        from pharos.trust.approvals import Requested

        input_: dict[str, object] = {
            "operation": operation,
            "arguments": arguments,
            "reason": reason,
            "expiresInSeconds": expires_in_seconds,
        }
        if dry_run:
            return await self._caller.plan("approvals.request", input_)
        return await self._caller.typed(
            "approvals.request", input_, Requested, write=True, idempotency_key=idempotency_key
        )
