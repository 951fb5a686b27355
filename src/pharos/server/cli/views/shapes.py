"""How tables write the values that are made of others: names with their namespaces, tokens, costs, targets, rates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.text import Text

from pharos.mesh.facts import INPUT_CLASSES, OUTPUT_CLASSES
from pharos.server.cli.views.cells import count, money, plain, state, time, usd


def short_id(value: Any) -> Text:
    """``Kind/name`` for what is in the default namespace."""
    return Text(str(value or "").replace("/default/", "/"))


def namespace(value: Any) -> Text:
    """A namespace, where it is not the usual one."""
    return plain(None if value == "default" else value)


def qualified(name: str) -> Callable[[Any], Text]:
    """``namespace/name``, and the name alone for what is in the default namespace."""
    return lambda row: unqualified(f"{row.get('namespace')}/{row.get(name)}")


def unqualified(value: Any) -> Text:
    """A name, with its namespace where that is not the usual one."""
    return Text(str(value or "").removeprefix("default/"))


def beginning(value: Any) -> Text:
    """The first words of a text, on one line."""
    line = " ".join(str(value or "").split())
    return Text(line if len(line) <= 60 else f"{line[:60]} …")


def content(value: Any) -> Text:
    """What a message says, as JSON on one line. All of a long one is shown by --json."""
    line = "" if value is None else json.dumps(value, ensure_ascii=False)
    return Text(line if len(line) <= 100 else f"{line[:100]} …")


def classes(value: Any) -> Text:
    """A line for each class: what waits in it, and what was granted, also because it had waited too long."""
    lines = []
    for one in value or ():
        late = f", {one['overdue']} of them overdue" if one.get("overdue") else ""
        lines.append(f"{one.get('name')}: {one.get('waiting')} waiting, {one.get('granted')} granted{late}")
    return Text("\n".join(lines))


def rates(value: Any) -> Text:
    """A line for each rate, and whether it is used up."""
    lines = []
    for one in value or ():
        amount = money(one.get("amount")) if one.get("unit") == "cost" else plain(one.get("amount"))
        each = f" for each {one['per']}" if one.get("per") else ""
        shut = f" ({one['shut']} used up)" if one.get("shut") else ""
        lines.append(f"{amount} {one.get('unit')} in {one.get('seconds'):g} s{each}{shut}")
    return Text("\n".join(lines))


def pauses(value: Any) -> Text:
    """A line for each pause that somebody asked for."""
    return Text("\n".join(f"until {time(one.get('until'))}: {one.get('reason')}" for one in value or ()))


def pairs(value: Any) -> Text:
    """Labels; one that a row does not have is said."""
    return Text(", ".join(f"{name}={text or '-'}" for name, text in (value or {}).items()))


def tokens_in(row: Mapping[str, Any]) -> Text:
    """Tokens of the prompt, of all classes."""
    return _tokens(row, INPUT_CLASSES)


def tokens_out(row: Mapping[str, Any]) -> Text:
    """Tokens of the answer, of all classes."""
    return _tokens(row, OUTPUT_CLASSES)


def _tokens(row: Mapping[str, Any], classes: Iterable[str]) -> Text:
    if _lost(row):
        return Text("?")
    tokens = row.get("tokens") or {}
    sum_ = count(sum(tokens.get(name) or 0 for name in classes))
    return Text.assemble("~", sum_) if tokens.get("estimated") else sum_


def _lost(row: Mapping[str, Any]) -> bool:
    """Whether nobody knows what the call used: it was counted as what was reserved for it."""
    return (row.get("price") or {}).get("source") == "reservation"


def served_by(row: Mapping[str, Any]) -> Text:
    """``provider/model``."""
    return Text("/".join(part for part in (row.get("provider"), row.get("target")) if part))


def cost(row: Mapping[str, Any]) -> Text:
    """What a row of the ledger cost; an answer that was given again cost nothing."""
    amount = row.get("cost")
    if amount is None:
        return Text("") if row.get("kind") == "cached" else money(None)
    return Text.assemble(money(amount), " ", row.get("currency") or "")


def remark(row: Mapping[str, Any]) -> Text:
    """What a row of the ledger is, where it is no request that a provider answered or refused."""
    if row.get("kind") == "cached":
        return Text.assemble(f"answer given again ({row.get('reason')}), saved ", usd(row.get("saved")))
    if row.get("kind") == "correction":
        return Text(f"correction of {row.get('corrects')}: {row.get('reason')}")
    if _lost(row):
        return Text("the city ended before the call did: the most that it can have cost")
    return Text("")


def costs(value: Any) -> Text:
    """Sums by currency, with what has no price."""
    costs = [f"{money(cost.get('amount'))} {cost.get('currency', '')}" for cost in value or ()]
    unpriced = sum(cost.get("unpriced") or 0 for cost in value or ())
    return Text(" + ".join(costs) + (f" ({unpriced} unpriced)" if unpriced else ""))


def outcome(row: Mapping[str, Any]) -> Text:
    """How it ended, with the code of its fault."""
    fault = row.get("fault")
    return Text.assemble(state(row.get("outcome")), f" {fault}" if fault else "")


def health(value: Any) -> Text:
    """The conditions of a status in a word, and in words what is not as it should be."""
    conditions = value or []
    bad = [condition for condition in conditions if condition.get("status") != "True"]
    if not bad:
        return state("healthy") if conditions else Text("")
    return Text.assemble(state("unhealthy"), " ", ", ".join(c.get("reason") or c.get("type") or "" for c in bad))


def percentages(value: Any) -> Text:
    """Percentages of a limit."""
    return Text(", ".join(f"{percent}%" for percent in value or ()))


def changes(value: Any) -> Text:
    """The first of the resources that an operation changed."""
    changes = [f"{change.get('action')} {short_id(change.get('resource'))}" for change in value or ()]
    return Text(", ".join(changes[:3]) + (f" and {len(changes) - 3} more" if len(changes) > 3 else ""))


def credentials(value: Any) -> Text:
    """The ids of those that still open something: what ``keys revoke --credential`` takes."""
    return Text(", ".join(str(item.get("id")) for item in value or () if item.get("state") == "active"))


def targets(value: Any) -> Text:
    """Where a model is served, with what is not as it should be."""
    words = []
    for target in value or ():
        odd = [target.get("state")] if target.get("state") != "ready" else []
        odd += ["no credential"] if target.get("credential") == "missing" else []
        odd += ["unpriced"] if target.get("price") == "unpriced" else []
        served = f"{target.get('provider')}/{target.get('model')} ×{target.get('weight')}"
        words.append(served + (f" ({', '.join(odd)})" if odd else ""))
    return Text("\n".join(words))


def call(value: Any) -> Text:
    """A call as the command that makes it."""
    from pharos.server.cli.values import command_line

    return Text(command_line(value.get("operation", ""), value.get("arguments") or {}) if value else "")


def words(value: Any) -> Text:
    """A name of several words as people write it: ``in effect``."""
    return Text(str(value or "").replace("_", " "))


def measured(value: Any) -> Text:
    """What a semantic cache does, and what it was measured to get wrong."""
    if not value:
        return Text("")
    most = f"at most {value['falseHits']:.1%} of its answers" if value.get("samples") else "nothing compared yet"
    return Text(f"{value.get('state')}: {value.get('wrong')} of {value.get('samples')} wrong ({most})")
