"""The operations of the noun ``keys``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Page
    from pharos.trust.keys import Issued, KeyItem, Revoked


class AsyncKeys(AsyncNamespace):
    """Operations on ``keys``."""

    @overload
    async def issue(
        self,
        *,
        key: str,
        namespace: str = "default",
        expires_in_seconds: int | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Issued: ...
    @overload
    async def issue(
        self,
        *,
        key: str,
        namespace: str = "default",
        expires_in_seconds: int | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def issue(
        self,
        *,
        key: str,
        namespace: str = "default",
        expires_in_seconds: int | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Issued | Plan:
        """Issue a secret for a key.

        The secret is shown once. A key may have several, so that one can be replaced without a gap: issue the new one,
        move to it, revoke the old one. A key that may do more than the caller cannot be issued by them.

        Args:
            key: Name of the key.
            namespace: Namespace.
            expires_in_seconds: How long the secret is good for; left out: as long as the key.

        Needs the permission ``keys.issue``. Reversibility: compensating. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND, RIGHTS_EXCEEDED, KEY_EXPIRED, CREDENTIAL_LIMIT.
        """
        from pharos.trust.keys import Issued

        input_: dict[str, object] = {"key": key, "namespace": namespace, "expiresInSeconds": expires_in_seconds}
        if dry_run:
            return await self._caller.plan("keys.issue", input_)
        return await self._caller.typed("keys.issue", input_, Issued, write=True, idempotency_key=idempotency_key)

    async def list(
        self, *, key: str | None = None, namespace: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[KeyItem]:
        """List keys with their credentials: who was given what, when, and whether it is still good.

        Secrets and their digests are not part of it; nobody can read them.

        Args:
            key: Only this key.
            namespace: Namespace.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``keys.read``.
        """
        from pharos.core.wire import Page
        from pharos.trust.keys import KeyItem

        return await self._caller.typed(
            "keys.list", {"key": key, "namespace": namespace, "limit": limit, "cursor": cursor}, Page[KeyItem]
        )

    @overload
    async def revoke(
        self,
        *,
        key: str,
        namespace: str = "default",
        credential: str | None = None,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Revoked: ...
    @overload
    async def revoke(
        self,
        *,
        key: str,
        namespace: str = "default",
        credential: str | None = None,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def revoke(
        self,
        *,
        key: str,
        namespace: str = "default",
        credential: str | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Revoked | Plan:
        """Revoke one credential of a key, or all of them.

        When the call returns, the secret opens nothing any more. It cannot be undone: issue a new secret instead.
        Revoking what is revoked already is no error.

        Args:
            key: Name of the key.
            namespace: Namespace.
            credential: Which one; left out: all of the key's credentials.

        Needs the permission ``keys.revoke``. Reversibility: none. With ``dry_run`` nothing changes. Raises a fault
        with code NOT_FOUND.
        """
        from pharos.trust.keys import Revoked

        input_: dict[str, object] = {"key": key, "namespace": namespace, "credential": credential}
        if dry_run:
            return await self._caller.plan("keys.revoke", input_)
        return await self._caller.typed("keys.revoke", input_, Revoked, write=True, idempotency_key=idempotency_key)
