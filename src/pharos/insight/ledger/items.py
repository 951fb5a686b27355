"""Rows of the ledger as the wire shows them, and the conditions that choose among them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, cast

import orjson
from pydantic import AwareDatetime, Field, StringConstraints

from pharos.core.projection import Row, Scalar
from pharos.core.resource import Name
from pharos.core.wire import Json, JsonObject, Page, Wire
from pharos.insight.fields import as_time, since_1970
from pharos.mesh.facts import Outcome
from pharos.mesh.money import decimal_text

Text = Annotated[str, StringConstraints(max_length=256)]


class Tokens(Wire):
    """Tokens by price class. Classes do not overlap; those that are rare are left out where they are zero."""

    input: int
    """Uncached input that no other class names."""
    cache_read: int
    cache_write_5m: int = Field(alias="cacheWrite5m")
    cache_write_1h: int = Field(alias="cacheWrite1h")
    output: int
    """Without reasoning."""
    reasoning: int
    input_audio: int | None = None
    input_image: int | None = None
    tool_prompt: int | None = None
    """What the provider's own tools put into the prompt."""
    cache_read_audio: int | None = None
    cache_write_30m: int | None = Field(default=None, alias="cacheWrite30m")
    cache_write_12h: int | None = Field(default=None, alias="cacheWrite12h")
    output_audio: int | None = None
    output_image: int | None = None


TOKEN_COLUMNS = (
    "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "input_audio", "input_image",
    "tool_prompt", "cache_read_audio", "cache_write_30m", "cache_write_12h", "output_audio", "output_image",
)  # fmt: skip
_COMMON = 6
"""How many of them are always shown."""


def tokens_in(values: Row) -> dict[str, object]:
    """The fields of :class:`Tokens` from the values of :data:`TOKEN_COLUMNS`."""
    named = zip(TOKEN_COLUMNS, values, strict=True)
    return {name: value for place, (name, value) in enumerate(named) if value or place < _COMMON}


class AttemptTokens(Tokens):
    """Tokens of one attempt."""

    estimated: bool
    """Whether the provider gave no numbers and these are ours."""


class PriceUsed(Wire):
    """Where a cost comes from."""

    source: str
    """``overlay/NAME``, ``genai-prices``, ``unpriced`` or ``correction``."""
    version: str
    """The revision of the ``Price``, or the version of the list."""
    without: list[str] | None = None
    """What was used and has no known price, so that it is not in the cost."""


class LedgerItem(Wire):
    """One row of the ledger, as it was posted. It never changes."""

    id: str
    kind: Literal["attempt", "cached", "correction"] = "attempt"
    """``attempt``: one request to a provider. ``cached``: a call that was given the answer of another one.
    ``correction``: an amount that is added to the row ``corrects``."""
    time: datetime
    """When the attempt began; of a correction, the time of the row it corrects."""
    call: str
    """Id of the call it was part of; a call that failed over has several attempts."""
    attempt: int
    """Its number within the call, from 1; 0 where there is none."""
    journey: str | None = None
    """The conversation it belongs to; absent while that is not worked out yet."""
    namespace: str
    key: str
    team: str
    user: str | None = None
    """The end user it was made for, where that was told apart."""
    labels: dict[str, str]
    model: str
    """The model the client asked for."""
    target: str
    """The model the provider was asked for."""
    answered: str
    """The model the provider says has answered."""
    provider: str
    dialect: str
    tier: str | None = None
    """The service tier that served, where it is not the standard one or another was asked for."""
    tier_asked: str | None = None
    tokens: AttemptTokens
    server_tools: dict[str, int] | None = None
    """Uses of the provider's own tools."""
    price: PriceUsed
    cost: str | None = None
    """A decimal amount, exact; ``null`` where no price was known, never zero. Of a correction, what it adds."""
    saved: str | None = None
    """Of a cached answer: what it had cost."""
    currency: str
    latency_ms: float | None = None
    first_token_ms: float | None = None
    outcome: str
    status: int
    """HTTP status of the provider; 0 if there was none."""
    fault: str
    """Code of the fault it ended with, or empty."""
    corrects: str | None = None
    """Id of the row that is corrected."""
    reason: str | None = None
    """Why it was corrected; of a cached answer, ``hit``, ``coalesced`` or ``similar``."""
    by: str | None = None
    """Who corrected it."""


class LedgerPage(Page[LedgerItem]):
    """One page of the ledger."""

    def to_json(self) -> JsonObject:
        """As :meth:`Page.to_json`, with the ``cost`` of every row."""
        page = super().to_json()
        show_costs(page["items"])
        return page


def show_costs(rows: Json) -> None:
    """Put ``null`` as the cost of rows in JSON that have none. Elsewhere a null is left out; here it says something."""
    for row in cast("list[JsonObject]", rows):
        row.setdefault("cost", None)


class LedgerFilter(Wire):
    """Which rows. Conditions add up."""

    key: Name | None = None
    """The key that the calls came with."""
    namespace: Name | None = None
    team: Text | None = None
    """The team of that key."""
    user: Text | None = None
    """The end user."""
    model: Text | None = None
    """The model the client asked for."""
    target: Text | None = None
    """The model the provider was asked for."""
    provider: Text | None = None
    """The provider that was asked."""
    outcome: Outcome | None = None
    kind: Literal["attempt", "cached", "correction"] | None = None
    """Attempts at a provider, answers from a cache, or corrections of earlier rows; left out: all of them."""
    labels: Annotated[dict[str, str], Field(max_length=16)] = Field(default_factory=dict)
    """Labels of the key, each with the value it must have."""
    since: AwareDatetime | None = None
    """Attempts that began then or later."""
    until: AwareDatetime | None = None
    """Attempts that began before."""


def conditions(filter: LedgerFilter) -> tuple[list[str], dict[str, Scalar]]:
    """The SQL conditions of a filter on ``ledger l`` and their parameters."""
    where = ["1 = 1"]
    parameters: dict[str, Scalar] = {}
    equal = {
        "key_name": filter.key,
        "namespace": filter.namespace,
        "team": filter.team,
        "user_name": filter.user,
        "model": filter.model,
        "target": filter.target,
        "provider": filter.provider,
        "outcome": filter.outcome,
        "kind": filter.kind,
    }
    for column, value in equal.items():
        if value is not None:
            where.append(f"l.{column} = :{column}")
            parameters[column] = value
    for place, (name, value) in enumerate(filter.labels.items()):
        # The labels stand as JSON. A name and its value, as JSON, occur in it only where they are a member of it:
        # a quote inside a text has a backslash before it.
        where.append(f"REPLACE(l.labels, :label{place}, '') <> l.labels")
        parameters[f"label{place}"] = f"{_json(name)}:{_json(value)}"
    if filter.since is not None:
        where.append("l.at >= :since")
        parameters["since"] = since_1970(filter.since)
    if filter.until is not None:
        where.append("l.at < :until")
        parameters["until"] = since_1970(filter.until)
    return where, parameters


def _json(text: str) -> str:
    return orjson.dumps(text).decode()


_COLUMNS = (
    "position", "number", "at", "call", "namespace", "key_name", "team", "user_name", "labels", "model", "target",
    "answered", "provider", "dialect", "tier", "tier_asked", "outcome", "status", "fault", "estimated", "server_tools",
    "price_source", "price_version", "price_without", "cost", "saved", "currency", "latency", "first_token", "kind",
    "corrects", "reason", "posted_by",
)  # fmt: skip
ITEM_COLUMNS = ", ".join(f"l.{name}" for name in (*_COLUMNS, *TOKEN_COLUMNS))
"""What :func:`item_of` reads, after the journey."""


def item_of(row: Row) -> LedgerItem:
    """The item of a row of journey and :data:`ITEM_COLUMNS`."""
    journey, *rest = row
    of = dict(zip(_COLUMNS, rest, strict=False))
    kind, call, number = of["kind"], of["call"], of["number"]
    id = {"attempt": f"{call!s}/{number!s}", "cached": f"{call!s}/0"}.get(str(kind), of["price_version"])
    return LedgerItem.model_validate(
        {
            "id": id,
            "kind": kind,
            "time": as_time(integer(of["at"])),
            "call": call,
            "attempt": number,
            "journey": journey,
            "namespace": of["namespace"],
            "key": of["key_name"],
            "team": of["team"],
            "user": of["user_name"] or None,
            "labels": object_in(of["labels"]),
            "model": of["model"],
            "target": of["target"],
            "answered": of["answered"],
            "provider": of["provider"],
            "dialect": of["dialect"],
            "tier": of["tier"] or None,
            "tier_asked": of["tier_asked"] or None,
            "tokens": tokens_in(tuple(rest[len(_COLUMNS) :])) | {"estimated": bool(of["estimated"])},
            "server_tools": object_in(of["server_tools"]) or None,
            "price": {
                "source": of["price_source"],
                "version": of["price_version"],
                "without": orjson.loads(str(of["price_without"])) if of["price_without"] else None,
            },
            "cost": None if of["cost"] is None else decimal_text(integer(of["cost"])),
            "saved": decimal_text(integer(of["saved"])) if kind == "cached" else None,
            "currency": of["currency"],
            "latency_ms": milliseconds(of["latency"]),
            "first_token_ms": milliseconds(of["first_token"]),
            "outcome": of["outcome"],
            "status": of["status"],
            "fault": of["fault"],
            "corrects": of["corrects"] or None,
            "reason": of["reason"] or None,
            "by": of["posted_by"] or None,
        }
    )


def object_in(value: Scalar) -> JsonObject:
    """A JSON object that stands in a table as text; empty text is an empty one."""
    return cast("JsonObject", orjson.loads(value)) if isinstance(value, str) and value else {}


def milliseconds(value: Scalar) -> float | None:
    """Microseconds of a table as milliseconds of the wire."""
    return None if value is None else integer(value) / 1000


def integer(value: Scalar) -> int:
    """A value that its table promises to be an integer."""
    if not isinstance(value, int):
        raise TypeError(f"a table has {type(value).__name__} where it should have an integer")
    return value


def time_in(id: str) -> int | None:
    """When a UUIDv7 was made, in microseconds since 1970; ``None`` for any other id."""
    if len(id) != 36 or id[14] != "7":
        return None
    try:
        return int(id[:8] + id[9:13], 16) * 1000
    except ValueError:
        return None
