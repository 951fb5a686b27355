"""The strategies: in which order the targets of one model are asked.

A chooser is made when resources change; it gets the targets that can be used now and ranks all of them, because those
that are not chosen are the failovers. Targets of weight 0 stand last under every strategy. Nothing here has a state of
its own, and chance comes in as a source of numbers from 0 up to (not including) 1: the same numbers, the same choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pharos.gateway.models.routing.conversations import Conversations, Place
from pharos.gateway.models.routing.hashing import bounded, cap, salt_of, score
from pharos.gateway.models.routing.question import Question
from pharos.gateway.models.routing.spec import Balancing, Strategy
from pharos.mesh.money import decimal_text

if TYPE_CHECKING:
    from pharos.gateway.models.targets import Target

Random = Callable[[], float]

NEAR = 1.1
"""Targets whose latency is within a tenth of the best are as good as the best: they share the calls by weight."""


class Ranking(NamedTuple):
    """Targets in the order in which they are asked, and why."""

    order: Sequence[Target]
    why: str
    scores: Sequence[tuple[Target, str]] = ()
    conversation: bytes = b""
    """Under which the target that answers is remembered; empty: it is not."""
    began: Place | None = None
    """Where the conversation is so far."""
    moved: str = ""
    """Why it cannot stay there, where it could be asked."""


class Chooser(Protocol):
    """One strategy, with its numbers."""

    @property
    def strategy(self) -> Strategy:
        """Its name."""

    def rank(self, targets: Sequence[Target], question: Question, random: Random) -> Ranking:
        """Order targets, of which there is at least one."""


def weighted(targets: Sequence[Target], random: Random) -> list[Target]:
    """The targets in an order drawn by weight without replacement; those of weight 0 come last, as declared."""
    left = [target for target in targets if target.weight]
    order: list[Target] = []
    while len(left) > 1:
        point = random() * sum(target.weight for target in left)
        for target in left:
            point -= target.weight
            if point < 0:
                break
        order.append(target)
        left.remove(target)
    return [*order, *left, *(target for target in targets if not target.weight)]


def shares(targets: Sequence[Target]) -> str:
    """The weights, for an explanation."""
    return "by weight: " + ", ".join(f"{target.label} {target.weight}" for target in targets)


class Weighted:
    """By weight."""

    strategy: Strategy = "weighted"

    def __init__(self, targets: Sequence[Target]) -> None:
        self._count = len(targets)
        self._why = shares(targets)

    def rank(self, targets: Sequence[Target], question: Question, random: Random) -> Ranking:
        """See :class:`Chooser`."""
        return Ranking(weighted(targets, random), self._why if len(targets) == self._count else shares(targets))


class Cost:
    """The cheapest first, for what this call will probably use. Of equal prices by weight; unknown prices last."""

    strategy: Strategy = "cost"

    def rank(self, targets: Sequence[Target], question: Question, random: Random) -> Ranking:
        """See :class:`Chooser`."""
        call, usage = question.call, question.usage
        costs: dict[int, int] = {}
        scores = []
        for target in targets:
            rates = target.rates(call.started_at, call.tier)
            if rates is not None:
                costs[id(target)] = rates.cost(usage)
            scores.append((target, f"{decimal_text(costs[id(target)])} USD" if rates is not None else "price unknown"))
        drawn = weighted(targets, random)
        order = sorted(drawn, key=lambda t: (not t.weight, id(t) not in costs, costs.get(id(t), 0)))
        tokens = f"{usage.get('input', 0)} tokens in and {usage.get('output', 0)} out"
        return Ranking(order, f"cheapest for about {tokens}", scores)


class Latency:
    """The fastest first, as observed lately; those nearly as fast share by weight. A target that nobody has observed
    lately is asked by one call at a time, and a share of all calls goes to one that is not the fastest."""

    strategy: Strategy = "latency"

    def __init__(self, explore: float) -> None:
        self._explore = explore

    def rank(self, targets: Sequence[Target], question: Question, random: Random) -> Ranking:
        """See :class:`Chooser`."""
        stream, now = question.call.ask.stream, question.now
        drawn = weighted(targets, random)
        known: dict[int, float] = {}
        scores = []
        for target in targets:
            seconds = target.pulse.expected(now, stream=stream)
            if seconds is not None:
                known[id(target)] = seconds
            scores.append((target, f"{seconds * 1000:.0f} ms" if seconds is not None else "not observed"))
        what = "time to the first token" if stream else "time to the answer"
        for target in drawn:
            if target.weight and id(target) not in known and not target.pulse.active:
                return Ranking(_first(target, self._sorted(drawn, known)), f"to observe its {what}", scores)
        order = self._sorted(drawn, known)
        if self._explore and random() < self._explore:
            others = [target for target in weighted(targets, random) if target is not order[0] and target.weight]
            if others:
                return Ranking(_first(others[0], order), f"exploring: {what} of one that is not the fastest", scores)
        return Ranking(order, f"shortest {what}", scores)

    @staticmethod
    def _sorted(drawn: Sequence[Target], known: dict[int, float]) -> list[Target]:
        """Those near the best in the order they were drawn, then the others from the fastest; the unobserved after."""
        near = NEAR * min(known.values(), default=0.0)

        def rank(target: Target) -> tuple[bool, bool, float]:
            seconds = known.get(id(target))
            if seconds is None:
                return not target.weight, True, 0.0
            return not target.weight, False, 0.0 if seconds <= near else seconds

        return sorted(drawn, key=rank)


class LeastOutstanding:
    """The fewest calls under way for its weight first."""

    strategy: Strategy = "least-outstanding"

    def rank(self, targets: Sequence[Target], question: Question, random: Random) -> Ranking:
        """See :class:`Chooser`."""
        drawn = weighted(targets, random)
        order = sorted(drawn, key=lambda t: (not t.weight, t.pulse.active / (t.weight or 1)))
        scores = [(t, f"{t.pulse.active} under way, weight {t.weight}") for t in targets]
        return Ranking(order, "fewest calls under way for its weight", scores)


class Affinity:
    """What belongs together goes to one target: a session, or prompts that begin alike, whose beginning the provider
    then has in its cache. No target gets much more than its share of what is under way, however much belongs together.
    """

    def __init__(
        self, strategy: Strategy, targets: Sequence[Target], numbers: Balancing, known: Conversations, scope: str
    ) -> None:
        """``scope``: whose conversations these are; one conversation has one target in each scope."""
        self.strategy = strategy
        self._numbers = numbers
        self._known = known
        self._scope = salt_of(scope)
        self._salts = {id(target): salt_of(f"{target.upstream.id}/{target.model}") for target in targets}

    def rank(self, targets: Sequence[Target], question: Question, random: Random) -> Ranking:
        """See :class:`Chooser`."""
        numbers = self._numbers
        key = question.affinity(self.strategy, numbers.prefix_bytes)
        salts = self._salts
        sharing = [target for target in targets if target.weight]
        order = sorted(sharing, key=lambda t: score(key, salts[id(t)], t.weight), reverse=True)
        ranked = [*order, *(target for target in targets if not target.weight)]
        conversation = self._remembered_as(question, key)
        began = self._known.of(conversation, question.now)
        total, weights = sum(t.pulse.active for t in sharing), sum(t.weight for t in sharing)

        def most(target: Target) -> int:
            if not weights:
                return numbers.load_floor
            return cap(total, target.weight, weights, numbers.load_factor, numbers.load_floor)

        scores = [(t, f"{t.pulse.active} of {most(t)} under way") for t in ranked]
        moved = ""
        if began is not None:
            home = next((t for t in ranked if t.place == began), None)
            if home is not None and home.pulse.active < most(home):
                why = f"the {self._what} is with it"
                return Ranking(_first(home, ranked), why, scores, conversation, began)
            if home is not None:
                moved = "has its share of the calls under way"
        if not order:
            return Ranking(ranked, "only those of weight 0 are left", scores, conversation, began, moved)
        active, share = [t.pulse.active for t in order], [t.weight for t in order]
        chosen, full = bounded(range(len(order)), active, share, numbers.load_factor, numbers.load_floor)
        why = f"by {self._what}"
        if full:
            why += "; at their share of the calls under way: " + ", ".join(order[i].label for i in full)
        return Ranking(_first(order[chosen], ranked), why, scores, conversation, began, moved)

    @property
    def _what(self) -> str:
        return "session" if self.strategy == "session" else "beginning of the prompt"

    def _remembered_as(self, question: Question, key: bytes) -> bytes:
        # Many conversations may share a beginning that is cut off: each of them has a target of its own.
        own = key if self.strategy == "session" else question.affinity("session", 0)
        return own + self._scope


def _first(target: Target, order: Sequence[Target]) -> list[Target]:
    return [target, *(other for other in order if other is not target)]


def chooser(
    strategy: Strategy, targets: Sequence[Target], numbers: Balancing, known: Conversations, scope: str
) -> Chooser:
    """The chooser of a strategy for these targets."""
    match strategy:
        case "cost":
            return Cost()
        case "latency":
            return Latency(numbers.explore)
        case "least-outstanding":
            return LeastOutstanding()
        case "session" | "prefix":
            return Affinity(strategy, targets, numbers, known, scope)
    return Weighted(targets)
