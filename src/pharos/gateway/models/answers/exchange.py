"""One attempt's way to a provider and back: what a call looks like there, and the provider's answer here.

There are two (``ways.py`` chooses): on the *diagonal* client and provider speak the same dialect, so the body is edited
in place and the stream is only watched; *crossing*, both directions go through the canonical model. The layers do not
know which of the two it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

import orjson

from pharos.core.fault import FaultDocument
from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.canonical import Failure, FailureClass
from pharos.gateway.models.upstream.transport import Headers
from pharos.mesh.facts import Usage


class Whole(NamedTuple):
    """A whole answer as the client gets it."""

    body: bytes
    usage: Usage | None
    model: str


class Flow(Protocol):
    """A streamed answer on its way through."""

    content: bool
    """Something the client can see has passed: from here on nobody else can answer."""
    complete: bool
    """The answer has come to its proper end."""
    failure: Failure | None
    """What went wrong; nothing that follows counts."""
    tier: str

    def feed(self, chunk: bytes) -> bytes:
        """What the client gets for these bytes; may be empty."""

    def end(self) -> bytes:
        """The provider has closed the stream: what the client gets for what was left."""

    def fault(self, document: FaultDocument) -> bytes:
        """The error that ends the stream, where the dialect has it depend on what was said; else nothing."""

    @property
    def usage(self) -> Usage | None: ...
    @property
    def model(self) -> str: ...
    @property
    def output_bytes(self) -> int: ...


class Exchange(Protocol):
    """One attempt's translation."""

    dropped: Sequence[str]
    """JSON pointers of what the provider's dialect cannot express."""

    @property
    def path(self) -> str:
        """Where the request goes: path and query."""

    def request(self) -> bytes:
        """The body for the provider. Raises ``INVALID`` where the request cannot be put into its dialect."""

    def headers(self) -> Headers:
        """Headers of the client that go with it."""

    def whole(self, raw: bytes) -> Whole:
        """Turn a whole answer. Raises ``ValueError`` where it is not one."""

    def flow(self) -> Flow:
        """Begin a stream."""


def lied(message: str, status: int = 200) -> Failure:
    """The provider did not keep to its protocol."""
    return Failure(FailureClass.PROTOCOL, message, status=status)


def illegal(error: ValueError) -> Failure:
    """A frame of the provider's stream is not legal in its dialect."""
    return lied(
        f"a chunk of the stream is not JSON: {error}" if isinstance(error, orjson.JSONDecodeError) else str(error)
    )


def parse_object(raw: bytes) -> JsonObject:
    """A JSON object. Raises ``ValueError`` for anything else."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the answer is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ValueError("the answer is not a JSON object")
    return cast("JsonObject", body)
