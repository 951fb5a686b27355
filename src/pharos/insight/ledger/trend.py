"""The arithmetic of forecast and anomaly, on days of spending in billionths. No amount passes through a float.

Trend: the Theil-Sen estimator (Sen 1968): the slope is the median of the slopes between all pairs of days, the level
the median of what is left; up to 29 days in a hundred may be outliers without moving it far.

Anomaly: the modified z-score (Iglewicz and Hoaglin 1993): ``0.6745 (x - median) / MAD``, where MAD is the median of the
distances from the median. Where more than half of the days are equal the MAD is zero, and the mean distance stands in
for it: ``(x - median) / (1.253314 MeanAD)``. A day that differs from days that are all equal has no finite score.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

_MAD_SCALE = Fraction(6745, 10_000)
_MEAN_SCALE = Fraction(1_253_314, 1_000_000)


def median(values: Sequence[Fraction]) -> Fraction:
    """The middle value, or the mean of the two middle ones; 0 of none."""
    if not values:
        return Fraction(0)
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


class Trend(NamedTuple):
    """A line through days: ``level + slope * day``, day 0 being the first of them."""

    level: Fraction
    slope: Fraction
    spread: Fraction
    """Median distance of a day from the line."""

    def at(self, day: int) -> Fraction:
        """What the line says of a day; nobody spends less than nothing."""
        return max(self.level + self.slope * day, Fraction(0))


def trend_of(days: Sequence[int]) -> Trend:
    """The trend of consecutive days. One day, or none, has no slope."""
    slopes = [
        Fraction(days[later] - days[earlier], later - earlier)
        for earlier in range(len(days))
        for later in range(earlier + 1, len(days))
    ]
    slope = median(slopes)
    level = median([amount - slope * day for day, amount in enumerate(days)])
    spread = median([abs(amount - (level + slope * day)) for day, amount in enumerate(days)])
    return Trend(level, slope, spread)


class Score(NamedTuple):
    """How far a day is from the days before it."""

    usual: Fraction
    """Their median."""
    score: Fraction | None
    """``None``: it differs from days that are all equal."""


def score_of(amount: int, before: Sequence[int]) -> Score:
    """The modified z-score of a day among the days before it."""
    days = [Fraction(day) for day in before]
    usual = median(days)
    off = amount - usual
    if off == 0:
        return Score(usual, Fraction(0))
    distances = [abs(day - usual) for day in days]
    if mad := median(distances):
        return Score(usual, _MAD_SCALE * off / mad)
    if mean := sum(distances, Fraction(0)) / max(len(distances), 1):
        return Score(usual, off / (_MEAN_SCALE * mean))
    return Score(usual, None)
