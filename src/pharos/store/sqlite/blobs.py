"""Immutable bytes as files named by their content."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

from pharos.core.fault import INVALID, NOT_FOUND
from pharos.store.sqlite.failures import storage_failures

T = TypeVar("T")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

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
        with storage_failures(f"Cannot open {directory}"):
            self._partial.mkdir(mode=0o700, parents=True, exist_ok=True)
            for leftover in self._partial.iterdir():
                leftover.unlink()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="blobs")

    async def put(self, data: AsyncIterator[bytes] | bytes) -> str:
        """Write, hash and sync in a thread, about a megabyte at a time; all at once what is here already."""
        if isinstance(data, bytes):
            return await self._run(self._put, data)
        partial = self._partial / secrets.token_hex(16)
        digest = hashlib.sha256()

        def write(file: BinaryIO, piece: bytes) -> None:
            digest.update(piece)
            file.write(piece)

        file = await self._run(open, partial, "xb")
        try:
            buffer = bytearray()
            async for piece in data:
                buffer += piece
                if len(buffer) >= _BUFFER:
                    await self._run(write, file, bytes(buffer))
                    buffer.clear()
            await self._run(write, file, bytes(buffer))
            name = digest.hexdigest()
            await self._run(_finish, file, partial, self._path(name))
        except BaseException:
            await asyncio.shield(self._run(_abandon, file, partial))
            raise
        return f"sha256:{name}"

    def _put(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        partial = self._partial / secrets.token_hex(16)
        file = partial.open("xb")
        try:
            file.write(data)
            _finish(file, partial, self._path(name))
        except BaseException:
            _abandon(file, partial)
            raise
        return f"sha256:{name}"

    async def get(self, digest: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Read in a thread, a piece at a time."""
        if start < 0 or (end is not None and end < start):
            raise INVALID(f"{start} to {end} is no range of bytes.")
        path = self._find(digest)
        if path is None:
            raise _missing(digest)
        try:
            file: BinaryIO = await self._run(path.open, "rb")
        except FileNotFoundError:
            raise _missing(digest) from None
        try:
            await self._run(file.seek, start)
            left = end - start if end is not None else None
            while left is None or left > 0:
                piece = await self._run(file.read, _PIECE if left is None else min(_PIECE, left))
                if not piece:
                    break
                if left is not None:
                    left -= len(piece)
                yield piece
        finally:
            file.close()

    async def size(self, digest: str) -> int | None:
        """The length of the file."""
        path = self._find(digest)
        if path is None:
            return None
        try:
            return (await self._run(path.stat)).st_size
        except FileNotFoundError:
            return None

    async def delete(self, digest: str) -> bool:
        """Remove the file. Who reads it at this moment reads to its end."""
        path = self._find(digest)
        if path is None:
            return False
        try:
            await self._run(path.unlink)
        except FileNotFoundError:
            return False
        return True

    async def close(self) -> None:
        """Wait for the threads. Idempotent."""
        await asyncio.to_thread(self._threads.shutdown)

    def _find(self, digest: str) -> Path | None:
        return self._path(digest.removeprefix("sha256:")) if _DIGEST.fullmatch(digest) else None

    def _path(self, name: str) -> Path:
        return self._directory / name[:2] / name

    async def _run(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _translate, function, *arguments)


def _translate(function: Callable[..., T], *arguments: object) -> T:
    try:
        return function(*arguments)
    except FileNotFoundError:
        raise
    except OSError as error:
        with storage_failures("Storing a blob failed"):
            raise error


def _finish(file: BinaryIO, partial: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    partial.rename(path)
    for directory in (path.parent, path.parent.parent):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _abandon(file: BinaryIO, partial: Path) -> None:
    file.close()
    partial.unlink(missing_ok=True)


def _missing(digest: str) -> Exception:
    return NOT_FOUND(f"There is no blob {digest!r}.", subject=digest)
