"""Rates: exact in any sixty seconds, at any concurrency; what is refused counts for nothing."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.town import Town, chat
from tests.gateway.upstream import Exchange, answer, openai_answer, upstream

from pharos.core.resource import ResourceId
from pharos.gateway.models.spending.limits import PERIOD, Level, Limits, Meters, Refused, Taken, Window


def level(meter: str = "k", *, requests: int = 0, tokens: int = 0, concurrency: int = 0) -> Level:
    return Level("key", ResourceId("Key", "default", meter), meter, Limits(requests, tokens, concurrency))


moments = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 40)), min_size=1, max_size=60)


@given(moments, st.integers(1, 100))
@settings(max_examples=200, deadline=None)
def test_no_sixty_seconds_hold_more_than_the_limit(steps: list[tuple[float, int]], limit: int) -> None:
    window, now = Window(), 1000.0
    taken: list[tuple[float, int]] = []
    for pause, amount in steps:
        now += pause
        amount = min(amount, limit)
        wait = window.wait(amount, limit, now)
        if wait == 0:
            window.take(amount, now)
            taken.append((now, amount))
        else:
            # The wait is what it takes, to a second: sooner there is no room, then there is.
            assert 0 < wait <= PERIOD + 1
    for start, _ in taken:
        assert sum(amount for at, amount in taken if start <= at < start + PERIOD) <= limit


@given(moments, st.integers(1, 100))
@settings(max_examples=100, deadline=None)
def test_after_the_wait_there_is_room(steps: list[tuple[float, int]], limit: int) -> None:
    window, now = Window(), 1000.0
    for pause, amount in steps:
        now += pause
        amount = min(amount, limit)
        now += window.wait(amount, limit, now)
        assert window.wait(amount, limit, now) == 0
        window.take(amount, now)


def test_a_correction_counts_where_the_amount_was_taken() -> None:
    window = Window()
    second = window.take(100, 1000.0)
    window.correct(second, 100, 30, 200, 1005.0)
    assert window.total == 30
    window.correct(second, 30, 50, 200, 1100.0)  # long out of the window: it counts now
    assert window.total == 50


def test_what_goes_beyond_the_limit_is_made_up_for() -> None:
    window = Window()
    second = window.take(100, 1000.0)
    window.correct(second, 100, 300, 100, 1000.0)
    assert window.wait(1, 100, 1000.0) == pytest.approx(120, abs=1.5)
    assert window.wait(1, 100, 1121.5) == 0


def test_two_windows_are_two() -> None:
    """A token limit that is used up does not touch the request window, and the other way round."""
    meters, levels = Meters(), [level(requests=2, tokens=100)]
    assert isinstance(meters.take(levels, 100, 1000.0), Taken)
    (refusal,) = refused(meters.take(levels, 10, 1030.0))
    assert refusal.name == "tokensPerMinute"
    assert refusal.wait == pytest.approx(31, abs=1)
    # The refused call took no request: one more is left in the first minute.
    assert isinstance(meters.take(levels, 0, 1031.0), Taken)
    assert [refusal.name for refusal in refused(meters.take(levels, 0, 1032.0))] == ["requestsPerMinute"]


def refused(taken: Taken | Refused) -> Refused:
    assert isinstance(taken, Refused)
    return taken


def test_room_is_given_up_once() -> None:
    meters, levels = Meters(), [level(requests=5, tokens=100, concurrency=1)]
    taken = meters.take(levels, 50, 1000.0)
    assert isinstance(taken, Taken)
    refused(meters.take(levels, 50, 1000.0))
    for _ in range(3):
        taken.settle(20, 1001.0)
        taken.give_back(1001.0)
    again = meters.take(levels, 80, 1001.0)
    assert isinstance(again, Taken), "20 tokens are used, one request, no call under way"
    (refusal,) = refused(meters.take(levels, 0, 1001.0))
    assert refusal.name == "concurrency", "one slot, not three"


def test_every_level_has_room_or_none_is_taken() -> None:
    meters = Meters()
    team, key = level("team", requests=3, concurrency=3), level("key", requests=2)
    first, second = (meters.take([team, key], 0, 1000.0) for _ in range(2))
    assert isinstance(first, Taken) and isinstance(second, Taken)
    for _ in range(10):
        (refusal,) = refused(meters.take([team, key], 0, 1000.0))
        assert refusal.level is key
    # Ten refused calls took nothing of the team: its third place is free.
    assert isinstance(meters.take([team, level("other", requests=2)], 0, 1000.0), Taken)
    names = [(refusal.level.meter, refusal.name) for refusal in refused(meters.take([team, key], 0, 1000.0))]
    assert names == [("team", "concurrency"), ("team", "requestsPerMinute"), ("key", "requestsPerMinute")]


def test_h62_keys_that_are_idle_cost_nothing() -> None:
    meters = Meters()
    for number in range(10_000):
        taken = meters.take([level(f"key-{number}", requests=10, tokens=1000, concurrency=3)], 10, 1000.0)
        assert isinstance(taken, Taken)
        taken.settle(10, 1000.5)
    assert len(meters) == 10_000
    for _ in range(6):
        meters.sweep(1062.0)
    assert len(meters) == 0


async def prepare(city: Town, url: str, **limits: int) -> None:
    await city.provider("acme", url)
    await city.model("fast", "acme")
    await city.key("bot", limits=limits)


async def test_requests_per_minute_under_concurrency(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, requestsPerMinute=20)
        replies = await asyncio.gather(*(city.chat("bot") for _ in range(60)))
        assert sorted(reply.status for reply in replies) == [200] * 20 + [429] * 40
        assert len(provider.requests) == 20
        refused = next(reply for reply in replies if reply.status == 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert refused.fault["code"] == "RATE_LIMITED"
        assert refused.fault["rule"] == "limits.requestsPerMinute"
        assert refused.json["error"]["type"]


async def test_a_call_above_the_whole_limit_is_told_so(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, tokensPerMinute=100)
        assert (await city.chat("bot", max_tokens=10)).status == 200
        fault = (await city.chat("bot", max_tokens=1000)).fault
        assert fault["rule"] == "limits.tokensPerMinute"
        assert fault["facts"]["asked"] > 1000
        assert f"this call may use {fault['facts']['asked']}. That is above the whole limit" in fault["detail"]


async def test_concurrency(city: Town) -> None:
    gate = asyncio.Event()
    under_way = 0
    most = 0

    async def script(exchange: Exchange) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await gate.wait()
        under_way -= 1
        await answer(exchange)

    async with upstream(script) as provider:
        await prepare(city, provider.url, concurrency=3)
        calls = [asyncio.create_task(city.chat("bot", stream=n % 2 == 0)) for n in range(8)]
        async with asyncio.timeout(30):
            while sum(call.done() for call in calls) < 5 or under_way < 3:
                await asyncio.sleep(0.005)
        assert {call.result().status for call in calls if call.done()} == {429}
        gate.set()
        replies = await asyncio.gather(*calls)
        assert sorted(reply.status for reply in replies) == [200] * 3 + [429] * 5
        assert most == 3
        for _ in range(3):
            assert (await city.chat("bot")).status == 200


async def test_tokens_are_settled_to_the_truth(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.json(openai_answer(input=100, output=200))

    async with upstream(script) as provider:
        await prepare(city, provider.url, tokensPerMinute=1000)
        # Estimated at some 830 tokens each, used 300 each: the third would not fit beside two estimates.
        statuses = [(await city.chat("bot", max_tokens=600)).status for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
        assert [(await city.chat("bot", max_tokens=n)).status for n in (300, 350)] == [200, 429]


async def test_a_call_refused_for_money_counts_for_nothing(city: Town) -> None:
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.price("small-1")
        await city.model("fast", "acme")
        await city.budget("b", "0.000001")
        await city.key("bot", budgets=["b"], limits={"requestsPerMinute": 2, "concurrency": 1})
        for _ in range(5):
            assert (await city.chat("bot")).status == 402
        await city.invoke("budgets.raise", name="b", limit="5")
        assert [(await city.chat("bot")).status for _ in range(3)] == [200, 200, 429]


async def test_a_flood_of_refusals_does_not_fill_the_log(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url, requestsPerMinute=1)
        assert (await city.chat("bot")).status == 200
        gate = asyncio.Semaphore(50)

        async def call() -> None:
            async with gate:
                assert (await city.chat("bot")).status == 429

        await asyncio.gather(*(call() for _ in range(300)))
        called = await city.called()
        refused = [each for each in called if each["outcome"] == "refused"]
        assert 1 <= len(refused) < 300
        assert all(each["attempts"] == [] and each["fault"] == "RATE_LIMITED" for each in refused)


async def test_a_provider_has_a_concurrency_of_its_own(city: Town) -> None:
    gate = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await gate.wait()
        await answer(exchange)

    async with upstream(script) as provider:
        await city.provider("acme", provider.url, concurrency=2)
        await city.model("fast", "acme")
        await city.key("bot")
        async with city.client("bot", chat()), city.client("bot", chat()):
            async with asyncio.timeout(30):
                while len(provider.requests) < 2:
                    await asyncio.sleep(0.005)
            reply = await city.chat("bot")
            assert reply.status == 503
            assert "at its concurrency limit" in str(reply.fault["causes"])
            gate.set()
        async with asyncio.timeout(30):
            while (await city.chat("bot")).status != 200:
                await asyncio.sleep(0.01)
