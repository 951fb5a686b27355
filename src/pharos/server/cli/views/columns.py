"""The columns of lists: what a person looks for, in the order in which they look."""

from __future__ import annotations

from pharos.server.cli.views import shapes
from pharos.server.cli.views.cells import Column, count, milliseconds, number, plain, state, usd


def _table(*columns: str | Column) -> tuple[Column, ...]:
    """Columns, of which a name alone stands for the member of that name."""
    return tuple(Column(column) if isinstance(column, str) else column for column in columns)


_NAMESPACE = Column("namespace", write=shapes.namespace)
_STATE = Column("state", write=state)
_OUTCOME = Column("outcome", write=state)
_TOKENS = (number("in", "", shapes.tokens_in), number("out", "", shapes.tokens_out))
_COST = number("cost", "", shapes.cost)
_SUMS = (number("attempts", write=count), *_TOKENS, number("unpriced", write=count), _COST)
_LATENCY = number("latency", "latencyMs", milliseconds)
_SPENDING = ("limit", Column("spent", "settled"), "reserved", Column("left", "remaining"))

_AUDITED = _table(
    "time",
    _NAMESPACE,
    "key",
    "team",
    "user",
    "model",
    Column("served by", "served"),
    Column("outcome", "", shapes.outcome),
    "policy",
    "call",
)

_DELEGATED = _table(
    Column("from", "session", shapes.unqualified),
    Column("agent", write=shapes.unqualified),
    _STATE,
    Column("task", write=shapes.unqualified),
    number("budget", write=usd),
    number("spent", write=usd),
    "given",
    "ended",
    Column("text", write=shapes.beginning),
)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "agents.stops": _table(
        Column("time", "at"),
        "sessions",
        Column("not ended yet", "open"),
        number("slowest end", "slowestMs", milliseconds),
        "operation",
    ),
    "approvals.list": _table(
        "name",
        _STATE,
        "requester",
        Column("what", "call", shapes.call, prose=True),
        Column("reason", prose=True),
        Column("expires", "expiresAt"),
    ),
    "audit.list": _AUDITED,
    "audit.search": _AUDITED,
    "blobs.list": _table("digest", number("bytes", "size", count), Column("cited", "references"), "since"),
    "budgets.alerts": _table(
        "time",
        Column("budget", write=shapes.short_id),
        "holder",
        "period",
        "percent",
        Column("spent", "settled"),
        "limit",
        "currency",
    ),
    "budgets.list": _table(
        "name",
        _NAMESPACE,
        "window",
        "period",
        Column("for each", "per"),
        *_SPENDING,
        "currency",
        Column("alerted", write=shapes.percentages),
        Column("ends", "endsAt"),
    ),
    "budgets.usage": _table("holder", "period", *_SPENDING),
    "cache.stats": _table(
        "model",
        _NAMESPACE,
        number("answers", "entries", count),
        number("bytes", write=count),
        number("of", "maxBytes", count),
        "hits",
        "misses",
        "coalesced",
        "similar",
        number("saved", write=usd),
        Column("by meaning", "semantic", shapes.measured),
    ),
    "catalog.history": _table("revision", Column("action", write=state), "time", "principal", "operation"),
    "catalog.list": _table(
        "kind",
        Column("name", "metadata.name"),
        Column("namespace", "metadata.namespace", shapes.namespace),
        Column("labels", "metadata.labels", prose=True),
        Column("revision", "metadata.revision"),
        Column("updated", "metadata.updatedAt"),
        Column("state", "status.conditions", shapes.health, prose=True),
    ),
    "delegations.get/members": _table(
        Column("session", write=shapes.unqualified),
        Column("agent", write=shapes.unqualified),
        Column("status", write=state),
        "depth",
        number("budget", write=usd),
        number("spent", write=usd),
        "begun",
        "ended",
    ),
    "delegations.get/tasks": _DELEGATED,
    "delegations.list": _DELEGATED,
    "faults.list": _table("code", Column("http", "status"), "category", "retry", Column("meaning", prose=True)),
    "journeys.list": _table(
        "updated",
        "key",
        "team",
        "model",
        number("calls", write=count),
        number("attempts", write=count),
        number("cost", "costs", shapes.costs),
        _LATENCY,
        _OUTCOME,
        "conversation",
        "id",
    ),
    "keys.list": _table(
        "key",
        _STATE,
        *(Column(name, prose=True) for name in ("models", "budgets", "scopes", "labels")),
        Column("credentials", write=shapes.credentials, prose=True),
        Column("issued", "lastIssuedAt"),
        Column("expires", "expiresAt"),
    ),
    "kinds.list": _table(Column("kind", "name"), "plural", "plane", Column("meaning", "summary", prose=True)),
    "ledger.list": _table(
        "time",
        "key",
        "team",
        "model",
        Column("served by", "", shapes.served_by),
        *_TOKENS,
        _COST,
        _LATENCY,
        number("first token", "firstTokenMs", milliseconds),
        Column("outcome", "", shapes.outcome),
        Column("remark", "", shapes.remark, prose=True),
    ),
    "ledger.summary": _table(
        "month",
        "day",
        _NAMESPACE,
        "key",
        "team",
        "user",
        Column("labels", write=shapes.pairs),
        "model",
        "target",
        "provider",
        "tier",
        _OUTCOME,
        *_SUMS,
    ),
    "models.list": _table("name", _NAMESPACE, Column("targets", write=shapes.targets), Column("fallbacks", prose=True)),
    "operations.list": _table(
        "time",
        Column("what", "operation"),
        Column("who", "principal"),
        Column("changes", write=shapes.changes, prose=True),
        Column("state", write=shapes.words),
        Column("operation", "id"),
    ),
    "pools.list": _table(
        Column("pool", "", shapes.qualified("name")),
        "group",
        "slots",
        "used",
        Column("classes", write=shapes.classes),
        Column("rates", write=shapes.rates),
        Column("paused", write=shapes.pauses),
    ),
    "sessions.list": _table(
        Column("session", "", shapes.qualified("session")),
        Column("agent", write=shapes.unqualified),
        Column("status", write=state),
        Column("waits for", "waiting"),
        "steps",
        number("spent", write=usd),
        "started",
        "updated",
        Column("of", "owner"),
        Column("answer", write=shapes.beginning),
    ),
    "system.operations": _table(
        Column("operation", "name"),
        "effect",
        "permission",
        Column("undo", "reversibility"),
        Column("meaning", "summary", prose=True),
    ),
    "topics.read": _table(
        "time", "sequence", "type", Column("data", write=shapes.content), Column("by", "principal"), "position", "id"
    ),
    "views.list": _table(
        Column("view", "name"),
        _STATE,
        number("behind", "lag", count),
        number("skipped", write=count),
        Column("message", prose=True),
    ),
}

SUM_TOTALS = (Column("", "", lambda _: plain("all")), *_SUMS)
