"""``GET /v1/models`` and ``GET /v1/models/{id}``: the models a key may use, in the shape its client knows.

Anthropic's clients send ``anthropic-version`` with every request, Google's have a header of their own for the key;
without either the shape is OpenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import parse_qs

import orjson

from pharos.core.fault import INVALID, Fault, Problem
from pharos.core.plane import ASGIApp, Receive, Scope, Send, correlation_of, fields_of
from pharos.core.principal import Principal
from pharos.core.resource import Resource
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.call import Reply
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.entrance import OPERATION, Resolve, refusal
from pharos.gateway.models.kinds import ModelSpec
from pharos.gateway.models.layers.authenticate import authorise
from pharos.gateway.models.plans import Plans
from pharos.gateway.models.refusals import model_not_found
from pharos.trust.authenticator import Identity

PATH = "/v1/models"

MOST = 1_000
"""Models on one page, for both dialects."""

Models = Sequence[tuple[str, Resource[ModelSpec]]]
"""Models by the name under which the key may ask for them."""


class Identify(Protocol):
    """``Authenticate.identify``."""

    def __call__(self, fields: Mapping[bytes, bytes]) -> Identity: ...


class Listing:
    """An ASGI application for the model lists of all dialects."""

    def __init__(
        self,
        openai: Dialect,
        anthropic: Dialect,
        identify: Identify,
        plans: Plans,
        resolve: Resolve,
        google: ASGIApp,
    ) -> None:
        self._google = google
        self._openai = openai
        self._anthropic = anthropic
        self._identify = identify
        self._plans = plans
        self._resolve = resolve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        fields = fields_of(scope)
        if b"x-goog-api-key" in fields:
            await self._google(scope, receive, send)
            return
        anthropic = b"anthropic-version" in fields
        principal: Principal | None = None
        try:
            identity = self._identify(fields)
            principal = identity.principal
            authorise(identity)
            models = list(self._plans.names(identity.key).items())
            name = scope["path"].removeprefix(PATH).strip("/")
            reply = _ok(_one(models, name, anthropic) if name else _list(models, scope, anthropic))
        except Fault as fault:
            dialect = self._anthropic if anthropic else self._openai
            correlation = correlation_of(scope)
            reply = refusal(dialect, self._resolve(fault, principal, OPERATION, correlation))
        body = reply.body if isinstance(reply.body, bytes) else b""
        start = [(b"content-type", reply.content_type), (b"content-length", b"%d" % len(body)), *reply.headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": start})
        await send({"type": "http.response.body", "body": body})


def _ok(body: JsonObject) -> Reply:
    return Reply(200, b"application/json", orjson.dumps(body))


def _one(models: Models, name: str, anthropic: bool) -> JsonObject:
    for known, model in models:
        if known == name:
            return _entry(known, model, anthropic)
    raise model_not_found(name, [known for known, _ in models])


def _list(models: Models, scope: Scope, anthropic: bool) -> JsonObject:
    if not anthropic:
        data: list[Json] = [_entry(name, model, anthropic) for name, model in models]
        return {"object": "list", "data": data}
    page, more = _page(models, scope)
    entries: list[Json] = [_entry(name, model, anthropic) for name, model in page]
    return {
        "data": entries,
        "has_more": more,
        "first_id": page[0][0] if page else None,
        "last_id": page[-1][0] if page else None,
    }


def _page(models: Models, scope: Scope) -> tuple[Models, bool]:
    """Anthropic's cursor paging: ``limit``, and ``after_id`` or ``before_id``."""
    query = {name: values[-1] for name, values in parse_qs(scope.get("query_string", b"").decode("latin-1")).items()}
    text = query.get("limit", "20")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST):
        message = f"must be a number from 1 to {MOST}"
        raise INVALID(f"limit {message}.", pointer="/limit", problems=[Problem(pointer="/limit", message=message)])
    limit = int(text)
    names = [name for name, _ in models]
    if before := query.get("before_id"):
        end = names.index(before) if before in names else 0
        return models[max(end - limit, 0) : end], end > limit
    after = query.get("after_id")
    start = names.index(after) + 1 if after in names else 0
    return models[start : start + limit], start + limit < len(models)


def _entry(name: str, model: Resource[ModelSpec], anthropic: bool) -> JsonObject:
    created = model.metadata.created_at or datetime.fromtimestamp(0, UTC)
    if anthropic:
        stamp = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"type": "model", "id": name, "display_name": name, "created_at": stamp}
    return {"id": name, "object": "model", "created": int(created.timestamp()), "owned_by": model.metadata.namespace}
