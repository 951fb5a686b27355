"""What is asked: reads the body, only now that the caller is known, and what governance must know of it."""

from __future__ import annotations

import orjson

from pharos.core.fault import INVALID, Problem
from pharos.gateway.models.call import Call, Next, Reply

SESSION_HEADER = b"x-pharos-session"


class Understand:
    """Sets ``call.raw``, ``call.body``, ``call.ask`` and ``call.session``.

    Raises ``INVALID`` for a body that is not JSON or has members of a wrong type, ``TOO_LARGE`` for one over the limit.
    """

    async def __call__(self, call: Call, next: Next) -> Reply:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        raw = call.raw = await call.read()
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            where = f"{error.msg} (line {error.lineno}, column {error.colno})"
            raise INVALID(
                f"The body is not JSON: {where}.", pointer="", problems=[Problem(pointer="", message=where)]
            ) from None
        if type(body) is not dict:
            raise INVALID(
                "The body must be a JSON object.",
                pointer="",
                problems=[Problem(pointer="", message="must be an object")],
            )
        call.body = body
        call.ask = ask = call.dialect.ask(body)
        call.session = call.header(SESSION_HEADER) or (ask.user if "session" in ask.user else "")
        return await next(call)
