"""The facts that one room states and another reads. They are the only thing two rooms of a floor share.

Money is a decimal string with at most nine places (``"0.000018750"``): costs are rounded to a billionth of the currency
unit once, when an attempt is priced, so that every later sum of them is exact. Durations are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NotRequired, cast

# Not that of ``typing``: before Python 3.12 pydantic cannot look into it.
from typing_extensions import TypedDict

MODEL_CALLED: Literal["model.called"] = "model.called"
"""One logical model call ended, with all of its attempts. Appended before the last byte reaches the client. Where the
city's own agents called, its ``causation`` is the key of their errand."""


def calls_topic(account: str) -> str:
    """Where the calls on an account (``namespace/name`` of its ``Key``) are recorded."""
    return f"calls/{account}"


class Usage(TypedDict, total=False):
    """Tokens by price class. Classes do not overlap: their sum is everything that was processed.

    ``input`` is uncached input that no other class names, ``toolPrompt`` what the provider's own tools put into the
    prompt, ``cacheRead`` and ``cacheWrite5m``/``30m``/``1h``/``12h`` are prompt cache classes by lifetime (a lifetime
    nobody told counts as five minutes). ``output`` excludes ``reasoning``. Audio and images stand apart from text where
    the provider counts them apart (``Image`` is every visual kind). ``serverTools`` counts uses of the provider's own
    tools by canonical name (``webSearch``, ``webFetch``, ``codeExecution``, ``fileSearch``, ``imageGeneration``), which
    are no tokens. ``tier`` is the service tier that served, as the provider says it (``standard`` for its ordinary
    one). ``estimated`` is present and true where the provider gave no numbers.

    :data:`INPUT_CLASSES` and :data:`OUTPUT_CLASSES` name the classes; dialects leave out those that are zero, except
    ``input`` and ``output``.
    """

    input: int
    inputAudio: int
    inputImage: int
    toolPrompt: int
    cacheRead: int
    cacheReadAudio: int
    cacheWrite5m: int
    cacheWrite30m: int
    cacheWrite1h: int
    cacheWrite12h: int
    output: int
    outputAudio: int
    outputImage: int
    reasoning: int
    serverTools: dict[str, int]
    tier: str
    estimated: bool


INPUT_CLASSES = (
    "input", "inputAudio", "inputImage", "toolPrompt", "cacheRead", "cacheReadAudio",
    "cacheWrite5m", "cacheWrite30m", "cacheWrite1h", "cacheWrite12h",
)  # fmt: skip
OUTPUT_CLASSES = ("output", "outputAudio", "outputImage", "reasoning")
_INPUT, _TOKENS = frozenset(INPUT_CLASSES), frozenset(INPUT_CLASSES + OUTPUT_CLASSES)

STANDARD_TIER: Literal["standard"] = "standard"
"""The tier a provider serves where nobody asks for another; its dialects call it ``default``, ``auto`` and so on."""


def tokens_of(usage: Usage) -> int:
    """All tokens of all classes."""
    total = 0
    for name, count in cast("Mapping[str, int]", usage).items():
        if name in _TOKENS:
            total += count
    return total


def prompt_of(usage: Usage) -> int:
    """Length of the prompt: the tokens of all input classes."""
    total = 0
    for name, count in cast("Mapping[str, int]", usage).items():
        if name in _INPUT:
            total += count
    return total


def added(one: Usage, other: Usage) -> Usage:
    """What two requests used together."""
    total = one.copy()
    counts, more = cast("dict[str, int]", total), cast("Mapping[str, int]", other)
    for name in (*INPUT_CLASSES, *OUTPUT_CLASSES):
        if name in more:
            counts[name] = counts.get(name, 0) + more[name]
    if tools := other.get("serverTools"):
        uses = dict(total.get("serverTools", {}))
        for tool, count in tools.items():
            uses[tool] = uses.get(tool, 0) + count
        total["serverTools"] = uses
    if other.get("estimated"):
        total["estimated"] = True
    return total


class PriceUsed(TypedDict):
    """Where a cost comes from: ``source`` is ``overlay/NAME``, ``genai-prices``, ``unpriced``, or ``reservation`` (the
    amount that was held for a call whose end nobody saw). ``without`` names what was used and has no known price, so
    that it is not in the cost (uses of the provider's own tools)."""

    source: str
    version: str
    without: NotRequired[list[str]]


Outcome = Literal["ok", "error", "refused", "cancelled", "incomplete", "unknown"]
"""``refused``: no attempt was made. ``incomplete``: the stream was cut. ``unknown``: the process died meanwhile."""


class Attempt(TypedDict):
    """One request to one provider: one row of the ledger.

    ``tier`` and ``tierAsked`` are there where they are not the standard tier: what was served, what was asked for.
    """

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
    tier: NotRequired[str]
    tierAsked: NotRequired[str]


class Conversation(TypedDict):
    """What lets calls be stitched together.

    ``id`` is the caller's own session id, if it gave one; ``marks`` are digests of the message list up to each of its
    last turns, oldest first, so that a call that repeats another's messages and adds to them is its continuation.
    """

    id: str
    marks: list[str]


class CacheUse(TypedDict):
    """An answer that no provider was asked for: it is, byte for byte, the answer ``of`` another call.

    ``hit``: it was kept. ``coalesced``: that call was under way, and this one followed it. ``similar``: its question
    means the same. ``saved`` is what that answer cost, which this one did not (``None``: nobody knows), and ``usage``
    what it used, which this one did not either.
    """

    result: Literal["hit", "coalesced", "similar"]
    of: str
    saved: str | None
    usage: Usage
    ageMs: int


Method = Literal["embed", "count"]
"""``embed``: vectors of texts. ``count``: the length of a prompt, which nobody charges for."""


class GuardFinding(TypedDict):
    """What a guard found at one place, and how often. Never the value.

    ``place`` is a JSON pointer into the request or the answer. ``shadow``: the guard only records. ``cached``: it stood
    before the last marker of a provider's prompt cache, so that masking it changed bytes in front of that.
    """

    guard: str
    detector: str
    action: str
    direction: str
    place: str
    count: int
    shadow: NotRequired[bool]
    cached: NotRequired[bool]


class Guarded(TypedDict):
    """What guards found in a call. ``failed`` says why something could not be examined; ``more`` how many findings are
    not listed."""

    guards: list[str]
    findings: list[GuardFinding]
    failed: NotRequired[str]
    more: NotRequired[int]


class CompressedText(TypedDict):
    """A text of a request that became smaller. ``place`` is a JSON pointer into the request; sizes are bytes of UTF-8;
    ``refs`` name what was left out, for ``compression.expand``."""

    place: str
    method: str
    before: int
    after: int
    refs: list[str]


class Compressed(TypedDict):
    """What was left out of a request, or in ``shadow`` would have been. ``savedTokens`` is an estimate. ``left`` counts
    the texts that stayed as they are, by why; ``more``, how many that became smaller are not listed."""

    mode: Literal["shadow", "apply"]
    seenBytes: int
    savedBytes: int
    savedTokens: int
    texts: list[CompressedText]
    left: dict[str, int]
    more: NotRequired[int]


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
    method: NotRequired[Method]
    """What was asked for, where it was no answer."""
    cache: NotRequired[CacheUse]
    """Only where no provider was asked."""
    guard: NotRequired[Guarded]
    """Only where guards found something."""
    compressed: NotRequired[Compressed]
    """Only where the model's requests are compressed."""
    audit: NotRequired[str]
    """Digest of the call's audit record, which was committed with this event."""
    user: NotRequired[str]
    """The end user it was made for; only where a limit or budget is for each of them."""


BUDGET_ALERTED: Literal["budget.alerted"] = "budget.alerted"
"""A budget's spending passed one of its ``alerts``. Appended once for each of them in each window of each holder."""


class BudgetAlerted(TypedDict):
    """Data of ``budget.alerted``. ``settled`` is what was spent when it was seen, calls under way not counted."""

    budget: str
    per: Literal["", "agent", "user", "session"]
    holder: str
    """Whose share of the budget it is, where ``per`` says that each has one."""
    window: str
    percent: int
    limit: str
    settled: str
    currency: str
