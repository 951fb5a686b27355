"""A stream as one JSON array: what Google's API sends where nobody asked for server-sent events.

Everything inside the city speaks of frames; only here, on their way out, their data become the elements of an array,
each sent as soon as it is there. An array is closed where the stream has come to its end, an error included; a stream
that broke off leaves it open, so that nobody takes it for a whole answer.
"""

from __future__ import annotations

from pharos.gateway.models.answers.sse import Parser
from pharos.gateway.models.call import Body, Call, Next, Reply

JSON = b"application/json; charset=UTF-8"


class ArrayBody:
    """The body of a streamed reply, as an array. See :class:`~pharos.gateway.models.call.Body`."""

    __slots__ = ("_body", "_call", "_closed", "_parser", "_separator")

    def __init__(self, call: Call, body: Body) -> None:
        self._call = call
        self._body = body
        self._parser = Parser()
        self._separator = b"["
        self._closed = False

    def __aiter__(self) -> ArrayBody:
        return self

    async def __anext__(self) -> bytes:
        while not self._closed:
            try:
                chunk = await self._body.__anext__()
            except StopAsyncIteration:
                if not self._call.ended:
                    raise
                chunk = b""
            out = self._elements(chunk)
            if self._call.ended:
                self._closed = True
                out += b"]" if self._separator != b"[" else b"[]"
            if out:
                return out
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._body.aclose()

    def _elements(self, chunk: bytes) -> bytes:
        out = b""
        frames = self._parser.feed(chunk)
        if self._call.ended:
            frames += self._parser.end()
        for frame in frames:
            if frame.data:
                out += self._separator + frame.data
                self._separator = b",\r\n"
        return out


def as_array(stack: Next) -> Next:
    """The stack, with its streams as arrays."""

    async def handle(call: Call) -> Reply:
        reply = await stack(call)
        if not isinstance(reply.body, bytes):
            reply.content_type = JSON
            reply.body = ArrayBody(call, reply.body)
        return reply

    return handle
