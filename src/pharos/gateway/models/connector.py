"""The way of the city's own agents to a model: the same layers in the same order as for any client, without the HTTP.

A call comes in with a ticket for its account (``trust/tickets.py``) where a client has a secret; from there on nothing
knows that it came from inside. What a client would have to read from bytes is read from the call itself: a fault is the
fault, and usage and cost are those that were recorded, which they are before the answer is handed over.

Implements :class:`~pharos.mesh.connectors.ModelConnector`.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

import orjson
from pydantic import ValidationError

from pharos.core.fault import INTERNAL, TIMEOUT, Fault, FaultDocument, State
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.resource import Ref
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import Frame, Parser
from pharos.gateway.models.call import Body, Call, Next
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.dialects.openai_chat.words import output_limit
from pharos.gateway.models.entrance import OPERATION, Resolve
from pharos.gateway.models.faults import UPSTREAM_PROTOCOL
from pharos.gateway.models.folding import Folded
from pharos.gateway.models.inner_call import inner_call
from pharos.gateway.models.layers.understand import SESSION_HEADER
from pharos.gateway.models.spending.settlement import Settlements
from pharos.gateway.models.upstream.watchdog import Watchdogs
from pharos.mesh.connectors import Errand, ModelReply, ModelRequest, ModelText
from pharos.mesh.facts import Usage
from pharos.mesh.money import decimal_text
from pharos.trust.tickets import Tickets

_log = logging.getLogger(__name__)

_KEY = Ref("Key")
_DONE = b"[DONE]"

T = TypeVar("T")


class InnerEntrance:
    """Where calls from inside begin. ``join`` gives it the way they go; before that there is none."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets
        self._watchdogs = Watchdogs()
        self._under_way: dict[str, str] = {}
        """Calls, and the key that each is made under."""
        self._dialect: Dialect
        self._stack: Next
        self._settlements: Settlements
        self._resolve: Resolve

    def join(self, dialect: Dialect, stack: Next, settlements: Settlements, resolve: Resolve) -> None:
        """``dialect`` is that of chat completions; the others are what its :class:`Entrance` has."""
        self._dialect = dialect
        self._stack = stack
        self._settlements = settlements
        self._resolve = resolve

    async def call(self, errand: Errand, request: ModelRequest) -> AsyncGenerator[ModelText | ModelReply, None]:
        """Pieces of the answer, then the answer.

        Iterate it in one task, and close it where you leave early: that ends the call. Raises the gateway's faults and,
        past the errand's deadline, ``TIMEOUT``.
        """
        account = _KEY.resolve(errand.account, "default")
        user = _user_of(errand.principal)
        with self._tickets.ticket(account, errand.principal.name, user, errand.budgets) as ticket:
            under_way = inner_call(
                self._dialect,
                _body(request),
                self._settlements,
                self._watchdogs,
                fields=_fields(errand, ticket),
                correlation=errand.correlation,
                cause=errand.key,
            )
            with under_way as call:
                self._under_way[call.id] = errand.key
                try:
                    async with aclosing(self._pieces(call, _by(errand.deadline))) as pieces:
                        async for piece in pieces:
                            yield piece
                except Fault as fault:
                    principal = call.identity.principal if call.authenticated else None
                    raise self._resolve(fault, principal, OPERATION, call.correlation) from None
                finally:
                    del self._under_way[call.id]

    async def open(self, key: str) -> bool:
        """Whether a call made under this key, or under one below it, has not been recorded yet."""
        below = f"{key}/"
        if any(f"{cause}/".startswith(below) for cause in self._under_way.values()):
            return True
        return any(f"{cause}/".startswith(below) for cause in await self._settlements.open_causes())

    async def _pieces(self, call: Call, deadline: float | None) -> AsyncGenerator[ModelText | ModelReply, None]:
        try:
            reply = await _until(deadline, self._stack(call))
        except (Fault, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - a defect of a layer is no defect of whoever called
            _defect(call, error)
        if isinstance(reply.body, bytes):
            yield _reply(call, _whole(reply.body))
            return
        answer = Folded()
        async with aclosing(_Frames(reply.body, deadline)) as frames:
            async for frame in frames:
                if frame.data == _DONE:
                    continue
                if text := answer.add(_chunk(frame)):
                    yield ModelText(text)
        if not answer.finish:
            raise UPSTREAM_PROTOCOL("The answer ended before it was complete.", state=State.UNKNOWN)
        yield _reply(call, answer)


class _Frames:
    """The frames with data of a streamed body, each awaited no longer than to the deadline."""

    def __init__(self, body: Body, deadline: float | None) -> None:
        self._body = body
        self._deadline = deadline
        self._parser = Parser()
        self._ready: list[Frame] = []

    def __aiter__(self) -> _Frames:
        return self

    async def __anext__(self) -> Frame:
        while not self._ready:
            # Raises the end of the body through, which is the end of the frames.
            chunk = await _until(self._deadline, self._body.__anext__())
            self._ready = [frame for frame in reversed(self._parser.feed(chunk)) if frame.data]
        return self._ready.pop()

    async def aclose(self) -> None:
        await self._body.aclose()


def _fields(errand: Errand, ticket: str) -> Mapping[bytes, bytes]:
    fields = {b"authorization": b"Bearer " + ticket.encode(), SESSION_HEADER: errand.session.encode()}
    if errand.traceparent:
        fields[b"traceparent"] = errand.traceparent.encode()
    return fields


def _body(request: ModelRequest) -> JsonObject:
    """The request in the words of chat completions. Options come first: none replaces what is said besides."""
    body: JsonObject = {**request.options, "model": request.model, "messages": [*request.messages]}
    if request.tools:
        body["tools"] = [*request.tools]
    if request.max_output is not None:
        body[output_limit(request.model)] = request.max_output
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def _user_of(principal: Principal) -> str:
    """The nearest person on whose behalf it is."""
    if principal.kind is PrincipalKind.USER:
        return principal.name
    return next((actor.name for actor in principal.chain if actor.kind is PrincipalKind.USER), "")


def _by(deadline: datetime | None) -> float | None:
    """The deadline on the clock of the event loop. Raises ``TIMEOUT`` where it has passed."""
    if deadline is None:
        return None
    left = (deadline - datetime.now(UTC)).total_seconds()
    if left <= 0:
        raise TIMEOUT("The model was not asked: the deadline had passed.")
    return asyncio.get_running_loop().time() + left


async def _until(deadline: float | None, work: Awaitable[T]) -> T:
    """Raises ``TIMEOUT``."""
    if deadline is None:
        return await work
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        raise TIMEOUT("The model did not answer before the deadline.", state=State.UNKNOWN) from None


def _whole(body: bytes) -> Folded:
    """A whole answer."""
    answer = Folded()
    document: Json = orjson.loads(body)
    match document:
        case {"choices": [{"message": dict(message), "finish_reason": str(finish)}, *_]}:
            answer.message, answer.finish = message, finish
            return answer
    raise UPSTREAM_PROTOCOL("The answer has no message.", state=State.UNKNOWN)


def _chunk(frame: Frame) -> JsonObject:
    """A chunk of a stream. Raises the fault that stands in place of the rest."""
    chunk: Json = orjson.loads(frame.data)
    if not isinstance(chunk, dict):
        raise UPSTREAM_PROTOCOL("A piece of the answer is no object.", state=State.UNKNOWN)
    if "error" in chunk:
        try:
            document = FaultDocument.model_validate(chunk.get("pharos"))
        except ValidationError:
            raise UPSTREAM_PROTOCOL("The stream ended with an error.", state=State.UNKNOWN) from None
        raise Fault(document)
    return chunk


def _reply(call: Call, answer: Folded) -> ModelReply:
    usage, cost = _spent(call)
    return ModelReply(
        message=answer.message,
        finish=answer.finish,
        usage=usage,
        cost=None if cost is None else decimal_text(cost),
        call=call.id,
        model=call.attempt.answered if call.attempts else call.model.name,
    )


def _spent(call: Call) -> tuple[Usage, int | None]:
    """What the answer used, and what all attempts cost together; ``None`` where one has no known price."""
    cost = 0
    for attempt in call.attempts:
        if attempt.rates is None and attempt.usage:
            return call.attempt.usage, None
        cost += attempt.cost
    return (call.attempt.usage if call.attempts else Usage()), cost


def _defect(call: Call, error: Exception) -> NoReturn:
    # The places, not the words: an error's text may quote a prompt.
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("defect in call %s: %s\n%s", call.id, type(error).__name__, frames)
    raise INTERNAL() from None
