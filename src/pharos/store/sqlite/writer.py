"""The one thread that writes: takes commits in groups, decides each on its own, and stores them in one transaction."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import apsw

from pharos.core.fault import INTERNAL, OVERLOADED, State
from pharos.store.faults import STORAGE_FAILED
from pharos.store.ports import Append, Command, Result
from pharos.store.sqlite.appends import LogStage
from pharos.store.sqlite.clock import Clock
from pharos.store.sqlite.codec import to_position
from pharos.store.sqlite.delivery.desk import Desk
from pharos.store.sqlite.delivery.news import Feed
from pharos.store.sqlite.delivery.stage import DeliveryStage
from pharos.store.sqlite.failures import STORAGE_ERRORS, storage_refusal
from pharos.store.sqlite.handoff import Handoff
from pharos.store.sqlite.hub import Hub, Published
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.stage import Origin, Stage
from pharos.store.sqlite.statements import Statement

logger = logging.getLogger(__name__)

MAX_WAITING = 8192
"""Commits that may wait for the writer. Further callers wait for room, at most ``ROOM_DEADLINE`` seconds."""

ROOM_DEADLINE = 10.0

MAX_GROUP = 256
"""Commits in one transaction."""

MANY = 8
"""Callers that wait from which on a group waits for one more turn of the event loop: below, nobody waits for others."""

Prepare = Callable[[Any], object]
Handle = Callable[[Any, Any, Origin], Result]
Step = tuple[Handle, Command, object]

Outcome = Sequence[Result] | Refusal


class Request(Origin):
    """One caller's commit."""

    __slots__ = ("future", "steps")

    def __init__(
        self, future: asyncio.Future[Sequence[Result]], steps: list[Step], operation_id: str, principal: str
    ) -> None:
        self.future = future
        self.steps = steps
        self.operation_id = operation_id
        self.principal = principal


class Writer:
    """Owns the writing connection and its thread.

    ``handlers`` says for each type of command how its caller prepares it (on the event loop) and how the writer
    decides it (on the thread). A commit is decided in memory, on top of those before it in the group; what the group
    has staged is then brought to the database in as few statements as possible.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        journal: Journal,
        log: LogStage,
        deliveries: DeliveryStage,
        stages: Sequence[Stage],
        handlers: Mapping[type, tuple[Prepare, Handle]],
        hub: Hub,
        feed: Feed,
        clock: Clock,
    ) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._journal = journal
        self._log = log
        self._deliveries = deliveries
        self._stages = stages
        self._handlers = handlers
        self._hub = hub
        self._feed = feed
        self._clock = clock
        self.desk = Desk(hub, feed, lambda: deliveries.alarm, clock.now, self._tick)
        self._queue: Handoff[Request | None] = Handoff()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = 0
        self._waking = False
        self._room: deque[asyncio.Future[None]] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="pharos-writer", daemon=True)
        self._thread.start()

    # On the event loop.

    async def commit(self, commands: Sequence[Command], operation_id: str, principal: str) -> Sequence[Result]:
        """Hand the commands to the writer and wait for what becomes of them."""
        steps: list[Step] = []
        for command in commands:
            prepare, handle = self._handlers[type(command)]
            steps.append((handle, command, prepare(command)))
        loop = self._loop
        if loop is None or asyncio.get_running_loop() is not loop:
            loop = self._bind(asyncio.get_running_loop())
        if self._waiting >= MAX_WAITING:
            await self._wait_for_room(loop)
        if self._closing:
            raise STORAGE_FAILED("The store is closed.")
        future: asyncio.Future[Sequence[Result]] = loop.create_future()
        self._waiting += 1
        self._queue.put(Request(future, steps, operation_id, principal))
        if not self._waking:
            # At the end of this turn of the loop: the commits of all who are ready now go in one group.
            self._waking = True
            loop.call_soon(self._wake)
        return await future

    async def close(self) -> None:
        """Finish what was taken, then end the thread. Idempotent."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
            self._queue.wake()
        await asyncio.to_thread(self._thread.join)

    async def _tick(self, *commands: Any) -> None:
        """A commit of nothing, or of what the engine has to say to itself: waits that ended are stored as such."""
        await self.commit(commands, "", "")

    def _wake(self, turns: int = 1) -> None:
        if turns and self._waiting >= MANY and self._loop is not None:
            # Under load the next turn brings more: a larger group costs each of its members less.
            self._loop.call_soon(self._wake, turns - 1)
            return
        self._waking = False
        self._queue.wake()

    def _bind(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        if self._loop is not None and not self._loop.is_closed():
            raise RuntimeError("a store belongs to the event loop that used it first")
        if self._loop is not None:
            self.desk.begin()
        self._loop = loop
        self._waiting = 0
        self._waking = False
        self._hub.begin(to_position(self._log.head))
        return loop

    async def _wait_for_room(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            async with asyncio.timeout(ROOM_DEADLINE):
                while self._waiting >= MAX_WAITING:
                    room = loop.create_future()
                    self._room.append(room)
                    await room
        except TimeoutError as error:
            raise OVERLOADED(f"{MAX_WAITING} commits are waiting for the disk.") from error

    def _deliver(self, outcomes: Sequence[tuple[Request, Outcome]], events: Sequence[Published]) -> None:
        """Followers hear of events before their writers do: who waited for a commit finds it everywhere."""
        self._hub.publish(events)
        if self._feed:
            self.desk.read()
        self._waiting -= len(outcomes)
        for request, outcome in outcomes:
            future = request.future
            if future.done():
                continue
            if isinstance(outcome, Refusal):
                future.set_exception(outcome.fault())
            else:
                future.set_result(outcome)
        room = self._room
        for _ in range(min(len(room), MAX_WAITING - self._waiting)):
            waiter = room.popleft()
            if not waiter.done():
                waiter.set_result(None)

    # On the writer's thread.

    def _run(self) -> None:
        group: list[Request] = []
        closing = False
        try:
            while not closing:
                taken = self._queue.take(MAX_GROUP)
                group = [request for request in taken if request is not None]
                closing = len(group) < len(taken)
                if group:
                    events: list[Published] = []
                    self._answer(self._transact(group, events), events)
                    group = []
        finally:
            # Also where a defect ends the thread: nobody waits for an answer that never comes.
            self._closing = True
            abandoned = [*group, *(request for request in self._queue.close() if request is not None)]
            stopped = Refusal(STORAGE_FAILED, "The writer has stopped.", state=State.UNKNOWN)
            if abandoned:
                self._answer([(request, stopped) for request in abandoned], [])

    def _answer(self, outcomes: Sequence[tuple[Request, Outcome]], events: Sequence[Published]) -> None:
        """One wake-up of the event loop for the whole group."""
        loop = self._loop
        assert loop is not None
        # A closed loop has no one waiting any more; what was taken is stored all the same.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._deliver, outcomes, events)

    def _transact(self, group: Sequence[Request], events: list[Published]) -> list[tuple[Request, Outcome]]:
        journal = self._journal
        outcomes: list[tuple[Request, Outcome]] = []
        try:
            time = self._clock.now()
            self._deliveries.begin(time)
            self._foresee(group)
            for request in group:
                mark = journal.mark()
                request.time = time
                results: list[Result] = []
                try:
                    for handle, command, payload in request.steps:
                        results.append(handle(command, payload, request))
                except Refusal as refusal:
                    journal.undo(mark)
                    outcomes.append((request, refusal))
                else:
                    outcomes.append((request, results))
            stored = self._store()
        except STORAGE_ERRORS as error:
            self._roll_back()
            failure = storage_refusal(error, State.ROLLED_BACK)
            return [(request, failure) for request in group]
        except Exception as error:
            self._roll_back()
            if len(group) == 1:
                logger.exception("a commit failed by a defect")
                defect = Refusal(INTERNAL, INTERNAL.meaning, state=State.ROLLED_BACK)
                return [(group[0], defect)]
            logger.warning("a group of %d commits failed by a defect in one of them: %r", len(group), error)
            return [outcome for request in group for outcome in self._transact([request], events)]
        events.extend(self._log.staged())
        for stage in stored:
            stage.committed()
        journal.forget()
        return outcomes

    def _foresee(self, group: Sequence[Request]) -> None:
        if len(group) > 1:
            topics = [
                command.event.topic
                for request in group
                for _, command, _ in request.steps
                if isinstance(command, Append)
            ]
            self._log.foresee(topics)
            self._deliveries.foresee(topics)

    def _store(self) -> Sequence[Stage]:
        """Bring what is staged to the database; the parts that had something to do."""
        stages = [stage for stage in self._stages if stage.pending]
        statements: list[Statement] = []
        for stage in stages:
            statements.extend(stage.statements())
        execute = self._cursor.execute
        if len(statements) == 1:
            # A statement is its own transaction.
            execute(*statements[0])
        elif statements:
            execute("BEGIN IMMEDIATE")
            for sql, bindings in statements:
                execute(sql, bindings)
            execute("COMMIT")
        return stages

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._journal.undo()
