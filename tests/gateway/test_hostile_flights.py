"""Who pays for a shared request has put aside what it can cost, whoever leaves at whatever moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.gateway.caching.test_coalescing import OPTIONS, Gated, begun, caching, joined, joined_no_more, rest
from tests.gateway.town import Town, chat
from tests.gateway.upstream import Exchange, upstream

from pharos.store.ports import Reserve

DEAR = 100
"""How many times as much the dear model costs."""


@pytest.fixture(autouse=True)
def no_defect(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record for record in caplog.get_records("call") if record.message.startswith("defect")]


LIMITED = {"max_tokens": 50, **OPTIONS}


async def prepare(city: Town, url: str, **model: Any) -> None:
    await city.provider("acme", url)
    await city.price("small-1")
    await city.price("dear-1", inputPerMillion=str(DEAR), outputPerMillion=str(2 * DEAR))
    await city.model("fast", "acme", cache={"exact": False, "coalesce": {}}, **model)
    await city.budget("b", "1.00")
    await city.key("one", budgets=["b"])


async def held(city: Town) -> int:
    return (await city.settled("b"))[1]


async def test_a_follower_who_holds_less_than_the_leader_does_not_take_over(city: Town) -> None:
    gate = Gated()
    async with upstream(gate) as provider:
        # What is held at first is what the cheapest branch can cost; the leader has held the rest of its own.
        rule = {"name": "never", "when": "stream == false", "targets": [{"provider": "acme", "model": "small-1"}]}
        await prepare(city, provider.url, rules=[rule])
        await city.model(
            "fast",
            {"provider": "acme", "model": "dear-1"},
            cache={"exact": False, "coalesce": {}},
            rules=[rule],
        )
        async with city.client("one", chat(stream=True, **LIMITED)) as leader:
            await begun(leader)
            alone = await held(city)
            async with city.client("one", chat(stream=True, **LIMITED)) as follower:
                first = await begun(follower)
                await joined(city, 2)
                assert await held(city) < 2 * alone
                leader.writer.transport.abort()
                await joined_no_more(city)
                await asyncio.sleep(0.05)  # as long as a settlement may take
                assert await held(city) >= alone
                gate.go.set()
                assert (await rest(follower, first)).complete
        settled = await city.quiet("b")
        called = await city.called(2)
        assert settled == sum(round(float(call["cost"]) * 1e9) for call in called) > 0


async def test_who_takes_over_while_more_is_put_aside_puts_it_aside(city: Town) -> None:
    go, waits = asyncio.Event(), asyncio.Event()
    gate = Gated()

    async def script(exchange: Exchange) -> None:
        if exchange.request.json["model"] == "small-1":
            await exchange.json({"error": {"message": "no"}}, 500)
        else:
            await gate(exchange)

    commit = city.store.commit

    async def slow(*commands: Any, **more: Any) -> Any:
        done = await commit(*commands, **more)
        if isinstance(commands[0], Reserve) and commands[0].id.endswith("/2") and not waits.is_set():
            waits.set()
            await go.wait()  # it takes a while until that is known
        return done

    city.store.commit = slow  # type: ignore[method-assign]
    async with upstream(script) as provider:
        await prepare(city, provider.url, fallbacks=["dear"])
        await city.model("dear", {"provider": "acme", "model": "dear-1"})
        async with city.client("one", chat(stream=True, **LIMITED)) as leader:
            await asyncio.wait_for(waits.wait(), 30)
            async with city.client("one", chat(stream=True, **LIMITED)) as follower:
                await joined(city, 2)
                leader.writer.transport.abort()
                await joined_no_more(city)
                go.set()
                first = await begun(follower)
                tokens = 50 * 2 * DEAR * 1_000
                assert await held(city) >= tokens
                gate.go.set()
                assert (await rest(follower, first)).complete
        settled = await city.quiet("b")
        called = await city.called(2)
        assert settled == sum(round(float(call["cost"]) * 1e9) for call in called) > 0
        assert caching(city).coalesce.waiting == 0
