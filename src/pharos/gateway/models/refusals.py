"""The faults of a model call that take more than a sentence: with their facts, their causes and the fixes that help."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_UP, Decimal

from pharos.control.wording import nearest, quoted
from pharos.core.call import Call as OperationCall
from pharos.core.fault import Applicability, Cause, Fault, FaultCode, Fix, Retry, State
from pharos.core.resource import ResourceId
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models import faults
from pharos.gateway.models.dialects.canonical import Failure, FailureClass
from pharos.gateway.models.plans import ModelPlan
from pharos.gateway.models.spending.money import SESSION, BudgetPlan, window_end, window_name
from pharos.gateway.models.targets import Target
from pharos.gateway.models.upstream.provider import SEAL_BROKEN
from pharos.mesh.money import NANOS, decimal_text, in_words
from pharos.store.ports import Count, Store

MOST_NAMES = 20
"""Models that are named to who asked for another."""

_FEW_NAMES = 5
"""And how many fit into a sentence."""

MAX_MESSAGE = 500
"""Characters of a provider's message that are repeated."""

_CENTS = Decimal("0.01")

_HIGHEST_LIMIT = 900_000_000 * NANOS
"""Billionths; a budget cannot be raised much beyond (``kinds.Money`` has nine digits before the point)."""

_CODES: Mapping[FailureClass, FaultCode] = {
    FailureClass.RATE_LIMITED: faults.UPSTREAM_RATE_LIMITED,
    FailureClass.OVERLOADED: faults.UPSTREAM_OVERLOADED,
    FailureClass.SERVER: faults.UPSTREAM_FAILED,
    FailureClass.TIMEOUT: faults.UPSTREAM_TIMEOUT,
    FailureClass.CONNECT: faults.UPSTREAM_UNREACHABLE,
    FailureClass.PROTOCOL: faults.UPSTREAM_PROTOCOL,
    FailureClass.INVALID: faults.UPSTREAM_REFUSED,
    FailureClass.CONTEXT: faults.CONTEXT_EXCEEDED,
    FailureClass.AUTHENTICATION: faults.PROVIDER_CREDENTIAL,
    FailureClass.QUOTA: faults.UPSTREAM_QUOTA,
    FailureClass.NOT_FOUND: faults.UPSTREAM_MODEL,
    FailureClass.FILTERED: faults.CONTENT_FILTERED,
}

OURS = frozenset({FailureClass.AUTHENTICATION, FailureClass.QUOTA, FailureClass.NOT_FOUND})
"""Failures about this city's account: the provider's words on them are not for the client."""

THEIRS = frozenset({FailureClass.INVALID, FailureClass.CONTEXT, FailureClass.FILTERED})
"""Failures about the client's request: the provider's words are exactly what the client needs."""


INCAPABLE = "incapable"
"""Code of a failure that is none of the provider's: what was asked for does not exist in its dialect. Nothing was
sent, so that it has no status."""


def code_of(failure: Failure) -> FaultCode:
    """The fault code of a failure."""
    if failure.code == INCAPABLE and not failure.status:
        return faults.CAPABILITY_MISSING
    return _CODES[failure.cls]


def upstream_fault(failure: Failure, target: Target, causes: Sequence[Cause] = ()) -> Fault:
    """What the client gets when the last attempt failed like this."""
    code = code_of(failure)
    provider = str(target.upstream.id)
    ours = failure.cls in OURS and failure.code != SEAL_BROKEN and code is not faults.CAPABILITY_MISSING
    said = "" if ours else failure.message[:MAX_MESSAGE]
    where = Cause(message=said or code.title, resource=provider, observed=failure.status or None)
    uncertain = failure.cls in (FailureClass.TIMEOUT, FailureClass.PROTOCOL)
    fault = code(
        f"{target.upstream.name}: {said}" if said else "",
        subject=provider,
        causes=[where, *causes],
        state=State.UNKNOWN if uncertain else State.UNCHANGED,
        retry_after=failure.retry_after,
    )
    if failure.cls in THEIRS and 400 <= failure.status < 500:
        return fault.amended(lambda document: document.model_copy(update={"status": failure.status}))
    return fault


async def budget_exceeded(store: Store, budgets: Sequence[BudgetPlan], amount: int, now: datetime) -> Fault:
    """``BUDGET_EXCEEDED`` for every budget in which ``amount`` billionths have no room, with the raise that helps."""
    windows = [(budget.counter, window_name(budget.window, now)) for budget in budgets]
    counts = await store.counters.read(windows)
    short = [
        (budget, count)
        for budget, count in zip(budgets, counts, strict=True)
        if count.settled + count.reserved + amount > budget.limit
    ]
    # Meanwhile a call may have been settled and made room: then the first budget is named, and trying again helps.
    named = short or [(budgets[0], counts[0])]
    causes, facts = [], []
    for budget, count in named:
        causes.append(Cause(message=_sentence(budget, count, amount), resource=str(budget.id)))
        facts.append(_facts(budget, count, amount))
    first, count = named[0]
    ends = window_end(first.window, now)
    return faults.BUDGET_EXCEEDED(
        _sentence(first, count, amount),
        subject=str(first.id),
        rule="budget.limit",
        causes=causes,
        facts={"budgets": facts, "windowEnds": ends.isoformat() if ends is not None else None},
        retry=Retry.AFTER_FIX if short else Retry.SAME_REQUEST,
        fixes=[
            _raise(budget, count, amount, alone=len(short) == 1)
            for budget, count in short
            if budget.id.kind != SESSION and count.settled + count.reserved + amount < _HIGHEST_LIMIT
        ],
    )


def _raise(budget: BudgetPlan, count: Count, amount: int, *, alone: bool) -> Fix:
    """Raise the limit to what is needed, a quarter more than it was at least, in whole cents."""
    needed = max(count.settled + count.reserved + amount, budget.limit + budget.limit // 4)
    limit = (Decimal(needed) / NANOS).quantize(_CENTS, ROUND_UP)
    return Fix(
        id=f"raise-{budget.id.name}",
        title=f"Raise the budget {budget.id.name} to {limit} USD",
        # With several budgets short, one raise alone does not let the call through.
        applicability=Applicability.CERTAIN if alone else Applicability.LIKELY,
        call=OperationCall(
            operation="budgets.raise",
            arguments={"name": budget.id.name, "namespace": budget.id.namespace, "limit": str(limit)},
        ),
        effect=f"Calls have room up to {limit} USD in each {budget.window}; operations.undo takes it back.",
    )


def _sentence(budget: BudgetPlan, count: Count, amount: int) -> str:
    left = max(budget.limit - count.settled - count.reserved, 0)
    name = f"of session {budget.id.namespace}/{budget.id.name}" if budget.id.kind == SESSION else budget.id.name
    whose = f" of {budget.per} {budget.holder or '(none was named)'}" if budget.per else ""
    return (
        f"The call can cost up to {in_words(amount)}; the budget {name}{whose} has "
        f"{in_words(left)} of {in_words(budget.limit)} left ({budget.window} {count.window})."
    )


def _facts(budget: BudgetPlan, count: Count, amount: int) -> Json:
    facts: JsonObject = {
        "budget": str(budget.id),
        "window": count.window,
        "limit": decimal_text(budget.limit),
        "settled": decimal_text(count.settled),
        "reserved": decimal_text(count.reserved),
        "requested": decimal_text(amount),
    }
    if budget.per is not None:
        facts[budget.per] = budget.holder
    return facts


def unpriced(model: ModelPlan, what: str, among: Sequence[Target] | None = None) -> Fault:
    """``MODEL_UNPRICED``: no target (``among`` these, or of the model) has a price, or (``what``) part of the request
    has none."""
    if what:
        return faults.MODEL_UNPRICED(
            f"What it may cost is limited, and what {what} costs is not known before it is used.",
            subject=str(model.id),
            rule="model.unpriced",
            facts={"unpriced": what},
            fixes=[
                Fix(
                    id="leave-out",
                    title=f"Send the request without {what}, or with a key that has no budget",
                    applicability=Applicability.MANUAL,
                ),
                Fix(
                    id="allow-unpriced",
                    title=f"Set `unpriced: allow` in the spec of {model.id}: then such calls pass, and a budget may be "
                    "exceeded by what they turn out to cost",
                    applicability=Applicability.MANUAL,
                ),
            ],
        )
    if among is None:
        among = [target for plan in model.chain for target in plan.targets]
    targets = {target.label: target for target in among}
    names: list[Json] = list(targets)
    return faults.MODEL_UNPRICED(
        f"A budget applies, and no price is known that bounds a call of {', '.join(targets)}.",
        subject=str(model.id),
        rule="model.unpriced",
        facts={"unpriced": names},
        fixes=[_prices(list(targets.values()), model)] if targets else [],
    )


def _prices(targets: Sequence[Target], model: ModelPlan) -> Fix:
    documents: list[Json] = [
        {
            "apiVersion": "pharos/v1",
            "kind": "Price",
            "metadata": {"name": _slug(target.label), "namespace": model.id.namespace},
            "spec": {
                "provider": _reference(target.upstream.id, model.id.namespace),
                "model": target.model,
                "currency": "USD",
                "inputPerMillion": "<USD per million input tokens>",
                "outputPerMillion": "<USD per million output tokens>",
                **({"perRequest": "<USD per request, its searches included>"} if target.searches else {}),
            },
        }
        for target in targets
    ]
    return Fix(
        id="apply-price",
        title=f"Declare what {', '.join(target.label for target in targets)} costs",
        applicability=Applicability.TEMPLATE,
        call=OperationCall(operation="catalog.apply", arguments={"documents": documents}),
        effect="The call's cost can be bounded, so the budget can admit it. What a call costs besides tokens, such as "
        "searches that the model makes by itself, belongs in `perRequest`.",
    )


def _slug(label: str) -> str:
    """A resource name that tells one ``provider/model`` from the others."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower())[:100].strip("-")


def _reference(id: ResourceId, home: str) -> str:
    return id.name if id.namespace == home else f"{id.namespace}/{id.name}"


def model_not_found(asked: str, usable: Collection[str], *, pointer: str | None = None) -> Fault:
    """``MODEL_NOT_FOUND``, with the names that the key may ask for: a key sees only its own."""
    detail = f"There is no model {quoted(asked)} that this key may use."
    if not usable:
        detail += " It may use none: its `models` name none that exists."
    elif close := nearest(asked, usable):
        detail += f" Did you mean {close!r}?"
    elif len(usable) <= _FEW_NAMES:
        # An SDK shows its user the sentence, and not the facts.
        detail += f" It may use {', '.join(map(repr, sorted(usable)))}."
    return faults.MODEL_NOT_FOUND(detail, pointer=pointer, facts={"models": [*sorted(usable)[:MOST_NAMES]]})


def unavailable(model: ModelPlan, reasons: Mapping[str, str], retry_after: float | None) -> Fault:
    """``MODEL_UNAVAILABLE``: why each target was passed over."""
    causes = [Cause(message=f"{label}: {reason}") for label, reason in reasons.items()]
    return faults.MODEL_UNAVAILABLE(
        f"No target of {model.name} can be used now.",
        subject=str(model.id),
        causes=causes or [Cause(message=f"{model.name} names no provider that exists")],
        retry=Retry.AFTER_TIME if retry_after is not None else Retry.AFTER_FIX,
        retry_after=retry_after,
    )
