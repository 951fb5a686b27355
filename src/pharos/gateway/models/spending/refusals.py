"""Refusals for want of room: which level has none, for how long, and what would give it some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pharos.core.call import Call as OperationCall
from pharos.core.fault import Applicability, Cause, Fault, Fix
from pharos.core.resource import ResourceId
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.faults import BUDGET_MISSING, LEVEL_MISSING, RATE_LIMITED
from pharos.gateway.models.kinds import BUDGET
from pharos.gateway.models.spending.limits import Level, LevelName, LimitName, Refusal

FIELDS: Final[Mapping[LevelName, str]] = {
    "organisation": "limits",
    "team": "limits",
    "agent": "perAgent",
    "key": "limits",
    "user": "perUser",
    "session": "perSession",
}
"""The member of the owner's spec that holds the limits of a level."""

_SAID: Final[Mapping[LimitName, str]] = {
    "concurrency": "has {used} of {limit} calls under way.",
    "requestsPerMinute": "has made {used} of {limit} requests in the last 60 seconds.",
    "tokensPerMinute": "has used {used} of {limit} tokens in the last 60 seconds; this call may use {asked}.",
}
_ABOVE_ALL = " That is above the whole limit: it has room after 60 idle seconds, or sooner with a lower output limit."


def rate_limited(refused: Sequence[Refusal]) -> Fault:
    """``RATE_LIMITED``: told by the limit that takes longest to have room again, with every other as a cause."""
    first = max(refused, key=lambda refusal: refusal.wait)
    level = first.level
    return RATE_LIMITED(
        _sentence(first),
        rule=_rule(first),
        subject=str(level.owner),
        causes=[Cause(message=_sentence(each), resource=str(each.level.owner)) for each in refused]
        if len(refused) > 1
        else (),
        retry_after=round(first.wait, 3),
        facts={**_facts(first), "refused": [_facts(each) for each in refused]},
        fixes=[_raise(each, alone=len(refused) == 1) for each in refused],
    )


def level_missing(missing: Sequence[ResourceId]) -> Fault:
    """What is named and does not exist: nothing may be used while it is not known how much."""
    names = ", ".join(map(str, missing))
    if missing[0].kind == BUDGET.name:
        return BUDGET_MISSING(
            f"The key is charged to {names}, which does not exist.",
            subject=str(missing[0]),
            fixes=[_budgets([id for id in missing if id.kind == BUDGET.name])],
        )
    documents: list[Json] = [
        {"apiVersion": "pharos/v1", "kind": id.kind, "metadata": {"name": id.name, "namespace": id.namespace}}
        for id in missing
        if id.kind != BUDGET.name
    ]
    return LEVEL_MISSING(
        f"The key belongs to {names}, which does not exist.",
        subject=str(missing[0]),
        fixes=[
            Fix(
                id="declare",
                title=f"Declare {names}, without limits",
                applicability=Applicability.LIKELY,
                call=OperationCall(
                    operation="catalog.apply",
                    arguments={"documents": [{**each, "spec": {}} for each in documents if isinstance(each, dict)]},
                ),
                effect="Calls are let through again; give it the limits it should have.",
            )
        ],
    )


def _budgets(missing: Sequence[ResourceId]) -> Fix:
    documents: list[Json] = [
        {
            "apiVersion": "pharos/v1",
            "kind": BUDGET.name,
            "metadata": {"name": id.name, "namespace": id.namespace},
            "spec": {"limit": "<USD>", "window": "month"},
        }
        for id in missing
    ]
    return Fix(
        id="declare-budget",
        title=f"Declare {', '.join(map(str, missing))} with the limit it is to have",
        applicability=Applicability.TEMPLATE,
        call=OperationCall(operation="catalog.apply", arguments={"documents": documents}),
        effect="The key may spend up to the limit, from the next call on.",
    )


def _rule(refusal: Refusal) -> str:
    return f"{FIELDS[refusal.level.name]}.{refusal.name}"


def _who(level: Level) -> str:
    match level.name:
        case "key":
            return "The key"
        case "organisation" | "team":
            return f"The {level.name} {level.owner.name}"
        case "agent":
            return f"The agent {level.holder} of {level.owner.name}"
        case "user" if level.holder:
            return f"The end user {level.holder}"
        case "session" if level.holder:
            return f"The session {level.holder}"
    return f"The {level.name} that calls belong to which name none"


def _sentence(refusal: Refusal) -> str:
    said = _SAID[refusal.name].format(limit=refusal.limit, used=refusal.used, asked=refusal.asked)
    return f"{_who(refusal.level)} {said}{_ABOVE_ALL if refusal.asked > refusal.limit else ''}"


def _facts(refusal: Refusal) -> JsonObject:
    level = refusal.level
    facts: JsonObject = {
        "level": level.name,
        "owner": str(level.owner),
        "rule": _rule(refusal),
        "limit": refusal.limit,
        "used": refusal.used,
        "asked": refusal.asked,
    }
    if level.name in ("agent", "user", "session"):
        facts[level.name] = level.holder
    return facts


def _raise(refusal: Refusal, *, alone: bool) -> Fix:
    """Raise the limit to what is needed, a quarter more than it was at least."""
    level, owner = refusal.level, refusal.level.owner
    needed = max(refusal.used + refusal.asked, refusal.limit + max(refusal.limit // 4, 1))
    arguments: JsonObject = {"kind": owner.kind, "name": owner.name, "namespace": owner.namespace}
    if level.name in ("agent", "user", "session"):
        arguments["per"] = level.name
    if level.name == "agent":
        arguments["agent"] = level.holder
    arguments[refusal.name] = needed
    return Fix(
        id=f"raise-{level.name}-{refusal.name}",
        title=f"Raise {_rule(refusal)} of {owner.kind} {owner.name} to {needed}",
        # One of several raises does not let the call through, nor does one help where what was used is made up for.
        applicability=Applicability.CERTAIN if alone and not refusal.closed else Applicability.LIKELY,
        call=OperationCall(operation="limits.raise", arguments=arguments),
        effect=f"Up to {needed}, from the next call on; operations.undo takes it back.",
    )
