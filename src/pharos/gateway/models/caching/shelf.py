"""Answers in memory: a bounded shelf for each model, all of them within one bound for the city.

Nothing is written to disk (see ``docs/decisions``): an answer is a copy that can be asked for again, and copies of what
was said have no business outliving the process, the retention of the audit, or a purge.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pharos.core.resource import ResourceId
from pharos.mesh.facts import Usage
from pharos.mesh.money import decimal_text

RawHeaders = tuple[tuple[bytes, bytes], ...]

OVERHEAD = 1_024
"""Bytes an entry takes beside its body, roughly."""

CITY_BYTES = 256 * 1024 * 1024
"""Memory of all shelves together."""


@dataclass(slots=True)
class Recording:
    """One answer, as its client got it."""

    body: bytes
    content_type: bytes
    headers: RawHeaders
    streamed: bool
    tenant: str
    call: str
    """Id of the call it was the answer to."""
    usage: Usage
    cost: int | None
    """What that answer cost, in billionths; ``None`` where nobody knows."""
    made_at: float
    """On the clock of ``time.monotonic``."""
    saved: str | None = field(init=False)
    """What it cost, as the wire says it."""

    def __post_init__(self) -> None:
        self.saved = None if self.cost is None else decimal_text(self.cost)

    @property
    def size(self) -> int:
        """Bytes it counts for."""
        return len(self.body) + OVERHEAD


@dataclass(slots=True)
class Tally:
    """What one model's caches did since the city started."""

    hits: int = 0
    misses: int = 0
    stored: int = 0
    passed: int = 0
    """Answers that were not kept: failed, cut, filtered, too long for their limit, or too large for the cache."""
    evicted: int = 0
    coalesced: int = 0
    promoted: int = 0
    similar: int = 0
    saved: int = 0
    """Billionths that calls answered from here would have cost."""


@dataclass(slots=True)
class Shelf:
    """The answers of one model."""

    model: ResourceId
    max_entries: int
    max_bytes: int
    ttl: float
    """Seconds that an answer is good for."""
    held: int = 0
    """Bytes, see :attr:`Recording.size`."""
    generation: int = 0
    """Grows when something is taken off the shelf on purpose: what was being recorded then is not put on it."""
    tally: Tally = field(default_factory=Tally)
    _entries: OrderedDict[bytes, Recording] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes, now: float) -> Recording | None:
        """The answer kept under a key, unless it is too old."""
        found = self._entries.get(digest)
        if found is None:
            return None
        if found.made_at + self.ttl <= now:
            self._drop(digest)
            return None
        self._entries.move_to_end(digest)
        return found

    def put(self, digest: bytes, recording: Recording) -> None:
        """Keep an answer, at the cost of those that were not used for longest."""
        if digest in self._entries:
            self._drop(digest)
        self._entries[digest] = recording
        self.held += recording.size
        self.tally.stored += 1
        while len(self._entries) > self.max_entries or self.held > self.max_bytes:
            self.evict()

    def evict(self) -> None:
        """Let go of the answer that was not used for longest."""
        _, recording = self._entries.popitem(last=False)
        self.held -= recording.size
        self.tally.evicted += 1

    def items(self) -> Iterator[tuple[bytes, Recording]]:
        """All answers with their keys."""
        return iter(self._entries.items())

    def purge(self, which: Callable[[bytes, Recording], bool]) -> int:
        """Take answers off the shelf; returns how many. What is being recorded now is not put on it any more."""
        self.generation += 1
        gone = [digest for digest, recording in self._entries.items() if which(digest, recording)]
        for digest in gone:
            self._drop(digest)
        return len(gone)

    def sweep(self, now: float) -> None:
        """Let go of what is too old."""
        for digest in [digest for digest, recording in self._entries.items() if recording.made_at + self.ttl <= now]:
            self._drop(digest)

    def _drop(self, digest: bytes) -> None:
        self.held -= self._entries.pop(digest).size


class Shelves:
    """The shelves of all models."""

    def __init__(self, most: int = CITY_BYTES) -> None:
        self._most = most
        self._shelves: dict[ResourceId, Shelf] = {}

    def of(self, model: ResourceId, max_entries: int, max_bytes: int, ttl: float) -> Shelf:
        """The shelf of a model, with these bounds from now on."""
        shelf = self._shelves.get(model)
        if shelf is None:
            shelf = self._shelves[model] = Shelf(model, max_entries, max_bytes, ttl)
        shelf.max_entries, shelf.max_bytes, shelf.ttl = max_entries, max_bytes, ttl
        while len(shelf) > max_entries or shelf.held > max_bytes:
            shelf.evict()
        return shelf

    def put(self, shelf: Shelf, digest: bytes, recording: Recording) -> None:
        """Keep an answer. Where the city's bound is met, the fullest shelf gives way."""
        if recording.size > min(self._most, shelf.max_bytes):
            shelf.tally.passed += 1
            return
        shelf.put(digest, recording)
        while self.held > self._most:
            max(self._shelves.values(), key=lambda each: each.held).evict()

    @property
    def held(self) -> int:
        """Memory of all of them."""
        return sum(shelf.held for shelf in self._shelves.values())

    def clear(self, model: ResourceId) -> None:
        """What is kept of a model is no longer good. Calls under way put nothing on its shelf either."""
        shelf = self._shelves.get(model)
        if shelf is not None:
            shelf.purge(lambda _digest, _recording: True)

    def drop(self, model: ResourceId) -> None:
        """A model has no cache any more."""
        self.clear(model)
        self._shelves.pop(model, None)

    def sweep(self, now: float) -> None:
        """Let go of what is too old, everywhere."""
        for shelf in self._shelves.values():
            shelf.sweep(now)

    def __iter__(self) -> Iterator[Shelf]:
        return iter(tuple(self._shelves.values()))
