"""Reading who works for whom: ``delegations.*``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Final, Literal

import orjson
from pydantic import Field

from pharos.core.fault import NOT_FOUND
from pharos.core.operation import Invocation, read
from pharos.core.projection import Row, Scalar
from pharos.core.resource import Name
from pharos.core.wire import Page, Wire
from pharos.mesh.money import decimal_text
from pharos.mesh.runner import ProjectionRunner
from pharos.mesh.topics.access import namespace_for
from pharos.runtime.orchestration.graph import WaitGraph
from pharos.runtime.orchestration.trees import NAME, time_of
from pharos.runtime.session.address import Address
from pharos.runtime.session.faults import no_session
from pharos.runtime.worker.live import read as fold
from pharos.runtime.worker.ports import PrincipalOf
from pharos.store.ports import Store

READ: Final = "delegations.read"
CATCH_UP: Final = 5.0
MOST_IN_TREE: Final = 1_000

SessionId = Annotated[str, Field(min_length=1, max_length=128)]
State = Literal["given", "working", "completed", "failed", "cancelled"]

_TASKS = (
    "SELECT t.session, t.child, t.agent, t.asked, t.depth, t.budget, t.deadline, t.task, t.state, t.spent, t.code, "
    "t.begun, t.ended, s.tree FROM delegation_tasks t JOIN delegation_sessions s ON s.session = t.session"
)
_SESSIONS = (
    "SELECT session, agent, tree, parent, depth, status, waiting, owner, budget, spent, begun, ended FROM "
    "delegation_sessions"
)


class ListDelegations(Wire):
    """Input of ``delegations.list``. Conditions add up."""

    session: SessionId | None = None
    """Tasks that this session gave away."""
    agent: str | None = Field(default=None, max_length=260)
    """Tasks given to this agent (``name``, or ``namespace/name``)."""
    state: State | None = None
    """How the work stands."""
    namespace: Name | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=512)


class DelegationItem(Wire):
    """A task that a session gave away."""

    session: str
    """Who gave it."""
    child: str
    """Its id there."""
    agent: str
    text: str
    """How the task begins."""
    depth: int
    tree: str
    """The outermost session."""
    state: State
    task: str | None = None
    """What whoever took it calls it: of an agent of this city, its session."""
    budget: str | None = None
    spent: str
    code: str | None = None
    deadline: str | None = None
    given: datetime
    ended: datetime | None = None


class ThisTree(Wire):
    """Input of ``delegations.get`` and ``delegations.explain``."""

    session: SessionId
    namespace: Name | None = None


class Member(Wire):
    """A session of a tree."""

    session: str
    agent: str
    parent: str | None = None
    depth: int
    status: str
    waiting: list[str]
    budget: str | None = None
    spent: str
    """Of one that has ended: with all below it."""
    begun: datetime
    ended: datetime | None = None


class Tree(Wire):
    """All that works for one task."""

    tree: str
    owner: str
    members: list[Member]
    """In the order in which they began."""
    more: bool
    tasks: list[DelegationItem]


class Money(Wire):
    """A budget that a session spends from."""

    session: str
    """Whose it is: its own, or one's above it."""
    limit: str


class Explained(Wire):
    """Why a session may do what it may, and what it waits for."""

    session: str
    agent: str
    status: str
    tree: str
    depth: int
    most_depth: int
    path: list[str]
    """The agents above it, outermost first, each with a digest of what it was asked: none is asked the same again."""
    on_behalf_of: list[str]
    """Whom it acts for, the nearest first."""
    permissions: list[str]
    """What it may do now: never more than who gave it the task may do now, and than that one had then. Empty where
    nobody is there any more to act for, or its agent was stopped."""
    limit: str | None = None
    spent: str
    reserved: str
    """Kept for children that have not ended."""
    available: str | None = None
    budgets: list[Money]
    """All that it spends is spent of each of these; what does not fit into one of them is not begun."""
    waits: list[str]
    """What it waits for, and who has to go on first."""
    blocked: bool
    """Whether it can never go on, because those it waits for wait for it."""
    why: str = ""


class NoInput(Wire):
    """No input."""


class DeadlockItem(Wire):
    """A ring of sessions that wait for each other."""

    victim: str
    """The one whose end loses the least."""
    cost: str
    circle: list[str]
    frees: list[str]
    why: str


class Delegations:
    """The operations that read."""

    def __init__(
        self, store: Store, runner: Callable[[], ProjectionRunner], graph: WaitGraph, principal: PrincipalOf
    ) -> None:
        self._principal = principal
        self._store = store
        self._runner = runner
        self._graph = graph

    @read("delegations.list", permission=READ)
    async def list_tasks(self, invocation: Invocation, input: ListDelegations) -> Page[DelegationItem]:
        """List the tasks that agents gave to agents, the newest first."""
        namespace = namespace_for(invocation.principal, input.namespace)
        await self._runner().caught_up(NAME, CATCH_UP)
        where = ["t.session >= :low", "t.session < :high"]
        values: dict[str, Scalar] = {"low": f"{namespace}/", "high": f"{namespace}0", "limit": input.limit + 1}
        if input.session is not None:
            where.append("t.session = :session")
            values["session"] = f"{namespace}/{input.session}"
        if input.agent is not None:
            where.append("t.agent = :agent")
            values["agent"] = input.agent if "/" in input.agent else f"{namespace}/{input.agent}"
        if input.state is not None:
            where.append("t.state = :state")
            values["state"] = input.state
        if input.cursor is not None:
            begun, _, key = input.cursor.partition(" ")
            where.append("(t.begun < :begun OR (t.begun = :begun AND t.session || ' ' || t.child < :key))")
            values |= {"begun": int(begun) if begun.isdigit() else 0, "key": key}
        order = "ORDER BY t.begun DESC, t.session || ' ' || t.child DESC LIMIT :limit"
        rows = await self._store.views.query(f"{_TASKS} WHERE {' AND '.join(where)} {order}", values)
        page = rows[: input.limit]
        last = page[-1] if len(rows) > len(page) else None
        next = None if last is None else f"{last[11]!s} {last[0]!s} {last[1]!s}"
        return Page[DelegationItem](items=[_task(row) for row in page], next=next)

    @read("delegations.get", permission=READ, faults=(NOT_FOUND,))
    async def get(self, invocation: Invocation, input: ThisTree) -> Tree:
        """Show all that works for the same task as a session: who gave what to whom, and how it stands."""
        address = Address(namespace_for(invocation.principal, input.namespace), input.session)
        await self._runner().caught_up(NAME, CATCH_UP)
        found = await self._query(f"{_SESSIONS} WHERE session = :session", session=str(address))
        if not found:
            raise no_session(address)
        tree = str(found[0][2])
        members = await self._query(
            f"{_SESSIONS} WHERE tree = :tree ORDER BY begun, session LIMIT {MOST_IN_TREE + 1}", tree=tree
        )
        tasks = await self._query(
            f"{_TASKS} WHERE s.tree = :tree ORDER BY t.begun, t.child LIMIT {MOST_IN_TREE}", tree=tree
        )
        return Tree(
            tree=tree,
            owner=str(members[0][7]),
            members=[_member(row) for row in members[:MOST_IN_TREE]],
            more=len(members) > MOST_IN_TREE,
            tasks=[_task(row) for row in tasks],
        )

    @read("delegations.explain", permission=READ, faults=(NOT_FOUND,))
    async def explain(self, invocation: Invocation, input: ThisTree) -> Explained:
        """Explain a session's place: on whose behalf it acts with which rights, from whose money, and for whom it
        waits.
        """
        address = Address(namespace_for(invocation.principal, input.namespace), input.session)
        state = (await fold(self._store.log, address)).state
        rights = state.rights
        if not state.sequence or rights is None:
            raise no_session(address)
        now = self._principal(state)
        waits, cost = await self._graph.now()
        stuck = self._graph.victims(waits, cost)
        here = str(address)
        ring = next((one for one in stuck if here in one.circle or here in one.frees), None)
        mine = next((one for one in waits if one.who == here), None)
        behalf = [f"{rights['kind']}/{rights['name']}", *(f"{kind}/{name}" for kind, name in rights["chain"])]
        limit = None if state.limits.cost is None else decimal_text(state.limits.cost)
        budgets = [Money(session=session, limit=most) for session, most in state.above]
        if limit is not None:
            budgets.append(Money(session=here, limit=limit))
        return Explained(
            session=here,
            agent=state.agent,
            status=state.status,
            tree=state.tree,
            depth=state.depth,
            most_depth=state.limits.depth,
            path=list(state.path),
            on_behalf_of=behalf,
            permissions=[] if now is None else sorted(now.permissions),
            limit=limit,
            spent=decimal_text(state.spent),
            reserved=decimal_text(state.reserved),
            available=None if state.available is None else decimal_text(state.available),
            budgets=budgets,
            waits=[*state.waiting, *(mine.on if mine is not None else ())],
            blocked=ring is not None,
            why="" if ring is None else ring.why,
        )

    @read("delegations.deadlocks", permission=READ)
    async def deadlocks(self, invocation: Invocation, input: NoInput) -> Page[DeadlockItem]:
        """List sessions that wait for each other so that none can ever go on, with the one that would have to end.

        The city looks for them by itself and ends the one that loses the least; what is listed here is about to be.
        """
        waits, cost = await self._graph.now()
        own = f"{namespace_for(invocation.principal, None)}/"
        items = [
            DeadlockItem(
                victim=one.who, cost=decimal_text(one.cost), circle=list(one.circle), frees=list(one.frees), why=one.why
            )
            for one in self._graph.victims(waits, cost)
            if any(who.startswith(own) for who in one.circle)
        ]
        return Page[DeadlockItem](items=items)

    async def _query(self, sql: str, **values: Scalar) -> list[Row]:
        return list(await self._store.views.query(sql, values))


def _task(row: Row) -> DelegationItem:
    session, child, agent, asked, depth, budget, deadline, task, state, spent, code, begun, ended, tree = row
    return DelegationItem.model_validate(
        {
            "session": session, "child": child, "agent": agent, "text": asked, "depth": depth, "tree": tree,
            "state": state, "task": task or None, "budget": _amount(budget), "spent": _amount(spent) or "0",
            "code": code or None, "deadline": deadline or None, "given": _time(begun), "ended": _time(ended),
        }
    )  # fmt: skip


def _member(row: Row) -> Member:
    session, agent, _tree, parent, depth, status, waiting, _owner, budget, spent, begun, ended = row
    fields: Mapping[str, object] = {
        "session": session, "agent": agent, "parent": parent or None, "depth": depth, "status": status,
        "waiting": orjson.loads(str(waiting)) if waiting else [], "budget": _amount(budget),
        "spent": _amount(spent) or "0", "begun": _time(begun), "ended": _time(ended),
    }  # fmt: skip
    return Member.model_validate(fields)


def _amount(value: Scalar) -> str | None:
    return None if value is None else decimal_text(int(value))


def _time(value: Scalar) -> datetime | None:
    return None if value is None else time_of(int(value))
