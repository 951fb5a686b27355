"""Moments too short to be met by chance, held open: a commit that the store has not yet, or the index has not yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from tests.control.town import ADMIN, Town, model, note, provider

from pharos.core.fault import Fault
from pharos.core.operation import Put
from pharos.store.ports import Command, Result, Store


class Held:
    """The real store, whose commits of chosen resources stop before or after they happen."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.before = asyncio.Event()
        self.after = asyncio.Event()
        self.reached = asyncio.Event()
        self.names: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, *commands: Command, operation_id: str = "", principal: str = "") -> Sequence[Result]:
        held = any(isinstance(c, Put) and c.resource.metadata.name in self.names for c in commands)
        if held:
            self.reached.set()
            await self.before.wait()
        results = await self._store.commit(*commands, operation_id=operation_id, principal=principal)
        if held:
            await self.after.wait()
        return results


@pytest.fixture
def held(city: Town) -> Iterator[Held]:
    held = Held(city.store)
    city.invoker.committer._store = held  # type: ignore[assignment]
    yield held
    held.before.set()
    held.after.set()


async def until_committed(city: Town, name: str) -> None:
    async with aclosing(city.store.log.tail("catalog")) as events:  # type: ignore[type-var]
        async for recorded in events:
            if recorded.event.subject.endswith(f"/{name}"):
                return


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_reference_under_way_keeps_its_target(city: Town, held: Held, moment: str) -> None:
    await city.apply(provider("acme"))
    held.names.add("fast")
    if moment == "after":
        held.before.set()
    apply = asyncio.create_task(city.apply(model("fast", "acme")))
    await held.reached.wait()
    if moment == "after":
        await until_committed(city, "fast")
    delete = asyncio.create_task(city.call("catalog.delete", kind="Provider", name="acme"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not delete.done(), "it waits for what is under way"
    held.before.set()
    held.after.set()
    await apply
    with pytest.raises(Fault) as caught:
        await delete
    assert caught.value.code == "REFERENCED"


async def test_infra_34_a_watch_begins_before_what_is_under_way(city: Town, held: Held) -> None:
    held.names.add("slow")
    held.before.set()
    slow = asyncio.create_task(city.apply(note("slow")))
    await until_committed(city, "slow")
    await city.apply(note("quick"), note("gone"))
    await city.call("catalog.delete", kind="Note", name="gone")
    async with aclosing(city.invoker.stream("catalog.watch", {}, ADMIN)) as items:  # type: ignore[type-var]
        first = [await anext(items), await anext(items)]
        assert [item["type"] for item in first] == ["listed", "synced"]
        assert first[0]["resource"] == "Note/default/quick"
        held.after.set()
        told = await anext(items)
        assert (told["type"], told["resource"]) == ("applied", "Note/default/slow")
        await slow
        await city.apply(note("last"))
        last = await anext(items)
        assert last["resource"] == "Note/default/last", "what the list knew is not told again"


async def test_infra_3_the_first_caller_left_before_its_commit_landed(city: Town, held: Held) -> None:
    held.names.add("a")
    held.after.set()

    def call() -> asyncio.Task[Any]:
        arguments = {"documents": [note("a")]}
        return asyncio.create_task(
            city.invoker.invoke("catalog.apply", arguments, ADMIN, idempotency_key="k")  # type: ignore[arg-type]
        )

    first = call()
    await held.reached.wait()
    first.cancel()
    await asyncio.wait([first])
    second = call()
    for _ in range(50):
        await asyncio.sleep(0)
    held.before.set()
    answer = await second
    assert answer["resources"][0]["revision"] == 1
    assert len(await city.store.log.read("catalog")) == 1
    topics, _ = await city.store.log.topics("operations/")
    assert [topic.name for topic in topics] == [f"operations/{answer['operation']}"]


async def test_a_second_change_of_what_is_under_way_waits_its_turn(city: Town, held: Held) -> None:
    await city.apply(note("a", "zero"))
    held.names.add("a")
    first = asyncio.create_task(city.apply(note("a", "one")))
    await held.reached.wait()
    second = asyncio.create_task(city.apply(note("a", "two")))
    for _ in range(50):
        await asyncio.sleep(0)
    held.before.set()
    held.after.set()
    await first
    assert (await second)["resources"][0]["revision"] == 3  # type: ignore[index, call-overload]


async def test_closing_waits_for_what_is_under_way(city: Town, held: Held) -> None:
    held.names.add("a")
    apply = asyncio.create_task(city.apply(note("a")))
    await held.reached.wait()
    closing = asyncio.create_task(city.invoker.close())
    await asyncio.sleep(0)
    assert not closing.done()
    held.before.set()
    held.after.set()
    await closing
    assert (await apply)["operation"]
