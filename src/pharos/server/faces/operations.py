"""Operations over HTTP: ``POST /api/NAME`` with the input as a JSON object, and ``GET /api/NAME?…`` for reads.

The face is generated from the registry; it adds what HTTP has words for: ``Idempotency-Key``, ``If-Match``,
``Last-Event-ID``, ``traceparent``, ``?dryRun=true``, status codes and ``Retry-After``. It decides nothing.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import orjson

from pharos.control.invoker import Invoker
from pharos.core.asgi import Header, header, read_body, send_json
from pharos.core.fault import INVALID, NO_CREDENTIAL, UNAUTHENTICATED, FaultDocument, Problem
from pharos.core.operation import AnyOperation, Effect, Registry
from pharos.core.plane import Receive, Scope, Send, correlation_of
from pharos.core.principal import Principal
from pharos.core.wire import Json, JsonObject
from pharos.server.faces.query import arguments, parameters
from pharos.server.faces.schema import Schema, input_schema
from pharos.server.faults import UNSUPPORTED_ENCODING
from pharos.server.http.app import wrong_method
from pharos.server.http.credentials import Authenticate, caller
from pharos.server.http.replies import with_correlation
from pharos.server.http.streams import send_stream

BODY_LIMIT = 8 * 1024 * 1024
"""Largest input of an operation, in bytes."""

PREFIX = "/api/"

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_ETAG = re.compile(r'(?:W/)?"?(\d{1,18})"?')


@dataclass(frozen=True, slots=True)
class _Call:
    """A request, read."""

    operation: AnyOperation
    arguments: JsonObject
    principal: Principal | None
    dry_run: bool
    idempotency_key: str | None
    correlation: str
    traceparent: str


class HttpFace:
    """The ASGI application of ``/api/``."""

    def __init__(
        self, registry: Registry, invoker: Invoker, authenticate: Authenticate, draining: asyncio.Event
    ) -> None:
        self._registry = registry
        self._invoker = invoker
        self._authenticate = authenticate
        self._draining = draining
        self._schemas: dict[str, Schema] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises its fault, for the application to send."""
        name: str = scope["path"].removeprefix(PREFIX)
        operation, principal = self._admit(name, scope)
        if operation is None:
            # The invoker refuses it, and knows which name is near.
            await self._invoker.invoke(name, {}, principal, correlation=correlation_of(scope))
            return
        method: str = scope["method"]
        if method != "POST" and operation.effect is not Effect.READ:
            raise wrong_method(method, ["OPTIONS", "POST"])
        call = await self._read(scope, receive, operation, principal)
        if operation.streaming:
            await self._stream(call, method, receive, send)
        else:
            await self._answer(call, send)

    def _admit(self, name: str, scope: Scope) -> tuple[AnyOperation | None, Principal | None]:
        """The operation and who calls it. Who has no credential does not learn which operations there are."""
        operation = self._registry.get(name)
        principal = caller(scope, self._authenticate)
        if principal is None and (operation is None or not operation.public):
            raise UNAUTHENTICATED(NO_CREDENTIAL)
        return operation, principal

    async def _read(
        self, scope: Scope, receive: Receive, operation: AnyOperation, principal: Principal | None
    ) -> _Call:
        schema = self._schema(operation)
        query = parameters(scope["query_string"])
        dry_run = _flag([value for name, value in query if name == "dryRun"])
        rest = [(name, value) for name, value in query if name != "dryRun"]
        if scope["method"] == "POST":
            if rest:
                problems = [Problem(pointer=f"/{name}", message="belongs into the body") for name, _ in rest]
                raise INVALID("A POST takes its input from the body.", problems=problems)
            given = _object(scope, await read_body(scope, receive, BODY_LIMIT))
        else:
            given = arguments(rest, schema)
        properties: Schema = schema.get("properties", {})
        if (if_match := header(scope, b"if-match")) is not None:
            given.setdefault("expectedRevision", _revision(if_match, properties))
        if operation.streaming and "after" in properties and (last := header(scope, b"last-event-id")) is not None:
            given["after"] = last  # A client that reconnects repeats its first request; the header is the newer word.
        traceparent = header(scope, b"traceparent") or ""
        return _Call(
            operation=operation,
            arguments=given,
            principal=principal,
            dry_run=dry_run,
            idempotency_key=_unquoted(header(scope, b"idempotency-key")),
            correlation=correlation_of(scope),
            traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent) else "",
        )

    def _schema(self, operation: AnyOperation) -> Schema:
        """Made when it is first asked for: few cities see all their operations called."""
        schema = self._schemas.get(operation.name)
        if schema is None:
            schema = self._schemas[operation.name] = input_schema(operation)
        return schema

    async def _answer(self, call: _Call, send: Send) -> None:
        output = await self._invoker.invoke(
            call.operation.name,
            call.arguments,
            call.principal,
            idempotency_key=call.idempotency_key,
            dry_run=call.dry_run,
            correlation=call.correlation,
            traceparent=call.traceparent,
        )
        await send_json(send, output, headers=[(b"cache-control", b"no-store"), *_etag(output)])

    async def _stream(self, call: _Call, method: str, receive: Receive, send: Send) -> None:
        if method == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        items = self._invoker.stream(
            call.operation.name,
            call.arguments,
            call.principal,
            correlation=call.correlation,
            traceparent=call.traceparent,
        )

        def describe(document: FaultDocument) -> FaultDocument:
            return with_correlation(document, call.correlation)

        await send_stream(items, receive, send, draining=self._draining, describe=describe)


def _object(scope: Scope, body: bytes) -> JsonObject:
    """The body as a JSON object; no body is an empty one. Its content type is not asked for: all here is JSON."""
    if (header(scope, b"content-encoding") or "identity") != "identity":
        raise UNSUPPORTED_ENCODING()
    if not body.strip():
        return {}
    try:
        document: Json = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise INVALID(f"The body is not JSON: {error.msg.partition(':')[0]} at {where}.", pointer="") from error
    if not isinstance(document, dict):
        raise INVALID("The body must be a JSON object.", pointer="")
    return document


def _flag(values: list[str]) -> bool:
    match values:
        case []:
            return False
        case ["true" | "1" | ""]:
            return True
        case ["false" | "0"]:
            return False
    raise INVALID(problems=[Problem(pointer="/dryRun", message="must be true or false, once")])


def _revision(if_match: str, properties: Schema) -> int:
    """The revision an ``If-Match`` demands. A precondition that cannot be checked is refused, never ignored."""
    if "expectedRevision" not in properties:
        raise INVALID("This operation checks no revision; leave out If-Match.")
    if (found := _ETAG.fullmatch(if_match.strip())) is None:
        raise INVALID("If-Match must be one revision, as the ETag of a resource gives it.")
    return int(found[1])


def _etag(output: JsonObject) -> list[Header]:
    """The revision of a single resource as its entity tag, for ``If-Match``."""
    match output:
        case {"metadata": {"revision": int(revision)}}:
            return [(b"etag", b'"%d"' % revision)]
    return []


def _unquoted(value: str | None) -> str | None:
    """The value without the quotes that the IETF draft of ``Idempotency-Key`` (a structured-field string) asks for."""
    if value is not None and len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value
