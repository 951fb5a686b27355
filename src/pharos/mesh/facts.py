"""The facts that one room states and another reads. They are the only thing two rooms of a floor share.

Money is a decimal string with at most nine places (``"0.000018750"``): costs are rounded to a billionth of the currency
unit once, when an attempt is priced, so that every later sum of them is exact. Durations are milliseconds.
"""

from __future__ import annotations

from typing import Literal, TypedDict

MODEL_CALLED: Literal["model.called"] = "model.called"
"""One logical model call ended, with all of its attempts. Appended before the last byte reaches the client."""


class Usage(TypedDict, total=False):
    """Tokens by price class. Classes do not overlap: their sum is everything that was processed.

    ``input`` is uncached input, ``cacheRead`` and ``cacheWrite5m``/``cacheWrite1h`` are prompt cache classes,
    ``output`` excludes ``reasoning``. ``estimated`` is present and true where the provider gave no numbers.
    """

    input: int
    cacheRead: int
    cacheWrite5m: int
    cacheWrite1h: int
    output: int
    reasoning: int
    estimated: bool


class PriceUsed(TypedDict):
    """Where a cost comes from: ``source`` is ``overlay/NAME``, ``genai-prices``, ``unpriced``, or ``reservation`` (the
    amount that was held for a call whose end nobody saw)."""

    source: str
    version: str


Outcome = Literal["ok", "error", "refused", "cancelled", "incomplete", "unknown"]
"""``refused``: no attempt was made. ``incomplete``: the stream was cut. ``unknown``: the process died meanwhile."""


class Attempt(TypedDict):
    """One request to one provider: one row of the ledger."""

    number: int
    provider: str
    dialect: str
    asked: str
    answered: str
    outcome: Outcome
    status: int
    fault: str
    usage: Usage
    price: PriceUsed
    cost: str | None
    currency: str
    startedAt: str
    latencyMs: float
    firstTokenMs: float | None


class Conversation(TypedDict):
    """What lets calls be stitched together.

    ``id`` is the caller's own session id, if it gave one; ``marks`` are digests of the message list up to each of its
    last turns, oldest first, so that a call that repeats another's messages and adds to them is its continuation.
    """

    id: str
    marks: list[str]


class ModelCalled(TypedDict):
    """Data of ``model.called``. No prompt, no answer and no secret is ever part of it."""

    call: str
    key: str
    namespace: str
    team: str
    labels: dict[str, str]
    dialect: str
    model: str
    stream: bool
    outcome: Outcome
    fault: str
    attempts: list[Attempt]
    cost: str
    currency: str
    latencyMs: float
    firstTokenMs: float | None
    tools: list[str]
    route: dict[str, str]
    conversation: Conversation
