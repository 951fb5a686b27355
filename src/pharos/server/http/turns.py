"""The task in which the requests of a connection are answered."""

from __future__ import annotations

import asyncio

from pharos.core.plane import ASGIApp
from pharos.server.http.exchange import Exchange

Turn = tuple[Exchange, ASGIApp]
"""A request, and what answers it."""


class Turns:
    """Answers the requests of one connection, one after the other, in one task: a task for each of them would cost more
    than to parse it.

    ``tasks`` are the server's, of all connections: those that have a request.
    """

    __slots__ = ("_ended", "_loop", "_next", "_tasks")

    def __init__(self, loop: asyncio.AbstractEventLoop, tasks: set[asyncio.Task[None]]) -> None:
        self._loop = loop
        self._tasks = tasks
        self._next: asyncio.Future[Turn | None] | None = None
        """What a task without a request waits for; there is one such at most."""
        self._ended = False

    def take(self, exchange: Exchange, app: ASGIApp) -> None:
        """It is this request's turn."""
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done():
            waiting.set_result((exchange, app))
        else:
            task = self._loop.create_task(self._answer((exchange, app)), name="pharos-request")
            self._tasks.add(task)  # the loop alone would let it be collected

    def end(self) -> None:
        """The connection is lost: nobody waits any more. What is being answered comes to its own end."""
        self._ended = True
        if self._next is not None and not self._next.done():
            self._next.set_result(None)

    async def _answer(self, turn: Turn | None) -> None:
        """An application may have more to do when it has answered: then the next request gets a task of its own, and of
        the two the one that is done first waits for those that follow."""
        task = asyncio.current_task(self._loop)
        assert task is not None
        while turn is not None:
            exchange, app = turn
            self._tasks.add(task)
            try:
                await exchange.run(app)
            finally:
                self._tasks.discard(task)
            if self._ended or self._next is not None:
                return
            self._next = self._loop.create_future()
            turn = await self._next
