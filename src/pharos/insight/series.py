"""What other rooms measure about themselves, in Prometheus' form: read when someone looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pharos.core.plane import Series

MOST_VALUES = 200
"""Values of one series; more are not shown."""


class SeriesCollector(Collector):
    """A collector of these series."""

    def __init__(self, series: Sequence[Series]) -> None:
        self._series = series

    def describe(self) -> Iterator[Metric]:
        """The names, without a look at the values."""
        return (_family(each) for each in self._series)

    def collect(self) -> Iterator[Metric]:
        """The values now."""
        for each in self._series:
            family = _family(each)
            for labels, value in islice(each.read(), MOST_VALUES):
                family.add_metric(labels, value)
            yield family


def _family(series: Series) -> CounterMetricFamily | GaugeMetricFamily:
    family = CounterMetricFamily if series.counts else GaugeMetricFamily
    return family(series.name, series.help, labels=series.labels)
