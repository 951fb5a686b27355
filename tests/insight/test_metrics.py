"""``GET /metrics`` over real HTTP, against the events that were recorded."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.insight.calls import attempt, call, event
from tests.insight.city import City, city
from tests.insight.test_views import Failing
from tests.server.serving import serving

from pharos.core.event import Event
from pharos.core.fault import Fault
from pharos.core.plane import ASGIApp, Receive, Scope, Send
from pharos.insight.metrics import MOST_VALUES, Reading
from pharos.server.http.replies import send_problem

KEY = {"x-api-key": "scraper"}


def app(town: City) -> ASGIApp:
    [route] = town.plane.routes
    assert (route.method, route.path) == ("GET", "/metrics")

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await route.app(scope, receive, send)
        except Fault as fault:
            await send_problem(send, fault.document)

    return front


async def scrape(town: City) -> dict[tuple[str, ...], float]:
    """The samples by name and label values, in the order of the labels' names."""
    await town.runner.caught_up("ledger")
    await town.runner.caught_up("journeys")
    async with serving(app(town)) as served, httpx2.AsyncClient(timeout=60, base_url=served.url) as client:
        answer = await client.get("/metrics", headers=KEY)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            samples[(sample.name, *(sample.labels[label] for label in sorted(sample.labels)))] = sample.value
    return samples


async def test_metrics_tell_what_the_ledger_tells(town: City) -> None:
    first = attempt(1, outcome="error", status=500, cost="0", usage={}, firstTokenMs=None)
    usage = {"input": 10, "cacheRead": 4, "output": 3}
    second = attempt(2, provider="acme2", asked="small-2", cost="0.25", usage=usage, latencyMs=1500, firstTokenMs=300)
    await town.record(event(call(attempts=[first, second])), event(call(attempts=[attempt(cost=None)])))
    await town.record(event(call(model="<script>", outcome="refused", fault="BUDGET_EXHAUSTED", attempts=[])))
    for _ in range(2):  # looking counts nothing twice
        found = await scrape(town)
        assert found["pharos_model_calls_total", "", "fast", "ok"] == 2
        assert found["pharos_model_calls_total", "BUDGET_EXHAUSTED", "", "refused"] == 1
        assert found["pharos_model_attempts_total", "small-1", "error", "acme"] == 1
        assert found["pharos_model_attempts_total", "small-2", "ok", "acme2"] == 1
        assert found["pharos_model_tokens_total", "cache_read", "small-2", "acme2"] == 4
        assert found["pharos_model_tokens_total", "input", "small-1", "acme"] == 100
        assert found["pharos_model_cost_total", "USD", "small-2", "acme2"] == 0.25
        assert found["pharos_model_unpriced_attempts_total", "small-1", "acme"] == 1
        assert found["pharos_model_attempt_seconds_sum", "small-2", "ok", "acme2"] == 1.5
        assert found["pharos_model_attempt_first_token_seconds_bucket", "0.4", "small-2", "acme2"] == 1
        assert found["pharos_model_attempt_first_token_seconds_bucket", "0.2", "small-2", "acme2"] == 0
        assert found["pharos_model_call_seconds_count", "fast", "ok"] == 2
        assert found["pharos_model_call_first_token_seconds_count", "fast"] == 2
        assert found["pharos_view_lag_seconds", "ledger"] == 0 and found["pharos_view_up", "ledger"] == 1
        assert found["pharos_view_skipped_events", "ledger"] == 0
        assert found["process_resident_memory_bytes",] > 1e6
    assert not any("<script>" in key for key in found)


async def test_counting_begins_with_the_process_and_misses_nothing_after(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await town.record(*(event(call()) for _ in range(5)))
        await town.runner.caught_up("journeys")
        await town.runner.caught_up("ledger")
    async with city(tmp_path) as town:
        assert ("pharos_model_calls_total", "", "fast", "ok") not in await scrape(town)
        total = 0
        for size in (1, 2500, 30):  # more than a page at once
            for first in range(0, size, 500):
                await town.record(*(event(call()) for _ in range(min(500, size - first))))
            total += size
            found = await scrape(town)
            assert found["pharos_model_calls_total", "", "fast", "ok"] == total
            assert found["pharos_model_attempts_total", "small-1", "ok", "acme"] == total


async def test_a_rebuild_is_not_counted_again(town: City) -> None:
    await town.record(*(event(call()) for _ in range(20)))
    await scrape(town)
    for name in ("ledger", "journeys"):
        await town.runner.rebuild(name)
    await scrape(town)
    await town.record(event(call()))
    found = await scrape(town)
    assert found["pharos_model_attempts_total", "small-1", "ok", "acme"] == 21
    assert found["pharos_model_calls_total", "", "fast", "ok"] == 21


async def test_the_number_of_series_is_bounded_whatever_providers_answer(town: City) -> None:
    for number in range(MOST_VALUES + 50):
        await town.record(event(call(model=f"m{number}", attempts=[attempt(asked=f"a{number}")])))
    found = await scrape(town)
    attempts = {key: value for key, value in found.items() if key[0] == "pharos_model_attempts_total"}
    assert len(attempts) == MOST_VALUES + 1
    assert attempts["pharos_model_attempts_total", "other", "ok", "acme"] == 50
    assert sum(attempts.values()) == MOST_VALUES + 50


async def test_what_cannot_be_read_and_what_lags_is_visible(tmp_path: Path) -> None:
    async with city(tmp_path, more=[Failing()], readings=[Reading("pharos_in_flight", "Calls.", lambda: 7)]) as town:
        long_ago = Event(topic="calls", type="model.called", data=call(cost="much"))
        await town.record(long_ago)
        found = await scrape(town)
        assert found["pharos_view_skipped_events", "journeys"] == 1
        assert found["pharos_view_up", "failing"] == 0
        assert 0 <= found["pharos_view_lag_seconds", "failing"] < 60
        assert found["pharos_in_flight",] == 7


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 401), ({"x-api-key": "nobody"}, 401), ({"x-api-key": "reader"}, 403)]
)
async def test_metrics_are_for_who_may_read_them(town: City, headers: dict[str, str], status: int) -> None:
    await town.record(event(call(), timedelta()))
    async with serving(app(town)) as served, httpx2.AsyncClient(timeout=60, base_url=served.url) as client:
        answer = await client.get("/metrics", headers=headers)
        assert answer.status_code == status and "fast" not in answer.text
        wanted = {**KEY, "accept": "application/openmetrics-text; version=1.0.0"}
        answer = await client.get("/metrics", headers=wanted)
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")


def test_costs_as_floats_are_close_to_the_exact_sum() -> None:
    nanos = [123_456_789] * 1000
    assert abs(Decimal(sum(n / 1e9 for n in nanos)) - Decimal(sum(nanos)).scaleb(-9)) < Decimal("1e-6")
