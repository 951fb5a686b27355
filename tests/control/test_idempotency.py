"""Repeated writes: one key, one call, one answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.control.town import ADMIN, OTHER, Town, note, town

from pharos.control.idempotency import Idempotency
from pharos.core.fault import Fault
from pharos.core.wire import JsonObject


async def keyed(city: Town, key: str, name: str, arguments: JsonObject) -> JsonObject:
    return await city.invoker.invoke(name, arguments, ADMIN, idempotency_key=key)


async def test_infra_3_a_repetition_while_the_first_is_still_running(city: Town) -> None:
    first = asyncio.create_task(keyed(city, "k", "pings.slow", {"name": "a"}))
    await city.works.reached.wait()
    others = [asyncio.create_task(keyed(city, "k", "pings.slow", {"name": "a"})) for _ in range(5)]
    with pytest.raises(Fault) as caught:
        await keyed(city, "k", "pings.slow", {"name": "b"})
    assert caught.value.code == "IDEMPOTENCY_MISMATCH"
    city.works.gate.set()
    answers = await asyncio.gather(first, *others)
    assert all(answer == answers[0] for answer in answers)
    assert city.works.decided == 1
    assert len(await city.store.log.read("slow")) == 1


async def test_infra_3_waiting_for_the_first_is_bounded(city: Town) -> None:
    city.invoker._idempotency = Idempotency(city.store, patience=0.01)
    first = asyncio.create_task(keyed(city, "k", "pings.slow", {"name": "a"}))
    await city.works.reached.wait()
    with pytest.raises(Fault) as caught:
        await keyed(city, "k", "pings.slow", {"name": "a"})
    document = caught.value.document
    assert document.code == "IDEMPOTENCY_RACE" and document.retry.retry == "same_request"
    city.works.gate.set()
    assert await first == await keyed(city, "k", "pings.slow", {"name": "a"})


async def test_infra_3_a_repetition_after_a_restart(tmp_path: Path) -> None:
    arguments: JsonObject = {"documents": [note("a")]}
    async with town(tmp_path) as city:
        first = await keyed(city, "k", "catalog.apply", arguments)
    async with town(tmp_path) as city:
        head = await city.store.log.head()
        assert await keyed(city, "k", "catalog.apply", arguments) == first
        assert await city.store.log.head() == head
        with pytest.raises(Fault) as caught:
            await keyed(city, "k", "catalog.apply", {"documents": [note("b")]})
        assert caught.value.code == "IDEMPOTENCY_MISMATCH"
        with pytest.raises(Fault) as caught:
            await keyed(city, "k", "mails.send", {"name": "x"})
        assert caught.value.code == "IDEMPOTENCY_MISMATCH"


async def test_infra_3_the_first_caller_leaves_while_it_commits(city: Town) -> None:
    """The commit goes on; the repetition finds its answer, or is the one that answers. It happens once."""
    for number in range(30):
        arguments: JsonObject = {"name": f"n{number}"}
        first = asyncio.create_task(keyed(city, f"k{number}", "mails.send", arguments))
        for _ in range(number % 12):
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        await keyed(city, f"k{number}", "mails.send", arguments)
    sent = [recorded.event.data["to"] for recorded in await city.store.log.read("mail")]
    assert sent == [f"n{number}" for number in range(30)]


async def test_a_key_is_its_callers_own(city: Town) -> None:
    first = await keyed(city, "k", "mails.send", {"name": "x"})
    other = await city.invoker.invoke("mails.send", {"name": "y"}, OTHER, idempotency_key="k")
    assert first["operation"] != other["operation"]


async def test_a_refused_call_does_not_take_the_key(city: Town) -> None:
    with pytest.raises(Fault):
        await keyed(city, "k", "catalog.delete", {"kind": "Note", "name": "a"})
    await city.apply(note("a"))
    assert await keyed(city, "k", "catalog.delete", {"kind": "Note", "name": "a"})


async def test_members_in_another_order_are_the_same_call(city: Town) -> None:
    await city.apply(note("a"))
    one = await keyed(city, "k", "catalog.delete", {"kind": "Note", "name": "a"})
    assert await keyed(city, "k", "catalog.delete", {"name": "a", "kind": "Note"}) == one


async def test_a_secret_shown_once_is_not_shown_again(tmp_path: Path) -> None:
    async with town(tmp_path) as city:
        await city.apply({"kind": "Vault", "metadata": {"name": "v"}, "spec": {}})
        first = await keyed(city, "k", "vaults.fill", {"name": "v"})
        assert first["secret"] == "shown-once"
    async with town(tmp_path) as city:
        with pytest.raises(Fault) as caught:
            await keyed(city, "k", "vaults.fill", {"name": "v"})
        assert caught.value.code == "NOT_REPLAYABLE"
        assert caught.value.document.facts == {"operation": first["operation"]}
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert b"shown-once" not in file.read_bytes(), file


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
async def test_keys_that_are_none(city: Town, key: str) -> None:
    with pytest.raises(Fault) as caught:
        await keyed(city, key, "mails.send", {"name": "x"})
    assert caught.value.document.pointer == "/idempotencyKey"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 2)), max_size=12))
def test_replays_change_nothing(tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, str, int]]) -> None:
    """Whatever is repeated in whatever order: each key has one answer, and the log one operation for it."""

    async def run(home: Path) -> None:
        async with town(home) as city:
            first: dict[str, tuple[JsonObject, JsonObject]] = {}
            for key, name, text in calls:
                arguments: JsonObject = {"documents": [note(name, str(text))]}
                try:
                    answer = await keyed(city, key, "catalog.apply", arguments)
                except Fault as fault:
                    assert fault.code == "IDEMPOTENCY_MISMATCH" and first[key][0] != arguments
                    continue
                known, expected = first.setdefault(key, (arguments, answer))
                assert known == arguments and answer == expected
            topics, _ = await city.store.log.topics("operations/")
            assert len(topics) == len(first)

    asyncio.run(run(tmp_path_factory.mktemp("home")))
