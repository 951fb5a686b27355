"""State for a dialect that has it: what was said before comes before the call, what is said now is kept after it.

The layer stands only in the way of calls in the responses dialect. ``previous_response_id`` is replaced by the
conversation it names before anything below looks at the call: limits, budgets and routes see all of it, and the
provider, whichever it is, needs to know nothing. An answer that is to be kept (``store`` is not ``false``) is kept
together with the record of the call, before its last byte leaves; one that failed or was cut is not.
"""

from __future__ import annotations

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import Parser
from pharos.gateway.models.call import Body, Call, Next, Reply
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.dialects.splice import edited, too_deep
from pharos.gateway.models.state.reading import ReadingRoom
from pharos.gateway.models.state.responses import Responses


class Recall:
    """Sets ``call.raw``, ``call.body`` and ``call.ask`` anew where a conversation is continued, and ``call.keeps``.

    Raises ``RESPONSE_NOT_FOUND`` and ``CONTEXT_EXCEEDED``, and what the room for reading raises.
    """

    def __init__(self, responses: Responses, room: ReadingRoom) -> None:
        self._responses = responses
        self._room = room

    async def __call__(self, call: Call, next: Next) -> Reply:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        previous = call.body.get("previous_response_id")
        keeps = call.body.get("store") is not False
        given = _given(call) if keeps or previous else []
        if isinstance(previous, str) and previous:
            await self._continue(call, previous, given)
        else:
            previous = ""
        reply = await next(call)
        if not keeps:
            return reply
        kept = _Keeping(self._responses, call, previous, given)
        if isinstance(reply.body, bytes):
            await kept.keep(orjson.loads(reply.body))
        else:
            kept.body = reply.body
            reply.body = kept
        return reply

    async def _continue(self, call: Call, previous: str, given: list[bytes]) -> None:
        with self._room.entered(call.key):
            earlier = await self._responses.conversation(_tenant(call), previous)
        items = b"[%b]" % b",".join([*earlier, *given])
        body: JsonObject = {**call.body, "input": orjson.loads(items)}
        values = {"model": dump(call.ask.model), "input": items, "previous_response_id": b"null"}
        call.raw = edited(call.raw, call.body, values)
        # What is parsed keeps the id, so that a translated answer repeats it.
        call.body = body
        call.ask = call.dialect.ask(body)


class _Keeping:
    """A streamed body whose answer is kept at its end. See :class:`~pharos.gateway.models.call.Body`."""

    __slots__ = ("_call", "_given", "_previous", "_responses", "body")

    def __init__(self, responses: Responses, call: Call, previous: str, given: list[bytes]) -> None:
        self._responses = responses
        self._call = call
        self._previous = previous
        self._given = given
        self.body: Body

    async def keep(self, response: Json) -> None:
        """Keep a response with the record of its call."""
        if isinstance(response, dict):
            call = self._call
            call.keeps = await self._responses.keep(_tenant(call), call.id, self._previous, self._given, response)

    def __aiter__(self) -> _Keeping:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self.body.__anext__()
        if self._call.ended and self._call.outcome == "ok":
            await self.keep(_response(chunk))
        return chunk

    async def aclose(self) -> None:
        await self.body.aclose()


def _tenant(call: Call) -> str:
    return call.identity.key.metadata.uid


def _given(call: Call) -> list[bytes]:
    """The input of this call alone, item by item."""
    given = call.body.get("input")
    if isinstance(given, str):
        return [dump({"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]})]
    try:
        return [dump(item) for item in given] if isinstance(given, list) else []
    except ValueError as error:
        raise too_deep() from error


def _response(chunk: bytes) -> Json:
    """The response in the last event of a stream, which is in its last bytes."""
    parser = Parser()
    for frame in reversed([*parser.feed(chunk), *parser.end()]):
        if frame.data and not frame.data.startswith(b"[DONE]"):
            event = orjson.loads(frame.data)
            response = event.get("response") if isinstance(event, dict) else None
            if isinstance(response, dict):
                return response
    return None
