"""One attempt's line to its provider: every wait on it has a limit, every way it can break is a ``Failure``."""

from __future__ import annotations

import time

from pharos.gateway.models.answers.exchange import lied
from pharos.gateway.models.call import Attempt, Call, UpstreamFailed
from pharos.gateway.models.dialects.canonical import Failure, FailureClass
from pharos.gateway.models.spending.bounds import estimated_usage
from pharos.gateway.models.upstream.transport import Headers, Sink, TransportError, UpstreamRequest, UpstreamResponse
from pharos.gateway.models.upstream.watchdog import Expired
from pharos.mesh.facts import Usage

REUSED = "reused"
"""``Failure.code`` of a request that met a connection the provider had closed in the meantime."""


class Line:
    """Sends one request and reads its answer. Everything it raises is :class:`UpstreamFailed`.

    ``aclose`` must be called at the end. Limits: the first byte of the body within ``firstByteMs`` of sending, each
    further read within ``idleMs``, all of it within ``totalMs`` and the call's deadline.
    """

    __slots__ = (
        "_attempt",
        "_call",
        "_end",
        "_first_by",
        "_idle",
        "_output_bytes",
        "_reported",
        "_request_bytes",
        "_response",
        "status",
    )

    def __init__(self, call: Call, attempt: Attempt) -> None:
        upstream = attempt.target.upstream
        self._call = call
        self._attempt = attempt
        self._first_by: float | None = None
        self._idle = upstream.idle_seconds
        self._end = min(attempt.started + upstream.total_seconds, call.deadline)
        self._request_bytes = 0
        self._reported: Usage | None = None
        self._output_bytes = 0
        self._response: UpstreamResponse | None = None
        self.status = 0

    def move(self, call: Call) -> None:
        """Go on in another task, which is that of ``call``."""
        self._call = call

    async def send(self, request: UpstreamRequest) -> None:
        """Send, and wait for the status and headers of the answer."""
        upstream = self._attempt.target.upstream
        self._first_by = time.monotonic() + upstream.first_byte_seconds
        self._request_bytes = len(request.body)
        try:
            with self._call.watchdog.limit(self._seconds(), "its first byte"):
                self._response = await upstream.transport.send(request)
        except TransportError as error:
            if error.phase != "read":
                self._request_bytes = 0
            raise UpstreamFailed(_broken(error)) from error
        except Expired as error:
            raise UpstreamFailed(_late(error)) from None
        self.status = self._attempt.status = self._response.status

    async def read(self) -> bytes:
        """Whatever has arrived; empty at the end."""
        if self._response is None:
            return b""
        try:
            with self._call.watchdog.limit(self._seconds(), "its first byte" if self._first_by else "more bytes"):
                chunk = await self._response.read()
        except TransportError as error:
            raise UpstreamFailed(lied(error.reason, self.status)) from error
        except Expired as error:
            raise UpstreamFailed(_late(error)) from None
        self._first_by = None
        return chunk

    async def relay(self, sink: Sink) -> None:
        """Give what arrives to ``sink`` in the very moment, until it has enough or nothing more comes; then ``read``.

        Not before the first bytes have been read. Raises what the sink raises, and :class:`UpstreamFailed` after a
        silence.
        """
        response = self._response
        if response is None or self._first_by is not None:
            return
        clock = time.monotonic
        last = clock()

        def heard(chunk: bytes) -> bool:
            nonlocal last
            last = clock()
            return sink(chunk)

        while True:
            left = min(last + self._idle, self._end) - clock()
            try:
                with self._call.watchdog.limit(max(left, 0.0), "more bytes"):
                    await response.relay(heard)
                return
            except Expired as error:
                # Only the last of all pieces counts: meanwhile some may have come.
                if min(last + self._idle, self._end) <= clock():
                    raise UpstreamFailed(_late(error)) from None

    def rest(self, most: int) -> bytes | None:
        """The whole body, if all of it has arrived; one over ``most`` bytes is a failure."""
        whole = self._response.rest() if self._response is not None else None
        if whole is not None and len(whole) > most:
            raise UpstreamFailed(lied(f"the answer is larger than {most} bytes", self.status))
        return whole

    async def read_all(self, most: int) -> bytes:
        """The whole body; one over ``most`` bytes is a failure."""
        whole = self.rest(most)
        if whole is not None:
            return whole
        first = await self.read()
        if not first:
            return b""
        pieces = [first]
        size = len(first)
        while chunk := await self.read():
            pieces.append(chunk)
            size += len(chunk)
            if size > most:
                raise UpstreamFailed(lied(f"the answer is larger than {most} bytes", self.status))
        return first if len(pieces) == 1 else b"".join(pieces)

    @property
    def headers(self) -> Headers:
        """Headers of the answer."""
        return self._response.headers if self._response is not None else ()

    def header(self, name: str) -> str:
        """First value of a header of the answer."""
        return self._response.header(name) if self._response is not None else ""

    def saw(self, reported: Usage | None, output_bytes: int) -> None:
        """Note what the provider reported so far, and how many bytes of content came."""
        self._reported = reported
        self._output_bytes = output_bytes

    def probable_usage(self) -> Usage | None:
        """Usage of an attempt that did not come to its end: ``None`` if the provider bills nothing for it.

        Nobody bills what was not sent or was answered with an error; everything else may be billed.
        """
        task = self._call.task
        if not self._request_bytes or self.status >= 300 or (task is not None and task.free):
            return None
        call = self._call
        limited = call.bounds.set_output is not None or call.ask.max_output is not None
        most = call.bounds.output_tokens if limited else None
        size = len(call.raw) + (call.continuation.size if call.continuation is not None else 0)
        return estimated_usage(self._reported, min(self._request_bytes, size), self._output_bytes, most)

    async def aclose(self) -> None:
        """Give the connection back, or stop the request at the provider. Idempotent."""
        if self._response is not None:
            await self._response.aclose()

    def _seconds(self) -> float:
        now = time.monotonic()
        own = self._idle if self._first_by is None else self._first_by - now
        left = self._end - now
        if own < left:
            left = own
        return left if left > 0.0 else 0.0


def _broken(error: TransportError) -> Failure:
    if error.phase == "reused":
        return Failure(FailureClass.CONNECT, error.reason, code=REUSED)
    if error.phase == "connect":
        return Failure(FailureClass.CONNECT, error.reason)
    return Failure(FailureClass.SERVER, error.reason)


def _late(error: Expired) -> Failure:
    return Failure(FailureClass.TIMEOUT, f"it took too long to send {error.phase}")
