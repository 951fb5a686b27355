"""How a ``Model`` says what becomes of a call whose provider fails, falls silent or is slow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pharos.core.wire import Wire

_Milliseconds = Annotated[int, Field(ge=1, le=86_400_000)]
_Silence = Annotated[int, Field(ge=100, le=3_600_000)]

OnStreamFailure = Literal["error", "resume", "restart"]

PrefillForm = Literal["none", "message", "prefix", "continue"]


class Reaction(Wire):
    """What to do after a failure of one class. What is left out stays as it is by default."""

    again: bool | None = None
    """Ask the same target again, as often as the ``Provider`` allows, after a pause."""
    next: bool | None = None
    """Ask the next target, or the next fallback."""


class OnFailure(Wire):
    """Reactions by what went wrong. Absent classes react by default: see the names of the fields."""

    rate_limited: Reaction | None = None
    """429. By default again and next; a target that asks to wait is left for another one at once."""
    overloaded: Reaction | None = None
    """503, 529. By default again and next."""
    server: Reaction | None = None
    """Any other 5xx, or a connection that broke before an answer. By default again and next."""
    connect: Reaction | None = None
    """No connection came about. By default again and next."""
    timeout: Reaction | None = None
    """It took too long and may have been billed. By default next."""
    protocol: Reaction | None = None
    """What came is no answer, or was cut. By default next."""
    authentication: Reaction | None = None
    """The provider refused the city's credential. By default next."""
    quota: Reaction | None = None
    """The city's account is used up. By default next."""
    not_found: Reaction | None = None
    """The provider does not have the model. By default next."""
    context: Reaction | None = None
    """The conversation is too long for the model. By default next: another one may have a longer window."""
    invalid: Reaction | None = None
    """The request is at fault. By default the client is told."""
    filtered: Reaction | None = None
    """A content filter refused the request. By default the client is told."""


class KeepAlive(Wire):
    """What a client hears while a stream is silent, so that neither it nor a proxy between gives up."""

    after_ms: _Silence | None = 15_000
    """Once the answer has begun: the shortest silence after which a keep-alive is sent; ``null`` sends none. It is a
    frame that every client of the dialect ignores (a comment, Anthropic's ``ping``)."""
    commit_after_ms: _Silence | None = None
    """Before the answer has begun nothing is sent, so that a failure can still be told by its HTTP status. After this
    much silence the head of the stream is sent all the same, and comments follow; another target may still answer, but
    a failure is then an error frame in a stream of status 200. Absent: never."""


class Hedge(Wire):
    """Ask another target as well when one is slow to begin. Who answers first is heard; the others are stopped, or read
    to their end while the answer lasts, as their ``Provider``'s ``onDisconnect`` says. All are paid for."""

    after_ms: _Milliseconds
    """Without content of a stream, or without a whole answer, for so long; and again for each further target."""
    max: Annotated[int, Field(ge=1, le=4)] = 1
    """Most further targets."""


class Outliers(Wire):
    """When a target that stands out among those of its model is left alone for a while."""

    window_ms: _Milliseconds = 60_000
    """Calls of so long are compared."""
    minimum: Annotated[int, Field(ge=1)] = 20
    """Calls that a target must have had in the window, and so must at least one other."""
    error_ratio: Annotated[float, Field(gt=0, le=1)] = 0.2
    """A target is an outlier if its share of failures is this much above that of the others together."""
    latency_factor: Annotated[float, Field(gt=1)] = 4.0
    """Or if it takes this many times as long as the others, on average, to the first content of a stream or to the end
    of a whole answer."""
    eject_ms: _Milliseconds = 30_000
    """How long it is left alone before one call probes it. Doubles each time in a row, up to ``maxEjectMs``."""
    max_eject_ms: _Milliseconds = 300_000
    max_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Most of the model's targets that are left alone at once, as a share."""

    @model_validator(mode="after")
    def _ordered(self) -> Outliers:
        if self.max_eject_ms < self.eject_ms:
            raise ValueError("maxEjectMs must not be below ejectMs")
        return self
