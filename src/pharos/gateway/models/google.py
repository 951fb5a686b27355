"""Where Google's clients come in: everything below ``/v1beta/models``.

The URL says which model is meant and what is asked of it (``{model}:{method}``), so one application takes them all and
hands each to the entrance of its kind, with a dialect that knows the URL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

import orjson

from pharos.core.fault import INVALID, NOT_FOUND, Fault, Problem
from pharos.core.plane import ASGIApp, Receive, Scope, Send, correlation_of, fields_of
from pharos.core.principal import Principal
from pharos.core.resource import Resource
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.call import Reply, Task
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.dialects.gemini import STREAM_METHOD, WHOLE_METHOD, Gemini
from pharos.gateway.models.entrance import DIALECT, OPERATION, TASK, Resolve, refusal
from pharos.gateway.models.kinds import ModelSpec
from pharos.gateway.models.layers.authenticate import authorise
from pharos.gateway.models.listing import Identify
from pharos.gateway.models.plans import Plans
from pharos.gateway.models.refusals import model_not_found

PREFIXES = ("/v1beta/models", "/v1/models")
"""Both versions of the API have the methods that are served here."""

MOST = 1_000
"""Models on one page."""

METHODS = (WHOLE_METHOD, STREAM_METHOD, "countTokens", "embedContent", "batchEmbedContents")

Asked = Mapping[str, Callable[[str], tuple[Dialect, Task | None]]]
"""What each method but that of streams asks for, and the dialect of its call, by the model."""


class GoogleCalls:
    """An ASGI application for the calls. ``entrances`` are by method; ``array`` takes streams that are to be arrays."""

    def __init__(self, entrances: Mapping[str, ASGIApp], array: ASGIApp, asked: Asked, refuse: Refuse) -> None:
        self._entrances = entrances
        self._array = array
        self._asked = asked
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        model, method = named(scope["path"])
        entrance = self._entrances.get(method)
        if entrance is None:
            fault = NOT_FOUND(
                f"There is no method {method[:64]!r} here; there are {', '.join(METHODS)}.",
                facts={"methods": [*METHODS]},
            )
            await self._refuse(scope, send, fault, None)
            return
        if method == STREAM_METHOD:
            array = not _wants_events(scope)
            scope[DIALECT] = Gemini(model, stream=True, array=array)
            entrance = self._array if array else entrance
        else:
            scope[DIALECT], scope[TASK] = self._asked[method](model)
        await entrance(scope, receive, send)


def named(path: str) -> tuple[str, str]:
    """Model and method of a path ``/v1beta/models/{model}:{method}``."""
    for prefix in PREFIXES:
        if path.startswith(f"{prefix}/"):
            path = path[len(prefix) + 1 :]
            break
    model, colon, method = path.rpartition(":")
    return (model, method) if colon else (path, "")


def _wants_events(scope: Scope) -> bool:
    return b"alt=sse" in scope.get("query_string", b"").split(b"&")


class Refuse:
    """Answers a request with a fault, as Google's API would."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def __call__(self, scope: Scope, send: Send, fault: Fault, principal: Principal | None) -> None:
        """Send it."""
        await _send(send, refusal(Gemini(), self._resolve(fault, principal, OPERATION, correlation_of(scope))))


class GoogleListing:
    """``GET /v1beta/models`` and ``GET /v1beta/models/{model}``: the models a key may use."""

    def __init__(self, identify: Identify, plans: Plans, refuse: Refuse) -> None:
        self._identify = identify
        self._plans = plans
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        principal: Principal | None = None
        try:
            identity = self._identify(fields_of(scope))
            principal = identity.principal
            authorise(identity)
            models = self._plans.names(identity.key)
            path: str = scope["path"]
            name = path.removeprefix(PREFIXES[0]).removeprefix(PREFIXES[1]).strip("/")
            if not name:
                body = _page(models, scope)
            elif name in models:
                body = _entry(name, models[name])
            else:
                raise model_not_found(name, list(models))
        except Fault as fault:
            await self._refuse(scope, send, fault, principal)
            return
        await _send(send, Reply(200, b"application/json; charset=UTF-8", orjson.dumps(body)))


def _page(models: dict[str, Resource[ModelSpec]], scope: Scope) -> JsonObject:
    query = {name: values[-1] for name, values in parse_qs(scope.get("query_string", b"").decode("latin-1")).items()}
    size, token = query.get("pageSize", query.get("page_size", "50")), query.get("pageToken", query.get("page_token"))
    if not (size.isascii() and size.isdigit() and len(size) < 10):
        message = "must be a whole number"
        raise INVALID(
            f"pageSize {message}.", pointer="/pageSize", problems=[Problem(pointer="/pageSize", message=message)]
        )
    limit = min(int(size) or 50, MOST)
    names = list(models)
    start = names.index(token) + 1 if token in names else 0
    page = names[start : start + limit]
    entries: list[Json] = [_entry(name, models[name]) for name in page]
    body: JsonObject = {"models": entries}
    if start + limit < len(names):
        body["nextPageToken"] = page[-1]
    return body


def _entry(name: str, model: Resource[ModelSpec]) -> JsonObject:
    entry: JsonObject = {
        "name": f"models/{name}",
        "displayName": name,
        "version": str(model.metadata.revision),
        "supportedGenerationMethods": [*METHODS],
    }
    if model.spec.max_output_tokens is not None:
        entry["outputTokenLimit"] = model.spec.max_output_tokens
    return entry


async def _send(send: Send, reply: Reply) -> None:
    body = reply.body if isinstance(reply.body, bytes) else b""
    start = [(b"content-type", reply.content_type), (b"content-length", b"%d" % len(body)), *reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": start})
    await send({"type": "http.response.body", "body": body})
