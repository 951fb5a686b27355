"""Soft thresholds: told once in each window of each holder, whatever is restarted, and never when nothing was spent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.town import Town, document, town
from tests.gateway.upstream import Exchange, openai_answer, upstream

from pharos.gateway.models.kinds import BUDGET
from pharos.gateway.models.spending.alerts import Alerts
from pharos.gateway.models.spending.money import BudgetPlan, window_name
from pharos.gateway.models.spending.retention import IDLE_SESSION, KEPT, Retention, window_of
from pharos.mesh.facts import BUDGET_ALERTED
from pharos.store.ports import Hold, Reserve, Settle, Store
from pharos.store.sqlite.engine import open_store


async def dear(exchange: Exchange) -> None:
    """An answer that costs 120,000 billionths, close to what is held for it."""
    await exchange.json(openai_answer(input=100, output=10))


@asynccontextmanager
async def served(city: Town, **budget: Any) -> AsyncIterator[None]:
    async with upstream(dear) as provider:
        await city.provider("acme", provider.url)
        await city.price()
        await city.model("fast", "acme")
        await city.apply(document("Budget", "b", {"window": "total", **budget}))
        await city.key("bot", budgets=["b"])
        yield


async def alerts(city: Town, count: int) -> list[tuple[str, int]]:
    """Holder and percentage of all alerts, once there are ``count``."""
    async with asyncio.timeout(30):
        while len(found := (await city.invoke("budgets.alerts", limit=500))["items"]) < count:
            await city.growth()
    return [(each["holder"], each["percent"]) for each in found]


def watch_of(city: Town) -> Alerts:
    owners = [getattr(service, "__self__", None) for service in city.plane.services]
    return next(owner for owner in owners if isinstance(owner, Alerts))


async def looked(city: Town) -> None:
    """Wait until every budget that was charged has been looked at."""
    watch = watch_of(city)
    async with asyncio.timeout(30):
        while watch._waiting or watch._everything or watch._woken.is_set():
            await asyncio.sleep(0.005)


async def test_each_threshold_is_told_once(city: Town) -> None:
    async with served(city, limit="0.0020", alerts=[80, 50]):

        async def spend(calls: int) -> None:
            replies = await asyncio.gather(*(city.chat("bot", max_tokens=10) for _ in range(calls)))
            assert {reply.status for reply in replies} == {200}

        await spend(2)
        await looked(city)
        assert await alerts(city, 0) == []
        (state,) = (await city.invoke("budgets.list"))["items"]
        assert (state["alerts"], state["alerted"]) == ([50, 80], [])
        for _ in range(4):
            await spend(2)
        assert await alerts(city, 1) == [("", 50)]
        for _ in range(2):
            await spend(2)
        assert await alerts(city, 2) == [("", 50), ("", 80)]
        await spend(1)
        await looked(city)
        assert len(await alerts(city, 2)) == 2
        (state,) = (await city.invoke("budgets.list"))["items"]
        assert state["alerted"] == [50, 80]
        first, second = (await city.invoke("budgets.alerts"))["items"]
        assert first["budget"] == "Budget/default/b" and first["period"] == "total"
        assert 0.0010 <= float(first["settled"]) < 0.0016 <= float(second["settled"])
        page = await city.invoke("budgets.alerts", limit=1)
        rest = await city.invoke("budgets.alerts", cursor=page["next"])
        assert [each["percent"] for each in rest["items"]] == [80]
        events = await city.store.log.read("budgets", limit=100)
        assert [recorded.event.type for recorded in events] == [BUDGET_ALERTED] * 2


async def test_what_is_passed_at_once_is_told_at_once_and_to_each(city: Town) -> None:
    async with served(city, limit="0.0020", alerts=[1, 5, 100], per="user"):
        for user in ("ada", "bob", "ada"):
            assert (await city.chat("bot", max_tokens=10, user=user)).status == 200
        assert sorted(await alerts(city, 4)) == [("ada", 1), ("ada", 5), ("bob", 1), ("bob", 5)]
        await looked(city)
        assert len(await alerts(city, 4)) == 4


@pytest.mark.parametrize("per", [None, "user"])
async def test_what_a_dead_city_did_not_tell_is_told_by_the_next(tmp_path: Path, per: str | None) -> None:
    async with town(tmp_path) as city:
        spec = {"limit": "0.0010", "window": "total", "alerts": [50], **({"per": per} if per else {})}
        await city.apply(document("Budget", "b", spec))
        counter = "budget/default/b" + (f"/{per}/ada" if per else "")
        # Settled as a call does it, but whoever would have looked is gone.
        await spend(city.store, "r", 600_000, counter, "total")
    for _ in range(3):
        async with town(tmp_path) as city:
            assert await alerts(city, 1) == [("ada" if per else "", 50)]
            await looked(city)
            assert len(await alerts(city, 1)) == 1


async def spend(store: Store, id: str, amount: int, counter: str, window: str) -> None:
    await store.commit(Reserve(id, (Hold(counter, window, amount, 10**15),), {}), Settle(id, {counter: amount}))


async def test_what_nobody_waited_for_is_told_once_it_is_settled(city: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is cancelled in its last commit: its money is on its way while the budget is looked at."""
    go, turned = threading.Event(), asyncio.Event()
    writer, store = city.store._writer, city.store._writer._store
    counters = type(city.store.counters)
    commit, read = writer.commit, counters.read

    def held_up() -> Any:
        go.wait(30)
        return store()

    async def committed(*arguments: Any) -> Any:
        turned.set()
        return await commit(*arguments)

    async def looked_at(*arguments: Any) -> Any:
        try:
            return await read(*arguments)
        finally:
            turned.set()

    async with served(city, limit="0.0010", alerts=[50]):
        await looked(city)
        plan = BudgetPlan.of(city.index.get(BUDGET, "b"), None)
        monkeypatch.setattr(writer, "_store", held_up)
        settling = asyncio.create_task(spend(city.store, "r", 600_000, plan.counter, "total"))
        await asyncio.sleep(0)
        settling.cancel()
        monkeypatch.setattr(writer, "commit", committed)
        monkeypatch.setattr(counters, "read", looked_at)
        watch_of(city).spent({(plan.counter, "total"): plan})
        await asyncio.wait_for(turned.wait(), 30)
        go.set()
        assert await alerts(city, 1) == [("", 50)]


# Retention.


async def test_windows_that_are_long_over_are_forgotten_and_no_other(tmp_path: Path) -> None:
    now = datetime(2028, 3, 10, 12, 30, tzinfo=UTC)
    store = open_store(tmp_path)
    try:
        expected = set()
        number = 0
        for window, kept in KEPT.items():
            for ago in (timedelta(0), kept - timedelta(minutes=1), kept + timedelta(days=40), kept * 3 + kept):
                name = window_name(window, now - ago)
                assert window_of(name) == window
                for counter in (f"budget/default/{window}", f"budget/default/{window}/user/ada"):
                    await spend(store, f"r{(number := number + 1)}", 5, counter, name)
                    if ago < kept:
                        expected.add((counter, name))
        for counter in ("budget/default/t", "budget/default/t/user/ada", "budget/default/t/session/s"):
            await spend(store, f"r{(number := number + 1)}", 5, counter, "total")
            expected.add((counter, "total"))
        await spend(store, "other", 5, "jobs/x", "2001-01")
        expected.add(("jobs/x", "2001-01"))
        retention = Retention(store, now=lambda: now, elapsed=lambda: 0.0)
        assert await retention.prune() > 0
        # The store's clock is today's; in 2028 the session has been idle for long.
        idle = {("budget/default/t/session/s", "total")} if datetime.now(UTC) < now - IDLE_SESSION else set()
        found, _ = await store.counters.list()
        assert {(each.counter, each.window) for each in found} == expected - idle
        assert await retention.prune() == 0
    finally:
        await store.close()


async def test_a_session_in_use_is_kept_and_an_idle_one_forgotten(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    try:
        await spend(store, "r", 5, "budget/default/t/session/s", "total")
        today = datetime.now(UTC)
        assert await Retention(store, now=lambda: today + timedelta(days=80), elapsed=lambda: 0.0).prune() == 0
        assert await Retention(store, now=lambda: today + timedelta(days=91), elapsed=lambda: 0.0).prune() == 1
    finally:
        await store.close()


async def test_nothing_is_forgotten_by_a_clock_that_has_jumped_ahead(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    try:
        now = [datetime(2026, 11, 20, tzinfo=UTC)]
        retention = Retention(store, now=lambda: now[0], elapsed=lambda: 0.0)
        await spend(store, "r", 5, "budget/default/b", window_name("hour", now[0]))
        now[0] += timedelta(days=3650)
        assert await retention.prune() == 0
        assert len((await store.counters.list())[0]) == 1
        now[0] -= timedelta(days=7000)
        assert await retention.prune() == 0
    finally:
        await store.close()


async def test_more_counters_than_a_page_are_forgotten(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    try:
        await asyncio.gather(
            *(spend(store, f"r{n}", 5, f"budget/default/b/user/{n}", "2020-01") for n in range(1_300)),
            *(
                spend(store, f"s{n}", 5, f"budget/default/b/user/{n}", window_name("month", datetime.now(UTC)))
                for n in range(200)
            ),
        )
        assert await Retention(store).prune() == 1_300
        found, after = await store.counters.list(limit=1_000)
        assert (len(found), after) == (200, None)
    finally:
        await store.close()
