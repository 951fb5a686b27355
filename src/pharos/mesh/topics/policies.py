"""The rules that hold for a topic: the closest ``Topic`` resource, found once for each topic and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pharos.core.resource import Resource
from pharos.mesh.scheduling.lanes import DEFAULT_POOL, lane
from pharos.mesh.topics.kinds import DeadLetters, LaneRule, Retention, TopicSpec
from pharos.mesh.topics.names import REPLIES, SCHEDULES, STREAMS, Reach, place_of, reach_of

REPLIES_KEPT: Final = 24 * 3600
"""Seconds for which answers that nobody reads are kept."""

STREAMS_KEPT: Final = 24 * 3600
"""Seconds for which pieces of a session's answers are kept: the whole answer stands in the session itself."""

SKIPS_KEPT: Final = 30 * 24 * 3600
"""Seconds for which it is known that a run of a schedule was left out, and why."""

_REMEMBERED = 65_536


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a topic. ``origin`` is the resource that says them, ``""`` where none does."""

    retention: Retention | None = None
    idle_seconds: float | None = None
    dead_letters: DeadLetters = field(default_factory=DeadLetters)
    depth: int | None = None
    lane: str | None = None
    origin: str = ""


DEFAULT: Final = Policy()
_ANSWERS: Final = Policy(idle_seconds=REPLIES_KEPT)
_STREAMS: Final = Policy(retention=Retention(age_seconds=STREAMS_KEPT))
_SKIPS: Final = Policy(retention=Retention(age_seconds=SKIPS_KEPT), idle_seconds=SKIPS_KEPT)
_OWN: Final = ((REPLIES, _ANSWERS), (STREAMS, _STREAMS), (SCHEDULES, _SKIPS))
"""The city's own topics that have rules."""
_RULED: Final = tuple(prefix for prefix, _ in _OWN)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a resource says about which topics."""

    reach: Reach
    policy: Policy


class Policies:
    """Knows the rules of every topic. ``declared`` reads the resources; call :meth:`changed` when one changes."""

    def __init__(self, declared: Callable[[], Sequence[Resource[TopicSpec]]]) -> None:
        self._declared = declared
        self._rules: list[Rule] | None = None
        self._known: dict[str, Policy] = {}

    def changed(self) -> None:
        """Read the resources anew."""
        self._rules = None
        self._known.clear()

    def of(self, topic: str) -> Policy:
        """The rules of a topic, by its name in the log."""
        policy = self._known.get(topic)
        if policy is None:
            policy = self._find(topic)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[topic] = policy
        return policy

    def rules(self) -> Sequence[Rule]:
        """All rules, the closest first; the last are those of the city's own topics."""
        if self._rules is None:
            rules = [_rule(resource) for resource in self._declared()]
            # An exact name is closer than any pattern, a longer prefix closer than a shorter one.
            self._rules = sorted(rules, key=lambda rule: (not rule.reach.exact, -len(rule.reach.prefix)))
            self._rules += [Rule(Reach(prefix, exact=False), policy) for prefix, policy in _OWN]
        return self._rules

    def _find(self, topic: str) -> Policy:
        # Of the city's own topics most have no rule, and need not be held against all there are.
        if place_of(topic) is None and not topic.startswith(_RULED):
            return DEFAULT
        return next((rule.policy for rule in self.rules() if rule.reach.has(topic)), DEFAULT)


def _rule(resource: Resource[TopicSpec]) -> Rule:
    spec, namespace = resource.spec, resource.metadata.namespace
    policy = Policy(
        retention=spec.retention,
        idle_seconds=spec.idle_seconds,
        dead_letters=spec.dead_letters,
        depth=spec.depth,
        lane=None if spec.lane is None else _lane(spec.lane, namespace),
        origin=str(resource.id),
    )
    return Rule(reach_of(namespace, spec.match or resource.metadata.name), policy)


def _lane(rule: LaneRule, namespace: str) -> str:
    pool = DEFAULT_POOL
    if rule.pool is not None:
        pool = rule.pool if "/" in rule.pool else f"{namespace}/{rule.pool}"
    return lane(pool, rule.priority, tenant=namespace, agent=rule.agent, model=rule.model, labels=rule.labels)
