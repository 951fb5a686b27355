"""The kinds of the model gateway: where models are served, how they are named, what they may cost.

Every field has a default that is right for a hosted provider, so that the smallest useful manifest is three lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from pharos.core.fault import FORBIDDEN, Fault
from pharos.core.forms import WORD, form
from pharos.core.principal import Principal
from pharos.core.resource import Kind, Ref, Resource, Spec
from pharos.core.wire import Wire
from pharos.gateway.models.caching.spec import CacheSpec
from pharos.gateway.models.compression.spec import CompressionSpec
from pharos.gateway.models.resilience.spec import Hedge, KeepAlive, OnFailure, OnStreamFailure, Outliers
from pharos.gateway.models.routing.spec import (
    Balancing,
    Capabilities,
    Rule,
    Strategy,
    Target,
    check_rules,
    check_targets,
)
from pharos.gateway.models.spending.price import PRICE

ENTRUST = "providers.entrust"
"""Permission to say which secret is sent where. Separate from ``catalog.write``: a file or variable of this machine,
sent to an address of one's choice, is read."""

DialectName = Literal["openai-chat", "openai-responses", "anthropic", "gemini"]

Money = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9, allow_inf_nan=False)]
"""An amount of a currency: a decimal string with at most nine places."""

Milliseconds = Annotated[int, Field(ge=1, le=86_400_000)]


class SecretSource(Wire):
    """Where a secret is read from. A spec never holds the secret itself."""

    env: (
        Annotated[
            str,
            Field(
                pattern=form(r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of an environment variable, such as ACME_API_KEY")
            ),
        ]
        | None
    ) = None
    """Name of an environment variable of the process."""
    file: Annotated[str, Field(min_length=1)] | None = None
    """Path of a file whose trimmed content is the secret; read again when it changes."""
    secret: Annotated[str, Ref("Secret")] | None = None
    """A secret the city keeps sealed, see ``secrets.set``."""

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretSource:
        if sum(place is not None for place in (self.env, self.file, self.secret)) != 1:
            raise ValueError("give exactly one of env, file and secret")
        return self


class Timeouts(Wire):
    """How long one attempt may take, by phase, in milliseconds."""

    connect_ms: Milliseconds = 5_000
    """Name resolution, TCP and TLS."""
    first_byte_ms: Milliseconds = 300_000
    """From sending the request to the first byte of the answer's body. Reasoning models are silent for minutes."""
    idle_ms: Milliseconds = 120_000
    """Between two reads of the body. A client that reads slowly does not count as the provider's silence."""
    total_ms: Milliseconds = 900_000
    """The whole attempt."""


class Retries(Wire):
    """How often, and after which pause, one target is asked again before the next one is tried."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 2
    """Attempts per target, the first included."""
    backoff_ms: Milliseconds = 250
    """Pause before the second attempt; doubles with each further one, with full jitter."""
    max_backoff_ms: Milliseconds = 8_000


class Breaker(Wire):
    """When a provider is left alone for a while."""

    consecutive: Annotated[int, Field(ge=1)] = 5
    """Failures in a row that open the breaker."""
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of failures in the last ``windowMs`` that opens it, once ``minimum`` calls were made."""
    minimum: Annotated[int, Field(ge=1)] = 20
    window_ms: Milliseconds = 30_000
    open_ms: Milliseconds = 10_000
    """How long it stays open before one probe is let through. Doubles with each failed probe, up to eightfold."""


class ProviderSpec(Spec):
    """A place where models are served, and how to behave towards it."""

    dialect: DialectName
    base_url: Annotated[str, Field(min_length=1, max_length=2048)]
    """Root of its API, such as ``https://api.openai.com/v1`` or ``https://api.anthropic.com``."""
    api_key: SecretSource | None = None
    """Our credential with it; absent for servers that ask for none."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    retries: Retries = Field(default_factory=Retries)
    breaker: Breaker = Field(default_factory=Breaker)
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    """What to do with a request whose client has left: stop it, or read it to its end to learn the exact usage (right
    where the provider bills the whole answer anyway)."""
    concurrency: Annotated[int, Field(ge=1)] | None = None
    """Most requests under way at once."""
    default_tier: Annotated[str, Field(pattern=WORD)] | None = None
    """The service tier our account is served in where a call names none, if it is not the standard one: what a call may
    cost is held at its price. It is paid in the tier that the provider says it served."""
    price_list: Annotated[str, Field(min_length=1)] | None = None
    """Whose public prices apply, by its id in ``genai-prices`` (``openai``, ``anthropic`` …), where the base URL does
    not tell."""
    capabilities: Capabilities | None = None
    """What all of its models can do, where a target does not say otherwise."""


class ModelSpec(Spec):
    """A name clients use for a model, and who serves it."""

    targets: Annotated[list[Target], Field(min_length=1, max_length=64)]
    fallbacks: Annotated[list[Annotated[str, Ref("Model")]], Field(max_length=16)] = Field(default_factory=list)
    """Models to turn to, in this order, when no target can answer."""
    rules: Annotated[list[Rule], Field(max_length=64)] = Field(default_factory=list)
    """Where calls go for which a condition holds; the first that holds decides. Where none does, ``targets`` answer."""
    strategy: Strategy = "weighted"
    """How one of ``targets`` is chosen: by weight, the cheapest or the fastest for the call, the least busy, or the one
    that a session or the beginning of a prompt belongs to."""
    balancing: Balancing = Field(default_factory=Balancing)
    """The numbers behind the strategies."""
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    """Output limit of calls that set none themselves (4096 where a money limit needs one and this is absent)."""
    unpriced: Literal["refuse", "allow"] = "refuse"
    """Whether a call whose price is unknown may be made under a budget. It is recorded as unpriced either way."""
    attachment_tokens: Annotated[int, Field(ge=1)] = 65_536
    """Input tokens reserved for each image, file or other part whose tokens its bytes do not bound."""
    deadline_ms: Milliseconds = 900_000
    """The whole call, all attempts and pauses included."""
    cache: CacheSpec | None = None
    """Which answers are given again. Absent: none."""
    compression: CompressionSpec | None = None
    """What is left out of requests. Absent: nothing."""
    max_cost: Money | None = None
    """The most that one call may cost in USD, all of its attempts together: an attempt that could cost more than what
    those before it left is not made."""
    on_failure: OnFailure | None = None
    """What a failure of some class means for the call, where it is not to be the default."""
    on_stream_failure: OnStreamFailure = "error"
    """What becomes of a stream that fails after its first content. ``error``: the error of the client's dialect ends
    it. ``resume``: another target goes on from the text so far. ``restart``: another target answers anew, and the
    frame that begins its answer bears a mark. Where that cannot be done, it is ``error``."""
    keep_alive: KeepAlive = Field(default_factory=KeepAlive)
    """What a client hears while a stream is silent."""
    strict: bool = False
    """Refuse calls that would lose a field on their way to a provider of another dialect, naming it, where otherwise
    they are made without it and told so (``x-pharos-dropped``). A client asks for it in one call with
    ``x-pharos-strict: on``."""
    hedge: Hedge | None = None
    """When another target is asked as well. Absent: never."""
    outliers: Outliers | None = None
    """When a target that stands out is left alone. Absent: never; a provider that fails rests all the same, see its
    ``breaker``."""


Window = Literal["minute", "hour", "day", "week", "month", "total"]


class BudgetSpec(Spec):
    """A hard limit on money. Calls reserve what they may cost at most; the limit is never passed."""

    limit: Money
    currency: Literal["USD"] = "USD"
    window: Window = "month"
    """Calendar window in UTC; ``total`` never starts anew."""
    per: Literal["agent", "user", "session"] | None = None
    """Left out, all who are charged to it share the limit; otherwise each agent, end user or session has it for itself.
    Calls that name none share one."""
    alerts: Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(max_length=10)] = Field(default_factory=list)
    """Percentages of the limit at which a ``budget.alerted`` is put on the log, once in each window."""


def _check_provider(spec: ProviderSpec) -> Sequence[tuple[str, str]]:
    try:
        url = urlsplit(spec.base_url)
        port = url.port
    except ValueError:
        return (("/baseUrl", "not a URL"),)
    problems = []
    if url.scheme not in ("http", "https") or not url.hostname:
        problems.append(("/baseUrl", "must be an absolute http or https URL"))
    if not spec.base_url.isascii() or not spec.base_url.isprintable() or " " in spec.base_url:
        problems.append(("/baseUrl", "must be printable ASCII without spaces"))
    if port == 0:
        problems.append(("/baseUrl", "port 0 cannot be connected to"))
    if url.username or url.password:
        problems.append(("/baseUrl", "must not carry credentials; use apiKey"))
    if url.query or url.fragment:
        problems.append(("/baseUrl", "must not have a query or fragment"))
    return problems


def _check_model(spec: ModelSpec) -> Sequence[tuple[str, str]]:
    problems = [*check_targets(spec.targets, "/targets"), *check_rules(spec.rules)]
    if len(set(spec.fallbacks)) < len(spec.fallbacks):
        problems.append(("/fallbacks", "a model stands twice"))
    if spec.on_stream_failure == "resume" and _begins_anew(spec):
        problems.append(("/onStreamFailure", "no target goes on from a given beginning: each says `prefill: none`"))
    return problems


def _begins_anew(spec: ModelSpec) -> bool:
    """Whether no answer can be resumed, whatever the providers speak."""
    if spec.fallbacks or any(rule.model or rule.fallbacks for rule in spec.rules):
        return False
    return all(
        target.prefill == "none" for target in (*spec.targets, *(t for rule in spec.rules for t in rule.targets))
    )


def _guard_provider(
    principal: Principal, before: Resource[ProviderSpec] | None, after: Resource[ProviderSpec] | None
) -> Fault | None:
    """Which secret of this machine goes to which address is decided by who holds :data:`ENTRUST`."""
    if after is None or after.spec.api_key is None or principal.may(ENTRUST):
        return None
    if before is not None and (before.spec.api_key, before.spec.base_url) == (after.spec.api_key, after.spec.base_url):
        return None
    return FORBIDDEN(
        f"A provider is given a secret, or its secret another address, with the permission {ENTRUST}.",
        rule="models/entrust",
        subject=str(after.id),
        pointer="/spec/apiKey",
        required_permission=ENTRUST,
    )


PROVIDER = Kind(
    "Provider", ProviderSpec, "A place where models are served.", check=_check_provider, guard=_guard_provider
)
MODEL = Kind("Model", ModelSpec, "A name clients use for a model, and who serves it.", check=_check_model)
BUDGET = Kind("Budget", BudgetSpec, "A hard limit on money in a window of time.")

KINDS = (PROVIDER, MODEL, BUDGET, PRICE)
