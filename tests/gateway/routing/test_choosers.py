"""The strategies, as properties of what they choose."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pharos.core.resource import ResourceId
from pharos.gateway.models.routing.choosers import chooser, weighted
from pharos.gateway.models.routing.conversations import IDLE_SECONDS, Conversations
from pharos.gateway.models.routing.hashing import bounded, cap, salt_of, score
from pharos.gateway.models.routing.pulse import STALE_SECONDS, Pulse
from pharos.gateway.models.routing.spec import Balancing

EVEN = Balancing(explore=0)


@dataclass(eq=False)
class Target:
    """As much of a target as a chooser looks at."""

    name: str
    weight: int = 1
    price: int | None = 1
    pulse: Pulse = field(default_factory=Pulse)

    def __post_init__(self) -> None:
        self.label = self.name
        self.model = "m"
        self.place = (ResourceId("Provider", "default", self.name), "m")
        self.upstream = SimpleNamespace(id=self.place[0])

    def rates(self, now: datetime, tier: str = "") -> Any:
        return None if self.price is None else SimpleNamespace(cost=lambda usage: self.price)


@dataclass
class Question:
    key: bytes = b"k"
    now: float = 1000.0
    stream: bool = True
    usage: dict[str, int] = field(default_factory=lambda: {"input": 10, "output": 5})

    def __post_init__(self) -> None:
        ask = SimpleNamespace(stream=self.stream)
        self.call = SimpleNamespace(started_at=datetime.now(UTC), tier="", ask=ask)

    def affinity(self, kind: str, prefix_bytes: int) -> bytes:
        return self.key


def rank(strategy: str, targets: list[Target], question: Question, source: Any, known: Conversations | None = None,
         numbers: Balancing = EVEN) -> Any:  # fmt: skip
    made = chooser(strategy, targets, numbers, known or Conversations(), "s")  # type: ignore[arg-type]
    return made.rank(targets, question, source)  # type: ignore[arg-type]


weights = st.lists(st.integers(1, 50), min_size=2, max_size=6)


@settings(max_examples=20, deadline=None)
@given(weights, st.integers(0, 2**32))
def test_shares_follow_the_weights(shares: list[int], seed: int) -> None:
    targets = [Target(str(n), weight) for n, weight in enumerate(shares)]
    source, calls = random.Random(seed), 3000
    first = Counter(weighted(targets, source.random)[0].name for _ in range(calls))  # type: ignore[type-var]
    for target in targets:
        share = target.weight / sum(shares)
        # Five standard deviations: one in millions of correct runs is outside.
        assert abs(first[target.name] - calls * share) <= 5 * (calls * share * (1 - share)) ** 0.5 + 1


@settings(max_examples=15, deadline=None)
@given(weights)
def test_hashed_shares_follow_the_weights(shares: list[int]) -> None:
    salts = [salt_of(f"target-{n}") for n in range(len(shares))]
    calls = 4000
    first = Counter(
        max(range(len(shares)), key=lambda n: score(b"%d" % call, salts[n], shares[n])) for call in range(calls)
    )
    for n, weight in enumerate(shares):
        share = weight / sum(shares)
        assert abs(first[n] - calls * share) <= 5 * (calls * share * (1 - share)) ** 0.5 + 1


def test_a_target_that_goes_moves_only_its_own_keys() -> None:
    names = ["a", "b", "c", "d"]
    keys = [b"%d" % n for n in range(1000)]

    def owner(key: bytes, among: list[str]) -> str:
        return max(among, key=lambda name: score(key, salt_of(name), 1))

    before = {key: owner(key, names) for key in keys}
    after = {key: owner(key, ["a", "b", "d"]) for key in keys}
    assert all(after[key] == before[key] for key in keys if before[key] != "c")
    assert {after[key] for key in keys if before[key] == "c"} == {"a", "b", "d"}, "they are spread over all others"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 40)), min_size=1, max_size=8),
    st.floats(1.01, 4),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_a_bounded_load_is_never_above_its_cap_and_somebody_always_has_room(
    group: list[tuple[int, int]], factor: float, floor: int, source: random.Random
) -> None:
    shares, active = [weight for weight, _ in group], [count for _, count in group]
    order = list(range(len(group)))
    source.shuffle(order)
    chosen, full = bounded(order, active, shares, factor, floor)
    most = [cap(sum(active), weight, sum(shares), factor, floor) for weight in shares]
    assert active[chosen] + 1 <= most[chosen]
    assert all(active[index] >= most[index] for index in full)
    assert chosen == next(index for index in order if active[index] < most[index]), "the first that has room"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.integers(1, 4), st.integers(0, 2**32))
def test_one_popular_prompt_does_not_drown_its_target(shares: list[int], floor: int, seed: int) -> None:
    targets = [Target(str(n), weight) for n, weight in enumerate(shares)]
    numbers = Balancing(load_factor=1.25, load_floor=floor)
    known, source = Conversations(), random.Random(seed)
    for _ in range(120):
        busy = [target for target in targets if target.pulse.active]
        if busy and source.random() < 0.3:
            source.choice(busy).pulse.active -= 1
            continue
        total = sum(target.pulse.active for target in targets)
        ranking = rank("prefix", targets, Question(b"popular"), source.random, known, numbers)
        first = ranking.order[0]
        assert first.pulse.active + 1 <= cap(total, first.weight, sum(shares), 1.25, floor)
        known.answered(ranking.conversation, first.place, 1000.0)
        first.pulse.active += 1


def test_a_session_finds_its_target_again_after_a_restart() -> None:
    for n in range(100):
        question = Question(b"%d" % n)
        orders = [
            [t.name for t in rank("session", [Target(name) for name in names], question, random.random).order]
            for names in (["a", "b", "c"], ["c", "a", "b"])
        ]
        assert orders[0] == orders[1], "whatever the order in which targets are declared"


def test_h61_a_conversation_stays_where_it_began_when_weights_change_or_targets_are_added() -> None:
    known = Conversations()
    moved = 0
    for n in range(200):
        question = Question(b"%d" % n)
        first = rank("session", [Target("a"), Target("b")], question, random.random, known)
        known.answered(first.conversation, first.order[0].place, question.now)
        began = first.order[0].name
        again = rank("session", [Target("a", 0), Target("b", 9), Target("c", 90)], question, random.random, known)
        assert again.order[0].name == began
        assert again.why == "the session is with it"
        later = Question(b"%d" % n, question.now + IDLE_SECONDS + 1)
        moved += rank("session", [Target("a", 0), Target("c", 90)], later, random.random, known).order[0].name == "c"
    assert moved == 200, "a conversation that has ended goes where new ones go"


def test_what_is_remembered_is_bounded() -> None:
    known = Conversations(most=100)
    place = Target("a").place
    for n in range(1000):
        known.answered(b"%d" % n, place, 1.0)
        known.answered(b"kept", place, 1.0)
    assert len(known) == 100
    assert known.of(b"kept", 2.0) == place
    assert known.of(b"0", 2.0) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=1, max_size=6), st.floats(0, 0.999))
def test_the_cheapest_is_first_and_the_unknown_last(prices: list[int | None], draw: float) -> None:
    targets = [Target(str(n), price=price) for n, price in enumerate(prices)]
    order = rank("cost", targets, Question(), lambda: draw).order
    said = [target.price for target in order]
    known = [price for price in said if price is not None]
    assert known == sorted(known)
    assert said == [*known, *(None for _ in range(said.count(None)))]


def test_the_least_busy_for_its_weight_is_first() -> None:
    one, two, none = Target("one", 1), Target("two", 4), Target("none", 0)
    one.pulse.active, two.pulse.active = 2, 4
    assert [t.name for t in rank("least-outstanding", [one, two, none], Question(), random.random).order] == [
        "two", "one", "none",
    ]  # fmt: skip


def observed(name: str, seconds: float, at: float = 1000.0, weight: int = 1) -> Target:
    target = Target(name, weight)
    target.pulse.began()
    target.pulse.ended(at, seconds, seconds, succeeded=True)
    return target


def test_the_fastest_is_first_and_one_that_nobody_knows_is_asked_by_one_call_at_a_time() -> None:
    slow, fast, new = observed("slow", 0.9), observed("fast", 0.2), Target("new")
    targets = [slow, fast, new]
    ranking = rank("latency", targets, Question(), random.random)
    assert (ranking.order[0].name, ranking.why) == ("new", "to observe its time to the first token")
    new.pulse.began()
    assert [t.name for t in rank("latency", targets, Question(), random.random).order] == ["fast", "slow", "new"]
    stale = Question(now=1000.0 + STALE_SECONDS + 1)
    assert rank("latency", targets, stale, lambda: 0.5).why == "to observe its time to the first token"


def test_those_nearly_as_fast_share_and_a_share_explores() -> None:
    targets = [observed("a", 0.200), observed("b", 0.205), observed("c", 0.9)]
    source = random.Random(3)
    first = Counter(rank("latency", targets, Question(), source.random).order[0].name for _ in range(400))
    assert first["c"] == 0 and min(first["a"], first["b"]) > 120
    numbers = Balancing(explore=0.1)
    first = Counter(
        rank("latency", [targets[0], targets[2]], Question(), source.random, None, numbers).order[0].name
        for _ in range(2000)
    )
    assert 130 <= first["c"] <= 270


def test_a_target_that_fails_slowly_does_not_look_fast() -> None:
    pulse = Pulse()
    pulse.began()
    pulse.ended(1.0, 0.1, 0.1, succeeded=True)
    pulse.began()
    pulse.ended(2.0, 30.0, None, succeeded=False)
    expected = pulse.expected(2.0, stream=True)
    assert expected is not None and expected > 5
    pulse.began()
    pulse.ended(3.0, 0.01, None, succeeded=False)
    assert pulse.expected(3.0, stream=True) == expected, "failing fast is no merit"
    assert pulse.expected(3.0, stream=False) is None
    assert pulse.active == 0


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(["weighted", "cost", "latency", "least-outstanding", "session", "prefix"]),
    st.lists(st.integers(0, 5), min_size=1, max_size=6),
    st.integers(0, 2**32),
)
def test_every_strategy_ranks_every_target_once_and_the_same_numbers_rank_them_alike(
    strategy: str, shares: list[int], seed: int
) -> None:
    targets = [observed(str(n), 0.1 * (n + 1), weight=weight) for n, weight in enumerate(shares)]
    numbers = Balancing(explore=0.3)
    orders = [
        [t.name for t in rank(strategy, targets, Question(), random.Random(seed).random, None, numbers).order]
        for _ in range(2)
    ]
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted(target.name for target in targets)
    if any(shares):
        assert next(t for t in targets if t.name == orders[0][0]).weight > 0
