"""Takes down prompt and answer of calls that are to be recorded.

Stands inside the guards, so that what they mask is recorded masked, and outside the caches: an answer that was kept is
an answer all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pharos.gateway.models.auditing import Redact, Trail, unchanged
from pharos.gateway.models.call import Body, Call, Next, Reply
from pharos.store.ports import Blobs


class Audit:
    """Sets ``call.trail``. ``grew`` is told the namespace of each record that was committed; ``redact`` is the guards'
    say in what is kept of an answer."""

    def __init__(self, blobs: Blobs, grew: Callable[[str], None], redact: Redact = unchanged) -> None:
        self._redact = redact
        self._blobs = blobs
        self._grew = grew

    def __call__(self, call: Call, next: Next) -> Awaitable[Reply]:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        # No coroutine of its own for a key that nobody records.
        return self._follow(call, next) if call.key.audits else next(call)

    async def _follow(self, call: Call, onward: Next) -> Reply:
        rule = next((rule for rule in call.key.audits if rule.covers(call.model.id)), None)
        if rule is None:
            return await onward(call)
        trail = call.trail = Trail(rule, call.raw, self._blobs, self._grew, self._redact)
        reply = await onward(call)
        if isinstance(reply.body, bytes):
            trail.whole(reply.body)
        else:
            reply.body = _Followed(trail, reply.body)
        return reply


class _Followed:
    """A streamed body that is taken down. See :class:`~pharos.gateway.models.call.Body`."""

    __slots__ = ("_body", "_trail")

    def __init__(self, trail: Trail, body: Body) -> None:
        self._trail = trail
        self._body = body

    def __aiter__(self) -> _Followed:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._body.__anext__()
        self._trail.see(chunk)
        return chunk

    async def aclose(self) -> None:
        await self._body.aclose()
