"""``/topics/{namespace}/{name}``: CloudEvents 1.0 in and out, by the operations ``topics.publish`` and ``topics.read``.

``POST`` takes an event in structured or binary mode, or a batch. ``GET`` answers a batch; with ``?form=structured`` or
``?form=binary`` (or an ``Accept`` of structured mode) the one event after ``?after=``, and 204 where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast
from urllib.parse import parse_qsl, unquote

import orjson

from pharos.core.asgi import read_body
from pharos.core.call import Invoke
from pharos.core.fault import INVALID, NOT_FOUND, Problem
from pharos.core.plane import Receive, Route, Scope, Send, correlation_of, fields_of
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject
from pharos.mesh.topics import cloudevents

ROOT: Final = "/topics/"
BODY_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a request, of all its events together."""

_FORMS: Final = ("batch", "structured", "binary")


Identify = Callable[[Scope], Principal]
"""Who makes a request; raises ``UNAUTHENTICATED``."""


class CloudEventsFace:
    """The ASGI application of ``/topics/``."""

    def __init__(self, invoke: Invoke, identify: Identify) -> None:
        self._invoke = invoke
        self._identify = identify

    def routes(self) -> tuple[Route, ...]:
        """Where it answers."""
        return (
            Route("GET", f"{ROOT}*", self, "Messages of a topic as CloudEvents"),
            Route("POST", f"{ROOT}*", self, "Publish CloudEvents to a topic"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises its fault, for the application to send."""
        principal = self._identify(scope)
        namespace, slash, name = scope["path"].removeprefix(ROOT).partition("/")
        if not slash or not name:
            raise NOT_FOUND("Topics are at /topics/NAMESPACE/NAME.")
        address: JsonObject = {"namespace": namespace, "name": name}
        if scope["method"] == "POST":
            await self._publish(scope, receive, send, principal, address)
        else:
            await self._read(scope, send, principal, address)

    async def _publish(
        self, scope: Scope, receive: Receive, send: Send, principal: Principal, address: JsonObject
    ) -> None:
        body = await read_body(scope, receive, BODY_LIMIT)
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in fields_of(scope).items()}
        messages = cloudevents.read_request(headers, body)
        if not messages:
            await _answer(send, 204, b"", "")
            return
        key = headers.get("idempotency-key")
        answer = await self._invoke(
            "topics.publish",
            {**address, "messages": [*messages]},
            principal,
            idempotency_key=key.strip('"') if key else None,
            correlation=correlation_of(scope),
            traceparent=headers.get("traceparent", ""),
        )
        await _answer(send, 200, orjson.dumps(answer), cloudevents.JSON)

    async def _read(self, scope: Scope, send: Send, principal: Principal, address: JsonObject) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        accept = fields_of(scope).get(b"accept", b"").decode("latin-1").lower()
        form = query.pop("form", "structured" if cloudevents.STRUCTURED in accept else "batch")
        if form not in _FORMS:
            raise INVALID(f"form is one of {', '.join(_FORMS)}", pointer="/form")
        if unknown := [name for name in query if name not in ("after", "limit")]:
            problems = [Problem(pointer=f"/{unquote(name)[:64]}", message="is not known here") for name in unknown]
            raise INVALID("Reading a topic takes after, limit and form.", problems=problems)
        limit: int | str = query.get("limit", "100")
        if isinstance(limit, str) and limit.isdecimal() and len(limit) < 6:
            limit = int(limit)
        arguments: JsonObject = {**address, "limit": limit if form == "batch" else 1}
        if "after" in query:
            arguments["after"] = query["after"]
        page = await self._invoke("topics.read", arguments, principal, correlation=correlation_of(scope))
        messages = cast("list[JsonObject]", page["items"])
        if form == "batch":
            await _answer(send, 200, cloudevents.batch(messages), cloudevents.BATCH)
        elif not messages:
            await _answer(send, 204, b"", "")
        elif form == "structured":
            await _answer(send, 200, cloudevents.structured(messages[0]), cloudevents.STRUCTURED)
        else:
            headers, body, media_type = cloudevents.binary(messages[0])
            await _answer(send, 200, body, media_type, headers)


async def _answer(
    send: Send, status: int, body: bytes, media_type: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    # A message has the media type that a stranger gave it: a browser shows it and runs nothing.
    head = [
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"sandbox; default-src 'none'"),
        *(headers or []),
    ]
    if status != 204:
        head.append((b"content-length", b"%d" % len(body)))
    if media_type:
        head.append((b"content-type", media_type.encode("latin-1")))
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
