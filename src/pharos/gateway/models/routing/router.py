"""Where a call goes: the first rule that holds, the targets that can serve it, and the order its strategy gives them.

A router is made when resources change, for the models that need one; ``decide`` changes nothing, so that a dry run and
a call are the same code.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from pharos.control.expressions import context_of
from pharos.gateway.models.routing.availability import why_not
from pharos.gateway.models.routing.choosers import Chooser, Random, Ranking, Weighted, shares, weighted
from pharos.gateway.models.routing.conditions import Condition
from pharos.gateway.models.routing.conversations import Place
from pharos.gateway.models.routing.question import Question

if TYPE_CHECKING:
    from pharos.gateway.models.call import Call
    from pharos.gateway.models.targets import Target

DEFAULT = "default"
"""The branch of a call for which no rule holds."""


class Tier(NamedTuple):
    """The targets of one model, its fallbacks left out."""

    model: str
    targets: Sequence[Target]
    missing: Sequence[str]
    chooser: Chooser


class Branch(NamedTuple):
    """Where the calls of a rule go: its targets, then those of each fallback."""

    name: str
    tiers: Sequence[Tier]
    targets: Sequence[Target] = ()
    """Of all tiers."""

    @classmethod
    def of(cls, name: str, tiers: Sequence[Tier]) -> Branch:
        """A branch of these tiers."""
        return cls(name, tiers, [target for tier in tiers for target in tier.targets])


class Seen(NamedTuple):
    """A rule that was looked at."""

    rule: str
    when: str
    outcome: Literal["holds", "does not hold", "skipped"]
    why: str = ""


@dataclass(slots=True)
class Decision:
    """Where a call goes, and why."""

    branch: str
    """The rule, or :data:`DEFAULT`."""
    order: list[Target] = field(default_factory=list)
    targets: Sequence[Target] = ()
    """All targets of the branch."""
    strategy: str = ""
    why: str = ""
    fallback: bool = False
    """What is asked first is none of the branch's own targets."""
    scores: list[tuple[Target, str]] = field(default_factory=list)
    passed: dict[str, str] = field(default_factory=dict)
    """What is not asked, and why."""
    incapable: set[str] = field(default_factory=set)
    """Of those, what the call needs more of than they can do."""
    later: dict[str, str] = field(default_factory=dict)
    """What is asked only after all others, and why."""
    seen: list[Seen] = field(default_factory=list)
    conversation: bytes = b""
    began: Place | None = None
    switched: str = ""
    """The target that the conversation was with, and why it is not any more."""

    def facts(self) -> dict[str, str]:
        """What the event of the call says of it."""
        route = {
            "rule": self.rule,
            "candidates": " ".join([target.label for target in self.order]),
            "chosen": self.order[0].label,
            "why": self.why,
        }
        if route["rule"] != self.strategy:
            route["strategy"] = self.strategy
        if self.scores:
            route["scores"] = "; ".join(f"{target.label}: {score}" for target, score in self.scores)
        if self.passed or self.later or self.seen or self.switched:
            self._add(route)
        return route

    @property
    def rule(self) -> str:
        """The rule that decided; where there was none, the strategy, or that it is a fallback."""
        if self.branch != DEFAULT:
            return self.branch
        return "fallback" if self.fallback else self.strategy

    def _add(self, route: dict[str, str]) -> None:
        skipped = {seen.rule: seen.why for seen in self.seen if seen.outcome == "skipped"}
        for name, reasons in (("passedOver", self.passed), ("later", self.later), ("skipped", skipped)):
            if reasons:
                route[name] = "; ".join(f"{label}: {reason}" for label, reason in reasons.items())
        if self.switched:
            route["switched"] = self.switched


def single_route(target: Target) -> dict[str, str]:
    """What the event of a call says where there was nothing to decide."""
    return {"rule": "single", "candidates": target.label, "chosen": target.label, "why": "only target"}


def decide(question: Question, random: Random) -> Decision:
    """Where a call goes, by the same steps as ``layers/route.py``."""
    target = question.call.model.single
    if target is not None and not why_not(question.call, target, question.now):
        return Decision(DEFAULT, order=[target], targets=[target], strategy="single", why="only target")
    return question.call.model.router.decide(question, random)


class Router:
    """Decides for the calls of one model."""

    def __init__(self, default: Branch, rules: Sequence[tuple[Condition, Branch]]) -> None:
        self._default = default
        self._rules = rules
        self.leading = [branch.tiers[0].targets for branch in (default, *(branch for _, branch in rules))]
        """The targets that are asked first, of each branch."""
        self._variables = frozenset().union(*(condition.variables for condition, _ in rules))
        tiers = default.tiers
        known = [target.able for target in default.targets if target.able is not None]
        self._plain = (
            not rules
            and bool(tiers[0].targets)
            and not any(tier.missing or tier.chooser.strategy != "weighted" for tier in tiers)
            and not any(able.declared for able in known)
        )
        self._roomy = min([able.context for able in known if able.context is not None], default=sys.maxsize)
        self._why = shares(tiers[0].targets)

    @property
    def targets(self) -> Sequence[Target]:
        """All that some call can go to."""
        return [*self._default.targets, *(target for _, branch in self._rules for target in branch.targets)]

    def draw(self, call: Call, now: float, random: Random) -> tuple[list[Target], str] | None:
        """What :meth:`decide` would decide where weights are all there is to it and every target can be asked, and why,
        for less; ``None`` where there is more to it."""
        if not self._plain or call.bounds.estimate > self._roomy:
            return None
        for target in self._default.targets:
            if why_not(call, target, now):
                return None
        order: list[Target] = []
        for tier in self._default.tiers:
            order += weighted(tier.targets, random)
        return order, self._why

    def decide(self, question: Question, random: Random) -> Decision:
        """Where the call goes; an empty order if nowhere."""
        branch = self._default
        seen: list[Seen] = []
        if self._rules:
            context = context_of(question.variables(self._variables))
            for condition, then in self._rules:
                holds = condition.holds(context)
                if holds is True:
                    seen.append(Seen(then.name, condition.source, "holds"))
                    branch = then
                    break
                if holds is False:
                    seen.append(Seen(then.name, condition.source, "does not hold"))
                else:
                    seen.append(Seen(then.name, condition.source, "skipped", holds))
        decision = Decision(branch.name, targets=branch.targets, seen=seen)
        _along(branch, question, random, decision)
        return decision


def _along(branch: Branch, question: Question, random: Random, decision: Decision) -> None:
    """Rank the targets of each tier; those that may be too small for the call come after those of all tiers."""
    doubted: list[Target] = []
    first: Tier | None = None
    """The tier of the target that is asked first."""
    own = branch.tiers[0]
    rankings: list[tuple[Tier, Ranking]] = []
    for tier in branch.tiers:
        for missing in tier.missing:
            decision.passed[missing] = "does not exist"
        usable = _usable(tier, question, decision)
        if not usable:
            continue
        ranking = tier.chooser.rank(usable, question, random)
        rankings.append((tier, ranking))
        decision.scores += ranking.scores
        if not decision.later:
            decision.order += ranking.order
        else:
            for target in ranking.order:
                (doubted if target.label in decision.later else decision.order).append(target)
        if first is None and decision.order:
            first = tier
    if not rankings:
        return
    first = first or rankings[0][0]
    decision.order += doubted
    ranking = next(ranking for tier, ranking in rankings if tier is first)
    chosen, preferred = decision.order[0], ranking.order[0]
    decision.strategy = first.chooser.strategy
    decision.fallback = first is not own
    decision.why = ranking.why
    if chosen is not preferred:
        decision.why = f"{preferred.label} may be too small; {ranking.why}"
    if decision.fallback:
        none = "no target of {} can be used" if rankings[0][0] is not own else "the targets of {} may be too small"
        decision.why = f"{none.format(own.model)}; fallback {first.model}, {decision.why}"
    if rankings[0][0] is own:
        decision.conversation, decision.began = rankings[0][1].conversation, rankings[0][1].began
    if decision.began is not None and chosen.place != decision.began:
        decision.switched = f"from {label_of(decision.began)}: {_reason(decision.began, rankings[0][1], decision)}"


def _usable(tier: Tier, question: Question, decision: Decision) -> Sequence[Target]:
    call, now = question.call, question.now
    usable = []
    for target in tier.targets:
        reason = why_not(call, target, now)
        able = target.able
        # Where only the length of its context is known, most calls are far from it.
        if not reason and able is not None and (able.declared or call.bounds.estimate > (able.context or 0)):
            reason = able.lacks(question.needs)
            if reason:
                decision.incapable.add(target.label)
            elif doubt := able.doubt(question.needs):
                decision.later[target.label] = doubt
        if reason:
            decision.passed[target.label] = reason
        else:
            usable.append(target)
    return usable


def label_of(place: Place) -> str:
    """A target as explanations name it."""
    return f"{place[0].name}/{place[1]}"


def _reason(began: Place, ranking: Ranking, decision: Decision) -> str:
    """Why a conversation is not with its target any more."""
    label = label_of(began)
    return (
        ranking.moved
        or decision.passed.get(label)
        or decision.later.get(label)
        or ("others come first again" if any(t.place == began for t in decision.order) else "is no target any more")
    )


NOWHERE = Router(Branch.of(DEFAULT, [Tier("", (), (), Weighted(()))]), ())
"""The router of what has none."""
