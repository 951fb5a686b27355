"""Targets that stand out among those of their model are left alone, probed, and taken back."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.clock import Clock
from tests.gateway.town import Town
from tests.gateway.upstream import Exchange, answer, upstream

from pharos.gateway.models.resilience.outliers import Field, Standing
from pharos.gateway.models.resilience.spec import Outliers


def field(count: int, **rule: object) -> list[Standing]:
    made = Field(Outliers.model_validate({"minimum": 10, "ejectMs": 1_000, "maxEjectMs": 8_000, **rule}))
    return list(made.keep(range(count)).values())


def serve(target: Standing, now: float, *, good: bool = True, seconds: float = 0.1, stream: bool = False) -> None:
    target.began()
    target.ended(now, seconds, seconds if stream and good else None, succeeded=good)


def test_a_target_that_fails_more_than_the_others_is_ejected() -> None:
    a, b, c = field(3)
    for _ in range(10):
        serve(a, 1.0)
        serve(b, 1.0)
    for _ in range(10):
        serve(c, 1.0, good=False)
    assert not c.allows(1.0)
    assert a.allows(1.0) and b.allows(1.0)
    assert c.retry_in(1.0) == 1.0


def test_what_all_have_tells_against_none() -> None:
    targets = field(3)
    for _ in range(30):
        for target in targets:
            serve(target, 1.0, good=False)
    assert all(target.allows(1.0) for target in targets)


@pytest.mark.parametrize("stream", [False, True])
def test_a_target_that_is_slow_among_the_others_is_ejected(stream: bool) -> None:
    a, b, c = field(3)
    for _ in range(10):
        serve(a, 1.0, stream=stream)
        serve(b, 1.0, seconds=0.3, stream=stream)
    for _ in range(10):
        serve(c, 1.0, seconds=0.9, stream=stream)
    assert not c.allows(1.0)
    assert b.allows(1.0), "slower, but not out of proportion"


def test_streams_are_not_compared_with_whole_answers() -> None:
    a, b, c = field(3)
    for _ in range(20):
        serve(a, 1.0, seconds=0.1, stream=True)
        serve(b, 1.0, seconds=0.1, stream=True)
        serve(c, 1.0, seconds=5.0, stream=False)
    assert c.allows(1.0)


def test_one_call_probes_and_the_time_grows() -> None:
    a, b, c = field(3)
    now = 0.0
    for longer in (1.0, 2.0, 4.0, 8.0, 8.0):
        if c.allows(now):
            for _ in range(10):
                serve(a, now)
                serve(b, now)
                if c.allows(now):
                    serve(c, now, good=False)
        assert c.retry_in(now) == pytest.approx(longer)
        now += longer
        assert c.allows(now)
        c.began()
        assert not c.allows(now), "one at a time"
        c.ended(now, 0.1, None, succeeded=False)
        if longer < 8.0:
            assert c.retry_in(now) == pytest.approx(min(longer * 2, 8.0))
            now += c.retry_in(now)
            c.began()
            c.ended(now, 0.1, None, succeeded=None)
            assert c.allows(now), "a probe that was cancelled says nothing"
            serve(c, now)
            assert not c.ejected
            break


def test_after_good_behaviour_it_begins_anew() -> None:
    a, b, c = field(3)

    def eject(now: float) -> None:
        for _ in range(10):
            serve(a, now)
            serve(b, now)
        for _ in range(10):
            serve(c, now, good=False)

    eject(1.0)
    serve(c, 2.0)
    eject(3.0)
    assert c.retry_in(3.0) == 2.0, "in a row"
    serve(c, 5.0)
    eject(1_000.0)
    assert c.retry_in(1_000.0) == 1.0


def test_a_slow_probe_is_no_recovery() -> None:
    a, b, c = field(3)
    for _ in range(10):
        serve(a, 1.0)
        serve(b, 1.0)
    for _ in range(10):
        serve(c, 1.0, seconds=2.0)
    serve(c, 2.0, seconds=2.0)
    assert not c.allows(2.5)
    serve(c, 4.0, seconds=0.1)
    assert c.allows(4.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.floats(0.1, 0.9), st.integers(0, 2**32))
def test_never_more_than_the_share_is_ejected(count: int, share: float, seed: int) -> None:
    chance = random.Random(seed)
    targets = field(count, maxShare=share, minimum=2, errorRatio=0.05)
    now = 0.0
    for _ in range(400):
        now += chance.random() * 0.3
        target = chance.choice(targets)
        if target.allows(now):
            serve(target, now, good=chance.random() < 0.6, seconds=chance.random() * 5)
        assert sum(t.ejected for t in targets) <= share * count


async def test_an_outlier_is_passed_over_explained_and_taken_back(city: Town, clock: Clock) -> None:
    broken = True

    async def script(exchange: Exchange) -> None:
        if broken:
            await exchange.json({"error": {"message": "down"}}, 500)
        else:
            await answer(exchange)

    async with upstream(script) as bad, upstream(answer) as good:
        # The breaker of the provider is kept out of it.
        await city.provider("bad", bad.url, breaker={"consecutive": 1000, "minimum": 1000})
        await city.provider("good", good.url)
        rule = {"minimum": 3, "ejectMs": 120_000, "maxShare": 0.5}
        await city.model("fast", "bad", "good", outliers=rule)
        await city.key("bot")
        for _ in range(40):
            assert (await city.chat("bot")).status == 200
            (listed,) = (await city.invoke("models.list"))["items"]
            if listed["targets"][0]["state"] == "ejected":
                break
        assert listed["targets"][0]["state"] == "ejected"
        asked = len(bad.requests)
        assert (await city.chat("bot")).status == 200
        assert len(bad.requests) == asked, "left alone"
        last = (await city.called())[-1]
        assert "ejected" in last["route"]["passedOver"]
        broken = False
        clock.move(121)
        (listed,) = (await city.invoke("models.list"))["items"]
        assert listed["targets"][0]["state"] != "ejected"
        async with asyncio.timeout(30):
            while len(bad.requests) == asked:
                assert (await city.chat("bot")).status == 200
        (listed,) = (await city.invoke("models.list"))["items"]
        assert listed["targets"][0]["state"] == "ready"
