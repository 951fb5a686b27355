"""Metrics in Prometheus' form: one more reading of the views.

Nothing is counted on the path of a call. Rows that the ledger and the journeys gained since the last look are counted
when someone looks, and every few seconds in between so that a look is never long: two queries for hundreds of calls,
instead of a task that wakes for each. So metrics tell the ledger's story, late by at most the ledger's own lag, and
their sums differ from its sums only by the rounding of floats.

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
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector

from pharos.core.event import START, Position
from pharos.core.fault import Fault
from pharos.core.projection import Row
from pharos.insight.journeys import JOURNEYS
from pharos.insight.ledger import LEDGER
from pharos.insight.ledger_reads import integer
from pharos.insight.tasks import running
from pharos.insight.views import View, ViewStates
from pharos.mesh.money import NANOS
from pharos.store.ports import Views

_log = logging.getLogger(__name__)

PERIOD = 5.0
"""Seconds between two looks at the views, if nobody asks."""
PAGE = 2000
MOST_VALUES = 200
"""Values of one label; what comes later is counted as ``other``."""
OTHER = "other"

_CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
_FIRST_TOKEN_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30, 60)

_ATTEMPTS = (
    "SELECT position, number, provider, target, outcome, input, cache_read, cache_write_5m, cache_write_1h, output, "
    "reasoning, cost, currency, latency, first_token FROM ledger "
    "WHERE (position, number) > (:position, :number) ORDER BY position, number LIMIT :limit"
)
_CALLS = (
    "SELECT position, model, outcome, fault, attempts, latency, first_token FROM journey_steps "
    "WHERE position > :position ORDER BY position LIMIT :limit"
)
_CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


M = TypeVar("M", Counter, Gauge, Histogram)


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
        self._attempts_seen: tuple[Position, int] = (START, 0)
        self._calls_seen: Position = START
        self._names: dict[str, set[str]] = {}
        self._children: dict[tuple[object, ...], Any] = {}
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        for reading in readings:
            Gauge(reading.name, reading.help, registry=self.registry).set_function(reading.read)
        self._calls = Counter(
            "pharos_model_calls",
            "Model calls that ended. A refused call has no model: the name it asked for may be anything.",
            ("model", "outcome", "fault"),
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "pharos_model_call_seconds",
            "Duration of model calls that reached a provider, all attempts together.",
            ("model", "outcome"),
            buckets=_CALL_SECONDS,
            registry=self.registry,
        )
        self._call_first_token = Histogram(
            "pharos_model_call_first_token_seconds",
            "Time from the call to the first token that reached the client.",
            ("model",),
            buckets=_FIRST_TOKEN_SECONDS,
            registry=self.registry,
        )
        target = ("provider", "model")
        self._attempts = Counter(
            "pharos_model_attempts", "Requests to providers.", (*target, "outcome"), registry=self.registry
        )
        self._attempt_seconds = Histogram(
            "pharos_model_attempt_seconds",
            "Duration of requests to providers.",
            (*target, "outcome"),
            buckets=_CALL_SECONDS,
            registry=self.registry,
        )
        self._attempt_first_token = Histogram(
            "pharos_model_attempt_first_token_seconds",
            "Time from the request to the first token from the provider.",
            target,
            buckets=_FIRST_TOKEN_SECONDS,
            registry=self.registry,
        )
        self._tokens = Counter(
            "pharos_model_tokens", "Tokens by price class.", (*target, "class"), registry=self.registry
        )
        self._cost = Counter(
            "pharos_model_cost",
            "Cost of attempts in units of the currency; the exact sums are in the ledger.",
            (*target, "currency"),
            registry=self.registry,
        )
        self._unpriced = Counter(
            "pharos_model_unpriced_attempts",
            "Attempts without a known price, which are in no cost.",
            target,
            registry=self.registry,
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
        self._attempts_seen = (await self._views.position(LEDGER), 2**62)
        self._calls_seen = await self._views.position(JOURNEYS)
        async with running(self._keep_up(), "metrics"):
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
            while True:
                position, number = self._attempts_seen
                rows = await self._views.query(_ATTEMPTS, {"position": position, "number": number, "limit": PAGE})
                for row in rows:
                    self._count_attempt(row)
                if len(rows) < PAGE:
                    break
            while True:
                rows = await self._views.query(_CALLS, {"position": self._calls_seen, "limit": PAGE})
                for row in rows:
                    self._count_call(row)
                if len(rows) < PAGE:
                    break

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await self.refresh()
            except Fault as fault:
                _log.warning("metrics could not be read from the views: %s", fault.code)

    def _count_attempt(self, row: Row) -> None:
        position, number, provider, target, outcome, *tokens, cost, currency, latency, first_token = row
        self._attempts_seen = (str(position), integer(number))
        names = (self._name("provider", provider), self._name("target", target))
        self._child(self._attempts, *names, outcome).inc()
        for name, value in zip(_CLASSES, tokens, strict=True):
            if value:
                self._child(self._tokens, *names, name).inc(integer(value))
        if cost is None:
            self._child(self._unpriced, *names).inc()
        elif cost:
            self._child(self._cost, *names, self._name("currency", currency)).inc(integer(cost) / NANOS)
        if latency is not None:
            self._child(self._attempt_seconds, *names, outcome).observe(integer(latency) / 1e6)
        if first_token is not None:
            self._child(self._attempt_first_token, *names).observe(integer(first_token) / 1e6)

    def _count_call(self, row: Row) -> None:
        position, model, outcome, fault, attempts, latency, first_token = row
        self._calls_seen = str(position)
        name = self._name("model", model) if attempts else ""
        self._child(self._calls, name, outcome, self._name("fault", fault)).inc()
        if attempts and latency is not None:
            self._child(self._call_seconds, name, outcome).observe(integer(latency) / 1e6)
        if first_token is not None:
            self._child(self._call_first_token, name).observe(integer(first_token) / 1e6)

    def _show(self, state: View) -> None:
        self._child(self._view_up, state.name).set(state.state != "failing")
        self._child(self._view_skipped, state.name).set(state.skipped)
        lag = (datetime.now(UTC) - state.behind_since).total_seconds() if state.behind_since else 0.0
        self._child(self._view_lag, state.name).set(max(0.0, lag))

    def _child(self, metric: M, *labels: object) -> M:
        """The series of ``metric`` with these labels. Looked up once: the library's own look-up costs more than the
        count. Their number is bounded by ``_name``."""
        key = (metric, *labels)
        child: M | None = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def _name(self, label: str, value: object) -> str:
        """The value, while its label has room for it."""
        known = self._names.setdefault(label, set())
        name = str(value)
        if name not in known:
            if len(known) >= MOST_VALUES:
                return OTHER
            known.add(name)
        return name
