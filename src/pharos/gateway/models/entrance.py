"""Where model calls come in: plain ASGI, because this path is the city's busiest.

The entrance turns a request into a ``Call``, sends what the layers reply, and speaks the client's dialect also when it
refuses. It notices when the client leaves, whatever the call is doing then, and sees to it that every call is ended.
"""

from __future__ import annotations

import asyncio
import logging
import math
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Literal

import orjson

from pharos.core.fault import INTERNAL, TIMEOUT, TOO_LARGE, Fault, Retry
from pharos.core.ids import uuid7
from pharos.core.plane import ON_DISCONNECT, RESPOND, WHOLE_BODY, WRITE, Receive, Scope, Send, correlation_of, fields_of
from pharos.core.principal import Principal
from pharos.gateway.models.answers.headers import Headers, identity, own_headers
from pharos.gateway.models.answers.silence import COMMENT, Silences
from pharos.gateway.models.call import Body, Call, Next, Reply, Write, relay_of
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.layers.transmit import SSE
from pharos.gateway.models.spending.settlement import Settlements
from pharos.gateway.models.upstream.watchdog import Expired, Watchdog, Watchdogs

_log = logging.getLogger(__name__)

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a request, unless the plane is told otherwise."""

BODY_SECONDS = 60.0
"""How long a client may take to send its request."""

STALL_SECONDS = 120.0
"""How long a client may read nothing of a stream before it counts as gone."""

DIALECT: Literal["pharos.models.dialect"] = "pharos.models.dialect"
"""Key of the scope under which a route puts the dialect of this one call, where its URL says part of what is asked."""

TASK: Literal["pharos.models.task"] = "pharos.models.task"
"""Key of the scope under which a route puts the ``Task`` of a call that asks for no answer."""

OPERATION = "models.call"
"""Name under which faults of this path are resolved."""

Resolve = Callable[[Fault, Principal | None, str, str], Fault]
"""``Invoker.resolve``: makes a fault fit for its caller."""

Respond = Callable[[int, Headers, bytes], bool]

OnDisconnect = Callable[[Callable[[], None]], Callable[[], None]]

_FINAL = frozenset({Retry.NEVER, Retry.AFTER_FIX})


class Entrance:
    """An ASGI application for one dialect's call route."""

    def __init__(
        self,
        dialect: Dialect,
        stack: Next,
        settlements: Settlements,
        resolve: Resolve,
        *,
        max_body: int = MAX_BODY,
    ) -> None:
        self._dialect = dialect
        self._stack = stack
        self._settlements = settlements
        self._resolve = resolve
        self._max_body = max_body
        self._watchdogs = Watchdogs()
        self._silences = Silences()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        id = uuid7()
        watchdog = self._watchdogs.watch()
        fields = fields_of(scope)
        conversation = _Client(scope, fields, receive, send, watchdog, self._silences, self._max_body)
        call = Call(
            id=id,
            dialect=scope.get(DIALECT) or self._dialect,
            headers=scope["headers"],
            fields=fields,
            read=conversation.read,
            attend=conversation.attend,
            watchdog=watchdog,
            correlation=correlation_of(scope, id),
            task=scope.get(TASK),
        )
        conversation.call = call
        self._settlements.begin(id)
        try:
            await self._serve(call, conversation)
        except asyncio.CancelledError:
            if not call.gone or not conversation.uncancelled():
                raise  # the server is shutting down
        finally:
            self._settlements.end(id)
            watchdog.close()
            conversation.close()
            # The call and its client know each other: untied, they are freed at once and not by the collector.
            call.read = _nothing_more
            call.attend = _unheard

    async def _serve(self, call: Call, client: _Client) -> None:
        try:
            reply = await self._stack(call)
        except Fault as fault:
            await client.refuse(self._resolved(call, fault))
            return
        except Exception as error:  # noqa: BLE001 - a defect must not bring the process down, nor show itself
            # The places, not the words: an error's text may quote a prompt.
            frames = "".join(traceback.format_tb(error.__traceback__))
            _log.error("defect in call %s: %s\n%s", call.id, type(error).__name__, frames)
            await client.refuse(self._resolved(call, INTERNAL()))
            return
        headers = own_headers(call, reply)
        if isinstance(reply.body, bytes):
            await client.answer(reply, headers, reply.body)
        else:
            await client.stream(reply, headers, reply.body)

    def _resolved(self, call: Call, fault: Fault) -> Fault:
        """The fault as this caller may see it."""
        principal = call.identity.principal if call.authenticated else None
        return self._resolve(fault, principal, OPERATION, call.correlation)


async def _nothing_more() -> bytes:
    return b""


def _unheard() -> None:
    pass


class _Client:
    """The other end of one request: reads its body once, sends it one answer, notices when it leaves."""

    def __init__(
        self,
        scope: Scope,
        fields: Mapping[bytes, bytes],
        receive: Receive,
        send: Send,
        watchdog: Watchdog,
        silences: Silences,
        max_body: int,
    ) -> None:
        self.call: Call
        self._silences = silences
        self._write: Write | None = scope.get(WRITE)
        self._respond: Respond | None = scope.get(RESPOND)
        self._spoken = False
        """It was told something since the last look."""
        self._silent_since = 0.0
        self._head_sent = False
        self._streaming = False
        self._keeping: asyncio.Task[None] | None = None
        self._length = fields.get(b"content-length", b"")
        self._on_disconnect: OnDisconnect | None = scope.get(ON_DISCONNECT)
        self._whole: Callable[[], bytes | None] | None = scope.get(WHOLE_BODY)
        self._take_back: Callable[[], None] | None = None
        self._receive = receive
        self._send = send
        self._watchdog = watchdog
        self._max_body = max_body
        self._watcher: asyncio.Task[None] | None = None
        self._answered = False

    def read(self) -> bytes | Awaitable[bytes]:
        """The body. Raises ``TOO_LARGE`` and ``TIMEOUT``. From here on a client that leaves is noticed."""
        if self._length.isdigit() and int(self._length) > self._max_body:
            raise self._too_large()
        body = self._whole() if self._whole is not None else None
        if body is None:
            return self._arriving()
        if len(body) > self._max_body:
            raise self._too_large()
        self._notice()
        return body

    async def _arriving(self) -> bytes:
        try:
            with self._watchdog.limit(BODY_SECONDS, "the body"):
                body = await self._read()
        except Expired:
            raise TIMEOUT(f"The request's body did not arrive within {BODY_SECONDS:g} seconds.") from None
        self._notice()
        return body

    def _notice(self) -> None:
        """From here on a client that leaves is noticed."""
        if self._on_disconnect is not None:
            self._take_back = self._on_disconnect(self._has_left)
        else:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _read(self) -> bytes:
        pieces: list[bytes] = []
        room = self._max_body
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise self._left()
            piece: bytes = message.get("body", b"")
            room -= len(piece)
            if room < 0:
                raise self._too_large()
            pieces.append(piece)
            more = message.get("more_body", False)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _left(self) -> Fault:
        self.call.gone = True
        return TIMEOUT("The client left before its request was complete.")

    def _too_large(self) -> Fault:
        return TOO_LARGE(
            f"A request may have {self._max_body} bytes.", facts={"limitBytes": self._max_body}, pointer=""
        )

    async def _watch(self) -> None:
        """Wait for the client to leave."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._has_left()

    def _has_left(self) -> None:
        """Stop the call, unless it is to be read to its end or is over."""
        call = self.call
        call.gone = True
        if not call.drains and not call.recorded:
            self._watchdog.task.cancel()

    def uncancelled(self) -> bool:
        """Take back the cancellation of the watcher; whether there was no other."""
        return self._watchdog.task.uncancel() == 0

    def close(self) -> None:
        """Stop watching. After a complete answer ``receive`` returns by itself (ASGI 3.0), so that the watcher ends."""
        take_back, self._take_back = self._take_back, None
        if take_back is not None:
            take_back()
        if self._watcher is not None and not self._answered:
            self._watcher.cancel()
        if self._keeping is not None:
            self._keeping.cancel()
        self._silences.leave(self)

    # Silence.

    def attend(self) -> None:
        """From here on a client that hears nothing for too long is told that the call goes on."""
        self._silent_since = asyncio.get_running_loop().time()
        self._silences.attend(self)

    def look(self, now: float) -> None:
        """See :class:`~pharos.gateway.models.answers.silence.Listener`."""
        if self._spoken:
            self._spoken = False
            self._silent_since = now
            return
        resilience = self.call.model.resilience
        bearable = resilience.quiet if self._head_sent else resilience.commit
        if not bearable or now - self._silent_since < bearable:
            return
        self._silent_since = now
        call = self.call
        # One that waits already is a client that does not read: it has enough to hear.
        if not (call.gone or call.ended) and (self._keeping is None or self._keeping.done()):
            self._keeping = asyncio.get_running_loop().create_task(self._keep_alive(), name="pharos-keep-alive")

    async def _keep_alive(self) -> None:
        """Tell the client that the call goes on. Frames are sent whole, so this stands between two of them."""
        call = self.call
        frame = call.dialect.keep_alive
        # Since it was decided the answer may have come to its end, or its client may have left.
        if not frame or call.gone or call.ended or self._answered:
            return
        if not self._head_sent:
            if frame.isspace():
                return  # a stream that is one JSON text: an error could not be told in it before it has begun
            await self._begin(200, [*identity(call, SSE), call.model.header])
        if not self._streaming and not frame.isspace():
            frame = COMMENT
        await self._send({"type": "http.response.body", "body": frame, "more_body": True})

    async def _begin(self, status: int, headers: Headers) -> None:
        """Send the head of a stream."""
        self._head_sent = True
        headers += ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    # The answer.

    async def refuse(self, fault: Fault) -> None:
        """Send a refusal: as an error frame, where the head of a stream has gone out already."""
        call = self.call
        self._silences.leave(self)
        if self._keeping is not None:
            await asyncio.wait((self._keeping,))
        if self._head_sent:
            self._answered = True
            frame = call.dialect.write_stream_fault(fault.document)
            await self._send({"type": "http.response.body", "body": frame, "more_body": False})
            return
        reply = refusal(call.dialect, fault, call.passed)
        if isinstance(reply.body, bytes):
            await self.answer(reply, own_headers(call, reply), reply.body)

    async def answer(self, reply: Reply, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""
        self._silences.leave(self)
        if self._head_sent:  # it was kept waiting for a stream: what came instead is all there is
            await self._send({"type": "http.response.body", "body": body, "more_body": False})
            return
        headers.append((b"content-length", b"%d" % len(body)))
        if self._respond is not None:
            own = (b"x-request-id", self.call.correlation.encode())
            if self._respond(reply.status, [*headers, own], body):
                self._answered = True
                return
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
        self._answered = True
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _relayed(self, chunk: bytes) -> bool:
        """Send a chunk in the very moment; whether the client reads quickly enough for more."""
        self._spoken = True
        return self.call.gone or self._write is None or self._write(chunk)

    async def stream(self, reply: Reply, headers: Headers, body: Body) -> None:
        """Send a stream, each chunk as it comes. A client that stops reading stops the provider; one that leaves, too,
        unless the provider is to be read to its end."""
        call, send, watchdog = self.call, self._send, self._watchdog
        try:
            if self._keeping is not None:
                await asyncio.wait((self._keeping,))
            if not self._head_sent:
                await self._begin(reply.status, headers)
                if call.model.resilience.quiet:
                    self.attend()
            self._streaming = True
            relay = None if self._write is None else relay_of(body)
            async for chunk in body:
                if call.gone:
                    continue
                self._spoken = True
                self._answered = call.ended
                with watchdog.limit(STALL_SECONDS, "the client"):
                    await send({"type": "http.response.body", "body": chunk, "more_body": not call.ended})
                if relay is not None and not call.ended:
                    await relay(self._relayed)
        except Expired:
            call.gone = True
            _log.info("call %s: the client read nothing for %g seconds", call.id, STALL_SECONDS)
        finally:
            await body.aclose()
        if not call.ended and not call.gone:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def refusal(dialect: Dialect, fault: Fault, passed: bytes = b"") -> Reply:
    """A fault as a dialect says it. ``passed`` is a refusal the provider wrote in the same dialect: its words stay."""
    document = fault.document
    body = dialect.write_fault(document)
    if passed:
        with suppress(orjson.JSONDecodeError):
            own = orjson.loads(passed)
            if isinstance(own, dict) and "error" in own:
                body = {**own, "pharos": body["pharos"]}
    headers = [(b"x-should-retry", b"false" if document.retry.retry in _FINAL else b"true")]
    after = document.retry.after_seconds
    if after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(after))))
        headers.append((b"retry-after-ms", b"%d" % max(1, math.ceil(after * 1000))))
    return Reply(dialect.status_of(document), b"application/json", orjson.dumps(body), headers)
