"""The folds by themselves, on a real SQLite view: any split of the log, any rubbish in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.insight.calls import attempt, call, calls, event, histories, junk, mangled, recorded

from pharos.core.event import Event, Recorded
from pharos.core.projection import Projection, Row
from pharos.insight.audit.records import AuditProjection
from pharos.insight.journeys import JourneysProjection
from pharos.insight.ledger.rows import LedgerProjection
from pharos.store.sqlite.views import SqliteView

PROJECTIONS: tuple[Projection, ...] = (LedgerProjection(), JourneysProjection())


def tables(
    projection: Projection, batches: Iterator[Sequence[Recorded]] | list[Sequence[Recorded]]
) -> dict[str, list[Row]]:
    """Fold the batches, each in a transaction, and return everything in the projection's tables."""
    connection = apsw.Connection(":memory:")
    for statement in projection.schema:
        connection.execute(statement)
    for batch in batches:
        with connection:
            projection.fold(SqliteView(connection, {}), batch)
    found = {}
    for table in projection.tables:
        found[table] = sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
    return found


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_any_split_into_batches_folds_to_the_same_tables(projection: Projection, data: st.DataObject) -> None:
    log = recorded(data.draw(histories()))
    one_by_one = tables(projection, [[entry] for entry in log])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=5)))
    split = [log[start:end] for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True)]
    assert tables(projection, split) == one_by_one
    assert tables(projection, [log]) == one_by_one


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(histories(mangled()))
def test_no_rubbish_stops_a_fold_and_every_skipped_event_is_counted(events: list[Event]) -> None:
    log = recorded(events)
    ledger = tables(LedgerProjection(), [log])
    journeys = tables(JourneysProjection(), [log])
    steps = {row[0] for row in journeys["journey_steps"]}
    assert len(steps) + sum(int(row[1]) for row in journeys["journeys_skipped"]) == len(log)  # type: ignore[arg-type]
    skipped = sum(int(row[1]) for row in ledger["ledger_skipped"])  # type: ignore[arg-type]
    posted = {row[0] for row in ledger["ledger"]}
    assert len(posted) + skipped <= len(log)
    for row in (*ledger["ledger_skipped"], *journeys["journeys_skipped"]):
        assert len(str(row[0])) < 60  # reasons name fields, never values


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(histories(calls()))
def test_the_sums_of_both_views_are_the_sums_of_the_events_to_the_last_billionth(events: list[Event]) -> None:
    log = recorded(events)
    ledger = tables(LedgerProjection(), [log])["ledger"]
    names = [column.split()[0] for column in LedgerProjection.schema[0].partition("(")[2].split(", ")]
    cost, currency = names.index("cost"), names.index("currency")
    for money in ("USD", "EUR"):
        attempts = [each for entry in events for each in entry.data["attempts"] if each["currency"] == money]  # type: ignore[union-attr,index,call-overload]
        expected = sum((Decimal(each["cost"]) for each in attempts if each["cost"] is not None), Decimal(0))  # type: ignore[index,call-overload,arg-type]
        mine = [row for row in ledger if row[currency] == money]
        assert Decimal(sum(row[cost] or 0 for row in mine)).scaleb(-9) == expected  # type: ignore[misc]
        assert len(mine) == len(attempts)
        assert sum(row[cost] is None for row in mine) == sum(each["cost"] is None for each in attempts)  # type: ignore[index,call-overload]
    steps = tables(JourneysProjection(), [log])["journey_steps"]
    assert len(steps) == len(events)


def test_live_events_and_stored_ones_fold_to_the_same_rows() -> None:
    """What comes from memory may have tuples, enums and the like where JSON has plain values."""
    from http import HTTPStatus

    from pharos.core.operation import Effect

    class Text(str):
        pass

    live = call(marks=["a", "b"], attempts=(attempt(status=HTTPStatus.OK, provider=Text("acme")),), tools=("search",))
    live["route"] = {"effect": Effect.READ}
    live["conversation"]["marks"] = ("a", "b")
    stored = json.loads(json.dumps(live))
    for projection in PROJECTIONS:
        assert tables(projection, [recorded([event(live, id="e1")])]) == tables(
            projection, [recorded([event(stored, id="e1")])]
        )
        assert not tables(projection, [recorded([event(live)])])[projection.tables[-1]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cost": "1e3"}, "cost is not an amount"),
        ({"cost": "-1"}, "cost is not an amount"),
        ({"cost": 0.1}, "cost is not an amount"),
        ({"cost": "0.0000000001"}, "cost is not an amount"),
        ({"cost": "10000000000"}, "cost is not an amount"),
        ({"usage": {"input": -1}}, "input is not a count"),
        ({"usage": {"input": True}}, "input is not a count"),
        ({"usage": {"input": 2**60}}, "input is not a count"),
        ({"usage": []}, "usage is not an object"),
        ({"startedAt": "2027-01-15T12:00:00"}, "startedAt is not a time"),
        ({"startedAt": "yesterday"}, "startedAt is not a time"),
        ({"latencyMs": float("nan")}, "latencyMs is not a duration"),
        ({"latencyMs": -1}, "latencyMs is not a duration"),
        ({"outcome": "splendid"}, "outcome is unknown"),
        ({"provider": None}, "provider is not text"),
        ({"provider": "\ud800"}, "provider is not Unicode text"),
        ({"price": "free"}, "price is not an object"),
    ],
)
def test_a_row_that_would_lie_is_skipped_with_its_reason(change: dict[str, object], reason: str) -> None:
    log = recorded(
        [event(call()), event(call(attempts=[attempt(), attempt(2) | change]) | {"cost": "0"}), event(call())]
    )
    found = tables(LedgerProjection(), [log])
    assert [row[0] for row in found["ledger"]] == [log[0].position, log[2].position]
    assert found["ledger_skipped"] == [(reason, 1, log[1].event.id)]


def test_two_attempts_of_one_number_are_skipped_and_do_not_stop_the_fold() -> None:
    log = recorded([event(call(attempts=[attempt(1), attempt(1)])), event(call())])
    found = tables(LedgerProjection(), [log])
    assert len(found["ledger"]) == 1 and found["ledger_skipped"][0][0] == "two attempts have one number"


def test_a_refused_call_is_a_step_and_no_row_of_the_ledger() -> None:
    log = recorded([event(call(attempts=[], outcome="refused", fault="BUDGET_EXHAUSTED"))])
    assert tables(LedgerProjection(), [log])["ledger"] == []
    assert len(tables(JourneysProjection(), [log])["journey_steps"]) == 1


def test_two_calls_of_one_id_are_steps_of_one_journey() -> None:
    log = recorded([event(call(call="same")), event(call(call="same"))])
    found = tables(JourneysProjection(), [log])
    assert len(found["journeys"]) == 1 and len(found["journey_steps"]) == 2


# Events whose fields may be anything: corrections, cached answers, rare usage, and everything of the audit.
_CORRECTED = {
    "row": "c/1", "call": "c", "namespace": "n", "key": "k", "team": "", "user": "", "labels": {}, "model": "m",
    "dialect": "d", "target": "t", "answered": "a", "provider": "p", "tier": "", "outcome": "ok",
    "time": "2027-01-15T12:00:00Z", "amount": "-0.5", "currency": "USD", "unpriced": 0, "reason": "r",
}  # fmt: skip
_CONTENT = {"digest": "sha256:0", "prompt": 1, "answer": 2, "promptDigest": "", "answerDigest": ""}
_AUDITED = {
    "call": "c", "policy": "p", "key": "k", "namespace": "n", "team": "", "labels": {}, "user": "", "dialect": "d",
    "model": "m", "served": "", "stream": False, "outcome": "ok", "fault": "", "startedAt": "", "days": None,
    "content": _CONTENT,
}  # fmt: skip
_RARE = {"input": 1, "inputAudio": 2, "cacheWrite12h": 3, "serverTools": {"webSearch": 1}}
_UNCOMMON = attempt(
    usage=_RARE, tier="flex", tierAsked="priority", price={"source": "s", "version": "", "without": ["x"]}
)
_SEAL = {"chain": "audit/n", "first": 1, "last": 2, "leaves": [], "previous": "", "head": "00", "position": ""}
WELL_FORMED = {
    "ledger.corrected": [_CORRECTED],
    "model.called": [
        call(attempts=[_UNCOMMON]),
        call(attempts=[], cache={"result": "hit", "of": "c", "saved": "0.5", "usage": {}, "ageMs": 1}, user="u"),
    ],
    "audit.recorded": [_AUDITED],
    "audit.expired": [{"records": [{"call": "c", "content": "sha256:0", "sequence": 1, "days": 1}]}],
    "audit.viewed": [{"calls": ["c"], "operation": "audit.get"}],
    "audit.sealed": [_SEAL],
}


@pytest.mark.parametrize("type", WELL_FORMED)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_whatever_stands_in_an_event_is_posted_or_skipped_and_stops_nothing(type: str, data: st.DataObject) -> None:
    body = copy.deepcopy(data.draw(st.sampled_from(WELL_FORMED[type])))
    good = Event(topic="t", type=type, data=copy.deepcopy(body))
    place: Any = body
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        place[key] = data.draw(junk)
        break
    log = recorded([good, Event(topic="t", type=type, data=body)])
    for projection in (LedgerProjection(), AuditProjection()):
        if type in projection.types:
            found = tables(projection, [log])
            skipped = sum(int(row[1]) for row in found[projection.tables[-1]])  # type: ignore[arg-type]
            assert skipped <= 1, "the well-formed one is taken in"
