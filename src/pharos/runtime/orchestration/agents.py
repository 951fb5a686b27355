"""Agents of this city as sessions: a task is a session of its own, begun once for each key.

The child's id follows from its parent's and from the event that asked for it, so a task that is given again, by whoever
took the parent up after a crash, meets the session that was begun before. The child says how it ended in its parent's
log, in the commit that ends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, Literal

from pharos.control.index import Index
from pharos.core.fault import CONFLICT, Fault
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import Errand, Task, TaskEnd
from pharos.mesh.money import decimal_text
from pharos.runtime.orchestration.beginning import bounds_of, rights_of
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.profiles.resolving import agent_for, resolve
from pharos.runtime.session.address import Address
from pharos.runtime.session.commands import Cancel, Start
from pharos.runtime.session.data.parts import Parent
from pharos.runtime.session.decide import decide
from pharos.runtime.session.state import State
from pharos.runtime.worker.lanes import ending, timers, working
from pharos.runtime.worker.live import read
from pharos.runtime.worker.run import event_of
from pharos.store.faults import POSITION_CONFLICT
from pharos.store.ports import Append, Command, Store

LONGEST_ID: Final = 96

TRIES: Final = 8
"""How often a lost race for a session's log is run again."""

_OUTCOMES: dict[str, Literal["completed", "failed", "cancelled", "rejected"]] = {
    "completed": "completed",
    "failed": "failed",
    "expired": "failed",
    "cancelled": "cancelled",
}

Admit = Callable[[Profile, Errand, Task], Awaitable[tuple[Profile, Task]]]
"""Looks at a task before it begins: may lessen what it is given, or raise the fault that refuses it."""


async def _as_it_is(profile: Profile, errand: Errand, task: Task) -> tuple[Profile, Task]:
    return profile, task


class SessionAgents:
    """Gives tasks to the agents that are declared. An :class:`~pharos.mesh.connectors.AgentConnector`."""

    def __init__(self, index: Index, store: Store, admit: Admit = _as_it_is) -> None:
        self._index = index
        self._store = store
        self._admit = admit

    async def give(self, errand: Errand, task: Task) -> str:
        """Begin the session, once per key; its address. Raises ``NOT_FOUND`` for an agent that nobody declared,
        ``FORBIDDEN`` for one that is private elsewhere, the
        faults of one that cannot be resolved, and ``CONFLICT`` where something else has the session's id."""
        parent = Address.parse(errand.session)
        child = errand.key.rpartition("/")[2]
        address = Address(parent.namespace, child_id(parent.id, child))
        if (known := await self._known(address)) is not None:
            return _same(known, parent, child)
        resource = agent_for(self._index, task.agent, parent.namespace)
        given = task.data.get("values")
        profile = resolve(self._index, resource, given if isinstance(given, dict) else None)
        profile, task = await self._admit(profile, errand, task)
        above = await self._known(parent)
        bounds = bounds_of(profile, task.budget)
        if above is not None:
            # Depth is counted from the outermost session, and so is its limit: a child's own declaration adds nothing.
            bounds["depth"] = min(bounds["depth"], above.limits.depth)
        start = Start(
            now=datetime.now(UTC),
            agent=profile.agent,
            version=profile.version,
            profile=profile.to_json(),
            bounds=bounds,
            rights=rights_of(errand.principal, task.permissions, _accounts(above, errand)),
            account=profile.account,
            owner=errand.principal.id,
            text=task.text,
            data=task.data,
            parent=Parent(topic=parent.topic, child=child),
            tree=errand.tree or str(parent),
            depth=task.depth,
            path=task.path,
            deadline=errand.deadline,
            above=tuple((share.session, share.limit) for share in errand.budgets),
        )
        decided = decide(State(address), start)
        commands: list[Command] = [working(address, profile), *timers(address, decided.wakes)]
        expected: int | None = 0
        for fact in decided.facts:
            commands.append(Append(event_of(address.topic, fact, errand.principal.id, start.tree), expected))
            expected = None
        try:
            await self._store.commit(*commands, principal=errand.principal.id)
        except Fault as fault:
            known = await self._known(address) if fault.code == POSITION_CONFLICT.code else None
            if known is None:
                raise
            return _same(known, parent, child)
        return str(address)

    async def end(self, errand: Errand, id: str) -> TaskEnd | None:
        """How the session ended."""
        state = await self._known(Address.parse(id))
        if state is None or state.end is None:
            return None
        end = state.end
        data: JsonObject = dict(end.data)
        return TaskEnd(_OUTCOMES[end.outcome], end.text, data, decimal_text(state.spent), end.code)

    async def cancel(self, errand: Errand, id: str, reason: str) -> None:
        """Ask the session to end. Asked twice, or after its end, it changes nothing."""
        await cancel(self._store, Address.parse(id), errand.principal.id, reason)

    async def _known(self, address: Address) -> State | None:
        state = (await read(self._store.log, address)).state
        return state if state.sequence else None


def child_id(parent: str, child: str) -> str:
    """The id of a child's session. Readable; where that grows too long, the ids above are a digest."""
    id = f"{parent}.{child}"
    return id if len(id) <= LONGEST_ID else f"{hashlib.sha256(parent.encode()).hexdigest()[:32]}.{child}"


async def cancel(store: Store, address: Address, by: str, reason: str) -> bool:
    """Ask a session to end; whether that was news to it. Raises ``POSITION_CONFLICT`` where it never rests."""
    for attempt in range(TRIES):
        state = (await read(store.log, address)).state
        if not state.sequence or state.quarantine is not None or state.poison is not None:
            return False
        decided = decide(state, Cancel(datetime.now(UTC), by, reason))
        if not decided.facts:
            return False
        appends = [
            Append(event_of(address.topic, fact, by, state.tree), state.sequence if place == 0 else None)
            for place, fact in enumerate(decided.facts)
        ]
        try:
            await store.commit(*appends, *timers(address, decided.wakes), ending(address), principal=by)
        except Fault as fault:
            if fault.code != POSITION_CONFLICT.code or attempt == TRIES - 1:
                raise
        else:
            return True
    return False


def _accounts(parent: State | None, errand: Errand) -> list[str]:
    """Those whose rights bound the child's: of its parent, and of all above that."""
    known = [] if parent is None or parent.rights is None else parent.rights.get("accounts", [])
    return [*known, errand.account] if errand.account else list(known)


def _same(known: State, parent: Address, child: str) -> str:
    """The session that was begun for this task before."""
    whose = known.parent
    if whose is None or whose["topic"] != parent.topic or whose["child"] != child:
        raise CONFLICT(f"The session {known.address} was begun for something else.", subject=str(known.address))
    return str(known.address)
