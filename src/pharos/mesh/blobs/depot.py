"""The blobs of namespaces: put there within their limits, cited, read.

A namespace reaches only what it has itself. What it has not, and others may or may not have, is missing to it in the
same words and after the same work: one look-up of its own. The same bytes are stored once all the same.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime, timedelta

from pharos.core.event import BLOBS, BlobRef
from pharos.core.fault import NOT_FOUND, TOO_LARGE, Applicability, Fault, Fix
from pharos.mesh.blobs.faults import BLOB_QUOTA
from pharos.mesh.blobs.kinds import BlobQuotaSpec, together
from pharos.store.blobs import Holding, Keep, Upload
from pharos.store.faults import BLOB_MISSING, BLOBS_UNAVAILABLE
from pharos.store.ports import Store

Quotas = Callable[[str], Iterable[BlobQuotaSpec]]
"""The quotas of a namespace."""

_DIGEST = re.compile("sha256:[0-9a-f]{64}")

_ROOM = Fix(
    id="make-room",
    title="Give up blobs that no event cites (blobs.list with cited false, blobs.delete), or raise the BlobQuota",
    applicability=Applicability.MANUAL,
)


class Depot:
    """Large bytes for other rooms."""

    def __init__(self, store: Store, quotas: Quotas = lambda _: ()) -> None:
        self._store = store
        self._quotas = quotas
        self._beginning = asyncio.Lock()
        self._coming: Counter[str] = Counter()
        """Bytes of uploads in one piece that are under way, by namespace."""

    async def keep(self, namespace: str, data: bytes) -> BlobRef:
        """Store bytes for an event of a namespace that is to come; cite them with what this returns.

        Raises ``TOO_LARGE``, ``BLOB_QUOTA`` and ``BLOBS_UNAVAILABLE``; then nothing is kept. Until the event is there
        nobody has the bytes: they are not seen, and collected if it never comes.
        """
        await self.check(namespace, len(data))
        return BlobRef(await self._store.blobs.put(data), len(data), namespace)

    async def receive(self, namespace: str, data: AsyncIterator[bytes], declared: int | None) -> BlobRef:
        """Store the bytes of a whole upload, ``declared`` of them where that is known; the namespace has them then.

        Raises ``TOO_LARGE``, ``BLOB_QUOTA`` and ``BLOBS_UNAVAILABLE``; then nothing is kept.
        """
        most, size = self.limits(namespace).max_blob_bytes, 0
        coming = _Coming(self._coming, namespace)
        coming.grow(declared or 0)

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for piece in data:
                size += len(piece)
                if size > most:
                    raise _too_large(most)
                coming.grow(size)
                yield piece
            # Anew, with what has come meanwhile: of many at once each found room at its beginning.
            async with self._beginning:
                await self._admit(coming, size)

        try:
            async with self._beginning:
                await self._admit(coming, declared or 0)
            digest = await self._store.blobs.put(counted())
            await self._store.commit(Keep(digest, namespace, size))
        finally:
            coming.end()
        return BlobRef(digest, size, namespace)

    async def ref(self, namespace: str, reference: str) -> BlobRef:
        """What to cite of a blob that is named by its digest or its ``dataref``.

        Raises ``BLOB_MISSING`` where the namespace does not have it.
        """
        held = await self.find(namespace, digest_in(reference))
        if held is None:
            raise BLOB_MISSING(f"There is no blob {reference[:128]!r} here: upload it first.", subject=reference[:128])
        return BlobRef(held.digest, held.size, namespace)

    async def find(self, namespace: str, digest: str) -> Holding | None:
        """A blob of a namespace; ``None`` where it does not have it."""
        return await self._store.holdings.get(namespace, digest)

    async def read(self, ref: BlobRef, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a blob that was found. Raises ``BLOBS_UNAVAILABLE`` also where they are gone against all rules:
        what somebody has is never simply missing."""
        try:
            async for piece in self._store.blobs.get(ref.digest, start, end):
                yield piece
        except Fault as fault:
            if fault.code != NOT_FOUND.code:
                raise
            raise BLOBS_UNAVAILABLE(f"The bytes of {ref.digest} are not where they should be.") from fault

    # Uploads in pieces.

    async def begin(self, namespace: str, principal: str, length: int) -> Upload:
        """Begin an upload. Raises ``TOO_LARGE`` and ``BLOB_QUOTA``."""
        async with self._beginning:
            under_way = await self.check(namespace, length)
            most = self.limits(namespace).max_uploads
            if under_way >= most:
                facts = {"limitUploads": most, "uploads": under_way}
                raise BLOB_QUOTA(f"{under_way} uploads of the namespace are not finished.", facts={**facts})
            return await self._store.uploads.begin(namespace, length, {"principal": principal})

    async def upload(self, namespace: str, id: str) -> Upload:
        """An upload of a namespace. Raises ``NOT_FOUND``, also for one of another."""
        upload = await self._store.uploads.get(id)
        if upload is None or upload.namespace != namespace:
            raise NOT_FOUND("There is no such upload; it may have expired.")
        return await self._whole(upload)

    async def extend(self, upload: Upload, offset: int, data: AsyncIterator[bytes]) -> Upload:
        """Take a piece of an upload; with the last it becomes a blob that the namespace has. See ``Uploads.extend``."""
        return await self._whole(await self._store.uploads.extend(upload.id, offset, data))

    async def end(self, upload: Upload) -> None:
        """Forget an upload."""
        await self._store.uploads.end(upload.id)

    def expires(self, upload: Upload) -> datetime:
        """When an upload is forgotten if nothing more comes of it."""
        return upload.touched_at + timedelta(hours=self.limits(upload.namespace).upload_hours)

    async def expire(self, now: datetime) -> int:
        """Forget the uploads whose time is over; returns how many."""
        over = [upload for upload in await self._store.uploads.list() if self.expires(upload) <= now]
        return sum([await self._store.uploads.end(upload.id) for upload in over])

    async def _whole(self, upload: Upload) -> Upload:
        """An upload that has all its bytes is a blob. What a crash left between the two is done here."""
        if upload.offset < upload.length:
            return upload
        if not upload.digest:
            upload = await self._store.uploads.finish(upload.id)
        if await self.find(upload.namespace, upload.digest) is None:
            await self._store.commit(Keep(upload.digest, upload.namespace, upload.length))
        return upload

    # Limits.

    def limits(self, namespace: str) -> BlobQuotaSpec:
        """The limits of a namespace."""
        return together(self._quotas(namespace))

    async def _admit(self, coming: _Coming, size: int) -> None:
        """Check room for what is coming, and count it no longer where there is none."""
        try:
            await self.check(coming.namespace, size, coming.size)
        except Fault:
            coming.end()
            raise

    async def check(self, namespace: str, size: int, counted: int = 0) -> int:
        """Whether there is room for a blob of ``size`` bytes, of which ``counted`` are counted as coming already.

        Returns how many uploads in pieces are under way.

        Raises ``TOO_LARGE`` and ``BLOB_QUOTA``.
        """
        limits = self.limits(namespace)
        if size > limits.max_blob_bytes:
            raise _too_large(limits.max_blob_bytes)
        used = (await self._store.holdings.usage(namespace)).size
        mine = [u for u in await self._store.uploads.list() if u.namespace == namespace and not u.digest]
        coming = sum(upload.length for upload in mine) + self._coming[namespace] - counted
        if used + coming + size > limits.max_bytes:
            raise BLOB_QUOTA(
                f"{size} bytes do not fit: {used} of {limits.max_bytes} are used, {coming} are on their way.",
                facts={
                    "limitBytes": limits.max_bytes,
                    "usedBytes": used,
                    "comingBytes": coming,
                    "requestedBytes": size,
                },
                fixes=[_ROOM],
            )
        return len(mine)


class _Coming:
    """The bytes of one upload, among all that are coming."""

    __slots__ = ("_all", "namespace", "size")

    def __init__(self, all: Counter[str], namespace: str) -> None:
        self._all = all
        self.namespace = namespace
        self.size = 0

    def grow(self, size: int) -> None:
        """So many have come, or are to."""
        if size > self.size:
            self._all[self.namespace] += size - self.size
            self.size = size

    def end(self) -> None:
        """It is there, or will not be. Idempotent."""
        self._all[self.namespace] -= self.size
        self.size = 0
        if not self._all[self.namespace]:
            del self._all[self.namespace]


def digest_in(reference: str) -> str:
    """The digest that a ``dataref`` or a digest names; empty where it names none."""
    digest = reference.removeprefix(BLOBS)
    return digest if _DIGEST.fullmatch(digest) else ""


def _too_large(most: int) -> Fault:
    return TOO_LARGE(f"A blob of this namespace has at most {most} bytes.", facts={"limitBytes": most})
