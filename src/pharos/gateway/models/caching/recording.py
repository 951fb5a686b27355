"""From an answer to a recording, and back.

What is kept are the bytes the client got, so a hit is equal to the first answer, byte for byte and frame for frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pharos.gateway.models.caching.shelf import RawHeaders, Recording
from pharos.gateway.models.caching.verdict import LASTING, StreamVerdict, finish_of
from pharos.gateway.models.caching.zeroing import zeroed
from pharos.gateway.models.dialects.dialect import Dialect

if TYPE_CHECKING:
    from pharos.gateway.models.call import Attempt, Body, Call, Reply

_KEPT = frozenset({b"x-pharos-dropped"})
"""Headers of an answer that are as true of it the second time."""


class Recorder:
    """Takes down one answer while it passes. ``keep`` is called with the recording if it may be given again, else with
    ``None``; once."""

    __slots__ = ("_dialect", "_headers", "_keep", "_most", "_pieces", "_size", "_tenant", "_verdict", "_zero")

    def __init__(
        self,
        dialect: Dialect,
        tenant: str,
        *,
        most: int,
        zero: bool,
        keep: Callable[[Recording | None], None],
    ) -> None:
        self._dialect = dialect
        self._tenant = tenant
        self._most = most
        self._zero = zero
        self._keep: Callable[[Recording | None], None] | None = keep
        self._headers: RawHeaders = ()
        self._pieces: list[bytes] = []
        self._size = 0
        self._verdict: StreamVerdict | None = None

    def whole(self, call: Call, reply: Reply, body: bytes) -> None:
        """A whole answer has come."""
        self.begin(reply)
        fits = len(body) <= self._most and reply.status == 200 and _answered(call)
        if not fits or not _lasts(finish_of(self._dialect, body), call.attempt):
            self._close(None)
            return
        self._close(self._recording(call, reply.content_type, body, streamed=False))

    def begin(self, reply: Reply) -> None:
        """An answer begins."""
        self._headers = tuple(header for header in reply.headers if header[0] in _KEPT)

    def feed(self, chunk: bytes) -> None:
        """The next bytes of a stream."""
        if self._keep is None:
            return
        self._size += len(chunk)
        if self._size > self._most:
            self._close(None)
            return
        if self._verdict is None:
            self._verdict = StreamVerdict(self._dialect)
        self._verdict.feed(chunk)
        self._pieces.append(chunk)

    def end(self, call: Call, content_type: bytes) -> None:
        """The stream is over."""
        verdict = self._verdict
        if self._keep is None or verdict is None:
            return
        if call.outcome != "ok" or not _answered(call) or not _lasts(verdict.finish(), call.attempt):
            self._close(None)
            return
        self._close(self._recording(call, content_type, b"".join(self._pieces), streamed=True))

    def abandon(self) -> None:
        """The rest of the answer will not come."""
        self._close(None)

    def _recording(self, call: Call, content_type: bytes, body: bytes, *, streamed: bool) -> Recording:
        attempt = call.attempt
        return Recording(
            body=zeroed(body, streamed=streamed) if self._zero else body,
            content_type=content_type,
            headers=self._headers,
            streamed=streamed,
            tenant=self._tenant,
            call=call.id,
            usage=attempt.usage,
            cost=attempt.cost if attempt.rates is not None else None,
            made_at=time.monotonic(),
        )

    def _close(self, recording: Recording | None) -> None:
        keep, self._keep = self._keep, None
        self._pieces.clear()
        if keep is not None:
            keep(recording)


def _answered(call: Call) -> bool:
    # One that was put together of two attempts is not what any provider would answer.
    return bool(call.attempts) and call.attempt.outcome == "ok" and call.continuation is None


def _lasts(finish: object, attempt: Attempt) -> bool:
    """Whether the end is one that lasts, also in the provider's own words where they were translated."""
    return finish in LASTING and (attempt.finish is None or attempt.finish in LASTING)


class Recorded:
    """A streamed body that is taken down. See :class:`~pharos.gateway.models.call.Body`."""

    __slots__ = ("_body", "_call", "_content_type", "_recorder")

    def __init__(self, call: Call, reply: Reply, body: Body, recorder: Recorder) -> None:
        self._call = call
        self._body = body
        self._content_type = reply.content_type
        self._recorder = recorder
        recorder.begin(reply)

    def __aiter__(self) -> Recorded:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._body.__anext__()
        except StopAsyncIteration:
            self._recorder.end(self._call, self._content_type)
            raise
        self._recorder.feed(chunk)
        if self._call.ended:
            self._recorder.end(self._call, self._content_type)
        return chunk

    async def aclose(self) -> None:
        await self._body.aclose()
        self._recorder.abandon()


class Replay:
    """A recorded stream, given again in one piece: its frames are those of the first time."""

    __slots__ = ("_body", "_call", "_done")

    def __init__(self, call: Call, body: bytes) -> None:
        self._call = call
        self._body = body
        self._done = False

    def __aiter__(self) -> Replay:
        return self

    async def __anext__(self) -> bytes:
        if self._done:
            raise StopAsyncIteration
        self._done = True
        self._call.outcome = "ok"
        self._call.ended = True
        return self._body

    async def aclose(self) -> None:
        if not self._done:
            self._done = True
            self._call.outcome = "cancelled"
