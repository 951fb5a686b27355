"""Reading on in a result that was too large to be shown: all of it can be had, and nothing that is another's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.runtime.context.histories import said
from tests.runtime.context.test_operation import NOW, Session, profile

from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM
from pharos.mesh.connectors import Errand
from pharos.runtime.context.excerpts import READER, by_reference
from pharos.runtime.context.results import MOST, ResultTools
from pharos.runtime.session.commands import Proposed, ToolFacts, ToolReturned
from pharos.runtime.session.data.parts import BlobRef
from pharos.store.ports import Store
from pharos.store.sqlite.engine import open_store

TEXT = "".join(f"row {number}: {'x' * (number % 40)} é\n" for number in range(3_000))
ERRAND = Errand("default/s1/e9", "default/s1", SYSTEM)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    await opened.close()


async def _with_result(store: Store) -> tuple[str, str]:
    """A session that was told of a large result; its digest, and what the model sees of it."""
    session = Session(store, profile(60_000))
    await session.start("begin")
    proposed = Proposed("c1", "search", {}, "d", ToolFacts("tool", "pure"))
    await session.answer(said("", ("c1", "search", {})), proposed)
    digest = await store.blobs.put(TEXT.encode())
    shown = by_reference(TEXT, 4_000, digest)
    (effect,) = session.state.effects
    blob = BlobRef(digest=digest, size=len(TEXT.encode()), mediaType="text/plain")
    await session.do(ToolReturned(NOW, effect, shown, False, None, blob))
    return digest, shown


async def test_the_hint_leads_through_the_whole_result(store: Store) -> None:
    digest, shown = await _with_result(store)
    tools = ResultTools(store)
    hint = re.search(r'result_read \{"digest": "([^"]+)", "start": (\d+), "end": (\d+)\}', shown)
    assert hint is not None and hint[1] == digest
    read, place = shown[: shown.index("\n[…")].encode(), int(hint[2])
    while True:
        answer = (await tools.call(ERRAND, READER, {"digest": digest, "start": place})).content
        piece, _, rest = answer.partition("\n[")
        if not rest:
            piece = answer
        read += piece.encode() if "\ufffd" not in piece else TEXT.encode()[place : place + MOST]
        place += MOST
        if not rest:
            break
        assert f"the next begin at {place}]" in rest
    assert read == TEXT.encode()


async def test_a_digest_that_the_session_was_not_told_of_opens_nothing(store: Store) -> None:
    digest, _ = await _with_result(store)
    other = await store.blobs.put(b"of another session")
    tools = ResultTools(store)
    for errand, asked in ((ERRAND, other), (Errand("default/s2/e1", "default/s2", SYSTEM), digest)):
        with pytest.raises(Fault, match="was told of no result"):
            await tools.call(errand, READER, {"digest": asked})
    for arguments in ({"start": -1}, {"start": True}, {"start": 10**9}, {"start": 5, "end": 5}):
        with pytest.raises(Fault, match="INVALID"):
            await tools.call(ERRAND, READER, {"digest": digest, **arguments})
    with pytest.raises(Fault, match="NOT_FOUND"):
        await tools.call(ERRAND, "other", {})
    assert [tool.name for tool in await tools.tools(SYSTEM)] == [READER]
