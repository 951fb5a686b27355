"""A streamed answer on its way to the client, from its first content to its one end.

It ends in one of four ways: the provider's own end mark; a failure, which becomes the error frame of the client's
dialect and is never followed by an end mark; the client leaving; or the city shutting down. Whatever the way, the
attempt is ended once, with the usage the provider reported or an estimate from the bytes that passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pharos.core.fault import Fault
from pharos.gateway.models.answers.exchange import Flow, lied
from pharos.gateway.models.call import Attempt, Call, UpstreamFailed, Write
from pharos.gateway.models.dialects.canonical import Failure
from pharos.gateway.models.upstream.line import Line
from pharos.mesh.facts import Outcome, Usage

MAX_HELD = 1024 * 1024
"""Bytes that may come before the first content."""

Refusal = Callable[[Failure], Fault]


class Broken(Exception):
    """The provider failed in the middle of its answer, and the attempt is ended. ``out`` is what came before."""

    def __init__(self, failure: Failure, fault: Fault, out: bytes) -> None:
        super().__init__(fault.code)
        self.failure = failure
        self.fault = fault
        self.out = out


class AnswerStream:
    """The body of a streamed reply. See :class:`~pharos.gateway.models.call.Body`.

    ``open`` must have returned before the first read. Where ``breaks`` is set, a failure is raised as :class:`Broken`
    instead of told to the client.
    """

    __slots__ = ("_attempt", "_broke", "_call", "_done", "_flow", "_held", "_line", "_refusal", "breaks")

    def __init__(self, call: Call, attempt: Attempt, line: Line, flow: Flow, refusal: Refusal) -> None:
        self._call = call
        self._attempt = attempt
        self._line = line
        self._flow = flow
        self._refusal = refusal
        self._held: bytes | None = b""
        """What is to be read next, before anything else."""
        self._broke: Failure | None = None
        """How the provider failed after that."""
        self._done = False
        self.breaks = False

    @property
    def usage(self) -> Usage:
        """What the attempt used, once it is ended."""
        return self._attempt.usage

    def move(self, call: Call) -> None:
        """Go on in another task, which is that of ``call``."""
        self._call = call
        self._line.move(call)

    async def open(self) -> None:
        """Read up to the first content, or to the end of an answer that has none. Raises ``UpstreamFailed``."""
        try:
            self._held = await self._begin()
        except BaseException:
            self._note()
            raise
        self._attempt.first_token_at = time.monotonic()

    async def _begin(self) -> bytes:
        flow, line = self._flow, self._line
        held: list[bytes] = []
        size = 0
        while not (flow.content or flow.complete):
            chunk = await line.read()
            out = flow.feed(chunk) if chunk else flow.end()
            if flow.failure is not None and not flow.content:
                raise UpstreamFailed(flow.failure)
            if not chunk and not flow.complete:
                raise UpstreamFailed(lied("the stream ended before the answer began"))
            held.append(out)
            size += len(out)
            if size > MAX_HELD:
                raise UpstreamFailed(lied(f"nothing of the answer came in the first {MAX_HELD} bytes"))
        return b"".join(held)

    def __aiter__(self) -> AnswerStream:
        return self

    async def __anext__(self) -> bytes:
        flow, line = self._flow, self._line
        if (held := self._held) is not None:
            self._held = None
            if (failure := self._broke or flow.failure) is not None:
                return self._fail(failure, held)
            if flow.complete:
                self._finish()
            if held:
                return held
        while not self._done:
            try:
                chunk = await line.read()
            except UpstreamFailed as error:
                return self._fail(error.failure, b"")
            out = flow.feed(chunk) if chunk else flow.end()
            if flow.failure is not None:
                return self._fail(flow.failure, out)
            if flow.complete:
                self._finish()
            elif not chunk:
                return self._fail(lied("the stream was cut before its end"), out)
            if out:
                return out
        raise StopAsyncIteration

    async def relay(self, write: Write) -> None:
        """Pass on by ``write`` what comes, in the very moment: see :func:`~pharos.gateway.models.call.relay_of`."""
        flow = self._flow
        feed = flow.feed

        def sink(chunk: bytes) -> bool:
            out = feed(chunk)
            if flow.complete or flow.failure is not None:
                self._held = out
                return False
            return not out or write(out)

        if self._done or self._held is not None:
            return
        try:
            await self._line.relay(sink)
        except UpstreamFailed as error:
            self._held, self._broke = b"", error.failure

    async def aclose(self) -> None:
        """End the attempt if it is not over: the client has left."""
        if self._attempt.open:
            self._note()
            self._attempt.end("cancelled", self._line.probable_usage())
            self._call.outcome = "cancelled"
        self._done = True
        await self._line.aclose()

    def _finish(self) -> None:
        self._note()
        self._attempt.end("ok", self._flow.usage or self._line.probable_usage())
        self._over("ok")

    def _fail(self, failure: Failure, out: bytes) -> bytes:
        """The provider failed in the middle of its answer, after ``out``."""
        fault = self._refusal(failure)
        self._note()
        self._attempt.end("incomplete", self._line.probable_usage(), against=True, fault=fault.code)
        if self.breaks:
            self._done = True
            raise Broken(failure, fault, out)
        return out + self.give_up(fault)

    def give_up(self, fault: Fault) -> bytes:
        """The answer ends here, with an error: what the client is told."""
        self._call.fault = fault.code
        self._over("incomplete")
        return self._flow.fault(fault.document) or self._call.dialect.write_stream_fault(fault.document)

    def _note(self) -> None:
        flow = self._flow
        self._attempt.answered = flow.model
        self._attempt.tier = flow.tier
        self._line.saw(flow.usage, flow.output_bytes)

    def _over(self, outcome: Outcome) -> None:
        self._call.outcome = outcome
        self._call.ended = True
        self._done = True
