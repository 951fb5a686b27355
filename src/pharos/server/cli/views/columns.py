"""The columns of lists: what a person looks for, in the order in which they look."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from pharos.mesh.facts import INPUT_CLASSES, OUTPUT_CLASSES
from pharos.server.cli.views.cells import Column, count, milliseconds, money, number, plain, state, time


def short_id(value: Any) -> Text:
    """``Kind/name`` for what is in the default namespace."""
    return Text(str(value or "").replace("/default/", "/"))


def _namespace(value: Any) -> Text:
    """A namespace, where it is not the usual one."""
    return plain(None if value == "default" else value)


def _qualified(name: str) -> Callable[[Any], Text]:
    """``namespace/name``, and the name alone for what is in the default namespace."""
    return lambda row: _unqualified(f"{row.get('namespace')}/{row.get(name)}")


def _unqualified(value: Any) -> Text:
    return Text(str(value or "").removeprefix("default/"))


def _beginning(value: Any) -> Text:
    """The first words of a text, on one line."""
    line = " ".join(str(value or "").split())
    return Text(line if len(line) <= 60 else f"{line[:60]} …")


def _content(value: Any) -> Text:
    """What a message says, as JSON on one line. All of a long one is shown by --json."""
    line = "" if value is None else json.dumps(value, ensure_ascii=False)
    return Text(line if len(line) <= 100 else f"{line[:100]} …")


def _classes(value: Any) -> Text:
    """A line for each class: what waits in it, and what was granted, also because it had waited too long."""
    lines = []
    for one in value or ():
        late = f", {one['overdue']} of them overdue" if one.get("overdue") else ""
        lines.append(f"{one.get('name')}: {one.get('waiting')} waiting, {one.get('granted')} granted{late}")
    return Text("\n".join(lines))


def _rates(value: Any) -> Text:
    lines = []
    for one in value or ():
        amount = money(one.get("amount")) if one.get("unit") == "cost" else plain(one.get("amount"))
        each = f" for each {one['per']}" if one.get("per") else ""
        shut = f" ({one['shut']} used up)" if one.get("shut") else ""
        lines.append(f"{amount} {one.get('unit')} in {one.get('seconds'):g} s{each}{shut}")
    return Text("\n".join(lines))


def _pauses(value: Any) -> Text:
    return Text("\n".join(f"until {time(one.get('until'))}: {one.get('reason')}" for one in value or ()))


def _pairs(value: Any) -> Text:
    """Labels; one that a row does not have is said."""
    return Text(", ".join(f"{name}={text or '-'}" for name, text in (value or {}).items()))


def _tokens_in(row: Mapping[str, Any]) -> Text:
    tokens = row.get("tokens") or {}
    read = sum(tokens.get(name) or 0 for name in INPUT_CLASSES)
    return _estimated(count(read), tokens)


def _tokens_out(row: Mapping[str, Any]) -> Text:
    tokens = row.get("tokens") or {}
    return _estimated(count(sum(tokens.get(name) or 0 for name in OUTPUT_CLASSES)), tokens)


def _estimated(text: Text, tokens: Mapping[str, Any]) -> Text:
    return Text.assemble("~", text) if tokens.get("estimated") else text


def _served_by(row: Mapping[str, Any]) -> Text:
    return Text("/".join(part for part in (row.get("provider"), row.get("target")) if part))


def _cost(row: Mapping[str, Any]) -> Text:
    cost = money(row.get("cost"))
    return cost if row.get("cost") is None else Text.assemble(cost, " ", row.get("currency") or "")


def _costs(value: Any) -> Text:
    costs = [f"{money(cost.get('amount'))} {cost.get('currency', '')}" for cost in value or ()]
    unpriced = sum(cost.get("unpriced") or 0 for cost in value or ())
    return Text(" + ".join(costs) + (f" ({unpriced} unpriced)" if unpriced else ""))


def _outcome(row: Mapping[str, Any]) -> Text:
    fault = row.get("fault")
    return Text.assemble(state(row.get("outcome")), f" {fault}" if fault else "")


def _health(value: Any) -> Text:
    """The conditions of a status in a word, and in words what is not as it should be."""
    conditions = value or []
    bad = [condition for condition in conditions if condition.get("status") != "True"]
    if not bad:
        return state("healthy") if conditions else Text("")
    return Text.assemble(state("unhealthy"), " ", ", ".join(c.get("reason") or c.get("type") or "" for c in bad))


def _of_all(value: Any) -> Text:
    """An amount that is left out where each has one of their own."""
    return Text("") if value is None else money(value)


def _percentages(value: Any) -> Text:
    return Text(", ".join(f"{percent}%" for percent in value or ()))


def _changes(value: Any) -> Text:
    changes = [f"{change.get('action')} {short_id(change.get('resource'))}" for change in value or ()]
    return Text(", ".join(changes[:3]) + (f" and {len(changes) - 3} more" if len(changes) > 3 else ""))


def _credentials(value: Any) -> Text:
    """The ids of those that still open something: what ``keys revoke --credential`` takes."""
    return Text(", ".join(str(item.get("id")) for item in value or () if item.get("state") == "active"))


def _targets(value: Any) -> Text:
    """Where a model is served, with what is not as it should be."""
    words = []
    for target in value or ():
        odd = [target.get("state")] if target.get("state") != "ready" else []
        odd += ["no credential"] if target.get("credential") == "missing" else []
        odd += ["unpriced"] if target.get("price") == "unpriced" else []
        served = f"{target.get('provider')}/{target.get('model')} ×{target.get('weight')}"
        words.append(served + (f" ({', '.join(odd)})" if odd else ""))
    return Text("\n".join(words))


def _call(value: Any) -> Text:
    from pharos.server.cli.values import command_line

    return Text(command_line(value.get("operation", ""), value.get("arguments") or {}) if value else "")


_SUMS = (
    number("attempts", "attempts", count),
    number("in", "", _tokens_in),
    number("out", "", _tokens_out),
    number("unpriced", "unpriced", count),
    number("cost", "", _cost),
)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "approvals.list": (
        Column("name", "name"),
        Column("state", "state", state),
        Column("requester", "requester"),
        Column("what", "call", _call, prose=True),
        Column("reason", "reason", prose=True),
        Column("expires", "expiresAt", time),
    ),
    "budgets.list": (
        Column("name", "name"),
        Column("namespace", "namespace", _namespace),
        Column("window", "window"),
        Column("period", "period"),
        Column("for each", "per"),
        number("limit", "limit", money),
        number("spent", "settled", _of_all),
        number("reserved", "reserved", _of_all),
        number("left", "remaining", _of_all),
        Column("currency", "currency"),
        Column("alerted", "alerted", _percentages),
        Column("ends", "endsAt", time),
    ),
    "budgets.usage": (
        Column("holder", "holder"),
        Column("period", "period"),
        number("limit", "limit", money),
        number("spent", "settled", money),
        number("reserved", "reserved", money),
        number("left", "remaining", money),
    ),
    "budgets.alerts": (
        Column("time", "time", time),
        Column("budget", "budget", short_id),
        Column("holder", "holder"),
        Column("period", "period"),
        number("percent", "percent"),
        number("spent", "settled", money),
        number("limit", "limit", money),
        Column("currency", "currency"),
    ),
    "catalog.history": (
        number("revision", "revision"),
        Column("action", "action", state),
        Column("time", "time", time),
        Column("principal", "principal"),
        Column("operation", "operation"),
    ),
    "catalog.list": (
        Column("kind", "kind"),
        Column("name", "metadata.name"),
        Column("namespace", "metadata.namespace", _namespace),
        Column("labels", "metadata.labels", prose=True),
        number("revision", "metadata.revision"),
        Column("updated", "metadata.updatedAt", time),
        Column("state", "status.conditions", _health, prose=True),
    ),
    "faults.list": (
        Column("code", "code"),
        number("http", "status"),
        Column("category", "category"),
        Column("retry", "retry"),
        Column("meaning", "meaning", prose=True),
    ),
    "journeys.list": (
        Column("updated", "updated", time),
        Column("key", "key"),
        Column("team", "team"),
        Column("model", "model"),
        number("calls", "calls", count),
        number("attempts", "attempts", count),
        number("cost", "costs", _costs),
        number("latency", "latencyMs", milliseconds),
        Column("outcome", "outcome", state),
        Column("conversation", "conversation"),
        Column("id", "id"),
    ),
    "keys.list": (
        Column("key", "key"),
        Column("state", "state", state),
        Column("models", "models", prose=True),
        Column("budgets", "budgets", prose=True),
        Column("scopes", "scopes", prose=True),
        Column("labels", "labels", prose=True),
        Column("credentials", "credentials", _credentials, prose=True),
        Column("issued", "lastIssuedAt", time),
        Column("expires", "expiresAt", time),
    ),
    "kinds.list": (
        Column("kind", "name"),
        Column("plural", "plural"),
        Column("plane", "plane"),
        Column("meaning", "summary", prose=True),
    ),
    "ledger.list": (
        Column("time", "time", time),
        Column("key", "key"),
        Column("team", "team"),
        Column("model", "model"),
        Column("served by", "", _served_by),
        number("in", "", _tokens_in),
        number("out", "", _tokens_out),
        number("cost", "", _cost),
        number("latency", "latencyMs", milliseconds),
        number("first token", "firstTokenMs", milliseconds),
        Column("outcome", "", _outcome),
    ),
    "ledger.summary": (
        Column("month", "month"),
        Column("day", "day"),
        Column("namespace", "namespace", _namespace),
        Column("key", "key"),
        Column("team", "team"),
        Column("user", "user"),
        Column("labels", "labels", _pairs),
        Column("model", "model"),
        Column("target", "target"),
        Column("provider", "provider"),
        Column("tier", "tier"),
        Column("outcome", "outcome", state),
        *_SUMS,
    ),
    "models.list": (
        Column("name", "name"),
        Column("namespace", "namespace", _namespace),
        Column("targets", "targets", _targets),
        Column("fallbacks", "fallbacks", prose=True),
    ),
    "operations.list": (
        Column("time", "time", time),
        Column("what", "operation"),
        Column("who", "principal"),
        Column("changes", "changes", _changes, prose=True),
        Column("state", "state"),
        Column("operation", "id"),
    ),
    "pools.list": (
        Column("pool", "", _qualified("name")),
        Column("group", "group"),
        number("slots", "slots"),
        number("used", "used"),
        Column("classes", "classes", _classes),
        Column("rates", "rates", _rates),
        Column("paused", "paused", _pauses),
    ),
    "sessions.list": (
        Column("session", "", _qualified("session")),
        Column("agent", "agent", _unqualified),
        Column("status", "status", state),
        Column("waits for", "waiting"),
        number("steps", "steps", count),
        number("spent", "spent", money),
        Column("started", "started", time),
        Column("updated", "updated", time),
        Column("of", "owner"),
        Column("answer", "answer", _beginning),
    ),
    "system.operations": (
        Column("operation", "name"),
        Column("effect", "effect"),
        Column("permission", "permission"),
        Column("undo", "reversibility"),
        Column("meaning", "summary", prose=True),
    ),
    "topics.read": (
        Column("time", "time", time),
        number("sequence", "sequence"),
        Column("type", "type"),
        Column("data", "data", _content),
        Column("by", "principal"),
        Column("position", "position"),
        Column("id", "id"),
    ),
    "views.list": (
        Column("view", "name"),
        Column("state", "state", state),
        number("behind", "lag", count),
        number("skipped", "skipped", count),
        Column("message", "message", prose=True),
    ),
}

SUM_TOTALS = (Column("", "", lambda _: plain("all")), *_SUMS)
