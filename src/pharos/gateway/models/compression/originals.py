"""What was left out of requests, for as long as somebody may ask for it.

In memory only, like answers that may be given again (``docs/decisions/0010-answers-are-kept-in-memory.md``): a prompt
has no place beside the audit, and a conversation that goes on says everything again with its next call, which keeps it
again. Each caller has texts of its own; nobody is given another's, whatever it knows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import zstandard

from pharos.gateway.models.compression.reference import Piece, digest_of

CITY_BYTES = 128 * 1024 * 1024
"""Memory of all texts of all callers."""

_OVERHEAD = 512
"""Bytes that an entry takes besides its text."""

_Place = tuple[str, str]


class _Entry(NamedTuple):
    digest: bytes
    text: bytes
    """zstd."""
    ttl: float
    until: float

    @property
    def size(self) -> int:
        return len(self.text) + _OVERHEAD


class Originals:
    """Texts by caller and reference; those that were not used for longest go first."""

    def __init__(self, most_bytes: int = CITY_BYTES) -> None:
        self._most = most_bytes
        self._callers: dict[str, OrderedDict[str, _Entry]] = {}
        self._held: dict[str, int] = {}
        self._lines: dict[float, OrderedDict[_Place, None]] = {}
        """By time to live: what was used last stands last, and so does what ends last."""
        self.held = 0
        """Bytes of all of it."""
        self._coder = zstandard.ZstdCompressor(level=1)

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def free(self, caller: str, piece: Piece) -> bool:
        """Whether the piece's reference names no other text of the caller."""
        entry = self._entry_of(caller, piece.ref)
        return entry is None or entry.digest == digest_of(piece.text)

    def keep(self, caller: str, pieces: Sequence[Piece], *, ttl: float, most: int, now: float) -> bool:
        """Keep pieces for ``ttl`` seconds, counted anew for those that are kept already; all of them or, where they
        have no room in ``most`` bytes for this caller, none."""
        entries = {piece.ref: self._entry(caller, piece, ttl, now) for piece in pieces}
        if sum(entry.size for entry in entries.values()) > min(most, self._most):
            return False
        for ref, entry in entries.items():
            self._drop(caller, ref)
            self._callers.setdefault(caller, OrderedDict())[ref] = entry
            self._lines.setdefault(ttl, OrderedDict())[caller, ref] = None
            self._held[caller] = self._held.get(caller, 0) + entry.size
            self.held += entry.size
        while self._held.get(caller, 0) > most:
            self._drop(caller, next(iter(self._callers[caller])))
        while self.held > self._most:
            self._drop(*self._oldest())
        return True

    def get(self, caller: str, ref: str, now: float) -> str | None:
        """The text a reference of the caller stands for, if it is kept."""
        entry = self._entry_of(caller, ref)
        if entry is None or entry.until <= now:
            return None
        return zstandard.ZstdDecompressor().decompress(entry.text).decode()

    def until(self, caller: str, ref: str) -> float:
        """When a text that is kept will be let go."""
        return self._callers[caller][ref].until

    def forget(self, caller: str) -> None:
        """Let go of all that is the caller's."""
        for ref in [*self._callers.get(caller, ())]:
            self._drop(caller, ref)

    def sweep(self, now: float) -> None:
        """Let go of what has ended."""
        for line in [*self._lines.values()]:
            while line:
                caller, ref = next(iter(line))
                if self._callers[caller][ref].until > now:
                    break
                self._drop(caller, ref)

    def _entry_of(self, caller: str, ref: str) -> _Entry | None:
        texts = self._callers.get(caller)
        return None if texts is None else texts.get(ref)

    def _entry(self, caller: str, piece: Piece, ttl: float, now: float) -> _Entry:
        known = self._entry_of(caller, piece.ref)
        if known is not None:
            return known._replace(ttl=ttl, until=now + ttl)
        return _Entry(digest_of(piece.text), self._coder.compress(piece.text.encode()), ttl, now + ttl)

    def _oldest(self) -> _Place:
        """Of the heads of all lines, the one that was used first."""
        heads = [next(iter(line)) for line in self._lines.values()]

        def used(place: _Place) -> float:
            entry = self._callers[place[0]][place[1]]
            return entry.until - entry.ttl

        return min(heads, key=used)

    def _drop(self, caller: str, ref: str) -> None:
        texts = self._callers.get(caller)
        entry = texts.pop(ref, None) if texts is not None else None
        if texts is None or entry is None:
            return
        line = self._lines[entry.ttl]
        del line[caller, ref]
        if not line:
            del self._lines[entry.ttl]
        self.held -= entry.size
        self._held[caller] -= entry.size
        if not texts:
            del self._callers[caller], self._held[caller]
