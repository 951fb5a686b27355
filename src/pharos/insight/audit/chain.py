"""The hash chain: what makes a change of the past visible.

The log gives every event of a chain's topic a place, from 1 without gaps. The leaf of an event is the SHA-256 of
everything it says and of its place; the head after n events is ``H(n) = SHA-256(H(n-1) + leaf(n))``, beginning with a
value that names the chain. Heads are written to the log as *seals*, each with the leaves of its stretch: recomputing
the heads finds that something was changed, and the leaves tell which event it was. A record that is gone leaves a gap.

A chain kept in one place can only prove that it agrees with itself. Who rewrites the whole of it, seals included,
is found by whoever noted a head elsewhere: an *anchor* (``audit.verify`` prints one and takes them back).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypedDict

from pharos.core.event import Recorded
from pharos.core.wire import Json
from pharos.mesh.auditing import canonical

EXPIRED: Literal["audit.expired"] = "audit.expired"
"""Contents were deleted because their time was over: the tombstone of each, with the days that were agreed."""
VIEWED: Literal["audit.viewed"] = "audit.viewed"
"""Somebody saw contents."""
SEALED: Literal["audit.sealed"] = "audit.sealed"
SEALS = "audit-seals/"
"""Prefix of the topics of seals; the rest is the namespace."""


class Seal(TypedDict):
    """Data of ``audit.sealed``. Heads and leaves are lower-case hex."""

    chain: str
    first: int
    last: int
    leaves: list[str]
    previous: str
    head: str
    position: str
    """Where in the log the event at ``last`` stands."""


def seals_of(namespace: str) -> str:
    """The topic of the seals of a namespace's chain."""
    return f"{SEALS}{namespace}"


def genesis(chain: str) -> bytes:
    """The head before the first event."""
    return hashlib.sha256(f"pharos audit chain 1\n{chain}".encode()).digest()


def leaf_of(recorded: Recorded) -> bytes:
    """Everything an event says, and where it stands."""
    event = recorded.event
    said: list[Json] = [
        event.topic,
        recorded.sequence,
        event.id,
        event.type,
        event.time.isoformat(),
        event.source,
        event.subject,
        event.principal,
        event.causation,
        event.correlation,
        event.traceparent,
        dict(event.data),
    ]
    if event.refs:
        said.append([list(ref) for ref in event.refs])
    return hashlib.sha256(canonical(said)).digest()


def extended(head: bytes, leaves: Iterable[bytes]) -> bytes:
    """The head after these leaves."""
    for leaf in leaves:
        head = hashlib.sha256(head + leaf).digest()
    return head


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain is sealed."""

    sequence: int
    head: bytes
    position: str
    seals: int
    """How many seals there are."""
