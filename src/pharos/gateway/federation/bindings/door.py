"""The paths of A2A on the front door: cards, keys, and both HTTP bindings of every agent.

``/a2a/NAMESPACE/AGENT`` is an agent's URL: JSON-RPC is posted there, HTTP+JSON has its resources below, and its card is
at the well-known path below it. The root's well-known path has the card of the city's one agent.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import orjson
from a2a.utils.errors import UnsupportedOperationError

from pharos.control.index import Index
from pharos.core.asgi import Header, send_bytes
from pharos.core.fault import NOT_FOUND
from pharos.core.plane import Receive, Scope, Send, correlation_of, fields_of
from pharos.core.principal import Principal
from pharos.core.resource import Resource
from pharos.gateway.federation.addresses import PREFIX, WELL_KNOWN
from pharos.gateway.federation.bindings.caller import Authenticate, caller, public_agent
from pharos.gateway.federation.bindings.jsonrpc import JsonRpc
from pharos.gateway.federation.bindings.rest import Rest
from pharos.gateway.federation.bindings.visit import Visit, extensions_in
from pharos.gateway.federation.cards.card import FRESH_SECONDS, Cards
from pharos.gateway.federation.reach import Reaching
from pharos.gateway.federation.tasks.handler import Handler
from pharos.runtime.profiles.kinds import AgentSpec


class _Place(NamedTuple):
    namespace: str
    agent: str
    rest: str
    """Path below the agent's URL: empty, or beginning with a slash."""


class Door:
    """ASGI applications of the routes (``routes.py``)."""

    def __init__(
        self,
        index: Index,
        authenticate: Authenticate,
        reaching: Reaching,
        cards: Cards,
        handler: Handler,
        draining: asyncio.Event,
    ) -> None:
        self._index = index
        self._authenticate = authenticate
        self._reaching = reaching
        self._cards = cards
        self._rpc = JsonRpc(handler, draining)
        self._rest = Rest(handler, draining)

    async def root_card(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``GET /.well-known/agent-card.json``."""
        agent = self._reaching.agent()
        if agent is None:
            raise NOT_FOUND(
                "No agent stands at the root. A Federation resource names one (`agent`); each agent has its card at "
                f"{PREFIX}NAMESPACE/AGENT{WELL_KNOWN}."
            )
        await self._send_card(agent, scope, send)

    async def keys(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``GET /a2a/keys.json``. Asked for often where keys may be revoked, so it is kept for a minute at most."""
        await _send_cached(send, scope, orjson.dumps(self._cards.keys.public()), b"application/jwk-set+json", 60)

    async def agent(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything below ``/a2a/``."""
        place = _place(scope["path"])
        if scope["method"] in ("GET", "HEAD") and place.rest == WELL_KNOWN:
            await self._send_card(self._agent(place), scope, send)
            return
        principal = caller(fields_of(scope), self._authenticate)
        visit = self._visit(scope, principal, self._agent(place))
        if place.rest in ("", "/") and scope["method"] == "POST":
            await self._rpc.answer(visit, scope, receive, send)
        else:
            await self._rest.answer(visit, place.rest, scope, receive, send)

    def _agent(self, place: _Place) -> Resource[AgentSpec]:
        agent = public_agent(self._index, place.namespace, place.agent)
        if agent is None:
            raise NOT_FOUND(f"There is no agent {place.namespace[:128]}/{place.agent[:128]} here.")
        return agent

    def _visit(self, scope: Scope, principal: Principal, agent: Resource[AgentSpec]) -> Visit:
        """The visit that a request is."""
        fields = fields_of(scope)
        return Visit(
            principal=principal,
            agent=agent,
            reach=self._reaching.of(scope),
            version=_text(fields.get(b"a2a-version", b"")) or _parameter(scope, "A2A-Version"),
            extensions=extensions_in(",".join(_text(v) for k, v in scope["headers"] if k == b"a2a-extensions")),
            after=_text(fields.get(b"last-event-id", b"")),
            correlation=correlation_of(scope),
            traceparent=_text(fields.get(b"traceparent", b"")),
        )

    def admit(self, metadata: dict[bytes, bytes], tenant: str) -> Visit:
        """The visit that a gRPC call is. Raises ``UNAUTHENTICATED``, ``NOT_FOUND``, ``UnsupportedOperationError``."""
        principal = caller(metadata, self._authenticate)
        if tenant:
            namespace, _, name = tenant.partition("/")
            agent = public_agent(self._index, namespace, name)
        else:
            agent = self._reaching.agent()
        if agent is None:
            raise UnsupportedOperationError(
                message="Name the agent as the request's tenant, NAMESPACE/AGENT, as its card does."
            )
        return Visit(
            principal=principal,
            agent=agent,
            reach=self._reaching.known(),
            version=_text(metadata.get(b"a2a-version", b"")),
            extensions=extensions_in(_text(metadata.get(b"a2a-extensions", b""))),
            after=_text(metadata.get(b"last-event-id", b"")),
            traceparent=_text(metadata.get(b"traceparent", b"")),
        )

    async def _send_card(self, agent: Resource[AgentSpec], scope: Scope, send: Send) -> None:
        served = self._cards.served(agent, self._reaching.of(scope))
        headers: list[Header] = [(b"last-modified", served.modified.encode())] if served.modified else []
        await _send_cached(
            send, scope, served.body, b"application/json", FRESH_SECONDS, headers, etag=served.etag.encode()
        )


async def _send_cached(
    send: Send,
    scope: Scope,
    body: bytes,
    media: bytes,
    seconds: int,
    headers: list[Header] | None = None,
    etag: bytes = b"",
) -> None:
    head = [(b"cache-control", b"public, max-age=%d" % seconds), *(headers or ())]
    if etag:
        head.append((b"etag", etag))
        wanted = fields_of(scope).get(b"if-none-match", b"")
        # The weak comparison of RFC 9110, section 8.8.3.2.
        if wanted == b"*" or etag in (entry.strip().removeprefix(b"W/") for entry in wanted.split(b",")):
            await send({"type": "http.response.start", "status": 304, "headers": head})
            await send({"type": "http.response.body", "body": b""})
            return
    await send_bytes(send, 200, media, b"" if scope["method"] == "HEAD" else body, head)


def _place(path: str) -> _Place:
    namespace, _, rest = path.removeprefix(PREFIX).partition("/")
    agent, slash, rest = rest.partition("/")
    if not namespace or not agent:
        raise NOT_FOUND(f"An agent's URL is {PREFIX}NAMESPACE/AGENT.")
    return _Place(namespace, agent, f"{slash}{rest}")


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip()


def _parameter(scope: Scope, name: str) -> str:
    """A query parameter, where the protocol lets one stand for a header (section 3.6.1)."""
    for pair in scope.get("query_string", b"").decode("latin-1").split("&"):
        key, _, value = pair.partition("=")
        if key == name:
            return str(value)
    return ""
