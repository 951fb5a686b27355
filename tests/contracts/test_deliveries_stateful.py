"""Deliveries against the model: random commits, alone and many at once, refused ones, time, and restarts."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.contracts.conftest import WITH_CLOCK, Wall
from tests.contracts.model import Delivery, Model, Refused
from tests.contracts.samples import event

from pharos.core.event import START, Recorded
from pharos.core.fault import Fault
from pharos.store.delivery import (
    Acknowledge,
    Bury,
    Claim,
    Discard,
    Fence,
    Fire,
    Lane,
    Lease,
    Redrive,
    Release,
    Renew,
    Retire,
    Schedule,
    Subscribe,
    Suspend,
    Trim,
    Unschedule,
    Unsubscribe,
)
from pharos.store.faults import GONE
from pharos.store.ports import Append, Command, Store

TOPICS = ("s/a", "s/b", "s/c", "other/a", "plain")
GROUPS = {"g": ("s/", False), "h": ("", False), "one": ("s/a", True)}
LANES = ("", "fast", "slow")
STEP = 700.0
"""No lease, delay or rest ends near a multiple of it, so a slow machine decides nothing."""

topics, groups, lanes = st.sampled_from(TOPICS), st.sampled_from(sorted(GROUPS)), st.sampled_from(LANES)
flags, some = st.booleans(), st.integers(0, 30)

kinds = st.one_of(
    st.tuples(st.just("append"), topics),
    st.tuples(st.just("append"), topics),
    st.tuples(st.just("claim"), groups, st.none() | st.lists(lanes, max_size=2), st.none() | topics),
    st.tuples(st.just("claim"), groups, st.none(), st.none()),
    st.tuples(st.just("renew"), some),
    st.tuples(st.just("fence"), some),
    st.tuples(st.just("acknowledge"), some, some, flags),
    st.tuples(st.just("acknowledge"), some, some, flags),
    st.tuples(st.just("release"), some, flags, flags),
    st.tuples(st.just("bury"), some, flags),
    st.tuples(st.just("discard"), groups, flags),
    st.tuples(st.just("suspend"), groups, topics, st.sampled_from((None, -100.0, 900.0))),
    st.tuples(st.just("lane"), groups, topics, lanes),
    st.tuples(st.just("schedule"), st.sampled_from("xy"), topics, st.sampled_from((-10.0, 900.0)), flags),
    st.tuples(st.just("fire"), st.sampled_from("xy"), flags),
    st.tuples(st.just("unschedule"), st.sampled_from("xy")),
    st.tuples(st.just("trim"), topics, some, flags),
    st.tuples(st.just("retire"), topics, flags, flags),
    st.tuples(st.just("subscribe"), groups, st.just(False)),
    st.tuples(st.just("unsubscribe"), groups),
)


class Deliveries(RuleBasedStateMachine):
    """One engine and the model side by side."""

    engine = ""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.wall = Wall()
        self.open = WITH_CLOCK[self.engine](Path(self.directory.name), self.wall)
        self.store: Store = self.runner.run(self.open())
        self.model = Model(now=self.wall.seconds)
        self.leases: list[Lease] = []
        self.made = 0
        self.subscribe("g", True)

    # What is done.

    @rule(commits=st.lists(st.lists(kinds, min_size=1, max_size=4), min_size=1, max_size=4))
    def commit(self, commits: list[list[tuple[object, ...]]]) -> None:
        """All at once, so that they are decided in one transaction, each with its own fate."""
        commands = [[command for kind in kinds if (command := self.command(*kind))] for kinds in commits]
        self.run_all([each for each in commands if each])

    @rule(kinds=st.lists(kinds, min_size=1, max_size=5))
    def ruin(self, kinds: list[tuple[object, ...]]) -> None:
        """The last command refuses: nothing has happened."""
        commands = [command for kind in kinds if (command := self.command(*kind))]
        self.run_all([[*commands, Append(event("s/a"), expected_sequence=10**6)]])

    @rule(group=groups, backlog=flags)
    def subscribe(self, group: str, backlog: bool) -> None:
        prefix, exact = GROUPS[group]
        self.run_all([[Subscribe(group, prefix, backlog, exact)]])

    @rule(group=groups, one=st.none() | some)
    def redrive(self, group: str, one: int | None) -> None:
        """What is appended again is found in the log."""
        numbers = sorted(self.model.dead)
        self.model.again = []
        self.run_all([[Redrive(group, None if one is None or not numbers else (numbers[one % len(numbers)],))]])
        for old in self.model.again:
            topic = old.event.topic
            found = self.runner.run(self.read(topic, self.model.topics[topic].last))
            (recorded,) = found[:1]
            assert (recorded.event.causation, recorded.event.data) == (old.event.id, old.event.data)
            assert recorded.event.id != old.event.id
            self.model._record(recorded.event, recorded)
            self.model.rank += 1

    @rule(steps=st.integers(1, 3))
    def wait(self, steps: int) -> None:
        self.wall.seconds += STEP * steps
        self.model.advance(STEP * steps)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(self.open())
        for group in self.model.groups.values():
            group.refused = 0

    def command(self, kind: object, *facts: object) -> Command | None:
        make: Callable[..., Command | None] = getattr(self, f"_{kind}")
        return make(*facts)

    def _append(self, topic: str) -> Command:
        self.made += 1
        return Append(event(topic, n=self.made))

    def _claim(self, group: str, lanes: list[str] | None, topic: str | None) -> Command:
        self.made += 1
        return Claim(group, f"w{self.made % 3}", 1000.0, None if lanes is None else tuple(lanes), topic)

    def lease(self, some: int) -> Lease | None:
        """One of the last few."""
        return self.leases[-1 - some % min(len(self.leases), 6)] if self.leases else None

    def _renew(self, some: int) -> Command | None:
        return None if (lease := self.lease(some)) is None else Renew(lease, 1700.0)

    def _fence(self, some: int) -> Command | None:
        return None if (lease := self.lease(some)) is None else Fence(lease)

    def _acknowledge(self, some: int, other: int, keep: bool) -> Command | None:
        if (lease := self.lease(some)) is None:
            return None
        return Acknowledge(lease, self.position(lease.topic, other), keep)

    def position(self, topic: str, some: int) -> str:
        """Of an event that was read, or the beginning."""
        found = self.model.topics.get(topic)
        positions = [START, *(e.position for e in found.events)] if found else [START]
        return positions[some % len(positions)]

    def _release(self, some: int, later: bool, attempted: bool) -> Command | None:
        return None if (lease := self.lease(some)) is None else Release(lease, 500.0 if later else 0.0, attempted)

    def _bury(self, some: int, hold: bool) -> Command | None:
        return None if (lease := self.lease(some)) is None else Bury(lease, "poison", "why", hold)

    def _discard(self, group: str, one: bool) -> Command:
        return Discard(group, (max(self.model.dead),) if one and self.model.dead else None)

    def _suspend(self, group: str, topic: str, seconds: float | None) -> Command:
        return Suspend(group, topic, None if seconds is None else self.wall.at(seconds))

    def _lane(self, group: str, topic: str, lane: str) -> Command:
        return Lane(group, topic, lane)

    def _schedule(self, id: str, topic: str, seconds: float, again: bool) -> Command:
        return Schedule(id, self.wall.at(seconds), event(topic, n=0), {"cron": "*"} if again else None)

    def _fire(self, id: str, again: bool) -> Command:
        due = self.model.schedules[id][0] if id in self.model.schedules else self.wall.seconds
        when = self.wall.at(due - self.wall.seconds)
        return Fire(id, when, self.wall.at(due - self.wall.seconds + 1400.0) if again else None)

    def _unschedule(self, id: str) -> Command:
        return Unschedule(id)

    def _trim(self, topic: str, some: int, unread: bool) -> Command:
        return Trim(topic, self.position(topic, some), unread)

    def _retire(self, topic: str, idle: bool, unread: bool) -> Command:
        return Retire(topic, "over", self.wall.at(-350.0) if idle else None, unread)

    def _subscribe(self, group: str, backlog: bool) -> Command:
        prefix, exact = GROUPS[group]
        return Subscribe(group, prefix, backlog, exact)

    def _unsubscribe(self, group: str) -> Command:
        return Unsubscribe(group)

    # What came of it.

    def run_all(self, commits: list[list[Command]]) -> None:
        outcomes = self.runner.run(self._gather(commits))
        for commands, outcome in zip(commits, outcomes, strict=True):
            copy = self.model.copy()
            told = outcome if isinstance(outcome, list) else [None] * len(commands)
            try:
                expected = [copy.apply(command, answer) for command, answer in zip(commands, told, strict=True)]
            except Refused as refused:
                assert isinstance(outcome, Fault), f"{commands}: {outcome} instead of {refused.code}"
                assert outcome.code == refused.code or self.several(commands), f"{commands}: {outcome}"
                if refused.code == "LEASE_LOST" and outcome.code == "LEASE_LOST":
                    self.count_refusal(commands, outcome)
                continue
            if isinstance(outcome, Fault) and self.several(commands):
                continue
            assert isinstance(outcome, list), f"{commands}: {outcome} instead of {expected}"
            for answer, should in zip(outcome, expected, strict=True):
                self.compare(copy, answer, should)
                if isinstance(answer, Lease):
                    self.leases.append(answer)
            self.model = copy

    def several(self, commands: list[Command]) -> bool:
        """A refused commit does not say which delivery it has claimed, of several that have waited as long."""
        for command in commands:
            if isinstance(command, Claim) and command.group in self.model.groups:
                deliveries = self.model.groups[command.group].deliveries.values()
                ranks = [delivery.rank for delivery in deliveries if delivery.state == "ready"]
                if len(set(ranks)) < len(ranks):
                    return True
        return False

    def count_refusal(self, commands: list[Command], fault: Fault) -> None:
        group = self.model.groups.get(str(fault.document.facts["group"]))
        if group is not None:
            group.refused += 1

    def compare(self, model: Model, answer: object, expected: object) -> None:
        if isinstance(answer, Lease) and isinstance(expected, Lease):
            found = model.topics[answer.topic]
            assert found.after(answer.cursor) == found.after(expected.cursor)
            answer = answer._replace(cursor=expected.cursor)
        assert answer == expected, f"{answer} instead of {expected}"

    async def _gather(self, commits: list[list[Command]]) -> list[object]:
        results = await asyncio.gather(*(self.store.commit(*each) for each in commits), return_exceptions=True)
        return [list(result) if not isinstance(result, BaseException) else result for result in results]

    async def read(self, topic: str, after: str) -> list[Recorded]:
        return list(await self.store.log.read(topic, after, 1000))

    @invariant()
    def the_engine_is_the_model(self) -> None:
        self.runner.run(self._compare())

    async def _compare(self) -> None:
        store, model = self.store, self.model
        for name in TOPICS:
            topic = model.topics.get(name)
            events = topic.events if topic else []
            assert await self.read(name, START) == events
            stored = await store.log.topic(name)
            assert (stored is None) == (topic is None or not topic.sequence)
            if topic is not None:
                if stored is not None:
                    assert (stored.sequence, stored.last) == (topic.sequence, topic.last)
                    assert stored.generation == topic.generation
                await self._compare_gone(name, topic.floor, topic.began)
                tombstone = await store.deliveries.tombstone(name)
                assert (tombstone.last if tombstone else START) == topic.began
        found = {g.name: (g.prefix, g.exact) for g in await store.deliveries.groups()}
        assert found == {name: (g.prefix, g.exact) for name, g in model.groups.items()}
        for name, group in model.groups.items():
            for topic_name in TOPICS:
                await self._compare_delivery(name, topic_name)
            waiting = {lane: w.ready for lane, w in (await store.deliveries.lanes(name)).items()}
            ready = [d.lane for d in group.deliveries.values() if d.state == "ready"]
            assert waiting == {lane: ready.count(lane) for lane in ready}
            page, more = await store.deliveries.list(name)
            assert [d.topic for d in page] == sorted(n for n, d in group.deliveries.items() if d.state != "idle")
            assert more is None
            dead = await store.deliveries.dead(name)
            assert {d.number: (d.topic, d.position, d.held) for d in dead} == {
                number: (d.topic, d.event.position, d.held) for number, d in model.dead.items() if d.group == name
            }
        scheduled = await store.deliveries.scheduled()
        assert {s.id: s.due.timestamp() for s in scheduled} == {id: due for id, (due, _, _) in model.schedules.items()}
        due, _ = await store.deliveries.due()
        assert {s.id for s in due} == {id for id, (at, _, _) in model.schedules.items() if at <= model.now}

    async def _compare_gone(self, topic: str, floor: str, began: str) -> None:
        """Reading after what is no more says so; after the last that is no more, nothing is missing."""
        if floor == began == START:
            return
        for after, gone in ((began, began != START), (floor, floor == began)):
            if after == START:
                continue
            try:
                await self.store.log.read(topic, after)
            except Fault as fault:
                assert gone
                assert fault.code == GONE.code
            else:
                assert not gone

    async def _compare_delivery(self, group: str, topic: str) -> None:
        delivery = await self.store.deliveries.get(group, topic)
        expected = self.model.groups[group].deliveries.get(topic)
        if delivery is None and expected is not None:
            # An engine need not keep what says nothing.
            assert expected == Delivery(cursor=self.model.topics[topic].last, epoch=expected.epoch)
            assert expected.epoch <= self.model.epochs
        assert delivery is None or expected is not None
        if delivery is not None and expected is not None:
            found = self.model.topics[topic]
            assert found.after(delivery.cursor) == found.after(expected.cursor)
            assert delivery.behind == len(found.after(expected.cursor))
            assert (delivery.state, delivery.lane) == (expected.state, expected.lane)
            assert delivery.epoch == expected.epoch or (not expected.claimed and delivery.epoch > expected.epoch)
            assert delivery.attempts == expected.attempts
            assert delivery.owner == (expected.owner if expected.state == "leased" else "")

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.runner.run(self.store.close())
            self.runner.close()
            self.directory.cleanup()


@pytest.mark.parametrize("engine", sorted(WITH_CLOCK))
def test_deliveries_against_a_model(engine: str) -> None:
    machine = type("Deliveries", (Deliveries,), {"engine": engine})
    health = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    few = settings(max_examples=6, stateful_step_count=25, deadline=None, suppress_health_check=health)
    run_state_machine_as_test(machine, settings=few)  # type: ignore[no-untyped-call]


WEIGHTS = {
    "append": 30, "claim": 22, "renew": 4, "fence": 4, "acknowledge": 15, "release": 10, "bury": 5, "discard": 2,
    "suspend": 3, "lane": 4, "schedule": 2, "fire": 2, "unschedule": 1, "trim": 6, "retire": 3, "subscribe": 1,
    "unsubscribe": 0.4,
}  # fmt: skip


def weighted(chance: random.Random) -> tuple[object, ...]:
    """Mostly what workers do: so the states that take many steps are reached as well."""
    topic = chance.choice(TOPICS[:3] if chance.random() < 0.7 else TOPICS)
    group, lane = chance.choice(["g", "g", "g", "h", "one"]), chance.choice(LANES)
    some, other, flag, rarely = chance.randrange(30), chance.randrange(30), chance.random() < 0.5, chance.random() < 0.3
    facts: dict[str, tuple[object, ...]] = {
        "append": (topic,),
        "claim": (group, chance.choice([None, None, ["fast", "slow"], [""]]), topic if some < 4 else None),
        "renew": (some,),
        "fence": (some,),
        "acknowledge": (some, other, flag),
        "release": (some, flag, rarely),
        "bury": (some, flag),
        "discard": (group, flag),
        "suspend": (group, topic, chance.choice([None, -100.0, 900.0])),
        "lane": (group, topic, lane),
        "schedule": (chance.choice("xy"), topic, chance.choice([-10.0, 900.0]), flag),
        "fire": (chance.choice("xy"), flag),
        "unschedule": (chance.choice("xy"),),
        "trim": (topic, some, rarely),
        "retire": (topic, flag, rarely),
        "subscribe": (group, False),
        "unsubscribe": (group,),
    }
    (kind,) = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
    return kind, *facts[kind]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("engine", sorted(WITH_CLOCK))
def test_long_lives_against_a_model(engine: str, seed: int) -> None:
    machine: Deliveries = type("Deliveries", (Deliveries,), {"engine": engine})()
    chance = random.Random(seed)
    machine.begin()
    try:
        for _ in range(60):
            what = chance.random()
            if what < 0.75:
                commits = chance.randint(1, 6)
                machine.commit([[weighted(chance) for _ in range(chance.randint(1, 4))] for _ in range(commits)])
            elif what < 0.83:
                machine.ruin([weighted(chance) for _ in range(chance.randint(1, 5))])
            elif what < 0.88:
                machine.redrive(chance.choice(["g", "h", "one"]), chance.choice([None, chance.randrange(5)]))
            elif what < 0.91:
                machine.subscribe(chance.choice(["g", "g", "h", "one"]), chance.random() < 0.5)
            elif what < 0.97:
                machine.wait(chance.randint(1, 3))
            else:
                machine.restart()
            machine.the_engine_is_the_model()
    finally:
        machine.teardown()
