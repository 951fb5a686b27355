"""One call empties the caches, one tells how they stand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.gateway.caching.test_exact import COST, prepare
from tests.gateway.town import Town
from tests.gateway.upstream import Exchange, answer, openai_answer, upstream

from pharos.core.fault import Fault


async def result(city: Town, key: str, model: str = "fast", **extra: Any) -> str:
    reply = await city.chat(key, model, **extra)
    assert reply.status == 200, reply.body
    return reply.headers["x-pharos-cache"]


async def test_purge_by_model_tenant_entry_and_all(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider)
        await city.model("own", "acme", cache={"partition": "key"})
        await city.model("teams", "acme", cache={"partition": "team"})
        await city.key("blue", budgets=["team-a"], labels={"team": "blue"})

        async def fill() -> None:
            for model in ("fast", "own", "teams"):
                for key in ("bot", "blue"):
                    await result(city, key, model)

        async def left() -> list[int]:
            states = (await city.invoke("cache.stats"))["items"]
            return [state["entries"] for state in states]  # fast, own, teams

        await fill()
        assert await left() == [1, 2, 2]
        assert (await city.invoke("cache.purge", model="own"))["purged"] == 2
        assert await left() == [1, 0, 2]
        await fill()
        assert (await city.invoke("cache.purge", tenant="default/team/blue"))["purged"] == 1
        assert await left() == [1, 2, 1]
        await fill()
        assert (await city.invoke("cache.purge", tenant="default/key/bot"))["purged"] == 2
        assert await left() == [1, 1, 1]
        await fill()
        hit = await city.chat("bot")
        assert hit.headers["x-pharos-cache"] == "hit"
        entry = hit.headers["x-pharos-cache-key"]
        assert (await city.invoke("cache.purge", entry=entry))["purged"] == 1
        missed = await city.chat("bot")
        assert (missed.headers["x-pharos-cache"], missed.headers["x-pharos-cache-key"]) == ("miss", entry)
        assert (await city.invoke("cache.purge", model="fast", tenant="other"))["purged"] == 0
        assert (await city.invoke("cache.purge", tenant="default"))["purged"] == 5
        await fill()
        assert (await city.invoke("cache.purge", all=True))["purged"] == 5
        assert await left() == [0, 0, 0]
        assert await result(city, "bot") == "miss"


async def test_a_plan_of_a_purge_takes_nothing(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider)
        await result(city, "bot")
        from pharos.core.principal import SYSTEM

        plan = await city.invoker.invoke("cache.purge", {"all": True}, SYSTEM, dry_run=True)
        assert plan["output"]["purged"] == 1
        assert await result(city, "bot") == "hit"


@pytest.mark.parametrize("arguments", [{}, {"all": True, "model": "fast"}, {"entry": "zz"}])
async def test_a_purge_says_what_it_means(city: Town, arguments: dict[str, Any]) -> None:
    with pytest.raises(Fault) as refused:
        await city.invoke("cache.purge", **arguments)
    assert refused.value.code == "INVALID"


async def test_a_purge_of_an_unknown_model_names_the_nearest(city: Town) -> None:
    await city.model("fast", "acme", cache={})
    with pytest.raises(Fault) as refused:
        await city.invoke("cache.purge", model="fats")
    assert refused.value.code == "NOT_FOUND"
    assert "fast" in refused.value.document.model_dump_json()


async def test_what_is_under_way_during_a_purge_is_not_kept(city: Town) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        asked.set()
        await asyncio.wait_for(go.wait(), 30)
        await exchange.json(openai_answer())

    async with upstream(script) as provider:
        await prepare(city, provider)
        call = asyncio.ensure_future(city.chat("bot"))
        await asyncio.wait_for(asked.wait(), 30)
        await city.invoke("cache.purge", all=True)
        go.set()
        assert (await call).status == 200
        assert await result(city, "bot") == "miss"
        assert await result(city, "bot") == "hit"


async def test_stats_tell_what_was_saved_and_for_whom(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider, {"maxEntries": 2})
        await city.model("plain", "acme")
        for _ in range(4):
            await result(city, "bot")
        for seed in (1, 2):
            await result(city, "bot", seed=seed)
        page = await city.invoke("cache.stats")
        assert page["next"] is None
        (state,) = page["items"]
        assert state["model"] == "fast"
        assert (state["entries"], state["maxEntries"], state["evicted"]) == (2, 2, 1)
        assert (state["hits"], state["misses"], state["stored"]) == (3, 3, 3)
        assert float(state["saved"]) * 1e9 == 3 * COST
        assert state["tenants"] == {"default": 2}
        assert state["bytes"] > 0
        assert (await city.invoke("cache.stats", namespace="other"))["items"] == []
        series = {each.name: dict(each.read()) for each in city.plane.series}
        assert series["pharos_cache_hits"] == {("default/fast",): 3}
        assert series["pharos_cache_entries"] == {("default/fast",): 2}
        assert series["pharos_cache_saved"] == {("default/fast",): pytest.approx(3 * COST / 1e9)}


async def test_a_model_that_loses_its_cache_loses_its_answers(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider)
        await result(city, "bot")
        await city.model("fast", "acme")
        assert "x-pharos-cache" not in (await city.chat("bot")).headers
        await city.model("fast", "acme", cache={})
        assert await result(city, "bot") == "miss"
