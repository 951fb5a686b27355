"""Pools as a user meets them: declared, listed, explained, measured, changed while work waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pharos.core.event import Event
from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM, Principal, PrincipalKind
from pharos.mesh.scheduling.dispatcher import Dispatcher
from pharos.mesh.scheduling.lanes import lane
from pharos.server.city import City, open_city
from pharos.store.delivery import Acknowledge, Lane, Subscribe
from pharos.store.ports import Append


@asynccontextmanager
async def city_with_pool(home: Path, **spec: Any) -> AsyncIterator[tuple[City, Dispatcher]]:
    async with open_city(home) as city:
        await city.store.commit(Subscribe("jobs", "jobs/"))
        dispatcher = city.scheduling.dispatcher("jobs")
        async with dispatcher.service():
            if spec:
                await apply(city, **spec)
            yield city, dispatcher


async def apply(city: City, **spec: Any) -> Any:
    document = {"apiVersion": "pharos/v1", "kind": "Pool", "metadata": {"name": "gpu"}, "spec": spec}
    return await city.invoker.invoke("catalog.apply", {"documents": [document]}, SYSTEM)


async def post(city: City, topic: str, priority: str = "", **flow: str) -> None:
    name = f"jobs/{topic}"
    text = lane("default/gpu", priority, **flow)
    await city.store.commit(Lane("jobs", name, text), Append(Event(name, "job.posted", {})))


async def explain(city: City, topic: str, principal: Principal = SYSTEM) -> Any:
    return await city.invoker.invoke("pools.explain", {"topic": f"jobs/{topic}", "group": "jobs"}, principal)


async def settle(dispatcher: Dispatcher) -> None:
    """Until the dispatcher has granted what it can, and somebody waits."""
    while not dispatcher.waiting:
        await asyncio.sleep(0)
    for _ in range(200):
        await asyncio.sleep(0)


@asynccontextmanager
async def worker_waits(dispatcher: Dispatcher) -> AsyncIterator[None]:
    async def work() -> None:
        async with dispatcher.grant("waiting"):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await settle(dispatcher)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_why_work_waits(tmp_path: Path) -> None:
    async with city_with_pool(tmp_path, slots=1, weights=[{"match": {"tenant": "b"}, "weight": 3}]) as (
        city,
        dispatcher,
    ):
        await post(city, "first", tenant="a")
        async with dispatcher.grant("w") as grant:
            assert grant.lease.topic == "jobs/first"
            await post(city, "high", "high", tenant="a")
            await post(city, "a", tenant="a")
            await post(city, "b", tenant="b")
            async with worker_waits(dispatcher):
                found = await explain(city, "a")
                assert found["state"] == "ready" and found["pool"] == "default/gpu" and found["declared"]
                assert (found["priority"], found["flow"]) == ("normal", {"tenant": "a"})
                assert [reason["code"] for reason in found["waitsFor"]] == ["slots", "class", "share"]
                assert "1 of class high" in found["waitsFor"][1]["message"] and found["waitsFor"][1]["until"]
                tenant = found["levels"][0]
                assert (tenant["level"], tenant["value"], tenant["weight"]) == ("tenant", "a", 1)
                assert (tenant["place"], tenant["waiting"]) == (2, 2), "a has been granted once, b never"
                assert [reason["code"] for reason in (await explain(city, "high"))["waitsFor"]] == ["slots"]
                assert (await explain(city, "b"))["levels"][0]["weight"] == 3
            under_way = await explain(city, "first")
            assert under_way["state"] == "leased" and under_way["waitsFor"] == [] and under_way["until"]
            await city.store.commit(Acknowledge(grant.lease, (await city.store.log.head())))
            grant.ended()


async def test_rates_and_pauses_are_explained(tmp_path: Path) -> None:
    rates = [
        {"requests": 1, "seconds": 3600, "per": "tenant"},
        {"cost": "0.50", "seconds": 3600, "match": {"model": "big"}, "hold": "0.50"},
    ]
    async with city_with_pool(tmp_path, slots=4, rates=rates) as (city, dispatcher):
        await post(city, "a1", tenant="a", model="big")
        async with dispatcher.grant("w") as grant:
            grant.use(cost=400_000_000)
            grant.pause(40, "Retry-After of acme", model="other")
            await city.store.commit(Acknowledge(grant.lease, (await city.store.log.head())))
            grant.ended()
        await post(city, "a2", tenant="a", model="small")
        await post(city, "b", tenant="b", model="big")
        await post(city, "c", tenant="c", model="other")
        async with worker_waits(dispatcher):
            (reason,) = (await explain(city, "a2"))["waitsFor"]
            assert reason["code"] == "rate" and reason["message"].startswith(
                "The rate of 1 requests in 3600 s has no room"
            )
            (reason,) = (await explain(city, "b"))["waitsFor"]
            assert reason["code"] == "rate" and "0.1000" in reason["message"] and reason["until"]
            (reason,) = (await explain(city, "c"))["waitsFor"]
            assert reason == {"code": "pause", "message": "Paused: Retry-After of acme.", "until": reason["until"]}
            (pool,) = (await city.invoker.invoke("pools.list", {}, SYSTEM))["items"]
        assert [(rate["unit"], rate["holders"], rate["shut"]) for rate in pool["rates"]] == [
            ("requests", 3, 1),
            ("cost", 1, 1),
        ]
        assert pool["paused"][0]["match"] == {"model": "other"}
        assert [entry["waiting"] for entry in pool["classes"]] == [0, 3, 0]
        stored = await city.invoker.invoke("catalog.get", {"kind": "Pool", "name": "gpu"}, SYSTEM)
        assert stored["status"]["paused"][0]["reason"] == "Retry-After of acme"


async def test_without_a_worker_that_is_the_reason(tmp_path: Path) -> None:
    async with city_with_pool(tmp_path, slots=1) as (city, _):
        await post(city, "a", tenant="a")
        assert [reason["code"] for reason in (await explain(city, "a"))["waitsFor"]] == ["worker"]


async def test_what_waits_is_seen_also_while_every_worker_is_busy(tmp_path: Path) -> None:
    async with city_with_pool(tmp_path, slots=5) as (city, dispatcher):
        await post(city, "a", tenant="a")
        async with dispatcher.grant("the only worker"):
            for topic in "bcd":
                await post(city, topic, tenant="a")
            async with asyncio.timeout(10):
                while True:
                    (pool,) = (await city.invoker.invoke("pools.list", {}, SYSTEM))["items"]
                    if pool["classes"][1]["waiting"] == 3:
                        break
                    await asyncio.sleep(0)


async def test_what_is_of_another_namespace_is_not_told(tmp_path: Path) -> None:
    reader = Principal(PrincipalKind.KEY, "r", namespace="b", permissions=frozenset({"pools.read"}))
    async with city_with_pool(tmp_path, slots=1) as (city, _):
        await post(city, "a", tenant="a")
        await post(city, "b", tenant="b")
        assert (await explain(city, "b", reader))["state"] == "ready"
        with pytest.raises(Fault) as caught:
            await explain(city, "a", reader)
        assert caught.value.code == "FORBIDDEN"
        with pytest.raises(Fault) as caught:
            await explain(city, "nowhere", reader)
        assert caught.value.code == "NOT_FOUND"


async def test_a_pool_that_is_changed_counts_at_once(tmp_path: Path) -> None:
    async with city_with_pool(tmp_path, slots=0) as (city, dispatcher):
        await post(city, "a", tenant="a")

        async def work() -> str:
            async with dispatcher.grant("w") as grant:
                return grant.lease.topic

        waiting = asyncio.create_task(work())
        await settle(dispatcher)
        assert not waiting.done()
        applied = await apply(city, slots=1)
        async with asyncio.timeout(10):
            assert await waiting == "jobs/a"
        await city.invoker.invoke("operations.undo", {"id": applied["operation"]}, SYSTEM)
        (pool,) = (await city.invoker.invoke("pools.list", {}, SYSTEM))["items"]
        assert pool["slots"] == 0


async def test_undeclared_pools_are_listed_as_such(tmp_path: Path) -> None:
    async with city_with_pool(tmp_path) as (city, dispatcher):
        await post(city, "a", tenant="a")
        async with dispatcher.grant("w") as grant:
            await city.store.commit(Acknowledge(grant.lease, (await city.store.log.head())))
            grant.ended()
        (pool,) = (await city.invoker.invoke("pools.list", {}, SYSTEM))["items"]
        assert (pool["name"], pool["group"], pool["declared"], pool["used"]) == ("gpu", "jobs", False, 0)
        assert pool["classes"][1]["granted"] == 1


async def test_lists_are_cut(tmp_path: Path) -> None:
    async with city_with_pool(tmp_path, slots=1) as (city, _):
        documents = [
            {"apiVersion": "pharos/v1", "kind": "Pool", "metadata": {"name": f"p{n}"}, "spec": {"slots": n}}
            for n in range(5)
        ]
        await city.invoker.invoke("catalog.apply", {"documents": documents}, SYSTEM)
        names, cursor = [], None
        while True:
            page = await city.invoker.invoke(
                "pools.list", {"limit": 2} | ({"cursor": cursor} if cursor else {}), SYSTEM
            )
            names += [item["name"] for item in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert names == ["gpu", "p0", "p1", "p2", "p3", "p4"]


async def test_metrics_of_pools(tmp_path: Path) -> None:
    async with city_with_pool(tmp_path, slots=3) as (city, dispatcher):
        await post(city, "a", tenant="a")
        async with dispatcher.grant("w"):
            values = {
                (series.name, *labels): value
                for series in city.directory.planes["scheduling"].series
                for labels, value in series.read()
            }
        assert values["pharos_pool_slots", "default/gpu", "jobs"] == 3
        assert values["pharos_pool_slots_used", "default/gpu", "jobs"] == 1
        assert values["pharos_pool_grants", "default/gpu", "jobs", "normal"] == 1
        assert values["pharos_pool_waiting", "default/gpu", "jobs", "normal"] == 0


MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"slots": -1}, "/slots", ""),
    ({"slots": 1, "weights": [{"match": {"tennant": "a"}, "weight": 2}]}, "/weights/0/match", ""),
    ({"slots": 1, "weights": [{"match": {"model": "a"}, "weight": 2}]}, "/weights/0/match/model", "add 'model'"),
    ({"slots": 1, "rates": [{"requests": 1, "tokens": 1}]}, "/rates/0", "exactly one"),
    ({"slots": 1, "rates": [{"seconds": 1}]}, "/rates/0", "exactly one"),
    ({"slots": 1, "rates": [{"tokens": 10, "hold": 20}]}, "/rates/0/hold", "no grant would ever fit"),
    ({"slots": 1, "rates": [{"requests": 1, "hold": 1}]}, "/rates/0/hold", "one request"),
    ({"slots": 1, "rates": [{"tokens": 10, "burst": "1.5"}]}, "/rates/0/burst", "whole numbers"),
    ({"slots": 1, "rates": [{"requests": 1, "per": "model"}]}, "/rates/0/per", "add 'model'"),
    (
        {"slots": 1, "rates": [{"requests": 1, "per": "tenant", "match": {"label/x": "y"}}]},
        "/rates/0/match/label~1x",
        "can be matched",
    ),
    ({"slots": 1, "classes": [{"name": "a"}, {"name": "a"}]}, "/classes/1", "twice"),
    ({"slots": 1, "share": ["tenant", "tenant"]}, "/share/1", "twice"),
]


async def test_mistakes_in_a_pool_are_told_where_they_are(tmp_path: Path) -> None:
    async with open_city(tmp_path) as city:
        for spec, pointer, words in MISTAKES:
            with pytest.raises(Fault) as caught:
                await apply(city, **spec)
            problems = caught.value.document.problems
            assert any(pointer in problem.pointer and words in problem.message for problem in problems), problems


async def test_who_asks_of_what_is_not_there_is_shown_where_to_look(tmp_path: Path) -> None:
    async with open_city(tmp_path) as city:

        async def fixes(**arguments: str) -> list[tuple[str, Any]]:
            with pytest.raises(Fault) as refused:
                await city.invoker.invoke("pools.explain", dict(arguments), SYSTEM)
            assert refused.value.code == "NOT_FOUND"
            return [(fix.call.operation, fix.call.arguments) for fix in refused.value.fixes if fix.call is not None]

        asked = ("pools.explain", {"topic": "sessions/system/letter"})
        listed = ("sessions.list", {"namespace": "system"})
        assert await fixes(topic="letter") == [asked, listed]
        assert await fixes(topic="sessions/system/letter") == [listed]
        of_group = ("groups.deliveries", {"group": "billing", "namespace": "default"})
        assert await fixes(topic="topics/default/orders", group="topics/default/billing") == [of_group]
