"""What is asked: reads the body, only now that the caller is known, and what governance must know of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable

import orjson

from pharos.core.fault import INVALID, Fault, Problem
from pharos.core.wire import Json
from pharos.gateway.models.call import Call, Next, Reply

SESSION_HEADER = b"x-pharos-session"


class Understand:
    """Sets ``call.raw``, ``call.body``, ``call.ask`` and ``call.session``.

    Raises ``INVALID`` for a body that is not JSON or has members of a wrong type, ``TOO_LARGE`` for one over the limit.
    """

    def __call__(self, call: Call, next: Next) -> Awaitable[Reply]:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        raw = call.read()
        if isinstance(raw, bytes):  # no coroutine of its own for a body that has come with its head
            _understand(call, raw)
            return next(call)
        return self._awaited(call, raw, next)

    async def _awaited(self, call: Call, raw: Awaitable[bytes], next: Next) -> Reply:
        _understand(call, await raw)
        return await next(call)


def _understand(call: Call, raw: bytes) -> None:
    call.raw = raw
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        where = f"{error.msg} (line {error.lineno}, column {error.colno})"
        raise INVALID(
            f"The body is not JSON: {where}.", pointer="", problems=[Problem(pointer="", message=where)]
        ) from None
    _refuse_ambiguous(raw, body)
    if type(body) is not dict:
        raise INVALID(
            "The body must be a JSON object.",
            pointer="",
            problems=[Problem(pointer="", message="must be an object")],
        )
    call.body = body
    call.ask = call.dialect.ask(body)
    call.session = session_of(call)


def session_of(call: Call) -> str:
    """The session a call belongs to, as its client names it; empty if it does not."""
    return call.header(SESSION_HEADER) or (call.ask.user if "session" in call.ask.user else "")


def _refuse_ambiguous(raw: bytes, body: Json) -> None:
    """Refuse a body in which a key stands twice in one object: here the last counts, at a provider maybe the first, and
    what is not seen is neither limited nor paid for. Refuse one that is nested deeper than it could be written again.

    A repeated key takes at least two quotes with it, so the text written from what was read has fewer of them. Only an
    escaped quote (``\\u0022``) could make up for that; then, and where the numbers differ, every object is looked at.
    """
    try:
        written = orjson.dumps(body)
    except orjson.JSONEncodeError:
        raise _invalid("is nested too deeply") from None
    # Many texts have no backslash at all, and to look for one costs next to nothing.
    escaped = 0x5C in raw and raw.find(b"\\u0022") >= 0
    if raw == written or (not escaped and raw.count(b'"') == written.count(b'"')):
        return
    try:
        json.loads(raw, object_pairs_hook=_once, parse_int=str, parse_float=str)
    except _Repeated as error:
        raise _invalid(f"has the key {str(error)[:64]!r} twice in one object") from None


class _Repeated(Exception):
    """A key that stands twice in one object."""


def _once(pairs: list[tuple[str, object]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise _Repeated(key)
        seen.add(key)


def _invalid(what: str) -> Fault:
    return INVALID(f"The body {what}.", pointer="", problems=[Problem(pointer="", message=what)])
