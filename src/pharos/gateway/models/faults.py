"""The faults of a model call.

Statuses are chosen by what the official SDKs do with them: they repeat 408, 409, 429 and every 5xx on their own, which
is right for what passes with time and wrong for what somebody must mend first. So a budget that is used up is 402 and
a missing price 422; and every refusal also says ``x-should-retry``, which both SDKs obey.
"""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

MODEL_NOT_FOUND = FaultCode(
    "MODEL_NOT_FOUND", "Model not found", 404, Category.PRECONDITION,
    "There is no such model, or the key may not use it. `GET /v1/models` lists those it may.", Retry.AFTER_FIX,
)  # fmt: skip
RATE_LIMITED = FaultCode(
    "RATE_LIMITED", "Rate limit reached", 429, Category.QUOTA,
    "The key, its team, organisation or agent, the end user or the session has used its requests or tokens of the last "
    "60 seconds, or has as many calls under way as it may. `subject` declares the limit, `rule` names it, and "
    "`facts.level` says whose it is. The refused call counted for nothing.", Retry.AFTER_TIME,
)  # fmt: skip
LEVEL_MISSING = FaultCode(
    "LEVEL_MISSING", "Team or organisation missing", 503, Category.PRECONDITION,
    "The key belongs to a team, or its team to an organisation, that does not exist, so what it may use is not known. "
    "Apply it, or take the reference away.", Retry.AFTER_FIX,
)  # fmt: skip
LIMIT_NOT_RAISED = FaultCode(
    "LIMIT_NOT_RAISED", "Not a raise", 422, Category.VALIDATION,
    "`limits.raise` only raises limits that are there: each new one must be above the present one. To set, lower or "
    "lift one, apply the resource.", Retry.AFTER_FIX,
)  # fmt: skip
BUDGET_EXCEEDED = FaultCode(
    "BUDGET_EXCEEDED", "Budget exceeded", 402, Category.QUOTA,
    "The most this call can cost does not fit under a budget of the key. `facts` has the limit, what is settled and "
    "what is reserved by calls under way. Raise the budget, wait for its next window, or set a lower output limit.",
    Retry.AFTER_FIX,
)  # fmt: skip
BUDGET_MISSING = FaultCode(
    "BUDGET_MISSING", "Budget missing", 402, Category.PRECONDITION,
    "The key is charged to a budget that does not exist, so nothing may be spent. Apply the budget, or remove it from "
    "the key.", Retry.AFTER_FIX,
)  # fmt: skip
COST_LIMITED = FaultCode(
    "COST_LIMITED", "The call could cost too much", 402, Category.QUOTA,
    "The model sets a limit on what one call may cost, all of its attempts together, and an attempt could pass it. "
    "Set a lower output limit, send less, or have the model's `maxCost` raised.", Retry.AFTER_FIX,
)  # fmt: skip
MODEL_UNPRICED = FaultCode(
    "MODEL_UNPRICED", "Price unknown", 422, Category.POLICY,
    "A budget applies and part of the call's price is not known, so its cost cannot be bounded. Apply a `Price`, or "
    "set `unpriced: allow` on the model to call it outside the budget's protection.", Retry.AFTER_FIX,
)  # fmt: skip
MODEL_UNAVAILABLE = FaultCode(
    "MODEL_UNAVAILABLE", "No provider can answer", 503, Category.DEPENDENCY,
    "Every target of the model and of its fallbacks is missing, resting after failures, or at its concurrency limit. "
    "`causes` names each.", Retry.AFTER_TIME,
)  # fmt: skip
PROVIDER_CREDENTIAL = FaultCode(
    "PROVIDER_CREDENTIAL", "Provider credential missing or refused", 502, Category.DEPENDENCY,
    "The city's own credential with the provider is absent, unreadable, or was not accepted. An operator must set it.",
    Retry.AFTER_FIX,
)  # fmt: skip
UPSTREAM_REFUSED = FaultCode(
    "UPSTREAM_REFUSED", "The provider refused the request", 400, Category.VALIDATION,
    "The provider found the request itself at fault; another attempt would fail the same way.", Retry.AFTER_FIX,
)  # fmt: skip
UPSTREAM_RATE_LIMITED = FaultCode(
    "UPSTREAM_RATE_LIMITED", "The provider limits our rate", 429, Category.CAPACITY,
    "The provider takes no more requests from this city for the moment.", Retry.AFTER_TIME,
)  # fmt: skip
UPSTREAM_OVERLOADED = FaultCode(
    "UPSTREAM_OVERLOADED", "The provider is overloaded", 503, Category.CAPACITY,
    "The provider has no capacity for the moment.", Retry.AFTER_TIME,
)  # fmt: skip
UPSTREAM_FAILED = FaultCode(
    "UPSTREAM_FAILED", "The provider failed", 502, Category.DEPENDENCY,
    "The provider answered with a failure of its own, and no other target could answer.", Retry.SAME_REQUEST,
)  # fmt: skip
UPSTREAM_UNREACHABLE = FaultCode(
    "UPSTREAM_UNREACHABLE", "The provider cannot be reached", 502, Category.DEPENDENCY,
    "No connection to the provider came about. Nothing was sent.", Retry.SAME_REQUEST,
)  # fmt: skip
UPSTREAM_TIMEOUT = FaultCode(
    "UPSTREAM_TIMEOUT", "The provider took too long", 504, Category.TRANSIENT,
    "The provider did not answer within the time the `Provider` allows. It may have worked on the request.",
    Retry.SAME_REQUEST,
)  # fmt: skip
UPSTREAM_PROTOCOL = FaultCode(
    "UPSTREAM_PROTOCOL", "The provider broke its protocol", 502, Category.INTEGRITY,
    "What the provider sent is not an answer of its dialect, or ended before it was complete.", Retry.SAME_REQUEST,
)  # fmt: skip
UPSTREAM_QUOTA = FaultCode(
    "UPSTREAM_QUOTA", "The city's account with the provider is used up", 503, Category.DEPENDENCY,
    "The provider asks for payment. An operator must see to the account.", Retry.AFTER_FIX,
)  # fmt: skip
UPSTREAM_MODEL = FaultCode(
    "UPSTREAM_MODEL", "The provider does not have the model", 502, Category.DEPENDENCY,
    "The name the `Model` gives for its target is unknown to the provider, or the `Provider` has a `baseUrl` without "
    "the `/v1` that its dialect expects there. An operator must correct the one or the other.",
    Retry.AFTER_FIX,
)  # fmt: skip
CONTEXT_EXCEEDED = FaultCode(
    "CONTEXT_EXCEEDED", "Longer than the context window", 400, Category.VALIDATION,
    "The conversation does not fit into the model's context window.", Retry.AFTER_FIX,
)  # fmt: skip
CONTENT_FILTERED = FaultCode(
    "CONTENT_FILTERED", "Refused by the provider's content filter", 400, Category.POLICY,
    "The provider refused the content of the request.", Retry.AFTER_FIX,
)  # fmt: skip
RESPONSE_NOT_FOUND = FaultCode(
    "RESPONSE_NOT_FOUND", "Response not found", 404, Category.PRECONDITION,
    "There is no such response, or it is another key's. It may have been deleted, be older than 30 days, or have been "
    "asked for with `store: false`. Send the whole conversation as `input` instead.", Retry.AFTER_FIX,
)  # fmt: skip
DEADLINE_EXCEEDED = FaultCode(
    "DEADLINE_EXCEEDED", "The call's deadline passed", 504, Category.TRANSIENT,
    "All attempts and pauses together took longer than the `Model` allows.", Retry.SAME_REQUEST,
)  # fmt: skip
CAPABILITY_MISSING = FaultCode(
    "CAPABILITY_MISSING", "No target can do it", 400, Category.PRECONDITION,
    "The call needs what none of the model's targets and fallbacks can do (`facts.needs`: tools, vision, a schema …), "
    "as their `capabilities` say. Nothing of it was left out to make it fit. Ask another model, or leave it out "
    "yourself.",
    Retry.AFTER_FIX,
)  # fmt: skip
BUDGET_NOT_RAISED = FaultCode(
    "BUDGET_NOT_RAISED", "Not a raise", 422, Category.VALIDATION,
    "`budgets.raise` only raises: the new limit must be above the present one. To lower it, apply the budget.",
    Retry.AFTER_FIX,
)  # fmt: skip

ALL: tuple[FaultCode, ...] = (
    MODEL_NOT_FOUND, RATE_LIMITED, BUDGET_EXCEEDED, BUDGET_MISSING, COST_LIMITED, MODEL_UNPRICED,
    MODEL_UNAVAILABLE,
    PROVIDER_CREDENTIAL, UPSTREAM_REFUSED, UPSTREAM_RATE_LIMITED, UPSTREAM_OVERLOADED, UPSTREAM_FAILED,
    UPSTREAM_UNREACHABLE, UPSTREAM_TIMEOUT, UPSTREAM_PROTOCOL, UPSTREAM_QUOTA, UPSTREAM_MODEL, CONTEXT_EXCEEDED,
    CONTENT_FILTERED, RESPONSE_NOT_FOUND, DEADLINE_EXCEEDED, CAPABILITY_MISSING, BUDGET_NOT_RAISED, LEVEL_MISSING,
    LIMIT_NOT_RAISED,
)  # fmt: skip
