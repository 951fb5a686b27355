"""Strict classes, and the bounded wait of those below."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mesh.scheduling.simulation import Simulation, pool, seconds

from pharos.mesh.scheduling.gates import Used
from pharos.mesh.scheduling.lanes import flow_of, lane

CLASSES = ("high", "normal", "low")


def classes(*patience: float) -> list[dict[str, object]]:
    return [{"name": name, "maxWaitSeconds": wait} for name, wait in zip(CLASSES, patience, strict=True)]


def test_the_higher_class_goes_first() -> None:
    scheduler = pool(slots=1)
    simulation = Simulation(scheduler, lambda _: (1000, Used()))
    for name in reversed(CLASSES):
        simulation.arrive(lane(priority=name, tenant="t"), 5)
    simulation.run()
    assert [flow_of(grant.lane).priority for grant in simulation.grants] == [n for n in CLASSES for _ in range(5)]


def test_work_that_names_no_class_is_normal_or_of_the_last_class() -> None:
    assert pool().rules.class_of(flow_of(lane())) == 1
    assert pool().rules.class_of(flow_of(lane(priority="nobody-knows-it"))) == 1
    assert pool(classes=[{"name": "fast"}, {"name": "slow"}]).rules.class_of(flow_of(lane())) == 1


def test_mesh_17_the_low_class_moves_though_the_high_one_is_always_full() -> None:
    scheduler = pool(slots=2, classes=classes(60, 60, 10))
    simulation = Simulation(scheduler, lambda _: (seconds(0.5), Used()))
    simulation.fill([lane(priority="high", tenant="t")])
    simulation.arrive(lane(priority="low", tenant="t"), 1000)
    simulation.run(until=seconds(600))
    times = [grant.at for grant in simulation.grants if flow_of(grant.lane).priority == "low"]
    assert len(times) >= 57, "at least one in ten seconds and a half"
    assert max(b - a for a, b in zip([0, *times], times, strict=False)) <= seconds(10.5)
    assert len(times) <= 60, "and no more than what was promised: the high class goes first otherwise"
    assert scheduler.classes[2].overtaken == len(times)


@given(
    patience=st.tuples(*[st.floats(0.05, 20)] * 3),
    slots=st.integers(1, 5),
    longest=st.floats(0.1, 3),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=25)
def test_mesh_17_the_wait_of_every_class_is_bounded(
    patience: tuple[float, float, float], slots: int, longest: float, seed: int
) -> None:
    """From when work of a class could begin, some begins within its patience, the longest grant, and one grant for each
    of the other classes that is overdue as well."""
    chance = random.Random(seed)
    scheduler = pool(slots=slots, classes=classes(*patience))
    simulation = Simulation(scheduler, lambda _: (chance.randint(1, seconds(longest)), Used()))
    waiting_since: dict[str, int] = {}
    worst = dict.fromkeys(CLASSES, 0)

    def arrive(name: str) -> None:
        simulation.arrive(lane(priority=name, tenant=f"t{chance.randint(0, 3)}"), chance.randint(1, 40))
        waiting_since.setdefault(name, simulation.now)

    for _ in range(60):
        simulation.at(chance.randint(0, seconds(30)), lambda: arrive(chance.choice(CLASSES)))
    simulation.fill([lane(priority="high", tenant="always")])
    waiting_since["high"] = 0
    seen = 0
    while simulation.now < seconds(40):
        simulation.run(grants=seen + 1, until=seconds(40))
        if len(simulation.grants) == seen:
            break
        grant = simulation.grants[seen]
        seen += 1
        name = flow_of(grant.lane).priority
        worst[name] = max(worst[name], grant.at - waiting_since.pop(name))
        if scheduler.classes[CLASSES.index(name)].waits():
            waiting_since[name] = grant.at
    for name, wait in zip(CLASSES, patience, strict=True):
        assert worst[name] <= seconds(wait) + 3 * seconds(longest) + 3, (name, worst[name])


def test_mesh_18_a_retry_keeps_its_class() -> None:
    """What is offered again on its lane is as high as it was: a lane is for good (see the tests of the dispatcher for
    the same through the store)."""
    scheduler = pool(slots=1)
    simulation = Simulation(scheduler, lambda _: (1000, Used()))
    high, low = lane(priority="high", tenant="t"), lane(priority="low", tenant="t")
    simulation.arrive(low, 3)
    simulation.arrive(high, 1)
    simulation.run(grants=1)
    simulation.arrive(high, 1)  # it failed, and is ready again
    simulation.run()
    assert [grant.lane for grant in simulation.grants] == [high, high, low, low, low]


def test_mesh_17_a_claim_that_finds_nothing_does_not_make_the_class_wait_anew() -> None:
    scheduler = pool(slots=1, classes=classes(60, 60, 10))
    low = [lane(priority="low", tenant=name) for name in ("gone", "there")]
    for name in low:
        scheduler.offer(name, 1, 0)
    scheduler.offer(lane(priority="high", tenant="t"), 1000, 0)
    due = seconds(10)
    ticket = scheduler.choose(due)
    assert ticket is not None and "low" in ticket.lane
    scheduler.withdraw(ticket, due)
    scheduler.offer(ticket.lane, 0, due)
    again = scheduler.choose(due)
    assert again is not None and again.lane in low and again.lane != ticket.lane
    assert scheduler.classes[2].granted == 1
