"""Outlier ejection: a target that does markedly worse than the others of its model is left alone for a while.

A breaker asks whether a provider fails; this asks whether a target is worse than its peers, which have the same calls:
a share of failures that is bad for one is nothing to tell against it when all have it. A target is ejected for longer
each time in a row; afterwards it is half open: one call goes through, and says whether the target is back.

All targets of a model are counted in one window, so that what is compared is of the same time. Times are seconds of one
clock that never runs backwards.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from pharos.gateway.models.resilience.spec import Outliers

MOST_DOUBLINGS = 20


class Field:
    """The targets of one model, as they stand among each other."""

    __slots__ = ("_standings", "ends", "rule", "seconds")

    def __init__(self, rule: Outliers) -> None:
        self.rule = rule
        self.seconds = rule.window_ms / 1000
        self.ends = 0.0
        """When the present window ends."""
        self._standings: dict[Hashable, Standing] = {}

    def keep(self, places: Iterable[Hashable]) -> Mapping[Hashable, Standing]:
        """The standings of exactly these targets: of those that were here before, as they are."""
        self._standings = {place: self._standings.get(place) or Standing(self) for place in places}
        return self._standings

    def roll(self, now: float) -> None:
        """Begin another window if the present one is over."""
        if now >= self.ends:
            self.ends = now + self.seconds
            for standing in self._standings.values():
                standing.forget()

    def peers(self, standing: Standing) -> Sequence[Standing]:
        """The others that can be compared with."""
        least = self.rule.minimum
        return [
            other
            for other in self._standings.values()
            if other is not standing and not other.ejected and other.calls >= least
        ]

    @property
    def has_room(self) -> bool:
        """Whether another target may be ejected."""
        ejected = sum(standing.ejected for standing in self._standings.values())
        return ejected + 1 <= self.rule.max_share * len(self._standings)


class Standing:
    """How one target does."""

    __slots__ = ("_field", "_probing", "_reinstated", "_times", "_until", "calls", "counts", "failed", "seconds")

    def __init__(self, field: Field) -> None:
        self._field = field
        self._until: float | None = None
        """Ejected until then, and from then on half open; ``None``: not ejected."""
        self._times = 0
        """How often it was ejected in a row."""
        self._reinstated = 0.0
        self._probing = False
        self.forget()

    def forget(self) -> None:
        """Another window begins."""
        self.calls = 0
        self.failed = 0
        self.counts = [0, 0]
        """Answers that came: whole ones, streams."""
        self.seconds = [0.0, 0.0]
        """How long those took together: to their end, to their first content."""

    @property
    def ejected(self) -> bool:
        """Whether it is left alone, or half open."""
        return self._until is not None

    def allows(self, now: float) -> bool:
        """Whether a call may go to it."""
        return self._until is None or (now >= self._until and not self._probing)

    def retry_in(self, now: float) -> float:
        """Seconds until a call may go to it; 0 if one may now."""
        return 0.0 if self._until is None else max(self._until - now, 0.0)

    def began(self) -> None:
        """A call goes to it."""
        if self._until is not None:
            self._probing = True

    def ended(self, now: float, seconds: float, first_token: float | None, *, succeeded: bool | None) -> None:
        """A call is over, after ``seconds``, or ``first_token`` seconds to the first content of a stream. ``None``: its
        end says nothing about the target."""
        if succeeded is None:
            self._probing = False
            return
        kind, took = (0, seconds) if first_token is None else (1, first_token)
        if self._until is not None:
            if self._probing:
                self._probed(now, kind, took, succeeded=succeeded)
            return
        field = self._field
        field.roll(now)
        self.calls += 1
        if succeeded:
            self.counts[kind] += 1
            self.seconds[kind] += took
        else:
            self.failed += 1
        if self.calls >= field.rule.minimum and self._stands_out(kind) and field.has_room:
            self._eject(now)

    def _stands_out(self, kind: int) -> bool:
        rule, peers = self._field.rule, self._field.peers(self)
        calls = sum(peer.calls for peer in peers)
        if not calls:
            return False
        share = sum(peer.failed for peer in peers) / calls
        if self.failed and self.failed / self.calls >= share + rule.error_ratio:
            return True
        mine = self.counts[kind]
        return mine >= rule.minimum and self._slow(kind, self.seconds[kind] / mine, rule.minimum)

    def _slow(self, kind: int, took: float, least: int) -> bool:
        """Whether ``took`` is long, compared with at least so many answers of the others."""
        peers = self._field.peers(self)
        count = sum(peer.counts[kind] for peer in peers)
        if count < least:
            return False
        mean = sum(peer.seconds[kind] for peer in peers) / count
        return took > mean * self._field.rule.latency_factor

    def _probed(self, now: float, kind: int, took: float, *, succeeded: bool) -> None:
        self._field.roll(now)
        if not succeeded or self._slow(kind, took, 1):
            self._eject(now)
            return
        self._until = None
        self._probing = False
        self._reinstated = now
        self.forget()

    def _eject(self, now: float) -> None:
        rule = self._field.rule
        longest = rule.max_eject_ms / 1000
        if self._until is None and now - self._reinstated > longest:
            self._times = 0  # it did well for long: this is not in a row
        self._until = now + min(rule.eject_ms / 1000 * 2 ** min(self._times, MOST_DOUBLINGS), longest)
        self._times += 1
        self._probing = False
        self.forget()
