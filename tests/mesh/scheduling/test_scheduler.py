"""Whatever happens in whatever order: slots are bounded and never lost, and what waits is granted in the end."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mesh.scheduling.simulation import pool, rules, seconds

from pharos.mesh.scheduling.gates import Used
from pharos.mesh.scheduling.lanes import lane
from pharos.mesh.scheduling.scheduler import Scheduler
from pharos.mesh.scheduling.tickets import Ticket
from pharos.mesh.scheduling.tree import Node

SPECS: list[dict[str, object]] = [
    {"slots": 1},
    {"slots": 3, "share": ["tenant"], "measure": "tokens"},
    {"slots": 3, "share": [], "measure": "seconds"},
    {"slots": 5, "share": ["tenant", "agent", "model"], "weights": [{"match": {"tenant": "t0"}, "weight": 7}]},
    {"slots": 4, "rates": [{"requests": 3, "seconds": 1, "burst": 1}]},
    {
        "slots": 4,
        "rates": [{"requests": 2, "seconds": 1, "per": "tenant"}, {"tokens": 50, "seconds": 1, "per": "agent"}],
    },
    {"slots": 4, "measure": "cost", "rates": [{"tokens": 100, "seconds": 2, "hold": 20, "match": {"model": "m1"}}]},
    {"slots": 2, "classes": [{"name": "high", "maxWaitSeconds": 1}, {"name": "low", "maxWaitSeconds": 2}]},
]

LANES = [
    lane(priority=priority, tenant=f"t{t}", agent=f"a{a}", model=f"m{m}")
    for priority in ("high", "", "low")
    for t in range(3)
    for a in range(2)
    for m in range(2)
]


@dataclass
class Play:
    """A pool, and what a store would know of it."""

    scheduler: Scheduler
    chance: random.Random
    now: int = 0
    ready: Counter[str] = field(default_factory=Counter)
    posted: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    working: list[Ticket] = field(default_factory=list)
    resting: list[Ticket] = field(default_factory=list)
    coming: list[Ticket] = field(default_factory=list)
    spec: int = 0

    def post(self) -> None:
        name = self.chance.choice(LANES)
        number = self.chance.randint(1, 4)
        self.posted[name] += number
        self.ready[name] += number
        self.scheduler.offer(name, self.ready[name], self.now)

    def choose(self) -> bool:
        ticket = self.scheduler.choose(self.now)
        if ticket is None:
            return False
        assert ticket.holding
        if ticket.returning:
            self.coming.remove(ticket)
            ticket.returning = False
        else:
            self.ready[ticket.lane] -= 1
            assert self.ready[ticket.lane] >= 0, "it grants what is not there"
        self.working.append(ticket)
        self.check()
        return True

    def check(self) -> None:
        numbers = [ticket.slot for ticket in self.working]
        assert len(set(numbers)) == len(numbers), "a slot was given twice"
        assert self.scheduler.used == len(numbers)

    def take(self, tickets: list[Ticket]) -> Ticket | None:
        return tickets.pop(self.chance.randrange(len(tickets))) if tickets else None

    def settle(self, ticket: Ticket | None) -> None:
        if ticket is not None:
            used = Used(self.chance.randint(0, 40), self.chance.randint(0, 10**6))
            self.scheduler.settle(ticket, used, self.now)
            self.scheduler.settle(ticket, used, self.now)  # the second time counts for nothing
            self.done[ticket.lane] += 1

    def withdraw(self) -> None:
        if self.working and (ticket := self.take(self.working)) is not None:
            self.scheduler.withdraw(ticket, self.now)
            self.ready[ticket.lane] += 1
            self.scheduler.offer(ticket.lane, self.ready[ticket.lane], self.now)

    def aside(self) -> None:
        if (ticket := self.take(self.working)) is not None:
            self.scheduler.aside(ticket, self.now)
            self.resting.append(ticket)

    def resume(self) -> None:
        if (ticket := self.take(self.resting)) is not None:
            self.scheduler.resume(ticket, self.now)
            self.coming.append(ticket)

    def pause(self) -> None:
        match = self.chance.choice([{"model": "m0"}, {"tenant": "t1"}, {"tenant": "t2", "model": "m1"}, {}])
        self.scheduler.pause(match, self.now + self.chance.randint(1, seconds(3)), "", self.now)

    def configure(self) -> None:
        self.spec = self.chance.randrange(len(SPECS))
        before = self.scheduler.rules.slots
        self.scheduler.configure(rules(**SPECS[self.spec]), self.now)
        # Slots that are held stay held, also beyond the new number.
        assert self.scheduler.used == len(self.working), before

    def step(self, name: str) -> None:
        match name:
            case "post" | "aside" | "resume" | "pause" | "configure" | "withdraw" | "choose":
                getattr(self, name)()
            case "settle":
                self.settle(self.take(self.working))
            case "give up":
                self.settle(self.take(self.resting if self.chance.random() < 0.5 else self.coming))
            case "time":
                self.now += self.chance.randint(1, seconds(1))
        self.check()


STEPS = ["post"] * 4 + ["choose"] * 6 + ["settle"] * 4 + ["time"] * 3 + [
    "withdraw", "aside", "resume", "pause", "configure", "give up",
]  # fmt: skip


@given(
    spec=st.integers(0, len(SPECS) - 1),
    length=st.integers(0, 400),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=100)
def test_nothing_is_lost_or_given_twice(spec: int, length: int, seed: int) -> None:
    chance = random.Random(seed)
    play = Play(pool(**SPECS[spec]), chance, spec=spec)
    for _ in range(length):
        play.step(chance.choice(STEPS))
    # Then everybody finishes, time passes, and whoever says that it is to be asked again at a time is asked then.
    for _ in range(10_000):
        while play.choose():
            pass
        if play.working:
            play.settle(play.take(play.working))
            continue
        if play.resting:
            play.resume()
            continue
        if not sum(play.ready.values()) and not play.coming:
            break
        wake = play.scheduler.wake_at(play.now)
        assert wake is not None, "something waits, nothing is under way, and nobody would be woken"
        assert wake > play.now
        play.now = wake
    assert play.done == play.posted
    assert play.scheduler.used == 0 and not any(play.scheduler.waiting())
    assert all(_is_bare(entry.root) for entry in play.scheduler.classes), "what is over is forgotten"


def _is_bare(root: Node) -> bool:
    return not root.children and not root.active and not root.flying


@pytest.mark.parametrize("spec", SPECS)
def test_the_same_happens_the_same_way(spec: dict[str, object]) -> None:
    """No clock, no chance, no order of sets: the same calls give the same grants."""
    runs = []
    for _ in range(2):
        chance = random.Random(3)
        play = Play(pool(**spec), chance)
        grants = []
        for _ in range(400):
            play.step(chance.choice(STEPS[:-2]))
            grants += [(ticket.lane, ticket.slot) for ticket in play.working[-1:]]
        runs.append(grants)
    assert runs[0] == runs[1]
