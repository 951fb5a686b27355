"""What holds whatever is done in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.control.town import Town, note, town

from pharos.core.fault import Fault
from pharos.core.resource import ResourceId
from pharos.core.wire import JsonObject

FEW = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

names = st.sampled_from(["a", "b", "c"])
documents = st.builds(
    lambda name, text, labels, about: {
        "kind": "Note",
        "metadata": {"name": name, "labels": labels},
        "spec": {"text": text, **({"about": about} if about else {})},
    },
    names,
    st.sampled_from(["", "x", "y"]),
    st.dictionaries(st.sampled_from("lm"), st.sampled_from("12"), max_size=1),
    st.none() | names,
)
applies = st.lists(documents, min_size=1, max_size=3, unique_by=lambda d: d["metadata"]["name"])
writes = st.one_of(applies, names)
"""A list of documents is applied, a name is deleted."""


def in_a_town(home: Path, run: Callable[[Town], Awaitable[None]]) -> None:
    async def opened() -> None:
        async with town(home) as city:
            await run(city)

    asyncio.run(opened())


async def write(city: Town, what: list[JsonObject] | str) -> str | None:
    """Make a write; its operation, or ``None`` if it was refused."""
    try:
        if isinstance(what, str):
            output = await city.call("catalog.delete", kind="Note", name=what)
        else:
            output = await city.apply(*what)
    except Fault as fault:
        assert fault.code in ("NOT_FOUND", "REFERENCED", "CONFLICT"), fault
        return None
    return str(output["operation"])


async def snapshot(city: Town) -> dict[str, JsonObject]:
    """Everything of every resource that an undo brings back."""
    page: Any = await city.call("catalog.list", limit=1_000)
    for item in page["items"]:
        del item["metadata"]["revision"], item["metadata"]["updatedAt"]
    return {item["metadata"]["name"]: item for item in page["items"]}


@FEW
@given(st.lists(writes, max_size=4), writes)
def test_undo_restores_and_redo_repeats_exactly(
    tmp_path_factory: pytest.TempPathFactory, before: list[Any], last: Any
) -> None:
    async def run(city: Town) -> None:
        for what in before:
            await write(city, what)
        state = await snapshot(city)
        operation = await write(city, last)
        if operation is None:
            assert await snapshot(city) == state
            return
        after = await snapshot(city)
        for _ in range(2):
            await city.call("operations.undo", id=operation)
            assert await snapshot(city) == state
            await city.call("operations.redo", id=operation)
            assert await snapshot(city) == after

    in_a_town(tmp_path_factory.mktemp("home"), run)


@FEW
@given(st.lists(writes, max_size=8))
def test_everything_can_be_undone_backwards_and_redone_forwards(
    tmp_path_factory: pytest.TempPathFactory, made: list[Any]
) -> None:
    async def run(city: Town) -> None:
        states = [await snapshot(city)]
        operations: list[str] = []
        for what in made:
            if (operation := await write(city, what)) is not None:
                operations.append(operation)
                states.append(await snapshot(city))
        for number in range(len(operations) - 1, -1, -1):
            await city.call("operations.undo", id=operations[number])
            assert await snapshot(city) == states[number]
        for number, operation in enumerate(operations):
            await city.call("operations.redo", id=operation)
            assert await snapshot(city) == states[number + 1]

    in_a_town(tmp_path_factory.mktemp("home"), run)


@FEW
@given(st.lists(st.tuples(st.integers(0, 8), st.one_of(writes, st.integers(0, 9))), min_size=2, max_size=16))
def test_under_any_interleaving_revisions_grow_and_index_and_store_agree(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, Any]]
) -> None:
    """Writes, deletes and undos begin at any moment of each other. A number undoes one of the operations so far."""

    async def run(city: Town) -> None:
        done: list[str] = []
        told: dict[ResourceId, int] = {}

        def follow(id: ResourceId, resource: Any) -> None:
            if resource is not None:
                assert resource.metadata.revision > told.get(id, 0)
                told[id] = resource.metadata.revision

        city.index.subscribe(follow)

        async def call(delay: int, what: Any) -> None:
            for _ in range(delay):
                await asyncio.sleep(0)
            if not isinstance(what, int):
                operation = await write(city, what)
            elif done:
                try:
                    operation = str((await city.call("operations.undo", id=done[what % len(done)]))["operation"])
                except Fault as fault:
                    assert fault.code in ("UNDO_CONFLICT", "ALREADY_UNDONE", "REFERENCED", "CONFLICT"), fault
                    return
            else:
                return
            if operation is not None:
                done.append(operation)

        await asyncio.gather(*(call(delay, what) for delay, what in calls))
        stored, _ = await city.store.catalog.list(limit=100)
        mirrored = [(r.id, r.metadata.revision, r.to_json()) for r in city.index.everything()]
        assert mirrored == [(s.id, s.revision, s.document) for s in stored]
        newest: dict[str, int] = {}
        for recorded in await city.store.log.read("catalog", limit=1_000):
            event = recorded.event
            assert event.data["revision"] == newest.get(event.subject, 0) + 1, "revisions grow by one, told in order"
            newest[event.subject] = int(str(event.data["revision"]))
        for subject, revision in newest.items():
            history, _ = await city.store.catalog.history(ResourceId.parse(subject))
            assert [entry.revision for entry in history] == list(range(revision, 0, -1))
        for source in city.index.everything():
            for reference in city.index.references(source.id):
                assert source.id in city.index.referrers(reference.target)

    in_a_town(tmp_path_factory.mktemp("home"), run)


async def test_a_storm_of_appliers_loses_nothing(city: Town) -> None:
    """Forty appliers at once on five resources: each write that was answered is a revision, in the order of the log."""
    outputs: list[Any] = await asyncio.gather(*(city.apply(note(f"n{i % 5}", str(i))) for i in range(40)))
    for name in range(5):
        history: Any = await city.call("catalog.history", kind="Note", name=f"n{name}")
        assert [item["revision"] for item in history["items"]] == list(range(8, 0, -1))
        mine = {o["operation"] for o in outputs if o["resources"][0]["resource"].endswith(f"n{name}")}
        assert {item["operation"] for item in history["items"]} == mine
