"""The operations of the noun ``secrets``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Page
    from pharos.trust.sealed.operations import Rotated, SecretItem, SecretSet


class AsyncSecrets(AsyncNamespace):
    """Operations on ``secrets``."""

    async def list(
        self, *, namespace: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[SecretItem]:
        """List the secrets the city keeps, and whether each can be used. What they are is not part of it.

        Args:
            namespace: Namespace.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``secrets.read``.
        """
        from pharos.core.wire import Page
        from pharos.trust.sealed.operations import SecretItem

        return await self._caller.typed(
            "secrets.list", {"namespace": namespace, "limit": limit, "cursor": cursor}, Page[SecretItem]
        )

    @overload
    async def rotate(self, *, dry_run: Literal[False] = False, idempotency_key: str | None = None) -> Rotated: ...
    @overload
    async def rotate(self, *, dry_run: Literal[True], idempotency_key: str | None = None) -> Plan: ...
    async def rotate(self, *, dry_run: bool = False, idempotency_key: str | None = None) -> Rotated | Plan:
        """Change the master key under which the city's secrets are sealed.

        The new key is in `HOME/master.keys` before anything depends on it; then all secrets are wrapped anew in one
        transaction, while calls go on. The old key is dropped some minutes later, once nothing names it; a crash
        anywhere in between loses nothing, and the next start, or rotation, goes on. Back up the file with the database.

        Needs the permission ``secrets.rotate``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code MASTER_KEYS_DAMAGED.
        """
        from pharos.trust.sealed.operations import Rotated

        input_: dict[str, object] = {}
        if dry_run:
            return await self._caller.plan("secrets.rotate", input_)
        return await self._caller.typed("secrets.rotate", input_, Rotated, write=True, idempotency_key=idempotency_key)

    @overload
    async def set(
        self,
        *,
        name: str,
        value: str,
        namespace: str = "default",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> SecretSet: ...
    @overload
    async def set(
        self,
        *,
        name: str,
        value: str,
        namespace: str = "default",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def set(
        self,
        *,
        name: str,
        value: str,
        namespace: str = "default",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> SecretSet | Plan:
        """Set a secret that the city keeps, such as a credential with a provider.

        It is sealed (AES-256-GCM) under a key of its own, which is wrapped by the master key in `HOME/master.keys`. No
        operation shows it again, no event, log or history has it. A `Provider` uses it with `apiKey: {secret: NAME}`,
        from its next call on. Setting it again replaces it; it cannot be undone, because what was replaced is gone.

        Args:
            namespace: Namespace.
            value: The secret: one line of printable ASCII. It is sealed before it is stored, and never shown again.

        Needs the permission ``providers.entrust``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code INVALID, MASTER_KEYS_DAMAGED.
        """
        from pharos.trust.sealed.operations import SecretSet

        input_: dict[str, object] = {"name": name, "namespace": namespace, "value": value}
        if dry_run:
            return await self._caller.plan("secrets.set", input_)
        return await self._caller.typed("secrets.set", input_, SecretSet, write=True, idempotency_key=idempotency_key)
