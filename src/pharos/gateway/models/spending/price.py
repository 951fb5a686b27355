"""The kind ``Price``: a price of the city's own, with where it comes from and when it holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, StringConstraints

from pharos.core.forms import WORD, form
from pharos.core.resource import Kind, Ref, Spec
from pharos.core.wire import Wire
from pharos.mesh.facts import STANDARD_TIER

Amount = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9, allow_inf_nan=False)]
"""A decimal string with at most nine places."""

TierName = Annotated[str, StringConstraints(pattern=WORD)]
ToolName = Annotated[
    str,
    StringConstraints(
        pattern=form(
            r"^[a-z][A-Za-z0-9]{0,63}$",
            "a name such as webSearch: letters and digits, a lower-case letter at its beginning",
        )
    ),
]


def _utc(value: datetime) -> datetime:
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_utc)]
"""A time; UTC where no zone is given."""


class PerMillion(Wire):
    """Prices for a million tokens of each class. One that is left out is that of the class it is part of."""

    input_per_million: Amount | None = None
    output_per_million: Amount | None = None
    cache_read_per_million: Amount | None = None
    """Absent: as input."""
    cache_write5m_per_million: Annotated[Amount | None, Field(alias="cacheWrite5mPerMillion")] = None
    """Prompt cache writes that live five minutes, or whose lifetime nobody tells; absent: as input."""
    cache_write30m_per_million: Annotated[Amount | None, Field(alias="cacheWrite30mPerMillion")] = None
    """Prompt cache writes that live half an hour; absent: as those of five minutes."""
    cache_write1h_per_million: Annotated[Amount | None, Field(alias="cacheWrite1hPerMillion")] = None
    """Prompt cache writes that live an hour; absent: as those of five minutes."""
    cache_write12h_per_million: Annotated[Amount | None, Field(alias="cacheWrite12hPerMillion")] = None
    """Prompt cache writes that live twelve hours; absent: as those of an hour."""
    reasoning_per_million: Amount | None = None
    """Absent: as output."""
    input_audio_per_million: Amount | None = None
    """Absent: as input."""
    input_image_per_million: Amount | None = None
    """Images, video and documents; absent: as input."""
    cache_read_audio_per_million: Amount | None = None
    """Absent: as other cached input."""
    output_audio_per_million: Amount | None = None
    """Absent: as output."""
    output_image_per_million: Amount | None = None
    """Absent: as output."""
    tool_prompt_per_million: Amount | None = None
    """What the provider's own tools put into the prompt; absent: as input."""


class Step(PerMillion):
    """Prices of prompts longer than ``above`` tokens. A class that is left out keeps the price it has below."""

    above: Annotated[int, Field(ge=1)]
    """Input tokens of all classes, cached ones included."""


class LongContext(Wire):
    """What becomes dearer with the length of the prompt."""

    applies: Literal["whole", "marginal"] = "whole"
    """``whole``: a prompt above the step is priced at it altogether, and so is its answer (OpenAI, Anthropic and Google
    do it so). ``marginal``: only the input tokens above the step are; the answer is priced as with ``whole``."""
    steps: Annotated[list[Step], Field(min_length=1, max_length=16)]
    """In ascending order."""


class Tier(PerMillion):
    """Prices in another service tier. A class that is left out costs ``multiplier`` times the standard price."""

    multiplier: Annotated[Decimal, Field(ge=0, le=1000, max_digits=9, decimal_places=6)] = Decimal(1)
    per_request: Amount | None = None
    long_context: LongContext | None = None
    """Absent: the standard steps, times ``multiplier``."""


class Provenance(Wire):
    """How the price is known."""

    source: Annotated[str, Field(min_length=1, max_length=2048)]
    """An address, a contract, an offer."""
    seen_at: Moment | None = None
    """When somebody read it there."""
    note: Annotated[str, Field(max_length=2048)] = ""


class PriceSpec(PerMillion, Spec):
    """A price of our own. It comes before the public price list. Every change is a new revision, and a ledger row names
    the revision it was priced with."""

    provider: Annotated[str, Ref("Provider")] | None = None
    """Only at this provider; absent: wherever the model is served."""
    model: Annotated[str, Field(min_length=1, max_length=256)]
    """Exact name of the model at the provider."""
    currency: Literal["USD"] = "USD"
    input_per_million: Amount
    output_per_million: Amount
    per_request: Amount | None = None
    per_use: Annotated[dict[ToolName, Amount], Field(max_length=64)] = Field(default_factory=dict)
    """Price of one use of a tool of the provider's own, by its name: ``webSearch``, ``webFetch``, ``codeExecution``,
    ``fileSearch``, ``imageGeneration``, or of a round of another model (``advisor``, ``fallback``). A use of one
    without a price is noted beside the cost."""
    long_context: LongContext | None = None
    tiers: Annotated[dict[TierName, Tier], Field(max_length=16)] = Field(default_factory=dict)
    """Prices of service tiers (``priority``, ``flex``, ``batch``, ``fast`` …). A call is priced in the tier that
    served it; one without an entry here costs the standard price."""
    provenance: Provenance | None = None
    from_: Annotated[Moment | None, Field(alias="from", validation_alias=AliasChoices("from", "effectiveFrom"))] = None
    """When it begins to apply; of several that apply, the one that began last does. Absent: always."""
    until: Moment | None = None
    """When it ceases to apply; absent: never."""


def check_price(spec: PriceSpec) -> Sequence[tuple[str, str]]:
    """What the types of a price cannot say."""
    problems = []
    if spec.from_ is not None and spec.until is not None and spec.until <= spec.from_:
        problems.append(("/until", "must be later than from"))
    if STANDARD_TIER in spec.tiers:
        problems.append((f"/tiers/{STANDARD_TIER}", "is what the price itself says"))
    for where, context in (
        ("/longContext", spec.long_context),
        *((f"/tiers/{name}/longContext", tier.long_context) for name, tier in spec.tiers.items()),
    ):
        above = 0
        for place, step in enumerate(context.steps if context is not None else ()):
            if step.above <= above:
                problems.append((f"{where}/steps/{place}/above", "must be greater than in the step before"))
            above = step.above
    return problems


PRICE = Kind("Price", PriceSpec, "A price of our own, before the public price list.", check=check_price)
