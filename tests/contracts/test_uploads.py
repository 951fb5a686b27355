"""Uploads: in pieces, cut anywhere, gone on with after any restart."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.conftest import Open
from tests.contracts.samples import refused

from pharos.core.fault import NOT_FOUND, TOO_LARGE
from pharos.store.faults import UPLOAD_BUSY, UPLOAD_OFFSET
from pharos.store.ports import Store


async def pieces(*parts: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(0)
        yield part
    if then is not None:
        raise then


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


async def test_in_pieces_over_restarts(open_engine: Open) -> None:
    data = bytes(range(256)) * 8192
    store = await open_engine()
    upload = await store.uploads.begin("acme", len(data), {"by": "me"})
    with pytest.raises(ConnectionError):
        await store.uploads.extend(upload.id, 0, pieces(data[:1_500_000], then=ConnectionError()))
    await store.close()
    store = await open_engine()
    [found] = await store.uploads.list()
    assert (found.id, found.namespace, found.offset, found.note) == (upload.id, "acme", 1_500_000, {"by": "me"})
    with refused(UPLOAD_OFFSET) as caught:
        await store.uploads.finish(upload.id)
    assert caught.value.document.facts["offset"] == 1_500_000
    with refused(UPLOAD_OFFSET):
        await store.uploads.extend(upload.id, 1_000_000, pieces(b"x"))
    assert (await store.uploads.extend(upload.id, 1_500_000, pieces(data[1_500_000:]))).offset == len(data)
    first, again = await asyncio.gather(
        store.uploads.finish(upload.id), store.uploads.finish(upload.id), return_exceptions=True
    )
    done = first if not isinstance(first, BaseException) else again
    assert not isinstance(done, BaseException)
    assert done.digest == digest_of(data)
    assert b"".join([piece async for piece in store.blobs.get(done.digest)]) == data
    await store.close()
    store = await open_engine()
    assert await store.uploads.finish(upload.id) == done
    assert await store.uploads.end(upload.id) is True
    assert await store.uploads.end(upload.id) is False
    assert await store.uploads.get(upload.id) is None
    assert await store.blobs.size(done.digest) == len(data)


async def test_what_is_too_much_is_refused_and_the_rest_kept(store: Store) -> None:
    upload = await store.uploads.begin("acme", 5, {})
    with refused(TOO_LARGE):
        await store.uploads.extend(upload.id, 0, pieces(b"abc", b"defg"))
    found = await store.uploads.get(upload.id)
    assert found is not None and found.offset == 5
    assert (await store.uploads.finish(upload.id)).digest == digest_of(b"abcde")


async def test_one_at_a_time(store: Store) -> None:
    upload = await store.uploads.begin("acme", 2, {})
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        began.set()
        await go_on.wait()
        yield b"b"

    task = asyncio.create_task(store.uploads.extend(upload.id, 0, slow()))
    await began.wait()
    for other in (
        store.uploads.extend(upload.id, 0, pieces(b"x")),
        store.uploads.finish(upload.id),
        store.uploads.end(upload.id),
    ):
        with refused(UPLOAD_BUSY):
            await other
    go_on.set()
    assert (await task).offset == 2


async def test_a_cancelled_piece_keeps_what_came(store: Store) -> None:
    upload = await store.uploads.begin("acme", 4_000_000, {})
    began = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"a" * 2_500_000
        yield b"b" * 10
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.uploads.extend(upload.id, 0, endless()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    found = await store.uploads.get(upload.id)
    assert found is not None and found.offset == 2_500_010
    rest = b"c" * (4_000_000 - found.offset)
    await store.uploads.extend(upload.id, found.offset, pieces(rest))
    whole = b"a" * 2_500_000 + b"b" * 10 + rest
    assert (await store.uploads.finish(upload.id)).digest == digest_of(whole)


@pytest.mark.parametrize("id", ["", "x", "../lock", "0" * 32])
async def test_what_is_no_upload(store: Store, id: str) -> None:
    assert await store.uploads.get(id) is None
    assert await store.uploads.end(id) is False
    with refused(NOT_FOUND):
        await store.uploads.extend(id, 0, pieces())
    with refused(NOT_FOUND):
        await store.uploads.finish(id)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.binary(max_size=2000), max_size=8), cuts=st.lists(st.integers(0, 2000), max_size=8))
async def test_however_it_is_cut_it_is_the_same(store: Store, parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    upload = await store.uploads.begin("acme", len(data), {})
    offset = 0
    for cut in [*cuts, len(data)]:
        piece = data[offset : offset + cut]
        offset = (
            await store.uploads.extend(upload.id, offset, pieces(piece[: len(piece) // 2], piece[len(piece) // 2 :]))
        ).offset
    assert offset == len(data)
    assert (await store.uploads.finish(upload.id)).digest == digest_of(data)
