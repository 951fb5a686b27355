"""``GET`` and ``DELETE /v1/responses/{id}``, ``GET …/input_items`` and ``POST /v1/responses/input_tokens``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import parse_qs

import orjson

from pharos.core.fault import INVALID, TOO_LARGE, Fault, Problem
from pharos.core.plane import Receive, Scope, Send, correlation_of, fields_of
from pharos.core.principal import Principal
from pharos.core.resource import Resource
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.call import Reply
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.entrance import OPERATION, Resolve, refusal
from pharos.gateway.models.faults import RESPONSE_NOT_FOUND
from pharos.gateway.models.layers.authenticate import authorise
from pharos.gateway.models.plans import KeyPlan
from pharos.gateway.models.state.reading import ReadingRoom
from pharos.gateway.models.state.responses import Kept, Responses
from pharos.mesh.tokens import estimate_tokens
from pharos.trust.authenticator import Identity
from pharos.trust.kinds import KeySpec

PATH = "/v1/responses/"

MOST_ITEMS = 100


class Identify(Protocol):
    """``Authenticate.identify``."""

    def __call__(self, fields: Mapping[bytes, bytes]) -> Identity: ...


class KeptResponses:
    """An ASGI application for the responses of the caller's key."""

    def __init__(
        self,
        dialect: Dialect,
        identify: Identify,
        responses: Responses,
        resolve: Resolve,
        room: ReadingRoom,
        plan: Callable[[Resource[KeySpec]], KeyPlan],
        *,
        max_body: int,
    ) -> None:
        self._room = room
        self._plan = plan
        self._dialect = dialect
        self._identify = identify
        self._responses = responses
        self._resolve = resolve
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        principal: Principal | None = None
        try:
            identity = self._identify(fields_of(scope))
            principal = identity.principal
            authorise(identity)
            body = await self._answer(scope, receive, identity)
            reply = Reply(200, b"application/json", orjson.dumps(body))
        except Fault as fault:
            reply = refusal(self._dialect, self._resolve(fault, principal, OPERATION, correlation_of(scope)))
        data = reply.body if isinstance(reply.body, bytes) else b""
        start = [(b"content-type", reply.content_type), (b"content-length", b"%d" % len(data)), *reply.headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": start})
        await send({"type": "http.response.body", "body": data})

    async def _answer(self, scope: Scope, receive: Receive, identity: Identity) -> JsonObject:
        tenant = identity.key.metadata.uid
        name, _, rest = scope["path"].removeprefix(PATH).rstrip("/").partition("/")
        match scope["method"], rest:
            case "POST", "" if name == "input_tokens":
                with self._room.entered(self._plan(identity.key)):
                    return await self._count(receive, tenant)
            case "GET" | "HEAD", "":
                return (await self._responses.find(tenant, name)).response
            case "GET" | "HEAD", "input_items":
                return _page(name, await self._responses.find(tenant, name), scope)
            case "DELETE", "":
                await self._responses.delete(tenant, name, identity.principal.id)
                return {"id": name, "object": "response", "deleted": True}
        raise RESPONSE_NOT_FOUND(f"There is nothing at {scope['path'][:128]!r}.")

    async def _count(self, receive: Receive, tenant: str) -> JsonObject:
        """An estimate, and said to be one: whose model it is does not matter, and no provider is asked."""
        pieces: list[bytes] = []
        more = True
        room = self._max_body
        while more:
            message = await receive()
            pieces.append(message.get("body", b""))
            room -= len(pieces[-1])
            if room < 0:
                raise TOO_LARGE(f"A request may have {self._max_body} bytes.", pointer="")
            more = message.get("more_body", False) and message["type"] != "http.disconnect"
        try:
            body = orjson.loads(b"".join(pieces))
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise _invalid("", "must be a JSON object")
        try:
            size = sum(
                len(orjson.dumps(body[key])) for key in ("input", "instructions", "tools", "text") if body.get(key)
            )
        except orjson.JSONEncodeError:
            raise _invalid("", "is nested too deeply") from None
        previous = body.get("previous_response_id")
        if isinstance(previous, str) and previous:
            size += sum(map(len, await self._responses.conversation(tenant, previous)))
        return {"object": "response.input_tokens", "input_tokens": estimate_tokens(size), "pharos": {"estimated": True}}


def _page(id: str, kept: Kept, scope: Scope) -> JsonObject:
    """The response's own input, newest first unless asked otherwise, in OpenAI's cursor paging."""
    query = {name: values[-1] for name, values in parse_qs(scope.get("query_string", b"").decode("latin-1")).items()}
    text = query.get("limit", "20")
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MOST_ITEMS):
        raise _invalid("/limit", f"must be a number from 1 to {MOST_ITEMS}")
    items: list[JsonObject] = []
    for index, item in enumerate(kept.input):
        known: JsonObject = orjson.loads(item)
        items.append({"type": "message", **known, "id": known.get("id") or f"{id.replace('resp_', 'in_')}_{index}"})
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise _invalid("/order", "must be asc or desc")
    if order == "desc":
        items.reverse()
    ids = [item["id"] for item in items]
    start = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
    page = items[start : start + int(text)]
    data: list[Json] = list(page)
    return {
        "object": "list",
        "data": data,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + len(page) < len(items),
    }


def _invalid(at: str, what: str) -> Fault:
    name = at.removeprefix("/") or "The body"
    return INVALID(f"{name} {what}.", pointer=at, problems=[Problem(pointer=at, message=what)])
