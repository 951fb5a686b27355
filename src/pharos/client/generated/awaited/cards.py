"""The operations of the noun ``cards``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.gateway.federation.operations import CardShown, KeyRotated


class AsyncCards(AsyncNamespace):
    """Operations on ``cards``."""

    async def get(self, *, agent: str, namespace: str = "default") -> CardShown:
        """Show the A2A card of an agent, as agents elsewhere see it.

        Args:
            namespace: Namespace.

        Needs the permission ``catalog.read``. Raises a fault with code NOT_FOUND.
        """
        from pharos.gateway.federation.operations import CardShown

        return await self._caller.typed("cards.get", {"agent": agent, "namespace": namespace}, CardShown)

    @overload
    async def rotate(
        self, *, revoke: bool = False, dry_run: Literal[False] = False, idempotency_key: str | None = None
    ) -> KeyRotated: ...
    @overload
    async def rotate(
        self, *, revoke: bool = False, dry_run: Literal[True], idempotency_key: str | None = None
    ) -> Plan: ...
    async def rotate(
        self, *, revoke: bool = False, dry_run: bool = False, idempotency_key: str | None = None
    ) -> KeyRotated | Plan:
        """Sign the cards of agents with a new key.

        It is in `HOME/card.keys` before the first card is signed with it. Former keys stay published, so that cards
        others still hold can be checked; with `revoke` they are gone from `/a2a/keys.json` at once. Tell those who
        pinned a key.

        Args:
            revoke: Publish the former keys no more: for a key that was stolen. Cards that others still hold are void at
                once.

        Needs the permission ``federation.manage``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code CARD_KEYS_DAMAGED.
        """
        from pharos.gateway.federation.operations import KeyRotated

        input_: dict[str, object] = {"revoke": revoke}
        if dry_run:
            return await self._caller.plan("cards.rotate", input_)
        return await self._caller.typed("cards.rotate", input_, KeyRotated, write=True, idempotency_key=idempotency_key)
