"""Fixed rates: never above the rate and one burst in any window, and well used where there is enough to do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mesh.scheduling.simulation import Granted, Simulation, pool, rules, seconds

from pharos.core.event import Event
from pharos.core.operation import SetStatus
from pharos.core.resource import Metadata, Resource
from pharos.mesh.scheduling.buckets import Bucket
from pharos.mesh.scheduling.gates import Used
from pharos.mesh.scheduling.kinds import PoolSpec
from pharos.mesh.scheduling.lanes import flow_of, lane
from pharos.mesh.scheduling.plane import DeclaredPools, Scheduling
from pharos.mesh.scheduling.rules import SECOND
from pharos.mesh.scheduling.scheduler import Scheduler
from pharos.store.delivery import Subscribe
from pharos.store.ports import Append
from pharos.store.sqlite.engine import open_store


async def observed(_change: SetStatus) -> None:
    """A status that nobody keeps."""


def above(times: list[tuple[int, int]], amount: int, period: int, burst: int) -> tuple[int, int] | None:
    """The window in which more was used than the rate and one burst, if there is one. ``times``: (when, how much).

    A window is worst if it begins and ends with a use. With ``x_i = sum(up to i) * period - amount * t_i`` the use in
    [t_i, t_j] is too much where ``x_j - x_(i-1) - ...`` passes the burst: one pass finds it.
    """
    times = sorted(times)
    sums = [0, *accumulate(used for _, used in times)]
    lowest: tuple[int, int] | None = None
    for index, (at, _) in enumerate(times):
        here = sums[index] * period - amount * at
        if lowest is None or here < lowest[0]:
            lowest = here, at
        if sums[index + 1] * period - amount * at - lowest[0] > burst * period:
            return lowest[1], at
    return None


def test_the_check_finds_a_window_that_is_above() -> None:
    assert above([(0, 5), (10, 5)], 1, 2, 4) == (0, 0)
    assert above([(0, 5), (10, 5)], 1, 2, 5) is None
    assert above([(0, 5), (10, 6)], 1, 2, 5) == (0, 10)
    assert above([(0, 5), (9, 5)], 1, 2, 5) == (0, 9)


Attribution = Callable[[Granted], int]
ANY_TIME: dict[str, Attribution] = {
    "begin": lambda grant: grant.at,
    "end": lambda grant: grant.end,
    "middle": lambda grant: (grant.at + grant.end) // 2,
}


@given(
    amount=st.integers(1, 500),
    period=st.integers(1, 120),
    burst=st.integers(1, 60),
    slots=st.integers(1, 20),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=30)
def test_requests_are_never_above_the_rate(amount: int, period: int, burst: int, slots: int, seed: int) -> None:
    chance = random.Random(seed)
    scheduler = pool(slots=slots, rates=[{"requests": amount, "seconds": period, "burst": burst}])
    simulation = Simulation(scheduler, lambda _: (chance.randint(1, seconds(0.5)), Used()))
    for _ in range(300):
        simulation.at(
            chance.randint(0, seconds(200)),
            lambda: simulation.arrive(lane(tenant=f"t{chance.randint(0, 5)}"), chance.randint(1, 5)),
        )
    simulation.run()
    times = [(grant.at, 1) for grant in simulation.grants]
    assert above(times, amount, period * SECOND, burst) is None


@given(
    amount=st.integers(100, 100_000),
    burst=st.integers(100, 20_000),
    share=st.floats(0.01, 1),
    slots=st.integers(1, 20),
    unit=st.sampled_from(["tokens", "cost"]),
    counted=st.sampled_from(sorted(ANY_TIME)),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=50)
def test_what_is_known_only_at_the_end_is_never_above_the_rate(
    amount: int, burst: int, share: float, slots: int, unit: str, counted: str, seed: int
) -> None:
    """Wherever between the beginning and the end of the work its use is counted."""
    chance = random.Random(seed)
    hold = max(1, int(burst * share))
    scale = 1 if unit == "tokens" else 10**9
    scheduler = pool(slots=slots, rates=[{unit: amount, "seconds": 10, "burst": burst, "hold": hold}])

    def cost(_: str) -> tuple[int, Used]:
        used = chance.randint(0, hold * scale)
        return chance.randint(1, seconds(2)), Used(tokens=used, cost=used)

    simulation = Simulation(scheduler, cost)
    for _ in range(150):
        simulation.at(chance.randint(0, seconds(60)), lambda: simulation.arrive(lane(tenant="t"), chance.randint(1, 5)))
    simulation.run(grants=400)
    times = [(ANY_TIME[counted](grant), grant.used.tokens) for grant in simulation.grants]
    assert above(times, amount * scale, 10 * SECOND, burst * scale) is None


@pytest.mark.parametrize("unit", ["requests", "tokens", "cost"])
def test_under_a_backlog_the_rate_is_used(unit: str) -> None:
    """At least 95 per cent, where slots and burst allow it."""
    chance = random.Random(11)
    rate: dict[str, object] = {
        "requests": {"requests": 600, "seconds": 60, "burst": 10},
        "tokens": {"tokens": 60_000, "seconds": 60, "burst": 20_000, "hold": 1000},
        "cost": {"cost": "6", "seconds": 60, "burst": "2", "hold": "0.1"},
    }[unit]
    scheduler = pool(slots=64, rates=[rate])

    def cost(_: str) -> tuple[int, Used]:
        return chance.randint(1, seconds(2)), Used(tokens=chance.randint(100, 1000), cost=chance.randint(10**7, 10**8))

    simulation = Simulation(scheduler, cost).fill(lane(tenant=f"t{n}") for n in range(5)).run(until=seconds(600))
    used = {
        "requests": len(simulation.grants) / 6000,
        "tokens": sum(grant.used.tokens for grant in simulation.grants) / 600_000,
        "cost": sum(grant.used.cost for grant in simulation.grants) / (60 * 10**9),
    }[unit]
    assert used >= 0.95


def test_each_has_a_rate_for_itself() -> None:
    scheduler = pool(
        slots=100,
        share=["tenant", "agent"],
        rates=[
            {"requests": 1, "seconds": 1, "burst": 1, "per": "tenant"},
            {"requests": 1, "seconds": 4, "burst": 1, "per": "agent", "match": {"tenant": "a"}},
        ],
    )
    simulation = Simulation(scheduler, lambda _: (10, Used()))
    simulation.fill([lane(tenant="a", agent="x"), lane(tenant="a", agent="y"), lane(tenant="b", agent="x")])
    simulation.run(until=seconds(40))
    counts = {name: sum(name in grant.lane for grant in simulation.grants) for name in ("tenant=a", "tenant=b")}
    assert counts["tenant=b"] in (40, 41)
    assert 20 <= counts["tenant=a"] <= 22, "two agents with a quarter each"


def test_many_behind_one_rate_are_shared_by_weight() -> None:
    """The usual case: the provider is what is scarce. Who waits for it has the part of its weight, not of its size."""
    scheduler = pool(
        slots=100,
        share=["tenant", "agent"],
        weights=[{"match": {"tenant": "a"}, "weight": 3}],
        rates=[{"requests": 10, "seconds": 1, "burst": 1, "match": {"model": "scarce"}}],
    )
    lanes = [lane(tenant="a", agent="x", model="scarce")]
    lanes += [lane(tenant="b", agent=f"x{number}", model="scarce") for number in range(500)]
    simulation = Simulation(scheduler, lambda _: (10, Used())).fill(lanes).run(until=seconds(100))
    assert len(simulation.grants) in (1000, 1001)
    assert sum("tenant=a" in grant.lane for grant in simulation.grants) == pytest.approx(750, abs=2)


def test_who_is_not_behind_the_rate_is_not_held_up() -> None:
    scheduler = pool(slots=1, rates=[{"requests": 1, "seconds": 100, "burst": 1, "match": {"model": "scarce"}}])
    simulation = Simulation(scheduler, lambda _: (seconds(1), Used()))
    simulation.fill([lane(tenant="a", model="scarce"), lane(tenant="a", model="plenty")]).run(until=seconds(50))
    assert len(simulation.grants) == 50


def test_a_hold_that_was_not_declared_is_learned() -> None:
    """Until something was settled nobody knows what a grant uses: one at a time. Then as many as have room."""
    scheduler = pool(slots=10, rates=[{"tokens": 1000, "seconds": 1, "burst": 1000}])
    lanes = [lane(tenant="t")]
    simulation = Simulation(scheduler, lambda _: (seconds(0.1), Used(tokens=100))).fill(lanes)
    simulation.run(until=seconds(0.1))
    assert len(simulation.grants) == 1
    simulation.run(until=seconds(20))
    assert sum(grant.used.tokens for grant in simulation.grants) >= 0.95 * 20_000
    assert above([(g.at, 100) for g in simulation.grants], 1000, SECOND, 1000) is None


def test_more_than_was_held_is_a_debt() -> None:
    scheduler = pool(slots=5, rates=[{"tokens": 100, "seconds": 1, "burst": 100, "hold": 10}])
    first = iter([2000])
    simulation = Simulation(scheduler, lambda _: (1, Used(tokens=next(first, 10)))).fill([lane(tenant="t")])
    simulation.run(until=seconds(15))
    assert len([g for g in simulation.grants if g.at < seconds(15)]) <= 10, "the burst was out, then nothing"
    simulation.run(until=seconds(40))
    assert sum(grant.used.tokens for grant in simulation.grants) <= 40 * 100 + 100


def test_a_rate_that_is_changed_goes_on_from_where_it_is() -> None:
    scheduler = pool(slots=100, rates=[{"requests": 100, "seconds": 10, "burst": 100}])
    simulation = Simulation(scheduler, lambda _: (1, Used())).fill([lane(tenant="t")]).run(until=seconds(1))
    spent = len(simulation.grants)
    assert spent >= 100
    scheduler.configure(rules(slots=100, rates=[{"requests": 200, "seconds": 10, "burst": 100}]), simulation.now)
    simulation.run(until=seconds(2))
    assert len(simulation.grants) - spent in (20, 21), "no second burst"


def test_a_pool_that_was_at_work_before_begins_with_empty_rates() -> None:
    """Nobody knows what was used just before the process ended: all there was, at worst."""
    scheduler = Scheduler(rules(slots=10, rates=[{"requests": 60, "seconds": 60, "burst": 30}]), 0, fresh=False)
    simulation = Simulation(scheduler, lambda _: (1, Used())).fill([lane(tenant="t")]).run(until=seconds(10))
    assert len(simulation.grants) in (9, 10)


@given(
    amount=st.integers(1, 100),
    burst=st.integers(1, 50),
    unit=st.sampled_from(["requests", "tokens"]),
    lives=st.lists(st.integers(0, seconds(30)), min_size=2, max_size=6),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=50)
def test_no_rate_is_passed_across_the_ends_of_processes(
    amount: int, burst: int, unit: str, lives: list[int], seed: int
) -> None:
    """Never more than the rate and one burst in any window, however often the city dies, and with what under way.

    Each process knows nothing of the one before; what a dead one had begun is counted as used up to when it died.
    """
    chance = random.Random(seed)
    hold = chance.randint(1, burst)
    rate = {unit: amount, "seconds": 10, "burst": burst} | ({} if unit == "requests" else {"hold": hold})
    uses: list[tuple[int, int]] = []
    now = 0
    for number, life in enumerate(lives):
        scheduler = Scheduler(rules(slots=20, rates=[rate]), now, fresh=not number)
        scheduler.offer(lane(tenant="t"), 10_000, now)
        end, under_way = now + life, []
        while now <= end:
            while (ticket := scheduler.choose(now)) is not None:
                under_way.append(ticket)
                if unit == "requests":
                    uses.append((now, 1))
            for ticket in [each for each in under_way if chance.random() < 0.5]:
                under_way.remove(ticket)
                used = chance.randint(0, hold)
                scheduler.settle(ticket, Used(tokens=used), now)
                if unit == "tokens":
                    uses.append((now, used))
            now += chance.randint(1, seconds(2))
        if unit == "tokens":
            uses += [(end, chance.randint(0, hold)) for _ in under_way]
        now = max(end, now - seconds(2)) + chance.randint(0, seconds(1))
    assert above(uses, amount, 10 * SECOND, burst) is None


def test_a_wall_that_was_put_back_makes_no_pool_new(tmp_path: Path) -> None:
    """A pool that was declared, used and left behind by the clock has no second burst in the next process."""
    wall = [seconds(1_800_000_000)]
    declared = datetime.fromtimestamp(wall[0] / SECOND, UTC) + timedelta(seconds=10)
    spec = PoolSpec.model_validate({"slots": 10, "rates": [{"requests": 60, "seconds": 60, "burst": 30}]})
    resource = Resource[PoolSpec](kind="Pool", metadata=Metadata(name="p", created_at=declared), spec=spec)
    found = DeclaredPools(lambda name, namespace: resource, lambda: [resource], lambda told: None, observed)

    async def burst() -> int:
        store = open_store(tmp_path / "home", wall=lambda: wall[0])
        scheduling = Scheduling(store, found)
        wall[0] += seconds(20)
        await store.commit(Subscribe("g", "jobs/"), Append(Event("jobs/1", "job.posted", {})))
        scheduler = scheduling.pools.scheduler("g", "default/p")
        scheduler.offer(lane("default/p", tenant="t"), 100, scheduling.pools.clock())
        granted = 0
        while scheduler.choose(scheduling.pools.clock()) is not None:
            granted += 1
        await store.close()
        return granted

    assert asyncio.run(burst()) == 10
    wall[0] -= seconds(3600)
    assert asyncio.run(burst()) == 0


def test_mesh_22_what_one_worker_was_told_all_know() -> None:
    """A provider says: after 40 seconds. Nobody begins work for it, whoever heard it; others are not held up."""
    scheduler = pool(slots=8)
    simulation = Simulation(scheduler, lambda _: (seconds(0.1), Used()))
    simulation.fill([lane(tenant=t, model=m) for t in ("a", "b") for m in ("told", "other")])
    simulation.at(seconds(5), lambda: scheduler.pause({"model": "told"}, seconds(45), "Retry-After", simulation.now))
    simulation.run(until=seconds(60))
    told = [grant.at for grant in simulation.grants if "model=told" in grant.lane]
    assert not [at for at in told if seconds(5.0) < at < seconds(45)]
    assert [at for at in told if at < seconds(5)] and [at for at in told if at >= seconds(45)]
    assert len([g for g in simulation.grants if "model=other" in g.lane]) > 2000


def test_mesh_22_the_longest_of_several_pauses_holds() -> None:
    scheduler = pool(slots=1)
    assert scheduler.pause({"model": "m"}, seconds(40), "first", 0)
    assert not scheduler.pause({"model": "m"}, seconds(10), "second", 0)
    assert [(dict(match), until, why) for match, until, why in scheduler.gating.pauses(0)] == [
        ({"model": "m"}, seconds(40), "first")
    ]
    assert not list(scheduler.gating.pauses(seconds(40)))


def test_mesh_48_a_process_that_stood_still_makes_up_for_nothing() -> None:
    """Stopped for 20 seconds, or a clock that jumped: afterwards there is one burst, as after any rest."""
    scheduler = pool(slots=100, rates=[{"requests": 10, "seconds": 1, "burst": 5}])
    simulation = Simulation(scheduler, lambda _: (1, Used())).fill([lane(tenant="t")]).run(until=seconds(3))
    before = len(simulation.grants)
    simulation.now += seconds(20)
    simulation.run(until=seconds(24))
    assert len(simulation.grants) - before <= 5 + 10 + 1
    assert above([(grant.at, 1) for grant in simulation.grants], 10, SECOND, 5) is None


def test_a_bucket_never_rounds() -> None:
    bucket = Bucket(1, 3, 1, 0, full=False)
    now = 0
    for _ in range(1000):
        now = bucket.opens(1, now) or 0
        assert bucket.has(1, now)
        bucket.take(1)
    assert now == 3000


def test_money_is_counted_in_billionths() -> None:
    (rate,) = rules(rates=[{"cost": Decimal("0.000000001"), "seconds": 1}]).rates
    assert (rate.amount, rate.burst, rate.unit) == (1, 1, "cost")


def test_a_rate_of_a_flow_is_told_by_its_attributes() -> None:
    assert flow_of(lane(tenant="a b", model="x/y")).attributes == {"tenant": "a b", "model": "x/y"}


@pytest.mark.parametrize("rate", [{"per": "tenant"}, {}])
def test_no_wake_up_is_lost_between_the_decision_and_the_question(rate: dict[str, str]) -> None:
    """The rate has room again between ``choose``, which had to say no, and ``wake_at``: it says now, and not never."""
    scheduler = pool(slots=2, share=["tenant"], rates=[{"requests": 1, "seconds": 1, "burst": 1, **rate}])
    scheduler.offer(lane(tenant="t"), 5, 0)
    assert scheduler.choose(0) is not None
    assert scheduler.choose(0) is None
    assert scheduler.wake_at(0) == seconds(1)
    later = scheduler.wake_at(seconds(1) + 1)
    assert later is not None and later <= seconds(1) + 1
    assert scheduler.choose(seconds(1) + 1) is not None
