"""Blobs: by content, whole or in ranges, in flat memory."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import pytest
from tests.contracts.conftest import Open
from tests.contracts.samples import refused

from pharos.core.fault import INVALID, NOT_FOUND
from pharos.store.ports import Store

NONE = "sha256:" + "0" * 64


async def read(store: Store, digest: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.blobs.get(digest, start, end)])


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(0)
        yield part


async def test_by_content(open_engine: Open) -> None:
    store = await open_engine()
    digest = await store.blobs.put(b"hello")
    assert digest == "sha256:" + hashlib.sha256(b"hello").hexdigest()
    assert await store.blobs.put(pieces(b"he", b"", b"llo")) == digest
    assert await store.blobs.size(digest) == 5
    await store.close()
    store = await open_engine()
    assert await read(store, digest) == b"hello"
    assert await store.blobs.delete(digest) is True
    assert await store.blobs.delete(digest) is False
    assert await store.blobs.size(digest) is None
    with refused(NOT_FOUND):
        await read(store, digest)


async def test_empty(store: Store) -> None:
    digest = await store.blobs.put(b"")
    assert await store.blobs.put(pieces()) == digest
    assert await store.blobs.size(digest) == 0
    assert await read(store, digest) == b""


async def test_ranges(store: Store) -> None:
    data = bytes(range(256)) * 4096
    digest = await store.blobs.put(data)
    for start, end in [
        (0, None),
        (0, 0),
        (10, 20),
        (1_000_000, None),
        (255_999, 600_001),
        (2_000_000, None),
        (5, 2**40),
    ]:
        assert await read(store, digest, start, end) == data[start:end]
    for start, end in [(-1, None), (5, 4)]:
        with refused(INVALID):
            await read(store, digest, start, end)


@pytest.mark.parametrize("digest", [NONE, "", "sha256:", "sha256:../../../etc/passwd", "md5:" + "0" * 64, NONE.upper()])
async def test_what_is_not_there(store: Store, digest: str) -> None:
    with refused(NOT_FOUND):
        await read(store, digest)
    assert await store.blobs.size(digest) is None
    assert await store.blobs.delete(digest) is False


async def test_a_source_that_fails_leaves_nothing(store: Store) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        await store.blobs.put(failing())
    assert await store.blobs.size("sha256:" + hashlib.sha256(b"x" * 3_000_000).hexdigest()) is None


async def test_the_same_bytes_at_the_same_time(store: Store) -> None:
    digests = await asyncio.gather(*(store.blobs.put(pieces(b"same" * 1000)) for _ in range(20)))
    assert len(set(digests)) == 1
    assert await store.blobs.size(digests[0]) == 4000


async def test_who_reads_while_it_is_deleted_reads_to_the_end(store: Store) -> None:
    data = b"z" * 3_000_000
    digest = await store.blobs.put(data)
    async with aclosing(cast("Any", store.blobs.get(digest))) as reading:
        first = await anext(reading)
        await store.blobs.delete(digest)
        rest = [piece async for piece in reading]
    assert first + b"".join(rest) == data


async def test_two_hundred_megabytes_in_flat_memory(store: Store) -> None:
    part, count = b"0123456789abcdef" * 65536, 200

    async def large() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield part

    tracemalloc.start()
    try:
        digest = await store.blobs.put(large())
        length = 0
        async for piece in store.blobs.get(digest):
            length += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length == await store.blobs.size(digest) == len(part) * count
    assert peak < 12_000_000
