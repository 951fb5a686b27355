"""Counters and histograms that take in sums.

The library's own metrics count one observation at a time, each under a lock. Here the views have added up hundreds of
calls before anyone counts them, so a family is a dictionary from label values to sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]


class Counts:
    """A counter for each combination of label values."""

    def __init__(self, name: str, help: str, labels: Sequence[str]) -> None:
        self._name, self._help, self._labels = name, help, labels
        self._sums: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float) -> None:
        """Add to one series."""
        self._sums[labels] = self._sums.get(labels, 0) + amount

    def family(self) -> Metric:
        """All series, for an exposition."""
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for labels, amount in self._sums.items():
            family.add_metric(labels, amount)
        return family


class Durations:
    """A histogram in seconds for each combination of label values. ``bounds`` are upper bounds of its buckets."""

    def __init__(self, name: str, help: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name, self._help, self._labels = name, help, labels
        self._bounds = [str(float(bound)) for bound in bounds]
        self._sums: dict[Labels, tuple[list[int], float]] = {}

    def add(self, labels: Labels, bucket: int, count: int, seconds: float) -> None:
        """Add ``count`` durations of ``seconds`` together. Bound ``bucket`` is the first they are within; the one after
        the last is infinity."""
        buckets, total = self._sums.get(labels) or ([0] * (len(self._bounds) + 1), 0.0)
        buckets[bucket] += count
        self._sums[labels] = buckets, total + seconds

    def family(self) -> Metric:
        """All series, for an exposition."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        for labels, (buckets, seconds) in self._sums.items():
            named = list(zip((*self._bounds, "+Inf"), map(float, accumulate(buckets)), strict=True))
            family.add_metric(labels, named, seconds)
        return family


class Tallies(Collector):
    """Families as the library's registry collects them."""

    def __init__(self, families: Sequence[Counts | Durations]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """All families."""
        return (family.family() for family in self._families)
