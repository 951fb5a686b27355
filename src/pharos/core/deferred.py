"""What is made when it is first asked for, beside the event loop: a city pays for the parts it uses, when it uses them.

Packages that some protocols need take longer to import than a whole city to start, and their first user can wait a
moment for them; nobody else should.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Deferred(Generic[T]):
    """``make`` runs once, in a thread, when the first one asks; all others get what it made.

    Where it raises, whoever asked has its exception, and the next one has it tried again.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []
        self._turn = asyncio.Lock()

    @property
    def made(self) -> T | None:
        """What was made, if somebody has asked for it."""
        return self._made[0] if self._made else None

    async def get(self) -> T:
        """What was made. Raises what making it raises."""
        if not self._made:
            async with self._turn:
                if not self._made:
                    self._made.append(await asyncio.to_thread(self._make))
        return self._made[0]
