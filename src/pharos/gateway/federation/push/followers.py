"""Which tasks are followed so that somebody is notified of them. What is told of each is the relay's (``relay.py``)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial

from pharos.core.tasks import kept
from pharos.runtime.session.address import Address

Waiting = Callable[[], AsyncIterator[Address]]
"""The tasks that have configurations and are not finished."""
Relay = Callable[[Address], Coroutine[None, None, None]]
"""Tells of a task until it has ended."""


class Followers:
    """Has every task that somebody wants to be notified of followed, until it has ended."""

    def __init__(self, relay: Relay, waiting: Waiting) -> None:
        self._relay = relay
        self._waiting = waiting
        self._tasks: dict[Address, asyncio.Task[None]] = {}
        self._stopping = True

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Follow until left."""
        self._stopping = False
        try:
            async for address in self._waiting():
                self.begin(address)
            yield
        finally:
            self._stopping = True
            tasks = [*self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def begin(self, address: Address) -> None:
        """Follow a task, or look anew at who wants to hear of it."""
        running = self._tasks.pop(address, None)
        if running is not None:
            running.cancel()
        if not self._stopping:
            name = f"pharos-a2a-relay {address}"
            task = asyncio.create_task(kept(partial(self._relay, address), name), name=name)
            self._tasks[address] = task
            task.add_done_callback(partial(self._over, address))

    def _over(self, address: Address, task: asyncio.Task[None]) -> None:
        if self._tasks.get(address) is task:
            del self._tasks[address]
