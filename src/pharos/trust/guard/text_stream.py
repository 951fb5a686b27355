"""Examining a text that comes in pieces, with the same result however it is cut.

What has arrived is *decided* up to the place where something begins that the rest of the text could still change. Of
what is decided, every match is final: its automaton is dead, so no further text can lengthen, shorten or prevent it. So
whatever the pieces, each detector sees the same matches one after the other, and only what is undecided is held back.

A machine does not change a text, it says how to: ``(n, None)`` keeps the next ``n`` bytes of what was fed, ``(n, new)``
puts ``new`` in their place. So machines can be put into each other (see ``json_stream``).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from pharos.trust.guard.detector import CONTEXT
from pharos.trust.guard.findings import Finding, Findings, ScanFailed
from pharos.trust.guard.kinds import Direction
from pharos.trust.guard.scanner import Entry, Scanner, Use
from pharos.trust.guard.vault import Vault

Step = tuple[int, bytes | None]

PATIENCE = 256
"""Bytes that are held back before it is found out exactly whether they must be."""

MAX_HELD = 16 * 1024
"""Bytes that are held back at most. Only a private key that does not end comes near to it."""

_TRIM = 1024


class Machine(Protocol):
    """Says what to do with the bytes it is fed."""

    def feed(self, data: bytes) -> list[Step]:
        """What to do with bytes fed so far, in order. Raises ``ScanFailed``."""

    def end(self) -> list[Step]:
        """Nothing follows: what to do with the rest. Raises ``ScanFailed``."""


class Place(NamedTuple):
    """Where a text stands, for findings, and whose rules look at it."""

    pointer: str
    direction: Direction
    rules: frozenset[Direction]
    """Directions whose rules apply: of a request's tool arguments also those of the prompt, as which they go out."""
    caller: bool
    """It comes from the caller, who gets masked values back."""
    cached: bool = False


class _Hit(NamedTuple):
    start: int
    end: int
    entry: Entry
    uses: tuple[Use, ...]


class TextStream:
    """One text. The bytes are UTF-8, each piece of whole characters."""

    __slots__ = (
        "_buffer",
        "_decided",
        "_findings",
        "_hits",
        "_next",
        "_patience",
        "_place",
        "_pos",
        "_scanner",
        "_vault",
    )

    def __init__(self, scanner: Scanner, place: Place, findings: Findings, vault: Vault) -> None:
        self._scanner = scanner
        self._place = place
        self._findings = findings
        self._vault = vault
        self._buffer = b""
        self._pos = 0
        """What to do with the bytes before it has been said."""
        self._decided = 0
        """Every match that begins before it has been seen."""
        self._next: dict[int, int] = {}
        """Where each detector's last match ended, by the identity of its entry."""
        self._hits: list[_Hit] = []
        self._patience = PATIENCE

    def feed(self, data: bytes) -> list[Step]:
        if not data:
            return []
        buffer = self._buffer = self._buffer + data
        decided = self._scanner.undecided(buffer, self._decided, exact=False)
        # A little more than must be is held back, unless it becomes much: then it is worth to look closely.
        if len(buffer) - decided > self._patience:
            decided = self._scanner.undecided(buffer, decided, exact=True)
            self._patience = len(buffer) - decided + PATIENCE
        elif len(buffer) == decided:
            self._patience = PATIENCE
        return self._advance(decided)

    def end(self) -> list[Step]:
        return self._advance(len(self._buffer))

    def _advance(self, decided: int) -> list[Step]:
        if decided > self._decided:
            self._look(decided)
            self._decided = decided
        elif self._pos >= decided:
            self._limit()
            return []
        steps = self._sweep()
        self._limit()
        self._forget()
        return steps

    def _limit(self) -> None:
        if len(self._buffer) - self._pos > MAX_HELD:
            raise ScanFailed(f"something that has begun does not end within {MAX_HELD} bytes")

    def _look(self, decided: int) -> None:
        """Take the matches that begin from ``self._decided`` up to ``decided``."""
        text = self._buffer
        for entry in self._scanner.suspects(text):
            key = id(entry)
            for match in entry.pattern.finditer(text, max(self._decided, self._next.get(key, 0))):
                start, end = match.span()
                if start >= decided:
                    break
                self._next[key] = end
                self._findings.judge()
                self._judge(entry, *(match.span(1) if entry.group else (start, end)))

    def _judge(self, entry: Entry, start: int, end: int) -> None:
        text = self._buffer
        if not entry.uses:
            if self._vault.value(text[start:end]) is not None:
                self._hits.append(_Hit(start, end, entry, ()))
            return
        try:
            span = entry.detector.check(text, start, end)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a detector, ``onError`` decides what follows
            raise ScanFailed(f"the detector {entry.detector.name} is broken ({type(error).__name__})") from None
        if span is None:
            return
        start, end = span
        value = text[start:end]
        rules = self._place.rules
        uses = tuple(use for use in entry.uses if not rules.isdisjoint(use.directions) and value not in use.allowed)
        if uses:
            self._hits.append(_Hit(start, end, entry, uses))

    def _sweep(self) -> list[Step]:
        """Say what to do up to what is decided, but not into finds that a later one could still overlap."""
        hits, at = sorted(self._hits, key=lambda hit: hit[:2]), 0
        steps: list[Step] = []
        while at < len(hits):
            until, last = hits[at].end, at + 1
            while last < len(hits) and hits[last].start < until:
                until = max(until, hits[last].end)
                last += 1
            if until > self._decided:
                break
            for start, end, new in self._resolved(hits[at:last]):
                if start > self._pos:
                    steps.append((start - self._pos, None))
                steps.append((end - start, new))
                self._pos = end
            at = last
        self._hits = hits[at:]
        free = min(self._decided, hits[at].start) if at < len(hits) else self._decided
        if free > self._pos:
            steps.append((free - self._pos, None))
            self._pos = free
        return steps

    def _resolved(self, hits: list[_Hit]) -> list[tuple[int, int, bytes]]:
        """What becomes of finds that overlap. A placeholder of ours stays whole; others are masked as one, so that
        none shows a part of another."""
        edits: list[tuple[int, int, bytes]] = []
        ours = [hit for hit in hits if not hit.uses]
        for hit in ours:
            value = self._vault.value(self._buffer[hit.start : hit.end])
            if value is not None:
                edits.append((hit.start, hit.end, value))
        masked: list[_Hit] = []
        for hit in hits:
            whole = any(hit.start < own.end and own.start < hit.end for own in ours)
            if hit.uses and not whole and self._note(hit):
                masked.append(hit)
        at = 0
        while at < len(masked):
            first, until, strips = masked[at], masked[at].end, masked[at].entry.detector.strip
            at += 1
            while at < len(masked) and masked[at].start < until:
                until = max(until, masked[at].end)
                strips = strips and masked[at].entry.detector.strip
                at += 1
            new = b"" if strips else self._cover(first, until)
            edits.append((first.start, until, new))
        return sorted(edits)

    def _cover(self, hit: _Hit, end: int) -> bytes:
        value = self._buffer[hit.start : end]
        return self._vault.cover(hit.entry.detector.label, value, restorable=self._place.caller)

    def _note(self, hit: _Hit) -> bool:
        """Take a find down; whether it must not pass as it is."""
        place, detector, hides = self._place, hit.entry.detector, False
        for use in hit.uses:
            self._findings.note(
                Finding(
                    use.guard,
                    use.rule,
                    detector.name,
                    detector.what,
                    use.action,
                    place.direction,
                    place.pointer,
                    use.shadow,
                    place.cached,
                )
            )
            hides = hides or (use.action != "flag" and not use.shadow)
        return hides

    def _forget(self) -> None:
        """Let go of what no check will read again."""
        cut = min(self._pos, self._decided) - CONTEXT
        if cut < _TRIM:
            return
        buffer = self._buffer
        while buffer[cut] & 0xC0 == 0x80:
            cut -= 1
        self._buffer = buffer[cut:]
        self._pos -= cut
        self._decided -= cut
        self._next = {key: end - cut for key, end in self._next.items() if end > cut}
        self._hits = [hit._replace(start=hit.start - cut, end=hit.end - cut) for hit in self._hits]


class Rewriter:
    """Does what a machine says: bytes in, bytes out."""

    __slots__ = ("_held", "_machine")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._held = b""

    @property
    def held(self) -> int:
        """Bytes that are held back."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        self._held += data
        return self._take(self._machine.feed(data))

    def end(self) -> bytes:
        return self._take(self._machine.end())

    def release(self) -> bytes:
        """What is held, unexamined."""
        held, self._held = self._held, b""
        return held

    def _take(self, steps: list[Step]) -> bytes:
        if not steps:
            return b""
        held, at = self._held, 0
        out: list[bytes] = []
        for size, new in steps:
            out.append(held[at : at + size] if new is None else new)
            at += size
        self._held = held[at:]
        return b"".join(out)
