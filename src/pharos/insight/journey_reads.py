"""Reading journeys: which conversations there were, and one of them step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, cast

import orjson
from pydantic import AwareDatetime, Field

from pharos.core.fault import INVALID, NOT_FOUND, TIMEOUT
from pharos.core.operation import Invocation, read
from pharos.core.projection import Row, Scalar
from pharos.core.resource import Name
from pharos.core.wire import JsonObject, Page, Wire
from pharos.insight.fields import as_time, since_1970
from pharos.insight.journeys import JOURNEYS
from pharos.insight.ledger.items import ITEM_COLUMNS, LedgerItem, integer, item_of, milliseconds, show_costs
from pharos.insight.ledger.reads import CATCH_UP
from pharos.insight.ledger.rows import LEDGER
from pharos.insight.pages import read_cursor, write_cursor
from pharos.mesh.money import decimal_text
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Views


class Cost(Wire):
    """An exact amount in one currency."""

    currency: str
    amount: str
    unpriced: int
    """Attempts without a known price, which are not in ``amount``."""


class JourneyItem(Wire):
    """A conversation, as far as it has come."""

    id: str
    namespace: str
    key: str
    team: str
    conversation: str | None = None
    """The caller's own id of it; absent where the calls were stitched together by their messages."""
    inferred: bool
    """Whether the calls were stitched together by their messages, which is likely but not certain."""
    started: datetime
    """When its first call began."""
    updated: datetime
    """When its last call ended."""
    calls: int
    attempts: int
    costs: list[Cost]
    """By currency; amounts of different currencies are never added."""
    latency_ms: float
    """Time its calls took, added up; without the pauses between them."""
    outcome: str
    """Of its last call."""
    model: str
    """That its last call asked for."""


class ListJourneys(Wire):
    """Input of ``journeys.list``. Conditions add up."""

    key: Name | None = None
    """The key that the calls came with."""
    namespace: Name | None = None
    team: str | None = Field(default=None, max_length=256)
    """The team of that key."""
    conversation: str | None = Field(default=None, min_length=1, max_length=256)
    """The caller's own id of the conversation."""
    since: AwareDatetime | None = None
    """Journeys that began then or later."""
    until: AwareDatetime | None = None
    """Journeys that began before."""
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=1024)


class GetJourney(Wire):
    """Input of ``journeys.get``."""

    id: str = Field(max_length=256)
    limit: int = Field(default=200, ge=1, le=1000)
    """How many steps at most."""
    cursor: str | None = Field(default=None, max_length=1024)


class Step(Wire):
    """One model call of a journey."""

    number: int
    """Its place in the journey, from 1."""
    call: str
    continues: str | None = None
    """The call that it follows; two steps that follow the same one are a fork."""
    kind: Literal["think"] = "think"
    """What sort of step it is. A model call is a thought; the tools it asked for are in ``tools``."""
    started: datetime
    ended: datetime
    dialect: str
    model: str
    """The model the client asked for."""
    stream: bool
    outcome: str
    fault: str
    cost: Cost
    latency_ms: float | None = None
    first_token_ms: float | None = None
    tools: list[str]
    """Names of the tools the model asked for."""
    route: dict[str, str]
    """Why the call went where it went."""
    attempts: list[LedgerItem]
    """Each try, as it stands in the ledger; none if the call was refused."""


class Journey(JourneyItem):
    """A conversation step by step."""

    steps: list[Step]
    next: str | None = None
    """The cursor that continues the steps; absent at their end."""

    def to_json(self) -> JsonObject:
        """As :meth:`Wire.to_json`, with the ``cost`` of every attempt."""
        journey = super().to_json()
        for step in cast("list[JsonObject]", journey["steps"]):
            show_costs(step["attempts"])
        return journey


_JOURNEY_COLUMNS = "id, started, namespace, key_name, team, conversation"
_SUMS = (
    "SELECT journey, currency, COUNT(*), SUM(attempts), SUM(unpriced), SUM(cost), COALESCE(SUM(latency), 0), "
    "MAX(at + COALESCE(latency, 0)) FROM journey_steps WHERE journey IN ({these}) "
    "GROUP BY journey, currency ORDER BY journey, currency"
)
_LAST = (
    "SELECT s.journey, s.outcome, s.model FROM journey_steps s JOIN (SELECT journey, MAX(position) AS position "
    "FROM journey_steps WHERE journey IN ({these}) GROUP BY journey) m "
    "ON m.journey = s.journey AND m.position = s.position"
)


class JourneyReads:
    """The operations on journeys."""

    def __init__(self, views: Views, runner: ProjectionRunner) -> None:
        self._views = views
        self._runner = runner

    @read("journeys.list", permission="journeys.read", faults=(INVALID, TIMEOUT))
    async def list_journeys(self, invocation: Invocation, input: ListJourneys) -> Page[JourneyItem]:
        """List conversations, the one that began last first, with what they cost and how they went."""
        await self._runner.caught_up(JOURNEYS, CATCH_UP)
        where, parameters = _conditions(input)
        if input.cursor is not None:
            started, id = read_cursor(input.cursor, (int, str))
            where.append("(started, id) < (:started, :id)")
            parameters |= {"started": started, "id": id}
        rows = await self._views.query(
            f"SELECT {_JOURNEY_COLUMNS} FROM journeys WHERE {' AND '.join(where)} "  # noqa: S608 (conditions are ours)
            "ORDER BY started DESC, id DESC LIMIT :limit",
            parameters | {"limit": input.limit + 1},
        )
        page = rows[: input.limit]
        items = await self._items(page)
        return Page[JourneyItem](
            items=[JourneyItem.model_validate(item) for item in items],
            next=write_cursor((page[-1][1], page[-1][0])) if len(rows) > len(page) else None,
        )

    @read("journeys.get", permission="journeys.read", faults=(NOT_FOUND, INVALID, TIMEOUT))
    async def get(self, invocation: Invocation, input: GetJourney) -> Journey:
        """Show one conversation step by step: what was asked of which model, how it was routed, what it cost."""
        await self._runner.caught_up(JOURNEYS, CATCH_UP)
        await self._runner.caught_up(LEDGER, CATCH_UP)
        found = await self._views.query(
            f"SELECT {_JOURNEY_COLUMNS} FROM journeys WHERE id = :id",  # noqa: S608
            {"id": input.id},
        )
        if not found:
            raise NOT_FOUND(f"There is no journey {input.id!r}.", subject=input.id, pointer="/id")
        [item] = await self._items(found)
        after: Scalar = ""
        passed = 0
        if input.cursor is not None:
            after, place = read_cursor(input.cursor, (str, int))
            passed = integer(place)
        rows = await self._views.query(
            "SELECT position, call, continues, at, dialect, model, stream, outcome, fault, unpriced, cost, currency, "
            "latency, first_token, tools, route FROM journey_steps "
            "WHERE journey = :id AND position > :after ORDER BY position LIMIT :limit",
            {"id": input.id, "after": after, "limit": input.limit + 1},
        )
        page = rows[: input.limit]
        attempts = await self._attempts(input.id, page)
        steps = [_step(passed + number, row, attempts) for number, row in enumerate(page, 1)]
        end = write_cursor((page[-1][0], passed + len(page))) if len(rows) > len(page) else None
        return Journey.model_validate({**item, "steps": steps, "next": end})

    async def _items(self, rows: Sequence[Row]) -> list[dict[str, object]]:
        """The journeys of the given rows with the sums over their steps."""
        ids = {f"j{number}": row[0] for number, row in enumerate(rows)}
        these = ", ".join(f":{name}" for name in ids)
        sums = await self._views.query(_SUMS.format(these=these), ids)
        last = await self._views.query(_LAST.format(these=these), ids)
        by_journey: dict[Scalar, list[Row]] = {}
        for row in sums:
            by_journey.setdefault(row[0], []).append(row)
        ends = {row[0]: row[1:] for row in last}
        return [_item(row, by_journey[row[0]], ends[row[0]]) for row in rows]

    async def _attempts(self, journey: str, steps: Sequence[Row]) -> Mapping[Scalar, list[LedgerItem]]:
        """The ledger's rows about the given steps, by the position of the step."""
        if not steps:
            return {}
        rows = await self._views.query(
            f"SELECT s.journey, {ITEM_COLUMNS} FROM journey_steps s JOIN ledger l "  # noqa: S608
            "ON l.position = s.position AND l.kind = 'attempt' "
            "WHERE s.journey = :id AND s.position >= :first AND s.position <= :last ORDER BY l.position, l.number",
            {"id": journey, "first": steps[0][0], "last": steps[-1][0]},
        )
        found: dict[Scalar, list[LedgerItem]] = {}
        for row in rows:
            found.setdefault(row[1], []).append(item_of(row))
        return found


def _conditions(input: ListJourneys) -> tuple[list[str], dict[str, Scalar]]:
    where = ["1 = 1"]
    parameters: dict[str, Scalar] = {}
    equal = {
        "key_name": input.key,
        "namespace": input.namespace,
        "team": input.team,
        "conversation": input.conversation,
    }
    for column, value in equal.items():
        if value is not None:
            where.append(f"{column} = :{column}")
            parameters[column] = value
    if input.since is not None:
        where.append("started >= :since")
        parameters["since"] = since_1970(input.since)
    if input.until is not None:
        where.append("started < :until")
        parameters["until"] = since_1970(input.until)
    return where, parameters


def _item(row: Row, sums: Sequence[Row], end: Row) -> dict[str, object]:
    id, started, namespace, key, team, conversation = row
    outcome, model = end
    return {
        "id": id,
        "namespace": namespace,
        "key": key,
        "team": team,
        "conversation": conversation or None,
        "inferred": not conversation,
        "started": as_time(integer(started)),
        "updated": as_time(max(integer(of[7]) for of in sums)),
        "calls": sum(integer(of[2]) for of in sums),
        "attempts": sum(integer(of[3]) for of in sums),
        "costs": [{"currency": of[1], "amount": decimal_text(integer(of[5])), "unpriced": of[4]} for of in sums],
        "latency_ms": sum(integer(of[6]) for of in sums) / 1000,
        "outcome": outcome,
        "model": model,
    }


def _step(number: int, row: Row, attempts: Mapping[Scalar, list[LedgerItem]]) -> Step:
    (
        position, call, continues, at, dialect, model, stream, outcome, fault, unpriced, cost, currency, latency,
        first_token, tools, route,
    ) = row  # fmt: skip
    return Step.model_validate(
        {
            "number": number,
            "call": call,
            "continues": continues or None,
            "started": as_time(integer(at)),
            "ended": as_time(integer(at) + integer(latency or 0)),
            "dialect": dialect,
            "model": model,
            "stream": bool(stream),
            "outcome": outcome,
            "fault": fault,
            "cost": {"currency": currency, "amount": decimal_text(integer(cost)), "unpriced": unpriced},
            "latency_ms": milliseconds(latency),
            "first_token_ms": milliseconds(first_token),
            "tools": orjson.loads(tools) if isinstance(tools, str) and tools else [],
            "route": orjson.loads(route) if isinstance(route, str) and route else {},
            "attempts": attempts.get(position, []),
        }
    )
