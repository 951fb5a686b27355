"""Stopping an agent, or all that works for one task: at once, for good, and measured."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import Field, model_validator

from pharos.control.index import Index
from pharos.core.call import Call
from pharos.core.event import Event
from pharos.core.fault import NOT_FOUND, Applicability, Fault, Fix
from pharos.core.operation import Decision, Invocation, Reversibility, SetStatus, Written, read, write
from pharos.core.principal import Principal
from pharos.core.resource import Condition, Name, Resource, Status
from pharos.core.wire import JsonObject, Page, Wire
from pharos.mesh.runner import ProjectionRunner
from pharos.mesh.topics.access import lacking_namespace, namespace_for
from pharos.runtime.orchestration.faults import AGENT_STOPPED
from pharos.runtime.orchestration.trees import NAME, time_of
from pharos.runtime.profiles.kinds import AGENT, AgentSpec
from pharos.runtime.profiles.resolving import agent_named
from pharos.runtime.session.address import Address
from pharos.runtime.session.events import CANCEL_REQUESTED
from pharos.runtime.session.faults import no_session
from pharos.runtime.worker.lanes import ending
from pharos.store.ports import Views

STOPPED: Final = "Stopped"
"""The condition of an agent that was stopped."""

CONTROL: Final = "agents.stop"
MOST: Final = 5_000
"""Sessions that one call stops."""
CATCH_UP: Final = 10.0

AgentName = Annotated[str, Field(min_length=1, max_length=260)]
SessionId = Annotated[str, Field(min_length=1, max_length=128)]
Reason = Annotated[str, Field(max_length=2_000)]

_OPEN = "SELECT session FROM delegation_sessions WHERE ended IS NULL AND {by} = :name ORDER BY depth, begun LIMIT :most"
_STOPS = (
    "SELECT stop, COUNT(*), SUM(CASE WHEN ended IS NULL THEN 1 ELSE 0 END), MIN(stopped), "
    "MAX(CASE WHEN ended IS NULL THEN 0 ELSE ended - stopped END) FROM delegation_sessions "
    "WHERE stop <> '' AND session >= :low AND session < :high GROUP BY stop ORDER BY MIN(stopped) DESC LIMIT :limit"
)


class Stop(Wire):
    """Input of ``agents.stop``: one of ``agent`` and ``session``."""

    agent: AgentName | None = None
    """All sessions of this agent, and none begins until it is let go."""
    session: SessionId | None = None
    """This session with everything that works for the same task, above it and below."""
    namespace: Name | None = None
    reason: Reason = ""

    @model_validator(mode="after")
    def _one(self) -> Stop:
        if (self.agent is None) == (self.session is None):
            raise ValueError("give exactly one of agent and session")
        return self


class Stopped(Written):
    """What was told to stop. It begins nothing from now on; `agents.stops` says when the last of it had ended."""

    stopped: str
    """The agent, or the outermost session of the task."""
    sessions: list[str]
    """Those that were told to end; none where nothing was under way."""
    more: bool
    """Whether there are others: call it again."""


class Resume(Wire):
    """Input of ``agents.resume``."""

    agent: AgentName
    namespace: Name | None = None


class Resumed(Written):
    """The agent may begin sessions again."""

    agent: str


class ListStops(Wire):
    """Input of ``agents.stops``."""

    namespace: Name | None = None
    limit: int = Field(default=20, ge=1, le=1000)


class StopItem(Wire):
    """How a stop went."""

    operation: str
    at: datetime
    sessions: int
    open: int
    """Sessions that have not ended yet."""
    slowest_ms: float
    """From the stop to the end of the last session that has ended."""


class Stopping:
    """The operations that stop agents."""

    def __init__(self, index: Index, views: Views, runner: Callable[[], ProjectionRunner]) -> None:
        self._index = index
        self._views = views
        self._runner = runner

    @write(
        "agents.stop",
        permission=CONTROL,
        reversibility=Reversibility.COMPENSATING,
        inverse="agents.resume",
        faults=(NOT_FOUND,),
        lacking=lacking_namespace,
    )
    async def stop(self, invocation: Invocation, input: Stop) -> Decision[Stopped]:
        """Stop an agent, or all that works for one task.

        Nothing new begins from the moment this returns: no session of the agent, no call of a model or a tool. What is
        under way is cancelled from the leaves up, what was reserved is free again, and effects whose outcome nobody
        knows are named as such. Letting the agent go (`agents.resume`, or undo) lets it begin new sessions; those that
        were stopped stay ended.
        """
        namespace = namespace_for(invocation.principal, input.namespace)
        await self._runner().caught_up(NAME, CATCH_UP)
        changes: tuple[SetStatus, ...] = ()
        inverse = None
        if input.agent is not None:
            agent = theirs(self._index, invocation.principal, input.agent, namespace)
            changes = (SetStatus(agent.id, _with(agent, invocation, input.reason), expected=agent.status),)
            name, by = f"{agent.metadata.namespace}/{agent.metadata.name}", "agent"
            arguments: JsonObject = {"agent": agent.metadata.name, "namespace": agent.metadata.namespace}
            inverse = Call(operation="agents.resume", arguments=arguments)
        else:
            name, by = await self._tree(f"{namespace}/{input.session}"), "tree"
        rows = await self._views.query(_OPEN.format(by=by), {"name": name, "most": MOST + 1})
        sessions = [str(row[0]) for row in rows[:MOST]]
        who = invocation.principal.id
        data: JsonObject = {"by": who, "reason": input.reason or "stopped", "stop": invocation.operation_id}
        # Without an expectation: whatever a session does in this moment, it finds this at its next step.
        events = tuple(
            Event(Address.parse(session).topic, CANCEL_REQUESTED, data, principal=who) for session in sessions
        )
        output = Stopped(operation=invocation.operation_id, stopped=name, sessions=sessions, more=len(rows) > MOST)
        lanes = tuple(ending(Address.parse(session)) for session in sessions)
        return Decision(output, changes=changes, events=events, inverse=inverse, commands=lanes)

    @write("agents.resume", permission=CONTROL, inverse="agents.stop", reversibility=Reversibility.COMPENSATING,
           faults=(NOT_FOUND,), lacking=lacking_namespace)  # fmt: skip
    async def resume(self, invocation: Invocation, input: Resume) -> Decision[Resumed]:
        """Let an agent that was stopped begin sessions again. One that was not is left as it is."""
        namespace = namespace_for(invocation.principal, input.namespace)
        agent = theirs(self._index, invocation.principal, input.agent, namespace)
        status = agent.status
        left = [condition for condition in status.conditions if condition.type != STOPPED]
        changes: tuple[SetStatus, ...] = ()
        if len(left) < len(status.conditions):
            changes = (SetStatus(agent.id, status.model_copy(update={"conditions": left}), expected=status),)
        arguments: JsonObject = {"agent": agent.metadata.name, "namespace": agent.metadata.namespace}
        return Decision(
            Resumed(operation=invocation.operation_id, agent=str(agent.id)),
            changes=changes,
            inverse=Call(operation="agents.stop", arguments=arguments),
        )

    @read("agents.stops", permission=CONTROL)
    async def stops(self, invocation: Invocation, input: ListStops) -> Page[StopItem]:
        """List what was stopped, the newest first, and how long it took until the last of it had ended."""
        namespace = namespace_for(invocation.principal, input.namespace)
        await self._runner().caught_up(NAME, CATCH_UP)
        rows = await self._views.query(_STOPS, {"low": f"{namespace}/", "high": f"{namespace}0", "limit": input.limit})
        items = [
            StopItem(
                operation=str(stop), at=time_of(int(at or 0)), sessions=int(count or 0), open=int(open or 0),
                slowest_ms=int(slowest or 0) / 1000,
            )
            for stop, count, open, at, slowest in rows
        ]  # fmt: skip
        return Page[StopItem](items=items)

    async def _tree(self, session: str) -> str:
        found = await self._views.query(
            "SELECT tree FROM delegation_sessions WHERE session = :session", {"session": session}
        )
        if not found:
            raise no_session(Address(*session.split("/", 1)))
        return str(found[0][0])


def theirs(index: Index, principal: Principal, name: str, namespace: str) -> Resource[AgentSpec]:
    """The agent that ``name`` (``name`` or ``namespace/name``) means. Raises ``NOT_FOUND``, and ``FORBIDDEN`` for one
    of a namespace that the caller may not look into."""
    other, _, short = name.rpartition("/")
    return agent_named(index, short, namespace_for(principal, other) if other else namespace)


def halted(agent: Resource[AgentSpec]) -> Fault | None:
    """Why an agent gets no work: somebody has stopped it."""
    for condition in agent.status.conditions:
        if condition.type == STOPPED and condition.status == "True":
            id = agent.id
            arguments: JsonObject = {"agent": id.name, "namespace": id.namespace}
            return AGENT_STOPPED(
                f"{id} was stopped: {condition.message}",
                subject=str(id),
                facts={
                    "reason": condition.message,
                    "by": condition.reason,
                    "at": condition.last_transition_time.isoformat() if condition.last_transition_time else None,
                },
                fixes=[
                    Fix(
                        id="resume",
                        title=f"Let {id.name} go on",
                        applicability=Applicability.CERTAIN,
                        call=Call(operation="agents.resume", arguments=arguments),
                        effect="It begins sessions again.",
                    )
                ],
            )
    return None


def is_halted(index: Index, agent: str) -> bool:
    """Whether somebody has stopped the agent ``namespace/name``."""
    namespace, _, name = agent.rpartition("/")
    found = index.get(AGENT, name, namespace or "default")
    return found is not None and halted(found) is not None


def _with(agent: Resource[AgentSpec], invocation: Invocation, reason: str) -> Status:
    others = [condition for condition in agent.status.conditions if condition.type != STOPPED]
    stopped = Condition(
        type=STOPPED,
        status="True",
        reason=invocation.principal.id,
        message=reason or "stopped",
        last_transition_time=invocation.time.astimezone(UTC),
    )
    return agent.status.model_copy(update={"conditions": [*others, stopped]})
