"""A model call on its way through the layers, and what comes back.

A layer is ``async (call, next) -> Reply``. It may refuse (raise a ``Fault``), note something on the call, change the
reply, or call ``next`` again. ``Call`` is the one object they share; each field is written by the layer named beside it
and only read further in.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from pharos.core.wire import JsonObject
from pharos.gateway.models.auditing import Trail
from pharos.gateway.models.caching.sharing import Sharing
from pharos.gateway.models.dialects.canonical import Failure, Finish
from pharos.gateway.models.dialects.dialect import Ask, Dialect
from pharos.gateway.models.plans import KeyPlan, ModelPlan
from pharos.gateway.models.spending.bounds import Bounds
from pharos.gateway.models.spending.limits import Taken
from pharos.gateway.models.spending.money import Purse
from pharos.gateway.models.spending.rates import Rates
from pharos.gateway.models.targets import Target
from pharos.gateway.models.upstream.watchdog import Watchdog
from pharos.mesh.facts import STANDARD_TIER, CacheUse, Compressed, Method, Outcome, Usage
from pharos.store.ports import Command
from pharos.trust.authenticator import Identity

if TYPE_CHECKING:
    from pharos.gateway.models.answers.continuation import Continuation
    from pharos.gateway.models.answers.exchange import Exchange
    from pharos.gateway.models.guarding.examination import Examination

RawHeaders = Sequence[tuple[bytes, bytes]]

NOTHING_ASKED = Ask(model="", stream=False, max_output=None, turns=(), tools=(), wants_usage=False, user="")


class Attempt:
    """One request to one provider, from its start to its single end."""

    __slots__ = (
        "answered",
        "cost",
        "fault",
        "finish",
        "first_token_at",
        "latency",
        "most",
        "number",
        "open",
        "outcome",
        "rates",
        "sent",
        "started",
        "started_at",
        "status",
        "target",
        "tier",
        "tier_asked",
        "usage",
    )

    def __init__(self, number: int, target: Target, rates: Rates | None, tier: str = "") -> None:
        """``rates`` are those of the service ``tier`` that is asked for (``""``: none in particular)."""
        self.number = number
        self.target = target
        self.rates = rates
        self.started = time.monotonic()
        self.started_at = datetime.now(UTC)
        self.open = True
        self.sent = False
        """Whether the provider may have received it."""
        self.outcome: Outcome = "unknown"
        self.status = 0
        self.fault = ""
        self.answered = ""
        self.tier_asked = tier
        self.tier = ""
        """Service tier that the provider says it served, where it says so."""
        self.finish: Finish | None = None
        """Why the model stopped, where its answer was translated."""
        self.usage: Usage = {}
        self.cost = 0
        """Billionths; 0 also where the price is unknown (then ``rates`` is ``None``)."""
        self.most = 0
        """Billionths it can cost, while it is open beside others."""
        self.first_token_at: float | None = None
        self.latency = 0.0
        """Seconds."""
        target.upstream.begin()
        target.pulse.began()
        if target.standing is not None:
            target.standing.began()

    def end(self, outcome: Outcome, usage: Usage | None, *, against: bool = False, fault: str = "") -> None:
        """The attempt is over. Only the first call counts. ``against``: the end tells against the provider."""
        if not self.open:
            return
        self.open = False
        now = time.monotonic()
        self.latency = now - self.started
        self.outcome = outcome
        self.fault = fault
        if usage is not None:
            self.usage = usage
            served = self.tier = usage.pop("tier", "") or self.tier
            # Priced as served, also where an account's default is another tier than the standard one.
            expected = self.tier_asked or self.target.default_tier or STANDARD_TIER
            if served and served != expected:
                self.rates = self.target.rates(self.started_at, served) or self.rates
            if self.rates is not None:
                self.cost = self.rates.cost(usage)
        succeeded = True if outcome == "ok" else False if against else None
        self.target.upstream.end(now, succeeded=succeeded)
        first = None if self.first_token_at is None else self.first_token_at - self.started
        self.target.pulse.ended(now, self.latency, first, succeeded=succeeded)
        if self.target.standing is not None:
            self.target.standing.ended(now, self.latency, first, succeeded=succeeded)


@dataclass(slots=True)
class Call:
    """One logical call of a client: however many attempts it takes, it is counted, recorded and answered once."""

    # entrance
    id: str
    dialect: Dialect
    headers: RawHeaders
    fields: Mapping[bytes, bytes]
    """The headers by name, the first of each."""
    read: Callable[[], bytes | Awaitable[bytes]]
    """Reads the body, once: at once, if all of it has arrived."""
    watchdog: Watchdog
    attend: Callable[[], None] = lambda: None
    """Has the client told, from now on, that the call goes on where it hears nothing for long."""
    correlation: str = ""
    cause: str = ""
    """What it is made for, where the city makes it itself: the key of an effect."""
    started: float = field(default_factory=time.monotonic)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    task: Task | None = None
    """What is asked for where it is no answer: set before the first layer, by whoever took the request."""

    # authenticate
    authenticated: bool = False
    version: int = -1
    """``Plans.version`` when the caller was looked up."""
    identity: Identity = field(init=False)
    key: KeyPlan = field(init=False)

    # understand
    raw: bytes = b""
    body: JsonObject = field(default_factory=dict)
    ask: Ask = NOTHING_ASKED
    session: str = ""

    # admit
    model: ModelPlan = field(init=False)
    deadline: float = float("inf")
    """When all of it must be over, on the clock of ``time.monotonic``."""
    bounds: Bounds = field(init=False)
    tier: str = ""
    """Service tier the client asked for."""
    user: str = ""
    """The end user it is made for, where some limit or budget is for each."""
    purse: Purse | None = None
    taken: Taken | None = None
    hold: Callable[[], Awaitable[None]] | None = None
    """Holds the money, where that is left to the cache of the model."""

    # guard
    guard: Examination | None = None
    """What guards do to it; ``None``: no guard sees it."""

    # compress
    compressed: Compressed | None = None
    """What was left out of it; ``None``: nobody looked."""

    # cache
    cached: CacheUse | None = None
    """The answer of another call that this one is given."""
    sharing: Sharing | None = None

    # audit
    trail: Trail | None = None
    """What is taken down for the call's audit record, where one is made."""

    # route
    candidates: Sequence[Target] = ()
    route: dict[str, str] = field(default_factory=dict)

    # attempt
    attempts: list[Attempt] = field(default_factory=list)
    passed: bytes = b""
    """A refusal in the client's own dialect, as the provider wrote it."""
    continuation: Continuation | None = None
    """How the attempts from here on go on with an answer of which the client has seen the beginning."""
    gone: bool = False
    """The client has left."""
    ended: bool = False
    """The bytes that come next are the last of a stream."""
    keeps: Sequence[Command] = ()
    """What is to be committed with the record of the call."""
    outcome: Outcome = "unknown"
    fault: str = ""
    recorded: bool = False

    def header(self, name: bytes) -> str:
        """First value of a request header (``name`` in lower case), or an empty string."""
        value = self.fields.get(name)
        return value.decode("latin-1") if value is not None else ""

    @property
    def attempt(self) -> Attempt:
        """The attempt that is under way."""
        return self.attempts[-1]

    @property
    def drains(self) -> bool:
        """Whether an attempt is under way that is to be read to its end although the client has left."""
        return bool(self.attempts) and self.attempts[-1].open and self.attempts[-1].target.upstream.drains


class Task(Protocol):
    """Something else than an answer that a model is asked for: vectors of texts, or the length of a prompt."""

    @property
    def method(self) -> Method: ...

    @property
    def free(self) -> bool:
        """No provider charges for it: it is held to every limit and to no budget."""

    def exchange(self, call: Call, target: Target) -> Exchange:
        """How it is put to a target. Raises ``INVALID`` where the target's dialect has no way to say it."""


class Body(Protocol):
    """The body of a streamed reply."""

    def __aiter__(self) -> Body: ...

    async def __anext__(self) -> bytes:
        """The next bytes to send."""

    async def aclose(self) -> None:
        """No more will be read. Ends what is open; idempotent."""


Write = Callable[[bytes], bool]
"""Sends bytes to the client in the very moment; whether it reads quickly enough for more."""

Relay = Callable[[Write], Awaitable[None]]


def relay_of(body: Body) -> Relay | None:
    """``body.relay``, of a body that has one: it passes on by ``write`` what comes next, without the turn of a task for
    each piece, for as long as passing on is all there is to do, and then returns; what follows is read from the body.
    It never passes on the end of an answer. A body that looks at what it passes on has none."""
    return getattr(body, "relay", None)


@dataclass(slots=True)
class Reply:
    """What is sent to the client. ``headers`` come on top of those the entrance always sends."""

    status: int
    content_type: bytes
    body: bytes | Body
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


Next = Callable[[Call], Awaitable[Reply]]


class Layer(Protocol):
    """One concern of a call."""

    def __call__(self, call: Call, next: Next) -> Awaitable[Reply]: ...


class UpstreamFailed(Exception):
    """An attempt failed before anything reached the client: another one may follow."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.cls.value)
        self.failure = failure
