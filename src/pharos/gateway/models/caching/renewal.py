"""A kept answer made the caller's own, in the dialect whose answers can be continued, read and deleted by their id.

Two calls that are given one answer must not share its id: what one of them deletes the other may go on with. And a
response repeats what a call said of itself, which its key leaves out; somebody else's is nobody's business. Every other
byte stays. So do the ids of items: reasoning that a provider encrypted is bound to its item's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.gateway.models.answers.sse import Frame, Parser, encode
from pharos.gateway.models.caching.keys import RULES
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.dialects.openai_responses.answer import new_id
from pharos.gateway.models.dialects.splice import members, replaced, too_deep

if TYPE_CHECKING:
    from pharos.gateway.models.call import Body, Call, Reply

_ANY_SIZE = 2**62
"""Frames of ours may be as large as an answer is."""

_PREVIOUS = "previous_response_id"


class Renewal:
    """What one call makes its own. Raises ``INVALID`` where what it said of itself is nested too deep to be written."""

    __slots__ = ("_id", "_parser", "_said")

    def __init__(self, call: Call) -> None:
        body = call.body
        self._id = dump(new_id()).decode()
        self._parser = Parser(_ANY_SIZE, begun=True)
        try:
            # Also that it said null: its key leaves that out too. That it said nothing of a member its key does tell.
            self._said = {
                name: dump(body.get(name)).decode()
                for name in (*RULES[call.dialect.name].volatile & body.keys(), _PREVIOUS)
            }
        except ValueError as error:
            raise too_deep() from error

    def whole(self, body: bytes) -> bytes:
        """A response."""
        text = body.decode()
        return replaced(text, self._changes(text, 0)).encode()

    def stream(self, chunk: bytes, *, ended: bool) -> bytes:
        """More of a stream. ``ended``: nothing follows."""
        frames = self._parser.feed(chunk)
        if ended:
            frames += self._parser.end()
        return b"".join([self._frame(frame) for frame in frames])

    def _frame(self, frame: Frame) -> bytes:
        # Within a text its quotes would be escaped.
        if b'"response"' not in frame.data:
            return frame.raw
        text = frame.data.decode()
        changes = [
            change
            for member in members(text)
            if member.key == "response" and text[member.start] == "{"
            for change in self._changes(text, member.start)
        ]
        return encode(replaced(text, changes).encode(), frame.event) if changes else frame.raw

    def _changes(self, text: str, start: int) -> list[tuple[int, int, str]]:
        """In the response that begins at ``start``. What a provider left null it does not repeat."""
        changes: list[tuple[int, int, str]] = []
        for member in members(text, start):
            new = self._id if member.key == "id" else self._said.get(member.key)
            if new is not None and text[member.start : member.end] != "null":
                changes.append((member.start, member.end, new))
        return changes


class Renewed:
    """A stream that others are given too. See :class:`~pharos.gateway.models.call.Body`."""

    __slots__ = ("_body", "_call", "_renewal")

    def __init__(self, call: Call, body: Body) -> None:
        self._call = call
        self._body = body
        self._renewal = Renewal(call)

    def __aiter__(self) -> Renewed:
        return self

    async def __anext__(self) -> bytes:
        while True:
            chunk = await self._body.__anext__()
            if out := self._renewal.stream(chunk, ended=self._call.ended):
                return out

    async def aclose(self) -> None:
        await self._body.aclose()


def renew(call: Call, reply: Reply) -> None:
    """Make an answer that is under way for several calls this one's own, where its dialect needs it."""
    if RULES[call.dialect.name].owned:
        body = reply.body
        reply.body = Renewal(call).whole(body) if isinstance(body, bytes) else Renewed(call, body)


def renewed(call: Call, body: bytes, *, streamed: bool) -> bytes:
    """A kept answer as this call's own, where its dialect needs it."""
    if not RULES[call.dialect.name].owned:
        return body
    renewal = Renewal(call)
    return renewal.stream(body, ended=True) if streamed else renewal.whole(body)
