"""The wait-for graph of the city as it is now, and who ends a deadlock.

A session that waits for its children waits for no one else's slot: its worker has given the slot back. So a tree of
delegations alone is never a deadlock. What can be one is a session that waits for another by a tool (a request to its
topic, say) while it holds a slot, and what waits for that slot.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal

import orjson

from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM
from pharos.core.tasks import running
from pharos.mesh.runner import ProjectionRunner
from pharos.mesh.scheduling.lanes import flow_of
from pharos.runtime.orchestration.agents import cancel
from pharos.runtime.orchestration.trees import NAME
from pharos.runtime.orchestration.waiting import Victim, Wait, victims
from pharos.runtime.session.address import PREFIX, Address
from pharos.runtime.session.state import State
from pharos.runtime.worker.lanes import GROUP
from pharos.runtime.worker.live import read
from pharos.store.ports import Store

_log = logging.getLogger(__name__)

PERIOD: Final = 30.0
"""Seconds between two looks. A deadlock is one that two looks in a row find the same."""
MOST: Final = 5_000
"""Open sessions that are looked at."""

_OPEN = "SELECT session, status, waiting FROM delegation_sessions WHERE ended IS NULL ORDER BY begun LIMIT :most"
_CHILDREN = "SELECT session, child, task FROM delegation_tasks WHERE ended IS NULL AND task <> ''"


Slots = Callable[[str], int | None]
"""How many slots the pool ``namespace/name`` has; ``None``: nobody declared it."""


class WaitGraph:
    """Reads who waits for whom."""

    def __init__(self, store: Store, runner: Callable[[], ProjectionRunner], slots: Slots = lambda _: None) -> None:
        self._store = store
        self._runner = runner
        self._slots = slots

    async def now(self) -> tuple[list[Wait], Mapping[str, int]]:
        """All waits, and what the end of each session would lose, in billionths."""
        await self._runner().caught_up(NAME, 5.0)
        rows = await self._store.views.query(_OPEN, {"most": MOST})
        tasks = {(str(row[0]), str(row[1])): str(row[2]) for row in await self._store.views.query(_CHILDREN)}
        open = {str(row[0]) for row in rows}
        waits: dict[str, Wait] = {}
        cost: dict[str, int] = {}
        leased, ready = await self._by_pool("leased"), await self._by_pool("ready")
        at_work = {session for holders in leased.values() for session in holders}
        for session, status, waiting in rows:
            who = str(session)
            on = orjson.loads(str(waiting)) if waiting else []
            state: State | None = None
            if status == "waiting" or who in at_work:
                state = (await read(self._store.log, Address.parse(who))).state
                cost[who] = state.spent
            if status == "waiting" and on and all(one.startswith("child:") for one in on):
                children = [tasks.get((who, one.removeprefix("child:")), "") for one in on]
                if all(child in open for child in children):
                    waits[who] = Wait(who, tuple(children), _need(state, len(children)), "its children")
            elif who in at_work and state is not None and (asked := _asked(state, open)):
                waits[who] = Wait(who, asked, len(asked), "asked it and waits for the answer")
        for pool, sessions in ready.items():
            holders, slots = leased.get(pool, ()), self._slots(pool)
            if slots is None or len(holders) < slots:
                continue
            for session in sessions:
                if session not in waits:
                    waits[session] = Wait(session, tuple(holders), 1, f"all slots of pool {pool} are taken")
        return list(waits.values()), cost

    async def _by_pool(self, state: Literal["leased", "ready"]) -> dict[str, list[str]]:
        """Sessions whose deliveries are in this state, by the pool they wait in or hold a slot of."""
        found: dict[str, list[str]] = defaultdict(list)
        for one in (await self._store.deliveries.list(GROUP, state, limit=MOST))[0]:
            if one.topic.startswith(PREFIX):
                found[flow_of(one.lane).pool].append(str(Address.of_topic(one.topic)))
        return found

    def victims(self, waits: Sequence[Wait], cost: Mapping[str, int]) -> list[Victim]:
        """Those that would have to end."""
        return victims(waits, cost)


def _need(state: State | None, children: int) -> int:
    """How many children have to come back before anything goes on. One is enough for a join that wants no more; where
    nothing is joined, or several things are, any that comes back is progress only with all the others."""
    if state is not None and len(state.joins) == 1 and len(state.calls) == 1:
        join = next(iter(state.joins.values()))
        if join.rule in ("any", "quorum"):
            done = sum(ended.completed for ended in join.ended)
            return max(1, min(join.need - done, children))
    return children


def _asked(state: State, open: set[str]) -> tuple[str, ...]:
    """The sessions that the only tools under way are about: what they wait for."""
    found: list[str] = []
    if state.model is not None or not state.effects:
        return ()
    for effect in state.effects.values():
        topic = effect.arguments.get("topic")
        if effect.status != "begun" or not isinstance(topic, str) or not topic.startswith(PREFIX):
            return ()
        session = topic.removeprefix(PREFIX)
        if session not in open:
            return ()
        found.append(session)
    return tuple(dict.fromkeys(found))


class Breaker:
    """Ends the victims of deadlocks."""

    def __init__(self, store: Store, graph: WaitGraph, period: float = PERIOD) -> None:
        self._store = store
        self._graph = graph
        self._period = period
        self._seen: frozenset[tuple[str, ...]] = frozenset()

    async def look(self) -> list[Victim]:
        """Look once; returns the victims that were ended, which are those that the look before has found as well."""
        waits, cost = await self._graph.now()
        found = self._graph.victims(waits, cost)
        ended = [victim for victim in found if victim.circle in self._seen]
        self._seen = frozenset(victim.circle for victim in found)
        for victim in ended:
            _log.warning("deadlock: %s", victim.why)
            await cancel(self._store, Address.parse(victim.who), SYSTEM.id, f"Deadlock: {victim.why}")
        return ended

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Look again and again."""
        async with running(self._run, "deadlocks"):
            yield

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._period)
            try:
                await self.look()
            except Fault as fault:
                _log.warning("nobody looked for deadlocks this time: %s", fault)
