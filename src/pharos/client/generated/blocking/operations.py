"""The operations of the noun ``operations``, blocking.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import Namespace

if TYPE_CHECKING:
    from typing import Literal

    from pharos.control.operations import CarriedOut
    from pharos.control.plan import Plan
    from pharos.control.undo import Reversed
    from pharos.core.wire import Page


class Operations(Namespace):
    """Operations on ``operations``."""

    def get(self, *, id: str) -> CarriedOut:
        """Read one operation: who did what, with which input, what it changed, and what became of it.

        Args:
            id: The ``operation`` of a write's answer.

        Needs the permission ``operations.read``. Raises a fault with code NOT_FOUND.
        """
        from pharos.control.operations import CarriedOut

        return self._caller.typed("operations.get", {"id": id}, CarriedOut)

    def list(
        self, *, operation: str | None = None, principal: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[CarriedOut]:
        """List the writes that were carried out, newest first, without their inputs.

        Args:
            operation: Only operations of this name, such as ``catalog.apply``.
            principal: Only those of this principal, such as ``key/default/ci-bot``.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``operations.read``.
        """
        from pharos.control.operations import CarriedOut
        from pharos.core.wire import Page

        return self._caller.typed(
            "operations.list",
            {"operation": operation, "principal": principal, "limit": limit, "cursor": cursor},
            Page[CarriedOut],
        )

    @overload
    def redo(self, *, id: str, dry_run: Literal[False] = False, idempotency_key: str | None = None) -> Reversed: ...
    @overload
    def redo(self, *, id: str, dry_run: Literal[True], idempotency_key: str | None = None) -> Plan: ...
    def redo(self, *, id: str, dry_run: bool = False, idempotency_key: str | None = None) -> Reversed | Plan:
        """Bring back what was undone, named by the operation that was undone or by its undo.

        Args:
            id: The ``operation`` of a write's answer.

        Needs the permission ``operations.undo``. Reversibility: exact. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, IRREVERSIBLE, UNDO_CONFLICT, NOT_UNDONE, REFERENCED.
        """
        from pharos.control.undo import Reversed

        input_: dict[str, object] = {"id": id}
        if dry_run:
            return self._caller.plan("operations.redo", input_)
        return self._caller.typed("operations.redo", input_, Reversed, write=True, idempotency_key=idempotency_key)

    @overload
    def undo(self, *, id: str, dry_run: Literal[False] = False, idempotency_key: str | None = None) -> Reversed: ...
    @overload
    def undo(self, *, id: str, dry_run: Literal[True], idempotency_key: str | None = None) -> Plan: ...
    def undo(self, *, id: str, dry_run: bool = False, idempotency_key: str | None = None) -> Reversed | Plan:
        """Take back what an operation did.

        Exact operations leave every resource as it was before; compensating ones run their inverse. Refused while later
        operations stand on it (they are named, in the order in which to undo them), and where nothing can reverse it.
        Besides this operation's permission, that of the operation itself is required. The undo of an undo is a redo.

        Args:
            id: The ``operation`` of a write's answer.

        Needs the permission ``operations.undo``. Reversibility: exact. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, IRREVERSIBLE, UNDO_CONFLICT, ALREADY_UNDONE, REFERENCED.
        """
        from pharos.control.undo import Reversed

        input_: dict[str, object] = {"id": id}
        if dry_run:
            return self._caller.plan("operations.undo", input_)
        return self._caller.typed("operations.undo", input_, Reversed, write=True, idempotency_key=idempotency_key)
