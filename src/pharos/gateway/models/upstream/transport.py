"""How a request reaches a provider: one small protocol.

A transport sends a request once. It never retries, follows no redirect, reads no proxy from the environment and keeps
no cookie: whether to try again is decided in one place only, the attempt layer. Cancelling a wait stops the request at
the provider, whatever phase it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

Headers = Sequence[tuple[str, str]]


Sink = Callable[[bytes], bool]
"""Takes bytes of a body as they arrive; whether it wants more."""


class UpstreamRequest(NamedTuple):
    """A ``POST`` to the provider that the transport belongs to.

    ``headers`` come on top of ``host`` and ``content-length``; names are lower-case. They are not changed afterwards.
    """

    path: str
    headers: Headers
    body: bytes


class UpstreamResponse(Protocol):
    """An answer whose body is still to come. Content encodings are decoded."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers:
        """All headers, names in lower case; no ``content-length`` or ``content-encoding`` that is no longer true."""

    def header(self, name: str) -> str:
        """First value of a header (``name`` in lower case), or an empty string."""

    async def read(self) -> bytes:
        """Whatever has arrived, as soon as something has; empty at the end. Raises :class:`TransportError`."""

    def rest(self) -> bytes | None:
        """What is left of the body, if all of it has arrived: a small answer comes in one piece with its head."""

    async def relay(self, sink: Sink) -> None:
        """Give what arrives to ``sink`` in the very moment, until it has enough or nothing more comes: then ``read``
        tells what is left. What the sink raises is raised here."""

    async def aclose(self) -> None:
        """Give the connection back, or close it if the body was not read to its end. Idempotent."""


class Transport(Protocol):
    """Sends requests to one provider."""

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send once and return when the answer's headers have come. Raises :class:`TransportError`."""

    async def aclose(self) -> None:
        """Close all connections, also those in use."""


Phase = Literal["connect", "reused", "read"]


class TransportError(Exception):
    """The exchange broke below HTTP. ``phase`` tells what the provider can have seen:

    ``connect``: nothing was sent. ``reused``: an idle connection turned out to be closed when it was used again; the
    request was almost certainly not taken up. ``read``: it was sent and may have been worked on.
    """

    def __init__(self, phase: Phase, reason: str) -> None:
        super().__init__(f"{phase}: {reason}")
        self.phase: Phase = phase
        self.reason = reason
