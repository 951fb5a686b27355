"""Hedged requests: a target that is slow to begin is given company, and who answers first is heard.

Each attempt runs in a task of its own, on a copy of the call that has only this attempt and a watchdog for its task;
the one that is heard goes on in the call's own task. The others are stopped at once, or, where their provider bills the
whole answer anyway, read on for as long as the answer lasts, so that what they used is known. All of them are in the
call's record, the one that served as the last; each was given room in budgets and limits before it began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from copy import copy
from typing import Protocol

from pharos.core.fault import Fault
from pharos.gateway.models.answers.streaming import AnswerStream
from pharos.gateway.models.call import Attempt, Call, Next, Reply, UpstreamFailed
from pharos.gateway.models.resilience.spec import Hedge
from pharos.mesh.facts import Usage

More = Callable[[], Awaitable[Attempt | None]]
"""Begins one more attempt, if one can be made."""


class Failed(Protocol):
    """Told of each attempt that failed while others were under way."""

    def __call__(self, attempt: Attempt, error: UpstreamFailed) -> None: ...


async def hedged(call: Call, next: Next, hedge: Hedge, more: More, failed: Failed) -> Reply:
    """The first answer of the attempt that has begun and of at most ``hedge.max`` others.

    Raises ``UpstreamFailed`` of the last one, when all of them failed.
    """
    running: dict[asyncio.Task[Reply], Attempt] = {_start(call, next, call.attempt): call.attempt}
    left = hedge.max
    try:
        while True:
            timeout = hedge.after_ms / 1000 if left else None
            done, _ = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            # In the order in which they began: of two that answer at once the first one is heard.
            for task in [task for task in running if task in done]:
                attempt = running.pop(task)
                try:
                    reply = task.result()
                except UpstreamFailed as error:
                    if not running:
                        _last(call, attempt)
                        raise
                    failed(attempt, error)
                    continue
                _last(call, attempt)
                return await _heard(call, reply, running)
            if not done:
                left -= 1
                begun = await more()
                if begun is None:
                    left = 0
                else:
                    running[_start(call, next, begun)] = begun
    finally:
        # Empty unless this is an exception: a defect, a fault or a cancellation.
        await _stop(running)


def _start(call: Call, next: Next, attempt: Attempt) -> asyncio.Task[Reply]:
    alone = copy(call)
    alone.attempts = [attempt]
    return asyncio.get_running_loop().create_task(_run(alone, next), name=f"pharos-attempt-{attempt.number}")


async def _run(call: Call, next: Next) -> Reply:
    watchdog = call.watchdog = call.watchdog.another()
    try:
        return await next(call)
    finally:
        watchdog.close()


def _last(call: Call, attempt: Attempt) -> None:
    """Have the attempt be the one that the call is answered with."""
    call.attempts.remove(attempt)
    call.attempts.append(attempt)


async def _heard(call: Call, reply: Reply, others: dict[asyncio.Task[Reply], Attempt]) -> Reply:
    """One has answered: what becomes of the others."""
    drained: dict[asyncio.Task[Reply], Attempt] = {}
    body = reply.body
    if isinstance(body, AnswerStream):
        body.move(call)
        drained = {task: attempt for task, attempt in others.items() if attempt.target.upstream.drains}
    stopped = {task: attempt for task, attempt in others.items() if task not in drained}
    others.clear()
    if drained and isinstance(body, AnswerStream):
        reply.body = Accompanied(call, body, drained)
    await _stop(stopped)
    return reply


async def _stop(running: dict[asyncio.Task[Reply], Attempt]) -> None:
    """Stop attempts: the requests at their providers, too. What they used is estimated."""
    stopped = dict(running)
    running.clear()
    for task in stopped:
        task.cancel()
    for result in await asyncio.gather(*stopped, return_exceptions=True):
        if isinstance(result, Reply) and not isinstance(result.body, bytes):
            await result.body.aclose()
    for attempt in stopped.values():
        attempt.end("cancelled", None)  # of a task that was stopped before its first step


class Accompanied:
    """The stream that is heard, while others are read on. See :class:`~pharos.gateway.models.call.Body`.

    They are over before the last bytes leave, so that the call's record is complete.
    """

    __slots__ = ("_call", "_drained", "_drains", "_stream")

    def __init__(self, call: Call, stream: AnswerStream, drained: dict[asyncio.Task[Reply], Attempt]) -> None:
        self._call = call
        self._stream = stream
        self._drained = drained
        loop = asyncio.get_running_loop()
        self._drains = [loop.create_task(_drain(task), name="pharos-drain") for task in drained]

    @property
    def breaks(self) -> bool:
        """As :class:`AnswerStream` has it."""
        return self._stream.breaks

    @breaks.setter
    def breaks(self, value: bool) -> None:
        self._stream.breaks = value

    @property
    def usage(self) -> Usage:
        """As :class:`AnswerStream` has it."""
        return self._stream.usage

    def give_up(self, fault: Fault) -> bytes:
        """As :class:`AnswerStream` has it."""
        return self._stream.give_up(fault)

    def __aiter__(self) -> Accompanied:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._stream.__anext__()
        if self._call.ended:
            await self._end()
        return chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
        await self._end()

    async def _end(self) -> None:
        drains, self._drains = self._drains, []
        for task in drains:
            task.cancel()
        await asyncio.gather(*drains, return_exceptions=True)
        await _stop(self._drained)


async def _drain(attempt: asyncio.Task[Reply]) -> None:
    """Read an answer that nobody hears, as far as it comes."""
    with suppress(UpstreamFailed):
        body = (await asyncio.shield(attempt)).body
        if not isinstance(body, bytes):
            async for _ in body:
                pass
