"""Metrics in Prometheus' form: one more reading of the views.

Nothing is counted on the path of a call. Rows that the ledger and the journeys gained since the last look are counted
when someone looks, and every few seconds in between so that a look is never long: two queries add up thousands of
calls where they lie, instead of a task that wakes for each. So metrics tell the ledger's story, late by at most the
ledger's own lag, and their sums differ from its sums only by the rounding of floats.

As Prometheus expects of a process, everything counts from its start. Labels hold names that the city's own resources
determine, never what a caller wrote, and the number of values of each is bounded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector

from pharos.core.event import START, Position
from pharos.core.fault import Fault
from pharos.core.projection import Row, Scalar
from pharos.core.tasks import running
from pharos.insight.journeys import JOURNEYS
from pharos.insight.ledger.items import integer
from pharos.insight.ledger.rows import LEDGER
from pharos.insight.tallies import Counts, Durations, Tallies
from pharos.insight.views import View, ViewStates
from pharos.mesh.money import NANOS
from pharos.store.ports import Views

_log = logging.getLogger(__name__)

PERIOD = 5.0
"""Seconds between two looks at the views, if nobody asks."""
MOST_VALUES = 200
"""Values of one label; what comes later is counted as ``other``."""
OTHER = "other"

_CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
_FIRST_TOKEN_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30, 60)

_CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


def _bucket(column: str, bounds: Sequence[float]) -> str:
    """The first bound that a column in microseconds is within, by its number; NULL where it is NULL."""
    within = " ".join(f"WHEN {column} <= {round(bound * 1e6)} THEN {number}" for number, bound in enumerate(bounds))
    return f"CASE {within} WHEN {column} IS NOT NULL THEN {len(bounds)} END"


# One row for each series and its buckets, whatever the number of calls: they are added up where they lie.
_TIMES = (
    f"{_bucket('latency', _CALL_SECONDS)} AS latency_in, coalesce(sum(latency), 0), "
    f"{_bucket('first_token', _FIRST_TOKEN_SECONDS)} AS first_token_in, coalesce(sum(first_token), 0)"
)
_ATTEMPTS = (
    f"SELECT max(position), provider, target, outcome, currency, {_TIMES}, count(*), count(cost), "  # noqa: S608
    f"coalesce(sum(cost), 0), {', '.join(f'sum({name})' for name in _CLASSES)} "
    "FROM ledger WHERE position > :position AND kind = 'attempt' "
    "GROUP BY provider, target, outcome, currency, latency_in, first_token_in"
)
_CALLS = (
    f"SELECT max(position), model, outcome, fault, {_TIMES}, attempts > 0 AS attempted, count(*) "  # noqa: S608
    "FROM journey_steps WHERE position > :position "
    "GROUP BY model, outcome, fault, attempted, latency_in, first_token_in"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that another room measures (calls in flight, open connections), read when someone looks."""

    name: str
    help: str
    read: Callable[[], float]


class Metrics:
    """The city's metrics, in a registry of their own."""

    def __init__(self, views: Views, states: ViewStates, readings: Sequence[Reading] = ()) -> None:
        self._views = views
        self._states = states
        self._turn = asyncio.Lock()
        self._attempts_seen: Position = START
        self._calls_seen: Position = START
        self._names: dict[str, set[str]] = {}
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        for reading in readings:
            Gauge(reading.name, reading.help, registry=self.registry).set_function(reading.read)
        self._calls = Counts(
            "pharos_model_calls",
            "Model calls that ended. A refused call has no model: the name it asked for may be anything.",
            ("model", "outcome", "fault"),
        )
        self._call_seconds = Durations(
            "pharos_model_call_seconds",
            "Duration of model calls that reached a provider, all attempts together.",
            ("model", "outcome"),
            _CALL_SECONDS,
        )
        self._call_first_token = Durations(
            "pharos_model_call_first_token_seconds",
            "Time from the call to the first token that reached the client.",
            ("model",),
            _FIRST_TOKEN_SECONDS,
        )
        target = ("provider", "model")
        self._attempts = Counts("pharos_model_attempts", "Requests to providers.", (*target, "outcome"))
        self._attempt_seconds = Durations(
            "pharos_model_attempt_seconds", "Duration of requests to providers.", (*target, "outcome"), _CALL_SECONDS
        )
        self._attempt_first_token = Durations(
            "pharos_model_attempt_first_token_seconds",
            "Time from the request to the first token from the provider.",
            target,
            _FIRST_TOKEN_SECONDS,
        )
        self._tokens = Counts("pharos_model_tokens", "Tokens by price class.", (*target, "class"))
        self._cost = Counts(
            "pharos_model_cost",
            "Cost of attempts in units of the currency; the exact sums are in the ledger.",
            (*target, "currency"),
        )
        self._unpriced = Counts(
            "pharos_model_unpriced_attempts", "Attempts without a known price, which are in no cost.", target
        )
        self.registry.register(
            Tallies(
                (
                    self._calls,
                    self._call_seconds,
                    self._call_first_token,
                    self._attempts,
                    self._attempt_seconds,
                    self._attempt_first_token,
                    self._tokens,
                    self._cost,
                    self._unpriced,
                )
            )
        )
        self._view_lag = Gauge(
            "pharos_view_lag_seconds",
            "Age of the oldest event that a view has not taken in; 0 if there is none.",
            ("view",),
            registry=self.registry,
        )
        self._view_up = Gauge(
            "pharos_view_up", "Whether a view takes in events (1) or fails to (0).", ("view",), registry=self.registry
        )
        self._view_skipped = Gauge(
            "pharos_view_skipped_events",
            "Events in the log that a view could not read.",
            ("view",),
            registry=self.registry,
        )

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Count from now on, until the context is left."""
        self._attempts_seen = await self._views.position(LEDGER)
        self._calls_seen = await self._views.position(JOURNEYS)
        async with running(self._keep_up, "metrics"):
            yield

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """All metrics now, in the text format that ``accept`` (the header) prefers, and its content type."""
        await self.refresh()
        for state in await self._states.states():
            self._show(state)
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    async def refresh(self) -> None:
        """Count what the views gained since the last time. Raises ``Fault`` where they cannot be read."""
        async with self._turn:
            for row in await self._views.query(_ATTEMPTS, {"position": self._attempts_seen}):
                self._attempts_seen = max(self._attempts_seen, str(row[0]))
                self._count_attempts(row)
            for row in await self._views.query(_CALLS, {"position": self._calls_seen}):
                self._calls_seen = max(self._calls_seen, str(row[0]))
                self._count_calls(row)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await self.refresh()
            except Fault as fault:
                _log.warning("metrics could not be read from the views: %s", fault.code)

    def _count_attempts(self, row: Row) -> None:
        _, provider, target, outcome, currency, *times = row[:9]
        count, priced, cost, *tokens = map(integer, row[9:])
        names = self._name("provider", provider), self._name("target", target)
        self._attempts.add((*names, str(outcome)), count)
        for name, value in zip(_CLASSES, tokens, strict=True):
            if value:
                self._tokens.add((*names, name), value)
        if priced < count:
            self._unpriced.add(names, count - priced)
        if cost:
            self._cost.add((*names, self._name("currency", currency)), cost / NANOS)
        _observe(self._attempt_seconds, (*names, str(outcome)), count, times[:2])
        _observe(self._attempt_first_token, names, count, times[2:])

    def _count_calls(self, row: Row) -> None:
        _, model, outcome, fault, *times = row[:8]
        attempted, count = map(integer, row[8:])
        name = self._name("model", model) if attempted else ""
        self._calls.add((name, str(outcome), self._name("fault", fault)), count)
        if attempted:
            _observe(self._call_seconds, (name, str(outcome)), count, times[:2])
        _observe(self._call_first_token, (name,), count, times[2:])

    def _show(self, state: View) -> None:
        self._view_up.labels(state.name).set(state.state != "failing")
        self._view_skipped.labels(state.name).set(state.skipped)
        lag = (datetime.now(UTC) - state.behind_since).total_seconds() if state.behind_since else 0.0
        self._view_lag.labels(state.name).set(max(0.0, lag))

    def _name(self, label: str, value: object) -> str:
        """The value, while its label has room for it."""
        known = self._names.setdefault(label, set())
        name = str(value)
        if name not in known:
            if len(known) >= MOST_VALUES:
                return OTHER
            known.add(name)
        return name


def _observe(metric: Durations, labels: tuple[str, ...], count: int, times: Sequence[Scalar]) -> None:
    bucket, microseconds = times
    if bucket is not None:
        metric.add(labels, integer(bucket), count, integer(microseconds) / 1e6)
