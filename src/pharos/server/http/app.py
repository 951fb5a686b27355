"""The one ASGI application of the city: finds who answers a request, and answers where no one else does.

Exact paths first, in one dictionary look-up, so that a model call pays for no framework; then the trees
(``/api/*``). What a route raises becomes an answer here: problem details, or the error shape of the protocol whose
clients ask there and understand nothing else. Every answer carries the request's correlation id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

import orjson

from pharos.core.asgi import Disconnected, send_bytes
from pharos.core.fault import INTERNAL, NOT_FOUND, Fault, FaultDocument
from pharos.core.plane import ASGIApp, Message, Receive, Route, Scope, Send, correlation_of
from pharos.core.wire import JsonObject
from pharos.server.faults import METHOD_NOT_ALLOWED, SHUTTING_DOWN
from pharos.server.http.replies import fault_headers, send_problem, with_correlation
from pharos.server.http.signed import admitted, is_signed
from pharos.trust.signers.signatures import Signatures

logger = logging.getLogger(__name__)

Methods = Mapping[str, ASGIApp]
Refused = Callable[[str, FaultDocument], tuple[int, JsonObject] | None]
"""The status and the body of a fault in the protocol that is spoken at a path, if one is."""


class App:
    """The city's front door."""

    def __init__(self, routes: Iterable[Route], refused: Refused, signatures: Signatures | None = None) -> None:
        self._signatures = signatures
        self._routes = tuple(routes)
        paths: dict[str, dict[str, ASGIApp]] = {}
        for route in self._routes:
            methods = paths.setdefault(route.path, {})
            if route.method in methods:
                raise ValueError(f"route {route.method} {route.path} is declared twice")
            methods[route.method] = route.app
        for methods in paths.values():
            if "GET" in methods:
                methods.setdefault("HEAD", methods["GET"])
        self._paths: dict[str, Methods] = {path: methods for path, methods in paths.items() if not path.endswith("/*")}
        trees = [(path[:-1], methods) for path, methods in paths.items() if path.endswith("/*")]
        self._trees = sorted(trees, key=lambda tree: -len(tree[0]))  # the most specific first
        self._refused = refused

    def part(self, has: Callable[[str], bool]) -> App:
        """An application of those routes alone whose path ``has`` accepts."""
        return App([route for route in self._routes if has(route.path)], self._refused, self._signatures)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3.0, ``http`` scopes only)."""
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} connections here")
        started = False
        ticket = ""
        signatures = self._signatures

        def answer(message: Message) -> Awaitable[None]:
            # Not a coroutine of its own: this runs for each chunk of each streamed answer.
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                correlation = (b"x-request-id", correlation_of(scope).encode())
                message = {**message, "headers": [*message.get("headers", ()), correlation]}
            return send(message)

        try:
            if signatures is not None and signatures.any and is_signed(scope):
                correlation_of(scope)  # named once, for what goes on and for the answer
                scope, receive, ticket = await admitted(scope, receive, signatures)
            methods = self._paths.get(scope["path"])
            if methods is None:
                methods = self._tree(scope["path"])
            app = methods.get(scope["method"])
            if app is None:
                app = _wrong_method(methods)
            await app(scope, receive, answer)
        except Disconnected:
            return
        except asyncio.CancelledError:
            # The server cancels what the drain limit cuts off. Who has no answer yet is told; then the order is obeyed.
            if not started:
                await self._refuse(scope, answer, SHUTTING_DOWN(retry_after=1))
            raise
        except Fault as fault:
            if started:
                logger.error(
                    "a fault after the answer began: %s", fault.code, extra={"correlation": correlation_of(scope)}
                )
                return
            await self._refuse(scope, answer, fault)
        except Exception:
            # The last line of defence: a defect costs one answer, never the process. An answer that has begun is cut.
            logger.exception("defect", extra={"correlation": correlation_of(scope)})
            if not started:
                await self._refuse(scope, answer, INTERNAL())
        finally:
            if ticket and signatures is not None:
                signatures.end(ticket)

    def _tree(self, path: str) -> Methods:
        for prefix, methods in self._trees:
            if path.startswith(prefix):
                return methods
        raise NOT_FOUND(self._nothing_at(path), facts={"index": "/", "openapi": "/openapi.json"})

    def _nothing_at(self, path: str) -> str:
        """What a client is told whose base URL lacks the ``/v1`` that its SDK expects there, or has one too many."""
        for meant in (f"/v1{path}", path.removeprefix("/v1")):
            if meant != path and meant in self._paths:
                return f"There is nothing at this path. Did you mean {meant}? Look at the base URL of your client."
        return "There is nothing at this path."

    async def _refuse(self, scope: Scope, send: Send, fault: Fault) -> None:
        document = with_correlation(fault.document, correlation_of(scope))
        extra = [(b"allow", ", ".join(_allowed(document)).encode())] if fault.code == METHOD_NOT_ALLOWED.code else []
        path = scope["path"]
        # Who forgot the version in the base URL is a client of the same protocol.
        refused = self._refused(f"/v1{path}" if f"/v1{path}" in self._paths else path, document)
        if refused is None:
            await send_problem(send, document, extra)
            return
        status, body = refused
        headers = [*fault_headers(document), *extra]
        await send_bytes(send, status, b"application/json", orjson.dumps(body), headers)


def _wrong_method(methods: Methods) -> ASGIApp:
    allowed = sorted({*methods, "OPTIONS"})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":
            head = [(b"allow", ", ".join(allowed).encode())]
            await send({"type": "http.response.start", "status": 204, "headers": head})
            await send({"type": "http.response.body", "body": b""})
            return
        raise wrong_method(scope["method"], allowed)

    return app


def wrong_method(method: str, allowed: Iterable[str]) -> Fault:
    """The fault of a path that exists, but not with this method."""
    return METHOD_NOT_ALLOWED(f"{method} is not a method of this path.", facts={"allowed": [*allowed]})


def _allowed(document: FaultDocument) -> list[str]:
    allowed = document.facts.get("allowed")
    return [str(method) for method in allowed] if isinstance(allowed, list) else []
