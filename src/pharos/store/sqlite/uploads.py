"""Uploads as files that grow: the bytes under the upload's id, what is known of it beside them.

How far an upload is, is the length of its file: nothing else has to be brought up to date while bytes come, so there is
nothing that a crash could leave behind the truth.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Protocol

import orjson

from pharos.core.fault import NOT_FOUND, TOO_LARGE, Fault
from pharos.store.blobs import Upload
from pharos.store.faults import UPLOAD_BUSY, UPLOAD_OFFSET
from pharos.store.sqlite.blobs import FileBlobs, failures, settle
from pharos.store.sqlite.failures import storage_failures

_ID = re.compile("[0-9a-f]{32}")

_BUFFER = 1024 * 1024
"""Bytes collected before they are written."""

_HASHED = 1024
"""Uploads whose hash is kept up to date while bytes come; those beyond are read again at their end."""


class Hash(Protocol):
    """What ``hashlib`` makes."""

    def update(self, data: bytes | bytearray, /) -> None: ...
    def hexdigest(self) -> str: ...


class FileUploads:
    """The port ``Uploads``."""

    def __init__(self, directory: Path, blobs: FileBlobs) -> None:
        self._directory = directory
        self._blobs = blobs
        self._busy: set[str] = set()
        self._finishes: set[asyncio.Task[Upload]] = set()
        self._hashes: dict[str, tuple[Hash, int]] = {}
        """The hash of an upload's beginning, and how long that is."""
        with storage_failures(f"Cannot open {directory}"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def begin(self, namespace: str, length: int, note: Mapping[str, str]) -> Upload:
        """Make both files. Those of a crash in between are found by :meth:`list`."""
        id = secrets.token_hex(16)
        await self._blobs.run(self._begin, id, namespace, length, note)
        self._hash(id, hashlib.sha256(), 0)
        return await self._found(id)

    async def get(self, id: str) -> Upload | None:
        """See :class:`~pharos.store.blobs.Uploads`."""
        return await self._blobs.run(self._read, id)

    async def list(self) -> Sequence[Upload]:
        """See :class:`~pharos.store.blobs.Uploads`. There are few of them at a time: their number is limited."""
        return await self._blobs.run(self._list)

    async def extend(self, id: str, offset: int, data: AsyncIterator[bytes]) -> Upload:
        """Write about a megabyte at a time, in a thread. What came before an interruption stays."""
        with self._alone(id):
            upload = await self._found(id)
            if offset != upload.offset or upload.digest:
                raise _elsewhere(upload)
            room = upload.length - offset
            file = await self._blobs.run(_append_to, self._directory / id)
            buffer = bytearray()
            writing: asyncio.Future[None] | None = None
            try:
                async for piece in data:
                    fits = piece[:room]
                    room -= len(fits)
                    buffer += fits
                    if len(fits) < len(piece):
                        raise TOO_LARGE(
                            f"The upload has {upload.length} bytes, and more came.",
                            facts={"limitBytes": upload.length},
                        )
                    if len(buffer) >= _BUFFER:
                        taken, buffer = buffer, bytearray()
                        writing = asyncio.ensure_future(self._blobs.run(self._write, id, file, taken))
                        await asyncio.shield(writing)
            finally:
                # Whatever ended it, what has come stays; less than a megabyte of it is not with a thread yet.
                if writing is not None and not writing.done():
                    await asyncio.wait({writing})
                with file, failures():
                    if writing is None or writing.exception() is None:
                        self._write(id, file, buffer)
            await self._blobs.run(_sync, self._directory / id)
            return await self._found(id)

    async def finish(self, id: str) -> Upload:
        """Hash what is not hashed yet, note the digest, make the file a blob: repeated after a crash, it goes on."""
        task = asyncio.ensure_future(self._finishing(id))
        self._finishes.add(task)
        task.add_done_callback(self._finishes.discard)
        # Who asked may leave; half a finish is none.
        return await asyncio.shield(task)

    async def end(self, id: str) -> bool:
        """See :class:`~pharos.store.blobs.Uploads`."""
        if not _ID.fullmatch(id):
            return False
        with self._alone(id):
            self._hashes.pop(id, None)
            return await self._blobs.run(self._end, id)

    async def _finishing(self, id: str) -> Upload:
        with self._alone(id):
            upload = await self._found(id)
            if upload.offset != upload.length:
                raise _elsewhere(upload)
            await self._blobs.run(self._finish, upload)
            return await self._found(id)

    async def close(self) -> None:
        """Wait for what is being finished."""
        await asyncio.gather(*self._finishes, return_exceptions=True)

    @contextmanager
    def _alone(self, id: str) -> Iterator[None]:
        if id in self._busy:
            raise UPLOAD_BUSY(retry_after=1)
        self._busy.add(id)
        try:
            yield
        finally:
            self._busy.discard(id)

    async def _found(self, id: str) -> Upload:
        upload = await self.get(id)
        if upload is None:
            raise NOT_FOUND("There is no such upload; it may have expired.")
        return upload

    def _hash(self, id: str, hash: Hash, length: int) -> None:
        while len(self._hashes) >= _HASHED:
            del self._hashes[next(iter(self._hashes))]
        self._hashes[id] = hash, length

    # Blocking.

    def _begin(self, id: str, namespace: str, length: int, note: Mapping[str, str]) -> None:
        self._describe(id, {"namespace": namespace, "length": length, "note": dict(note), "digest": ""})
        (self._directory / id).touch(mode=0o600, exist_ok=False)

    def _describe(self, id: str, head: Mapping[str, object]) -> None:
        fresh = self._directory / f"{id}.new"
        fresh.write_bytes(orjson.dumps(head))
        _sync(fresh)
        fresh.replace(self._directory / f"{id}.json")

    def _write(self, id: str, file: FileIO, data: bytearray) -> None:
        at = file.tell()
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
        hash, length = self._hashes.get(id, (None, 0))
        if hash is not None and length == at:
            hash.update(data)
            self._hashes[id] = hash, at + len(data)

    def _read(self, id: str) -> Upload | None:
        if not _ID.fullmatch(id):
            return None
        path = self._directory / id
        try:
            head = orjson.loads(path.with_suffix(".json").read_bytes())
            try:
                found = path.stat()
                offset, touched = found.st_size, found.st_mtime
            except FileNotFoundError:
                if not head["digest"]:
                    return None
                offset, touched = head["length"], path.with_suffix(".json").stat().st_mtime
            whole = head["digest"] if not path.exists() else ""
        except FileNotFoundError:
            return None
        at = datetime.fromtimestamp(touched, UTC)
        return Upload(id, head["namespace"], head["length"], offset, head["note"], at, whole)

    def _list(self) -> Sequence[Upload]:
        found: list[Upload] = []
        for id in {path.name.partition(".")[0] for path in self._directory.iterdir()}:
            if (upload := self._read(id)) is not None:
                found.append(upload)
            elif id not in self._busy and _old(self._directory, id):
                self._end(id)  # half of a beginning or an end that a crash cut
        return sorted(found, key=lambda upload: upload.touched_at)

    def _finish(self, upload: Upload) -> None:
        path = self._directory / upload.id
        if upload.digest:
            return
        hash, length = self._hashes.pop(upload.id, (None, 0))
        if hash is None or length != upload.length:
            with path.open("rb") as file:
                name = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            name = hash.hexdigest()
        digest = f"sha256:{name}"
        self._describe(
            upload.id,
            {"namespace": upload.namespace, "length": upload.length, "note": dict(upload.note), "digest": digest},
        )
        settle(path.open("rb+"), path, self._blobs.place(name))

    def _end(self, id: str) -> bool:
        path = self._directory / id
        known = path.with_suffix(".json").exists()
        for name in (path.with_suffix(".json"), path, path.with_suffix(".new")):
            name.unlink(missing_ok=True)
        return known


def _append_to(path: Path) -> FileIO:
    # Without a buffer: what is written is there, also of a write that fails in its middle.
    return path.open("ab", buffering=0)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _old(directory: Path, id: str) -> bool:
    """Whether what is left of an upload is not just being made."""
    newest = 0.0
    for suffix in ("", ".json", ".new"):
        path = directory / f"{id}{suffix}"
        if path.exists():
            newest = max(newest, path.stat().st_mtime)
    return newest < datetime.now(UTC).timestamp() - 3600


def _elsewhere(upload: Upload) -> Fault:
    return UPLOAD_OFFSET(
        f"The upload is at {upload.offset} of {upload.length} bytes.",
        facts={"offset": upload.offset, "length": upload.length},
    )
