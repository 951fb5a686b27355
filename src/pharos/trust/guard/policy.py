"""Which guards see a call, worked out when a guard changes and not when a call comes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pharos.control.index import Index
from pharos.core.resource import Ref, Resource, ResourceId
from pharos.trust.guard.catalog import named
from pharos.trust.guard.detector import Detector
from pharos.trust.guard.kinds import GUARD, Direction, GuardRule, GuardSpec
from pharos.trust.guard.scanner import Allowed, Scanner, Use, words
from pharos.trust.kinds import KeySpec

MAX_POLICIES = 32
"""Combinations of guards that are kept compiled."""

REQUEST: frozenset[Direction] = frozenset({"prompt", "toolArguments", "toolResults"})
ANSWER: frozenset[Direction] = frozenset({"answer", "toolArguments"})


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """Guards that see the same call, compiled together."""

    guards: tuple[str, ...]
    request: Scanner | None
    """For what goes to the model; ``None`` where no rule looks at it."""
    answer: Scanner | None
    """For what comes back, placeholders included; ``None`` where no rule looks at it."""
    restore: Scanner
    """Only puts back what was masked."""
    closed: bool
    """What cannot be examined does not pass."""
    broken: str = ""
    """Why the guards could not be compiled."""


@dataclass(frozen=True, slots=True, eq=False)
class KeyGuards:
    """The guards that may see calls of one key; which of them do depends on the model."""

    _policies: Policies
    _namespace: str
    _guards: tuple[Resource[GuardSpec], ...]
    _known: dict[tuple[ResourceId, ...], Policy | None] = field(default_factory=dict)

    def policy(self, models: tuple[ResourceId, ...]) -> Policy | None:
        """The guards of a call that may be answered by any of ``models``; ``None`` if there are none."""
        try:
            return self._known[models]
        except KeyError:
            pass
        guards = [guard for guard in self._guards if _sees(guard, self._namespace, models)]
        if len(self._known) >= MAX_POLICIES:
            self._known.clear()
        policy = self._known[models] = self._policies.of(guards) if guards else None
        return policy


class Policies:
    """All guards, from the index."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._compiled: OrderedDict[tuple[tuple[str, int], ...], Policy] = OrderedDict()
        self._restore: Scanner | None = None

    def of_key(self, key: Resource[KeySpec]) -> KeyGuards | None:
        """The guards that may see calls of ``key``; ``None`` if no guard can."""
        guards = tuple(guard for guard in self._index.all(GUARD) if _may_see(guard, key))
        return KeyGuards(self, key.metadata.namespace, guards) if guards else None

    def of(self, guards: Sequence[Resource[GuardSpec]]) -> Policy:
        """``guards``, compiled."""
        identity = tuple(sorted((guard.metadata.uid, guard.metadata.revision) for guard in guards))
        policy = self._compiled.get(identity)
        if policy is None:
            if self._restore is None:
                self._restore = Scanner((), restores=True)
            policy = self._compiled[identity] = compile_policy(guards, self._restore)
            if len(self._compiled) > MAX_POLICIES:
                self._compiled.popitem(last=False)
        return policy


def compile_policy(guards: Sequence[Resource[GuardSpec]], restore: Scanner) -> Policy:
    """Guards that see the same call. What cannot be compiled is told with each call, as ``onError`` says."""
    names = tuple(f"{guard.metadata.namespace}/{guard.metadata.name}" for guard in guards)
    closed = any(guard.spec.on_error == "closed" and not guard.spec.shadow for guard in guards)
    wanted: list[tuple[Detector, Use]] = []
    try:
        for name, guard in zip(names, guards, strict=True):
            allowed = Allowed(guard.spec.allow, guard.spec.allow_patterns)
            for at, rule in enumerate(guard.spec.rules):
                use = Use(name, at, rule.action, frozenset(rule.directions), guard.spec.shadow, allowed)
                wanted += [(detector, use) for detector in _detectors(rule, guard.spec)]
        request = [(detector, use) for detector, use in wanted if not REQUEST.isdisjoint(use.directions)]
        answer = [(detector, use) for detector, use in wanted if not ANSWER.isdisjoint(use.directions)]
        return Policy(
            names,
            Scanner(request, restores=False) if request else None,
            Scanner(answer, restores=True) if answer else None,
            restore,
            closed,
        )
    except (ValueError, KeyError) as error:
        return Policy(names, None, None, restore, closed, f"the guards cannot be compiled: {error}")


def _detectors(rule: GuardRule, spec: GuardSpec) -> list[Detector]:
    found = named(rule.detectors, spec.phone_regions)
    for own in rule.patterns:
        found.append(Detector(own.name, "custom", f"a match of {own.name}", own.pattern))
    for listed in rule.words:
        found.append(Detector(listed.name, "custom", f"a word of {listed.name}", words(listed.words)))
    return found


_KEY, _MODEL = Ref("Key"), Ref("Model")


def _may_see(guard: Resource[GuardSpec], key: Resource[KeySpec]) -> bool:
    """Whether a guard sees calls of ``key``, as far as the key decides that."""
    reach, namespace = guard.spec.applies_to, guard.metadata.namespace
    labels = key.metadata.labels
    if any(labels.get(name) != value for name, value in reach.labels.items()):
        return False
    return not reach.keys or any(name == "*" or _KEY.resolve(name, namespace) == key.id for name in reach.keys)


def _sees(guard: Resource[GuardSpec], namespace: str, models: tuple[ResourceId, ...]) -> bool:
    """Whether a guard that may see a key's calls sees those to ``models``."""
    reach, own = guard.spec.applies_to, guard.metadata.namespace
    if reach.models:
        named_models = {_MODEL.resolve(name, own) for name in reach.models if name != "*"}
        if "*" not in reach.models and named_models.isdisjoint(models):
            return False
    return reach.everywhere or namespace == own or any(model.namespace == own for model in models)
