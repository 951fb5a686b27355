"""What a failure means for the call, by its class, and what else a model wants done: worked out with its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from pharos.gateway.models.dialects.canonical import FailureClass
from pharos.gateway.models.resilience.spec import Hedge, OnFailure, OnStreamFailure
from pharos.mesh.money import to_nanos

if TYPE_CHECKING:
    from pharos.gateway.models.kinds import ModelSpec


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do after a failure of some class."""

    again: bool
    """Ask the same target again, after a pause."""
    next: bool
    """Ask the next candidate."""
    against: bool
    """It counts against the provider in its breaker."""


POLICIES: Mapping[FailureClass, Policy] = MappingProxyType(
    {
        FailureClass.RATE_LIMITED: Policy(again=True, next=True, against=False),
        FailureClass.OVERLOADED: Policy(again=True, next=True, against=True),
        FailureClass.SERVER: Policy(again=True, next=True, against=True),
        FailureClass.CONNECT: Policy(again=True, next=True, against=True),
        # Asking again would wait as long again, for a request that may be billed twice.
        FailureClass.TIMEOUT: Policy(again=False, next=True, against=True),
        FailureClass.PROTOCOL: Policy(again=False, next=True, against=True),
        FailureClass.AUTHENTICATION: Policy(again=False, next=True, against=True),
        FailureClass.QUOTA: Policy(again=False, next=True, against=True),
        FailureClass.NOT_FOUND: Policy(again=False, next=True, against=False),
        # Another model may have a longer window.
        FailureClass.CONTEXT: Policy(again=False, next=True, against=False),
        FailureClass.INVALID: Policy(again=False, next=False, against=False),
        FailureClass.FILTERED: Policy(again=False, next=False, against=False),
    }
)
"""The policy of a model that says nothing else."""


@dataclass(frozen=True, slots=True)
class Resilience:
    """What a model wants done, beyond trying its targets one after the other."""

    policies: Mapping[FailureClass, Policy] = field(default_factory=lambda: POLICIES)
    most: int | None = None
    """Billionths that all attempts of one call together may cost."""
    mends: OnStreamFailure = "error"
    hedge: Hedge | None = None
    quiet: float = 0.0
    """Seconds of silence within an answer after which a keep-alive is sent; 0: never."""
    commit: float = 0.0
    """Seconds of silence before an answer after which its head is sent; 0: never."""

    @property
    def tick(self) -> float:
        """How often to look whether a stream is silent, in seconds; 0: never."""
        return min(filter(None, (self.quiet, self.commit)), default=0.0) / 2


PLAIN = Resilience()


def resilience_of(spec: ModelSpec) -> Resilience:
    """The plan of a model."""
    alive = spec.keep_alive
    return Resilience(
        policies=_policies(spec.on_failure),
        most=to_nanos(spec.max_cost) if spec.max_cost is not None else None,
        mends=spec.on_stream_failure,
        hedge=spec.hedge,
        quiet=(alive.after_ms or 0) / 1000,
        commit=(alive.commit_after_ms or 0) / 1000,
    )


def _policies(own: OnFailure | None) -> Mapping[FailureClass, Policy]:
    if own is None:
        return POLICIES
    policies = dict(POLICIES)
    for cls, policy in POLICIES.items():
        reaction = getattr(own, cls.value)  # the fields have the names of the classes
        if reaction is not None:
            policies[cls] = replace(
                policy,
                again=policy.again if reaction.again is None else reaction.again,
                next=policy.next if reaction.next is None else reaction.next,
            )
    return policies
