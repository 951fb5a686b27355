"""The effects of one session that are being performed: begun, given time, stopped, and what each says when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final

from pharos.core.event import Event
from pharos.mesh.scheduling.grants import Grant
from pharos.runtime.session import effects
from pharos.runtime.session.commands import (
    Advance,
    ChildRefused,
    Command,
    ModelFailed,
    Reckoned,
    Stopped,
    ToolLookedUp,
    ToolReturned,
    ToolTimedOut,
)
from pharos.runtime.session.state import State
from pharos.runtime.worker.performing import Performer, now
from pharos.runtime.worker.streams import Stream
from pharos.runtime.worker.usage import tell_pool
from pharos.store.ports import Store

_log = logging.getLogger(__name__)

GRACE: Final = 5.0
"""Seconds that an effect has to end when the session does, before it is given up. One that may have happened has them
to say so; others are cancelled at once."""


AGAIN: Final = 0.5
LONGEST_AGAIN: Final = 30.0
"""Seconds before what errands failed at is decided anew; doubled from the first to the last."""


class _Open:
    """An effect that is being performed."""

    __slots__ = ("cut", "fresh", "kind", "stopping", "task", "timer")

    def __init__(self, kind: str, fresh: bool) -> None:
        self.kind = kind
        self.fresh = fresh
        """Nobody can have begun it before."""
        self.task: asyncio.Task[None] | None = None
        self.stopping = False
        self.cut: Command | None = None
        """What an answer of a model comes to that is cut off: known before it is, while it is learnt what it cost."""
        self.timer: asyncio.TimerHandle | None = None


Work = Callable[[State, str, _Open], Coroutine[None, None, None]]


class UnderWay:
    """What a session waits for. ``mail`` are commands that effects have sent to the decider, ``rest`` events that go
    with the next commit, ``since`` the sequence at which the session was taken up: what was asked for before may have
    been begun by somebody else."""

    def __init__(
        self,
        store: Store,
        grant: Grant,
        performer: Performer,
        state: Callable[[], State],
        wake: Callable[[], None],
        crossing: Callable[[str], None],
        grace: float,
    ) -> None:
        """``state`` is the session as it is known; ``wake`` is called when there is something new."""
        self.mail: deque[Command] = deque()
        self.rest: list[Event] = []
        self.since = 0
        self._store = store
        self._grant = grant
        self._performer = performer
        self._state = state
        self._wake = wake
        self._crossing = crossing
        self._grace = grace
        self._open: dict[str, _Open] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        """Set while errands that failed wait to be looked at again."""
        self._failed = 0
        """How often that has been."""
        self._closed = False
        self._abandoned: set[asyncio.Task[None]] = set()
        self._reckoned: set[str] = set()
        """Answers whose bills are being looked for."""

    @property
    def any(self) -> bool:
        """Whether anything is waited for."""
        return bool(self._open or self.mail or self._again or self._errands - self._abandoned)

    def begin(self, effect: effects.Effect) -> None:
        """Begin an effect, or stop one."""
        state, perform = self._state(), self._performer
        id = effect.id
        if isinstance(effect, effects.CallModel):
            self._start(id, "model", self._think, state, state.limits.model_seconds)
        elif isinstance(effect, effects.CallTool):
            self._start(id, state.effects[id].kind, self._act, state, state.limits.tool_seconds)
        elif isinstance(effect, effects.Stop):
            self._stop(id)
        elif isinstance(effect, effects.LookUp):
            self._start(id, "look-up", self._look_up, state, state.limits.tool_seconds)
        elif isinstance(effect, effects.GiveTask):
            self._start(id, "task", self._give, state, state.limits.tool_seconds)
        elif isinstance(effect, effects.Reckon):
            if id not in self._reckoned:
                self._reckoned.add(id)
                self._aside(self._look_for_bills(state, id))
        elif isinstance(effect, effects.AwaitTask):
            self._aside(self._ask_after(state, id))
        elif isinstance(effect, effects.CancelTask):
            self._aside(perform.end_child(state, id, effect.task, effect.reason))
        elif isinstance(effect, effects.AskPerson):
            self._aside(perform.put(state, id))
        else:
            self._aside(perform.withdraw(state, id))

    def _start(self, id: str, kind: str, work: Work, state: State, seconds: float) -> None:
        if id in self._open:
            if kind != "look-up":
                return
            # A look-up follows on the call that it is about.
            self._leave(id)
        opened = _Open(kind, fresh=int(id[1:]) > self.since)
        self._open[id] = opened
        opened.task = asyncio.create_task(work(state, id, opened), name=f"effect {id}")
        opened.timer = asyncio.get_running_loop().call_later(seconds, self._give_up, id, opened, seconds)

    async def _think(self, state: State, id: str, opened: _Open) -> None:
        model = state.model
        assert model is not None
        fresh = model.attempt == 1 and opened.fresh
        stream = Stream(self._store, self._grant.lease, state.address, model, fresh=fresh)
        try:
            commands, rest = await self._performer.think(state, id, stream, fresh=fresh)
        except asyncio.CancelledError:
            if opened.cut is not None:
                await self._reckon(state, id, opened, opened.cut)
            raise
        finally:
            await stream.close()
        self.rest.extend(rest)
        tell_pool(self._grant, commands)
        self._ended(id, opened, *commands)

    async def _reckon(self, state: State, id: str, opened: _Open, said: Command) -> None:
        commands = (*await self._performer.charges(state, id, said), said)
        tell_pool(self._grant, commands)
        self._ended(id, opened, *commands)

    async def _stopped(self, state: State, id: str, opened: _Open) -> None:
        """Of an answer that somebody else waited for."""
        await self._reckon(state, id, opened, Stopped(now(), id))

    async def _act(self, state: State, id: str, opened: _Open) -> None:
        self._crossing("call")
        try:
            command = await self._performer.act(state, state.effects[id])
        except asyncio.CancelledError:
            self._ended(id, opened, Stopped(now(), id))
            raise
        self._crossing("called")
        if opened is not self._open.get(id) and not isinstance(command, ToolReturned):
            return
        self._ended(id, opened, command)

    async def _look_up(self, state: State, id: str, opened: _Open) -> None:
        self._ended(id, opened, await self._performer.look_up(state, state.effects[id]))

    async def _give(self, state: State, id: str, opened: _Open) -> None:
        self._crossing("call")
        command = await self._performer.give(state, id)
        self._crossing("called")
        self._ended(id, opened, command)

    async def _ask_after(self, state: State, id: str) -> None:
        if (command := await self._performer.ask_after(state, id)) is not None:
            self.mail.append(command)

    async def _look_for_bills(self, state: State, id: str) -> None:
        try:
            commands = await self._performer.reckon(state, id)
        finally:
            self._reckoned.discard(id)
        tell_pool(self._grant, commands)
        self.mail.extend(commands)

    def _ended(self, id: str, opened: _Open, *commands: Command) -> None:
        """An effect said something; what was given up before may still say that it did happen."""
        if self._open.get(id) is opened:
            self._leave(id)
        elif not any(isinstance(command, ToolReturned) for command in commands):
            return
        self.mail.extend(commands)
        self._wake()

    def _leave(self, id: str) -> None:
        opened = self._open.pop(id)
        if opened.timer is not None:
            opened.timer.cancel()

    def _give_up(self, id: str, opened: _Open, seconds: float) -> None:
        """Its time is over. What it still does, it does for nobody; a call that may have happened is not cut off, for
        it may yet say so."""
        if self._open.get(id) is not opened:
            return
        if opened.kind == "model" and opened.cut is None:
            late = ModelFailed(now(), id, "TIMEOUT", f"No answer came in {seconds:g} seconds.", True)
            self._cut_off(id, opened, late)
            return
        self._leave(id)
        command: Command
        if opened.kind == "model":
            self.mail.append(Reckoned(now(), id, open=True))
        if opened.kind == "task":
            command = ChildRefused(now(), id, "TIMEOUT", f"Nobody took the task in {seconds:g} seconds.")
        elif opened.cut is not None:
            command = opened.cut
        elif opened.stopping:
            command = Stopped(now(), id)
        elif opened.kind == "look-up":
            command = ToolLookedUp(now(), id, "unknown")
        else:
            command = ToolTimedOut(now(), id, seconds)
        self.mail.append(command)
        assert opened.task is not None
        if opened.kind != "unsafe" or opened.stopping:
            opened.task.cancel()
        self._errands.add(opened.task)
        opened.task.add_done_callback(self._errand_ended)
        self._abandoned.add(opened.task)
        self._wake()

    def _stop(self, id: str) -> None:
        """The session ends. What could have happened outside has a moment to say so; the rest is cancelled."""
        opened, state = self._open.get(id), self._state()
        if opened is None and state.model is not None and state.model.id == id:
            self._start(id, "model", self._stopped, state, self._grace)
            self._open[id].cut = Stopped(now(), id)
        elif opened is None:
            self.mail.append(Stopped(now(), id))
        elif opened.kind == "model":
            if opened.cut is None:
                self._cut_off(id, opened, Stopped(now(), id))
        elif not opened.stopping:
            opened.stopping = True
            self._hurry(id, opened)
            if opened.kind not in ("unsafe", "reconcilable", "look-up", "task"):
                assert opened.task is not None
                opened.task.cancel()

    def _cut_off(self, id: str, opened: _Open, said: Command) -> None:
        """End a call of a model. Its end says what it has cost."""
        opened.cut = said
        self._hurry(id, opened)
        assert opened.task is not None
        opened.task.cancel()

    def _hurry(self, id: str, opened: _Open) -> None:
        """It has a moment to end by itself."""
        if opened.timer is not None:
            opened.timer.cancel()
        loop = asyncio.get_running_loop()
        opened.timer = loop.call_later(self._grace, self._give_up, id, opened, self._grace)

    def _aside(self, work: Coroutine[None, None, None]) -> None:
        """Something whose outcome decides nothing, and which is done again by whoever takes the session up next."""
        task = asyncio.create_task(work, name="errand")
        self._errands.add(task)
        task.add_done_callback(self._errand_ended)

    def _errand_ended(self, task: asyncio.Task[None]) -> None:
        self._errands.discard(task)
        self._abandoned.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("an errand of %s failed", self._state().address, exc_info=error)
            if self._again is None and not self._closed:
                delay = min(LONGEST_AGAIN, AGAIN * 2.0 ** min(self._failed, 10))
                self._again = asyncio.get_running_loop().call_later(delay, self._look_again)
                self._failed += 1
        self._wake()

    def _look_again(self) -> None:
        """What is still wanted is decided anew, once for all errands that failed."""
        self._again = None
        self.mail.append(Advance(now()))
        self._wake()

    async def close(self) -> None:
        """Cancel whatever is left."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        tasks = [opened.task for opened in self._open.values() if opened.task is not None]
        for id in list(self._open):
            self._leave(id)
        tasks += self._errands
        for task in tasks:
            task.cancel()
        if tasks:
            # One that ignores being cancelled is left to itself: the session does not wait for it.
            await asyncio.wait(tasks, timeout=self._grace)
