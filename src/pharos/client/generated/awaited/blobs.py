"""The operations of the noun ``blobs``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Page
    from pharos.mesh.blobs.operations import Blob, Collection, Deleted


class AsyncBlobs(AsyncNamespace):
    """Operations on ``blobs``."""

    @overload
    async def collect(
        self, *, grace_minutes: float | None = None, dry_run: Literal[False] = False, idempotency_key: str | None = None
    ) -> Collection: ...
    @overload
    async def collect(
        self, *, grace_minutes: float | None = None, dry_run: Literal[True], idempotency_key: str | None = None
    ) -> Plan: ...
    async def collect(
        self, *, grace_minutes: float | None = None, dry_run: bool = False, idempotency_key: str | None = None
    ) -> Collection | Plan:
        """Remove, in the whole city, the blobs that nobody has any more, and uploads whose time is over.

        The city does so every hour by itself. What an event cites, what was uploaded or ceased to be cited
        within the grace, and what is being read at this moment stays.

        Args:
            grace_minutes: Only what nobody has had for so long; without it, as long as the city waits by itself, a day.

        Needs the permission ``blobs.collect``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code BLOBS_UNAVAILABLE.
        """
        from pharos.mesh.blobs.operations import Collection

        input_: dict[str, object] = {"graceMinutes": grace_minutes}
        if dry_run:
            return await self._caller.plan("blobs.collect", input_)
        return await self._caller.typed(
            "blobs.collect", input_, Collection, write=True, idempotency_key=idempotency_key
        )

    @overload
    async def delete(
        self, *, digest: str, dry_run: Literal[False] = False, idempotency_key: str | None = None
    ) -> Deleted: ...
    @overload
    async def delete(self, *, digest: str, dry_run: Literal[True], idempotency_key: str | None = None) -> Plan: ...
    async def delete(self, *, digest: str, dry_run: bool = False, idempotency_key: str | None = None) -> Deleted | Plan:
        """Give up a blob that no event of the caller's namespace cites.

        The namespace cannot read it any more, at once. Its bytes are removed when nobody else has them and the city
        collects. Refused while an event cites it: trim or retire what does.

        Args:
            digest: Its digest, ``sha256:…``, or its ``dataref``.

        Needs the permission ``blobs.delete``. Reversibility: none. With ``dry_run`` nothing changes. Raises a fault
        with code NOT_FOUND, BLOB_CITED.
        """
        from pharos.mesh.blobs.operations import Deleted

        input_: dict[str, object] = {"digest": digest}
        if dry_run:
            return await self._caller.plan("blobs.delete", input_)
        return await self._caller.typed("blobs.delete", input_, Deleted, write=True, idempotency_key=idempotency_key)

    async def get(self, *, digest: str) -> Blob:
        """Show a blob: its size, how many events cite it, and since when.

        Its bytes are read at its ``dataref``, whole or in ranges: ``GET /blobs/sha256:…``.

        Args:
            digest: Its digest, ``sha256:…``, or its ``dataref``.

        Needs the permission ``blobs.read``. Raises a fault with code NOT_FOUND.
        """
        from pharos.mesh.blobs.operations import Blob

        return await self._caller.typed("blobs.get", {"digest": digest}, Blob)

    async def list(self, *, cited: bool | None = None, after: str | None = None, limit: int = 100) -> Page[Blob]:
        """List the blobs that the caller's namespace has, by digest.

        A namespace has what it has uploaded, and what its events cite. With ``cited`` false: what will be removed.

        Args:
            cited: Only those that an event cites, or only those that none does.
            after: Where the last page ended.
            limit: Most items of the page.

        Needs the permission ``blobs.read``.
        """
        from pharos.core.wire import Page
        from pharos.mesh.blobs.operations import Blob

        return await self._caller.typed("blobs.list", {"cited": cited, "after": after, "limit": limit}, Page[Blob])
