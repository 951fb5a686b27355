"""A chain of digests through a session's log, so that an event that was altered afterwards is noticed.

Each ``turn.started`` carries the digest of all events before it: of the link before, and of the events since. It is
written by the worker with the event and checked when a session is replayed; deciding never looks at it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson

from pharos.core.event import Event, Recorded
from pharos.core.wire import Json
from pharos.runtime.session.events import SESSION_FORKED, TURN_STARTED


class Link(NamedTuple):
    """What the next link is made of: the digests of the events since the last one, the last one's event first."""

    digests: tuple[str, ...] = ()

    def then(self, event: Event) -> Link:
        """With one event more. A ``turn.started`` begins anew: it holds what came before it."""
        digest = digest_of(event.id, event.type, event.data)
        return Link((digest,)) if event.type == TURN_STARTED else Link((*self.digests, digest))

    def closed(self) -> str:
        """The link: for the next ``turn.started``."""
        return hashlib.sha256("".join(self.digests).encode()).hexdigest()


def digest_of(id: str, type: str, data: Mapping[str, Json]) -> str:
    """The digest of one event."""
    said = orjson.dumps([id, type, dict(data)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).hexdigest()


def broken_at(recorded: Iterable[Recorded]) -> int | None:
    """The sequence of the first ``turn.started`` that does not follow from the events before it. Events that were
    copied into a fork have other ids than when they were linked: links count from the fork on."""
    events = list(recorded)
    forks = [index for index, one in enumerate(events) if one.event.type == SESSION_FORKED]
    first = forks[-1] if forks else -1
    link = Link()
    for index, one in enumerate(events):
        if one.event.type == TURN_STARTED and index > first:
            said = one.event.data.get("chain")
            if said is not None and said != link.closed():
                return one.sequence
        link = link.then(one.event)
    return None
