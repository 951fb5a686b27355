"""Sessions in memory: the fold of each as far as it was read, kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pharos.core.event import START, Position, Recorded
from pharos.runtime.session.address import Address
from pharos.runtime.session.chain import Link
from pharos.runtime.session.events import TURN_STARTED
from pharos.runtime.session.evolve import fold
from pharos.runtime.session.state import State
from pharos.store.ports import Log

PAGE: Final = 2000
"""Events that are read at once: with a checkpoint each 1,000 events, all there are of nearly every session."""


class Live:
    """A session as far as it was read. ``epoch`` is that of the lease under which it was worked on last, and ``clean``
    says that nothing was under way when that was given back."""

    __slots__ = ("clean", "epoch", "kept", "link", "position", "state")

    def __init__(self, state: State, position: Position = START, kept: int = 0) -> None:
        self.state = state
        self.position = position
        self.epoch = 0
        self.clean = False
        self.kept = kept
        """Sequence up to which there is a checkpoint."""
        self.link = Link()

    def take(self, recorded: Sequence[Recorded]) -> None:
        """Bring it forward by what was recorded after it."""
        fold(self.state, recorded)
        self.position = recorded[-1].position
        # What stands before the last turn is in that turn's own link.
        for one in recorded[_last_turn(recorded) :]:
            self.link = self.link.then(one.event)

    async def catch_up(self, log: Log) -> bool:
        """Read what was recorded since; whether there was something."""
        grew = False
        while True:
            page = await log.read(self.state.address.topic, self.position, PAGE)
            if page:
                if not grew:
                    # Whoever looks at the state as it was goes on doing so.
                    self.state = self.state.copy()
                    grew = True
                self.take(page)
            if len(page) < PAGE:
                return grew


def _last_turn(recorded: Sequence[Recorded]) -> int:
    """The index of the newest ``turn.started``; 0 where there is none."""
    for index in range(len(recorded) - 1, 0, -1):
        if recorded[index].event.type == TURN_STARTED:
            return index
    return 0


Checkpoint = Callable[[Address], Awaitable[Live | None]]
"""The newest checkpoint of a session, if there is one that can be read."""


async def no_checkpoint(address: Address) -> Live | None:
    """Without checkpoints every session is folded from its beginning."""
    return None


class Memory:
    """The sessions that were worked on lately."""

    def __init__(self, log: Log, most: int, checkpoint: Checkpoint = no_checkpoint) -> None:
        self._log = log
        self._most = most
        self._checkpoint = checkpoint
        self._kept: OrderedDict[Address, Live] = OrderedDict()

    async def take(self, address: Address) -> Live:
        """The session, up to date; whoever took it gives it back when it is whole."""
        live = self._kept.pop(address, None)
        if live is None:
            live = await self._checkpoint(address) or Live(State(address))
        await live.catch_up(self._log)
        return live

    def give(self, live: Live) -> None:
        """Keep a session. One with a poisoned event is read anew next time: it may be understood then."""
        if live.state.poison is None:
            self._kept[live.state.address] = live
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


async def read(log: Log, address: Address, checkpoint: Checkpoint = no_checkpoint) -> Live:
    """A session as its log has it now, for one look."""
    live = await checkpoint(address) or Live(State(address))
    await live.catch_up(log)
    return live
