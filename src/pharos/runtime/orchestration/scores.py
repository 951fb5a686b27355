"""How far an agent can be relied on, from evidence. Pure.

The score is the mean of a Beta distribution (Jøsang & Ismail, *The Beta Reputation System*, 2002): 1 + what speaks for
it against 1 + what speaks against it, each piece with a weight that halves every :data:`HALF_LIFE`. Without evidence it
is one half, and that is as good as it gets in effect: evidence for an agent only outweighs evidence against it. Trust
never gives a right; the lack of it takes some.

What could be made up counts for nothing, or little:

- An end that nobody has looked at is no evidence. Many cheap tasks that went well say nothing.
- Evidence for an agent counts by what was at stake: for a task of 1 USD, reviews of tasks of 0.10 and more count in
  full, of less in proportion.
- All that one rater says of one agent has a limited weight (:data:`RATER_MOST`).
- An agent's word counts as far as people and the city's own rules have found *that* agent reliable, and no further; of
  two agents that praise each other, neither's word counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

HALF_LIFE: Final = timedelta(days=30)
RATER_MOST: Final = 3.0
"""Weight of all that one rater has said in favour of one agent, or against it."""
STAKE_SHARE: Final = 10
"""Evidence from a task with a tenth of the stake counts in full."""

EvidenceKind = Literal["review", "denial", "timeout", "runaway"]
"""``review``: somebody looked at what came of a session. ``denial``: a person refused a call. ``timeout``: its time was
over. ``runaway``: a guard had to stop it."""

Level = Literal["normal", "watched", "restricted", "barred"]

LEVELS: Final[tuple[tuple[Level, float], ...]] = (("barred", 0.15), ("restricted", 0.3), ("watched", 0.45))
"""Each holds below its score."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that speaks for an agent or against it. ``rater`` is a principal's id, or ``pharos`` for the city's own
    rules; ``by_agent``: the rater is an agent (``rater`` is then its ``namespace/name``). ``stake`` in billionths."""

    agent: str
    kind: EvidenceKind
    good: bool
    at: datetime
    rater: str
    by_agent: bool = False
    stake: int = 0
    session: str = ""
    note: str = ""


class Counted(NamedTuple):
    """A piece of evidence with the weight it has, and why that is less than 1."""

    evidence: Evidence
    weight: float
    why: str


class Score(NamedTuple):
    """``value`` from 0 to 1; ``good`` and ``bad`` are the weights behind it."""

    value: float
    good: float
    bad: float
    level: Level
    counted: tuple[Counted, ...]


NOTHING: Final = Score(0.5, 0.0, 0.0, "normal", ())


def score(
    agent: str, evidence: Iterable[Evidence], now: datetime, stake: int = 0, others: Iterable[Evidence] = ()
) -> Score:
    """The score of an agent for a task of ``stake``. ``others`` is the evidence about those agents whose word is among
    ``evidence``, and what ``agent`` has said of them."""
    about = [one for one in evidence if one.agent == agent]
    beside = list(others)
    praised = {one.agent for one in beside if one.good and one.by_agent and one.rater == agent}
    reliable: dict[str, float] = {}

    def word_of(rater: str) -> float:
        """From people and the city alone: what agents say of each other lends no weight to what they say."""
        if rater not in reliable:
            known = [one for one in beside if one.agent == rater and not one.by_agent]
            found = _sum(known, now, 0, lambda _: 1.0, frozenset())
            # What nobody has vouched for is worth nothing: 0 at one half and below.
            reliable[rater] = max(0.0, 2 * _value(found) - 1)
        return reliable[rater]

    counted = _sum(about, now, stake, word_of, praised)
    value = _value(counted)
    good = sum(one.weight for one in counted if one.evidence.good)
    bad = sum(one.weight for one in counted if not one.evidence.good)
    return Score(value, good, bad, _level(value), tuple(counted))


def _sum(
    about: Iterable[Evidence],
    now: datetime,
    stake: int,
    word_of: Callable[[str], float],
    praised: frozenset[str] | set[str],
) -> list[Counted]:
    """Weigh each piece, the newest first."""
    said: dict[tuple[str, bool], float] = defaultdict(float)
    found = []
    for one in sorted(about, key=lambda one: (one.at, one.session), reverse=True):
        weight, why = _decay(one.at, now), ""
        if one.good and stake:
            share = min(1.0, one.stake * STAKE_SHARE / stake)
            weight, why = weight * share, "little was at stake" if share < 1 else why
        if one.by_agent:
            word = 0.0 if one.good and one.rater in praised else word_of(one.rater)
            weight *= word
            if word < 1:
                why = "they praise each other" if one.good and one.rater in praised else "the word of an agent"
        if one.rater != "pharos":
            room = RATER_MOST - said[one.rater, one.good]
            if weight > room:
                weight, why = max(room, 0.0), "the same rater has said as much before"
            said[one.rater, one.good] += weight
        found.append(Counted(one, weight, why))
    return found


def _decay(at: datetime, now: datetime) -> float:
    return float(0.5 ** (max(now - at, timedelta(0)) / HALF_LIFE))


def _value(counted: Iterable[Counted]) -> float:
    good = bad = 1.0
    for one in counted:
        if one.evidence.good:
            good += one.weight
        else:
            bad += one.weight
    return good / (good + bad)


def _level(value: float) -> Level:
    return next((level for level, below in LEVELS if value < below), "normal")
