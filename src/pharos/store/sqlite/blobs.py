"""Immutable bytes as files named by their content."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from pharos.core.fault import INVALID, NOT_FOUND
from pharos.store.blobs import StoredBlob
from pharos.store.faults import BLOBS_UNAVAILABLE
from pharos.store.sqlite.failures import storage_failures

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_SHARD = re.compile("[0-9a-f]{2}")

_PIECE = 256 * 1024
"""Bytes read at once."""

_BUFFER = 1024 * 1024
"""Bytes collected before they are written."""


class FileBlobs:
    """The port ``Blobs``.

    A blob is written under a temporary name, synced, and renamed to its digest: a name that exists has all its bytes.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._partial = directory / "partial"
        self._trash = directory / "trash"
        with storage_failures(f"Cannot open {directory}"):
            for passing in (self._partial, self._trash):
                passing.mkdir(mode=0o700, parents=True, exist_ok=True)
                for leftover in passing.iterdir():
                    leftover.unlink()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="blobs")
        self._reading: Counter[str] = Counter()
        self._freeing: set[Future[None]] = set()
        """Files on their way out of the trash. Added to by the writer's thread."""

    async def put(self, data: AsyncIterator[bytes] | bytes) -> str:
        """Write, hash and sync in a thread, about a megabyte at a time; all at once what is here already."""
        if isinstance(data, bytes):
            return await self.run(self._put, data)
        passing = self._partial / secrets.token_hex(16)
        digest = hashlib.sha256()

        def write(file: BinaryIO, piece: bytes) -> None:
            digest.update(piece)
            file.write(piece)

        file = await self.run(open, passing, "xb")
        try:
            buffer = bytearray()
            async for piece in data:
                buffer += piece
                if len(buffer) >= _BUFFER:
                    await self.run(write, file, bytes(buffer))
                    buffer.clear()
            await self.run(write, file, bytes(buffer))
            name = digest.hexdigest()
            await self.run(settle, file, passing, self._path(name))
        except BaseException:
            await asyncio.shield(self.run(_abandon, file, passing))
            raise
        return f"sha256:{name}"

    def _put(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        passing = self._partial / secrets.token_hex(16)
        file = passing.open("xb")
        try:
            file.write(data)
            settle(file, passing, self._path(name))
        except BaseException:
            _abandon(file, passing)
            raise
        return f"sha256:{name}"

    async def get(self, digest: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Read in a thread, a piece at a time. While it is read it is not collected."""
        if start < 0 or (end is not None and end < start):
            raise INVALID(f"{start} to {end} is no range of bytes.")
        path = self._find(digest)
        if path is None:
            raise _missing(digest)
        self._reading[digest] += 1
        try:
            file = await self.run(self._open, path)
            if file is None:
                raise _missing(digest)
            try:
                await self.run(file.seek, start)
                left = end - start if end is not None else None
                while left is None or left > 0:
                    piece = await self.run(file.read, _PIECE if left is None else min(_PIECE, left))
                    if not piece:
                        break
                    if left is not None:
                        left -= len(piece)
                    yield piece
            finally:
                file.close()
        finally:
            self._reading[digest] -= 1
            if not self._reading[digest]:
                del self._reading[digest]

    async def size(self, digest: str) -> int | None:
        """The length of the file."""
        found = await self.run(self.stored, digest)
        return None if found is None else found.size

    async def list(self, after: str = "", limit: int = 100) -> Sequence[StoredBlob]:
        """Read the directories of the first two digits, one after the other."""
        return await self.run(self._list, after, limit)

    async def delete(self, digest: str) -> bool:
        """Remove the file. Who reads it at this moment reads to its end."""
        return await self.run(self._delete, digest)

    # Blocking, for threads; the first two also for the writer's.

    def stored(self, digest: str) -> StoredBlob | None:
        """A blob that is here as a whole. Raises ``BLOBS_UNAVAILABLE`` where nobody can say."""
        path = self._find(digest)
        if path is None:
            return None
        with failures():
            try:
                found = path.stat()
            except FileNotFoundError:
                self._ensure_there()
                return None
        return StoredBlob(digest, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    async def freed(self) -> None:
        """Wait for what is on its way out."""
        freeing = [asyncio.wrap_future(future) for future in list(self._freeing)]
        if freeing:
            await asyncio.wait(freeing)

    def discard(self, digest: str, before: datetime | None) -> bool:
        """Take a blob away at once and free its space later, unless it was put here anew since ``before``."""
        path, aside = self._path(digest.removeprefix("sha256:")), self._trash / secrets.token_hex(16)
        try:
            path.rename(aside)
            if before is not None and aside.stat().st_mtime >= before.timestamp():
                aside.rename(path)
                return False
        except OSError as error:
            # It stays, and is found again.
            if not isinstance(error, FileNotFoundError):
                _log.error("a blob cannot be removed: %s", error)
            return False
        # Freeing a large file takes time that the writer has not.
        freeing = self._threads.submit(aside.unlink, missing_ok=True)
        self._freeing.add(freeing)
        freeing.add_done_callback(self._freeing.discard)
        return True

    def is_read(self, digest: str) -> bool:
        """Whether somebody reads the blob at this moment."""
        return digest in self._reading

    def place(self, name: str) -> Path:
        """Where the blob of a hexadecimal digest belongs."""
        return self._path(name)

    def _delete(self, digest: str) -> bool:
        path = self._find(digest)
        if path is None:
            return False
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def _open(self, path: Path) -> BinaryIO | None:
        try:
            return path.open("rb")
        except FileNotFoundError:
            self._ensure_there()
            return None

    def _list(self, after: str, limit: int) -> Sequence[StoredBlob]:
        self._ensure_there()
        last = after.removeprefix("sha256:")
        found: list[StoredBlob] = []
        for directory in sorted(path.name for path in self._directory.iterdir() if _SHARD.fullmatch(path.name)):
            if directory < last[:2]:
                continue
            names = sorted(path.name for path in (self._directory / directory).iterdir() if path.name > last)
            for name in names:
                if len(found) == limit:
                    return found
                if (blob := self.stored(f"sha256:{name}")) is not None:
                    found.append(blob)
        return found

    def _ensure_there(self) -> None:
        """What is not there was never stored, unless all of it is not there: then it is out of reach."""
        if not self._partial.is_dir():
            raise BLOBS_UNAVAILABLE(f"{self._directory} is not there.")

    async def close(self) -> None:
        """Wait for the threads. Idempotent."""
        await asyncio.to_thread(self._threads.shutdown)

    def _find(self, digest: str) -> Path | None:
        return self._path(digest.removeprefix("sha256:")) if _DIGEST.fullmatch(digest) else None

    def _path(self, name: str) -> Path:
        return self._directory / name[:2] / name

    async def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run something that blocks in one of the threads for blobs. Raises ``BLOBS_UNAVAILABLE``."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, partial(_translate, function, *arguments, **named)
        )


def _translate(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    with failures():
        return function(*arguments, **named)


@contextmanager
def failures() -> Iterator[None]:
    """Raise ``BLOBS_UNAVAILABLE`` where the disk refuses."""
    try:
        yield
    except OSError as error:
        raise BLOBS_UNAVAILABLE(f"The blob store: {error.strerror or error}.") from error


def settle(file: BinaryIO, passing: Path, path: Path) -> None:
    """Make a whole file a blob, durably."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    # Its age counts from here, also where its bytes came long ago.
    os.utime(passing)
    passing.rename(path)
    for directory in (path.parent, path.parent.parent):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _abandon(file: BinaryIO, passing: Path) -> None:
    file.close()
    passing.unlink(missing_ok=True)


def _missing(digest: str) -> Exception:
    return NOT_FOUND(f"There is no blob {digest!r}.", subject=digest)
