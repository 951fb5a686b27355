"""The store of kept responses: what it promises whatever providers and tenants do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from pharos.core.fault import Fault
from pharos.gateway.models.state import responses as module
from pharos.gateway.models.state.responses import KEPT_FOR, Responses
from pharos.gateway.models.state.sweep import Sweep
from pharos.store.sqlite.engine import SqliteStore, open_store

ITEM = b'{"role":"user","content":"hi"}'


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = open_store(tmp_path / "home")
    yield opened
    await opened.close()


async def keep(
    store: SqliteStore, responses: Responses, id: str, previous: str = "", tenant: str = "t1", text: str = "x"
) -> int:
    """Keep a response as a call does; how many commands that took."""
    response: dict[str, Any] = {"id": id, "output": [{"type": "message", "role": "assistant", "content": text}]}
    commands = await responses.keep(tenant, f"call-{tenant}-{id}-{len(text)}", previous, [ITEM], response)
    if commands:
        await store.commit(*commands)
    return len(commands)


async def texts(responses: Responses, tenant: str, id: str) -> list[str]:
    return [orjson.loads(item)["content"] for item in await responses.conversation(tenant, id)]


async def missing(responses: Responses, tenant: str, id: str) -> None:
    for look in (responses.find, responses.conversation):
        with pytest.raises(Fault) as caught:
            await look(tenant, id)
        assert caught.value.code == "RESPONSE_NOT_FOUND"


async def test_what_cannot_be_written_again_is_not_kept(store: SqliteStore) -> None:
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    assert await Responses(store).keep("t1", "call", "", [ITEM], {"id": "r", "output": deep}) == ()
    await missing(Responses(store), "t1", "r")


async def test_a_chain_is_told_from_its_beginning(store: SqliteStore) -> None:
    responses = Responses(store)
    previous = ""
    for number in range(5):
        await keep(store, responses, f"r{number}", previous, text=str(number))
        previous = f"r{number}"
    for reader in (responses, Responses(store)):  # from memory, and from what is stored
        assert await texts(reader, "t1", "r4") == ["hi", "0", "hi", "1", "hi", "2", "hi", "3", "hi", "4"]
        assert await texts(reader, "t1", "r1") == ["hi", "0", "hi", "1"]


async def test_h50_tenants_do_not_meet_even_under_one_id(store: SqliteStore) -> None:
    responses = Responses(store)
    await keep(store, responses, "same", tenant="t1", text="mine")
    await missing(responses, "t2", "same")
    await keep(store, responses, "same", tenant="t2", text="theirs")
    assert await texts(responses, "t1", "same") == ["hi", "mine"]
    assert await texts(responses, "t2", "same") == ["hi", "theirs"]
    await responses.delete("t2", "same", "p")
    await missing(responses, "t2", "same")
    assert await texts(Responses(store), "t1", "same") == ["hi", "mine"]


async def test_equal_responses_of_two_tenants_are_deleted_one_by_one(store: SqliteStore) -> None:
    responses = Responses(store)
    for tenant in ("t1", "t2"):
        await keep(store, responses, "same", tenant=tenant, text="equal")
    await responses.delete("t1", "same", "p")
    assert await texts(Responses(store), "t2", "same") == ["hi", "equal"]


async def test_the_first_of_an_id_counts(store: SqliteStore) -> None:
    """A provider that gives an id twice puts nothing into an earlier conversation, and makes no circle."""
    responses = Responses(store)
    await keep(store, responses, "r1", text="first")
    await keep(store, responses, "r2", "r1", text="second")
    await keep(store, responses, "r1", "r2", text="forged")
    for reader in (responses, Responses(store)):
        assert await texts(reader, "t1", "r2") == ["hi", "first", "hi", "second"]


@pytest.mark.parametrize("id", ["", "a/b", "a b", "ü", "x" * 129, 7, None])
async def test_an_id_that_cannot_be_one_is_not_kept(store: SqliteStore, id: Any) -> None:
    responses = Responses(store)
    assert await responses.keep("t1", "c", "", [ITEM], {"id": id, "output": []}) == ()
    if isinstance(id, str):
        await missing(responses, "t1", id or "-")


async def test_what_is_deleted_is_gone_from_the_disk(store: SqliteStore, tmp_path: Path) -> None:
    responses = Responses(store)
    await keep(store, responses, "r1", text="Xylophon")
    assert _holds(tmp_path, b"Xylophon")
    await responses.delete("t1", "r1", "p")
    assert not _holds(tmp_path, b"Xylophon")
    await missing(responses, "t1", "r1")
    await keep(store, responses, "r1", text="again")
    await missing(Responses(store), "t1", "r1")  # an id is used once


def _holds(place: Path, words: bytes) -> bool:
    return any(words in path.read_bytes() for path in place.rglob("*") if path.is_file())


async def test_what_is_too_old_is_swept(store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    responses, sweep = Responses(store), Sweep(store)
    await keep(store, responses, "r1", text="Xylophon")
    now = datetime.now(UTC)
    assert await sweep.sweep(now + KEPT_FOR - timedelta(hours=1)) == 0
    assert _holds(tmp_path, b"Xylophon")
    monkeypatch.setattr(module, "KEPT_FOR", timedelta(0))
    await missing(responses, "t1", "r1")
    monkeypatch.undo()
    assert await sweep.sweep(now + KEPT_FOR + timedelta(hours=1)) == 1
    assert not _holds(tmp_path, b"Xylophon")
    await missing(Responses(store), "t1", "r1")
    assert await sweep.sweep(now + KEPT_FOR + timedelta(hours=1)) == 0
    # Another city looks again, and finds nothing more to delete.
    assert await Sweep(store).sweep(now + KEPT_FOR + timedelta(hours=1)) == 0


async def test_a_tenant_keeps_only_so_much_in_a_day(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    responses, sweep = Responses(store), Sweep(store)
    monkeypatch.setattr(module, "MOST_BYTES_A_DAY", 1000)
    assert await keep(store, responses, "r1", text="x" * 600)
    assert not await keep(store, responses, "r2", text="x" * 600)
    assert await keep(store, responses, "r2", tenant="t2", text="x" * 600)
    await missing(responses, "t1", "r2")
    await sweep.forget(datetime.now(UTC))
    assert not await keep(store, responses, "r3", text="x" * 600)
    await sweep.forget(datetime.now(UTC) + timedelta(days=1))
    assert await keep(store, responses, "r3", text="x" * 600)
    assert await store.counters.open_reservations() == []


async def test_a_conversation_has_a_longest(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    responses = Responses(store)
    await keep(store, responses, "r1", text="x" * 600)
    await keep(store, responses, "r2", "r1", text="x" * 600)
    for name, value in (("MOST_BYTES", 1000), ("MOST_TURNS", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            with pytest.raises(Fault) as caught:
                await responses.conversation("t1", "r2")
            assert caught.value.code == "CONTEXT_EXCEEDED"
    assert len(await texts(responses, "t1", "r2")) == 4


async def test_memory_is_bounded(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    responses = Responses(store)
    monkeypatch.setattr(module, "MOST_CACHED", 2000)
    for number in range(10):
        await keep(store, responses, f"r{number}", text="x" * 600)
    assert responses.held <= 2000
    assert len(await texts(responses, "t1", "r0")) == 2


async def test_h51_the_log_names_what_is_kept_and_quotes_nothing(store: SqliteStore) -> None:
    responses = Responses(store)
    await keep(store, responses, "r1", text="Xylophon")
    found = await store.log.read_all()
    assert [recorded.event.type for recorded in found] == ["response.kept"]
    assert "Xylophon" not in str(found)
    assert "hi" not in str(found[0].event.data)
