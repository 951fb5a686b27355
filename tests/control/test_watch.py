"""Following the catalog without a gap and without hearing anything twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import apsw
import pytest
from tests.control.town import ADMIN, Town, note, town

from pharos.core.fault import Fault
from pharos.core.operation import SetStatus
from pharos.core.resource import Condition, ResourceId, Status
from pharos.core.wire import JsonObject


def watching(city: Town, **arguments: object) -> AsyncGenerator[JsonObject, None]:
    stream = city.invoker.stream("catalog.watch", cast("JsonObject", arguments), ADMIN)
    return cast("AsyncGenerator[JsonObject, None]", stream)


async def take(items: AsyncGenerator[JsonObject, None], count: int) -> list[Any]:
    async with asyncio.timeout(20):
        return [await anext(items) for _ in range(count)]


def steps(items: list[Any]) -> list[tuple[str, str | None, int | None]]:
    return [(item["type"], item.get("resource", "").rpartition("/")[2], item.get("revision")) for item in items]


async def test_a_list_and_then_what_changes(city: Town) -> None:
    await city.apply(note("a", "one"), note("b"))
    async with aclosing(watching(city)) as items:
        assert steps(await take(items, 3)) == [("listed", "a", 1), ("listed", "b", 1), ("synced", "", None)]
        await city.apply(note("a", "two"))
        await city.call("catalog.delete", kind="Note", name="b")
        down = Status(conditions=[Condition(type="Ready", status="False")])
        await city.invoker.observe(SetStatus(ResourceId("Note", "default", "a"), down))
        told = await take(items, 3)
        assert steps(told) == [("applied", "a", 2), ("deleted", "b", 2), ("observed", "a", 2)]
        assert told[0]["document"]["spec"] == {"text": "two"}
        assert told[2]["status"]["conditions"][0]["type"] == "Ready"


async def test_infra_34_resumed_where_it_ended(tmp_path: Path) -> None:
    async with town(tmp_path) as city:
        await city.apply(*(note(f"n{i}") for i in range(3)))
        async with aclosing(watching(city)) as items:
            first = await take(items, 4)
        assert all("position" not in item for item in first[:3]), "an incomplete list cannot be continued"
        position = first[3]["position"]
        for text in ("x", "y", "z"):
            await city.apply(note("n0", text))
    async with town(tmp_path) as city:
        seen: list[Any] = []
        for _ in range(3):
            async with aclosing(watching(city, after=position)) as items:
                seen += await take(items, 1)
            position = seen[-1]["position"]
        assert steps(seen) == [("applied", "n0", 2), ("applied", "n0", 3), ("applied", "n0", 4)]


async def test_infra_34_a_token_that_is_too_old(city: Town, tmp_path: Path) -> None:
    await city.apply(note("a"))
    async with aclosing(watching(city)) as items:
        old = (await take(items, 2))[1]["position"]
    await city.apply(note("a", "two"))
    await city.apply(note("a", "three"))
    _trim(tmp_path, 2)
    with pytest.raises(Fault) as caught:
        await take(watching(city, after=old, selector="!x"), 1)
    document = caught.value.document
    assert document.code == "GONE" and document.status == 410
    (fix,) = document.fixes
    assert fix.call is not None and fix.call.arguments == {"selector": "!x"}
    async with aclosing(watching(city, **fix.call.arguments)) as items:
        assert steps(await take(items, 2)) == [("listed", "a", 3), ("synced", "", None)]
    last = (await city.store.log.read("catalog"))[0].position
    await city.apply(note("a", "four"))
    async with aclosing(watching(city, after=last)) as items:
        assert steps(await take(items, 1)) == [("applied", "a", 4)]


def _trim(home: Path, sequence: int) -> None:
    """Retention, as a job of the city would do it: forget the oldest events of the catalog's topic."""
    connection = apsw.Connection(str(next(home.rglob("city.db"))))
    connection.set_busy_timeout(5_000)
    topic = "(SELECT id FROM topics WHERE name = 'catalog')"
    connection.execute(f"DELETE FROM events WHERE topic = {topic} AND sequence <= {sequence}")
    connection.close()


@pytest.mark.parametrize(("token", "code"), [("ffffffffffffffff", "INVALID"), ("0fffffffffffffff", "GONE")])
async def test_infra_34_a_token_of_another_log(city: Town, token: str, code: str) -> None:
    await city.apply(note("a"))
    with pytest.raises(Fault) as caught:
        await take(watching(city, after=token), 1)
    assert caught.value.code in (code, "GONE")
    with pytest.raises(Fault) as caught:
        await take(watching(city, after="nonsense"), 1)
    assert caught.value.code in ("INVALID", "GONE")


async def test_infra_34_relist_under_writes_without_missing_or_doubling(city: Town) -> None:
    """Watchers begin at any moment of a storm of writes; each ends with exactly what there is, each step once."""
    await city.apply(note("n0"), note("end", "0"))

    async def write(worker: int) -> None:
        for number in range(25):
            name = f"n{(worker + number) % 4}"
            try:
                if number % 5 == 4:
                    await city.call("catalog.delete", kind="Note", name=name)
                else:
                    await city.apply(note(name, f"{worker}-{number}"))
            except Fault as fault:
                assert fault.code in ("NOT_FOUND", "CONFLICT")

    async def watch(delay: int) -> dict[str, int]:
        for _ in range(delay):
            await asyncio.sleep(0)
        state: dict[str, int] = {}
        newest: dict[str, int] = {}
        async with aclosing(watching(city, kind="Note")) as items:
            async for item in items:
                if item["type"] != "synced":
                    name, revision = str(item["resource"]), int(str(item["revision"]))
                    assert revision > newest.get(name, 0), f"{item} was told already"
                    if item["type"] == "applied" and name in newest:
                        assert revision == newest[name] + 1, "a revision was left out"
                    newest[name] = revision
                    if item["type"] == "deleted":
                        assert name in state, "what was never told of is not told to be gone"
                        del state[name]
                    else:
                        state[name] = revision
                if item["type"] != "listed" and state.get("Note/default/end", 0) > 1:
                    return state
        raise AssertionError("the watch ended")

    watchers = [asyncio.create_task(watch(delay)) for delay in range(0, 600, 40)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(write(worker) for worker in range(4)))
        await city.apply(note("end", "1"))
        states = await asyncio.gather(*watchers)
    present = {str(r.id): r.metadata.revision for r in city.index.everything()}
    assert all(state == present for state in states)


async def test_a_selector_follows_labels(city: Town) -> None:
    await city.apply(note("a", labels={"team": "x"}), note("b", labels={"team": "y"}))
    async with aclosing(watching(city, kind="notes", selector="team=x")) as items:
        assert steps(await take(items, 2)) == [("listed", "a", 1), ("synced", "", None)]
        await city.apply(note("b", labels={"team": "x"}))
        await city.apply(note("a", labels={"team": "y"}))
        await city.apply(note("a", "unseen", labels={"team": "y"}))
        await city.apply(note("c", labels={"team": "x"}))
        assert steps(await take(items, 3)) == [("applied", "b", 2), ("left", "a", 2), ("applied", "c", 1)]
    assert (await _refused(city, kind="Nope")).code == "UNKNOWN_KIND"
    assert (await _refused(city, selector="a=b=c")).code == "INVALID"


async def _refused(city: Town, **arguments: object) -> Fault:
    with pytest.raises(Fault) as caught:
        await take(watching(city, **arguments), 1)
    return caught.value
