"""Beginning sessions, going on from any point of one, and changing the agent of one."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field, StringConstraints

from pharos.core.call import Call
from pharos.core.event import START as BEGINNING
from pharos.core.event import Event, Recorded
from pharos.core.fault import INVALID, NOT_FOUND, TOO_LARGE
from pharos.core.forms import REFERENCE
from pharos.core.ids import uuid7
from pharos.core.operation import Decision, Invocation, Reversibility, write
from pharos.core.principal import Principal
from pharos.core.resource import Name
from pharos.core.wire import Json, JsonObject, Wire
from pharos.mesh.money import decimal_text
from pharos.mesh.topics.access import lacking_namespace, namespace_for, require
from pharos.runtime.operations.desk import (
    CONTROL,
    READ,
    START,
    Desk,
    begun_for,
    decision,
    lacking_agent,
    require_agent,
)
from pharos.runtime.operations.items import Began, Changed, Reason, SessionName, Text, Which, item_of
from pharos.runtime.operations.lending import Lending, LentTools
from pharos.runtime.orchestration.beginning import bounds_of, rights_of
from pharos.runtime.orchestration.bounds import require_outside
from pharos.runtime.orchestration.faults import AGENT_BARRED, AGENT_STOPPED, TREE_BOUND
from pharos.runtime.profiles.faults import AGENT_INCOMPLETE, DELEGATES_CYCLIC, TEMPLATE_VALUES
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session import commands
from pharos.runtime.session.address import Address
from pharos.runtime.session.decide import decide
from pharos.runtime.session.evolve import fold
from pharos.runtime.session.faults import SESSION_ENDED, SESSION_QUARANTINED, SESSION_STARTED, session_started
from pharos.runtime.session.state import State
from pharos.runtime.tools.faults import TOOL_NAME_TAKEN, TOOL_UNUSABLE
from pharos.runtime.worker.lanes import working

MOST_COPIED = 20_000
"""Events that a fork copies at most."""

AgentName = Annotated[
    str,
    Field(min_length=1, max_length=260, pattern=REFERENCE),
]
LabelName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
LabelValue = Annotated[str, StringConstraints(max_length=512)]
Money = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9, allow_inf_nan=False)]


_BEGINNING = (
    NOT_FOUND, INVALID, SESSION_STARTED, AGENT_INCOMPLETE, DELEGATES_CYCLIC, TEMPLATE_VALUES, TREE_BOUND,
    AGENT_STOPPED, AGENT_BARRED, TOOL_NAME_TAKEN, TOOL_UNUSABLE,
)  # fmt: skip


class StartSession(Wire):
    """Input of ``sessions.start``."""

    agent: AgentName
    """Name of the ``Agent``, or ``namespace/name``."""
    text: Text
    """What it is to do."""
    data: JsonObject = Field(default_factory=dict)
    """More of it, as an object."""
    values: dict[str, Json] = Field(default_factory=dict, max_length=200)
    """For variables of its prompt that are given at the start of a session."""
    session: SessionName | None = None
    """The id it shall have; left out: a new one."""
    namespace: Name | None = None
    """Whose it is; left out: the caller's own."""
    interactive: bool = False
    """Wait for more input after each answer, until it is closed."""
    budget: Money | None = None
    """The most it may spend, where that is less than its agent allows: a decimal string."""
    seconds: Annotated[float, Field(gt=0, le=31_536_000)] | None = None
    """The most time it has, where that is less than its agent allows."""
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict, max_length=64)
    """Names and values that are shown with it."""
    tools: LentTools = Field(default_factory=list)
    """Those that the caller carries out itself. What the model calls of them waits for its result, which
    ``sessions.send`` gives."""


class ForkSession(Which):
    """Input of ``sessions.fork``."""

    at: Annotated[int, Field(ge=1)] | None = None
    """Sequence of the last event that is taken over; left out: all that there are."""
    to: SessionName | None = None
    """The id of the fork; left out: a new one."""
    text: Text | None = None
    """Input to go on with; left out: it goes on with what it has."""
    data: JsonObject = Field(default_factory=dict)
    """More of the input, as an object."""


class MigrateSession(Which):
    """Input of ``sessions.migrate``."""

    agent: AgentName | None = None
    """Another agent; left out: its own, as it is declared now."""
    values: dict[str, Json] = Field(default_factory=dict, max_length=200)
    """For variables of its prompt that are given at the start of a session."""
    reason: Reason = ""


class Starting:
    """Begins sessions."""

    def __init__(self, desk: Desk, lending: Lending) -> None:
        self._desk = desk
        self._lending = lending

    @write(
        "sessions.start",
        permission=START,
        reversibility=Reversibility.COMPENSATING,
        inverse="sessions.cancel",
        faults=_BEGINNING,
        lacking=lacking_agent,
    )
    async def start(self, invocation: Invocation, input: StartSession) -> Decision[Began]:
        """Begin a session of an agent.

        It keeps the agent as it is declared now, whatever is applied later, and goes on in the background whatever
        happens to the process. Give `Idempotency-Key`, or an id of your own, to ask safely more than once. An agent of
        another namespace needs the permission `namespaces.cross`, and one that is `federation: private` works in its
        own namespace alone.
        """
        principal, now = invocation.principal, invocation.time
        require_outside(principal, "begin sessions")
        require_agent(principal, input.agent)
        address = Address(namespace_for(principal, input.namespace), input.session or uuid7())
        profile = await self._desk.profile(input.agent, address.namespace, input.values)
        bounds = bounds_of(profile, None if input.budget is None else format(input.budget, "f"))
        if input.seconds is not None:
            bounds["seconds"] = min(bounds["seconds"], input.seconds)
        command = commands.Start(
            now=now,
            agent=profile.agent,
            version=profile.version,
            profile=profile.to_json(),
            bounds=bounds,
            rights=rights_of(begun_for(principal, self._account(profile))),
            account=profile.account,
            owner=principal.id,
            text=input.text,
            data=input.data,
            interactive=input.interactive,
            labels=input.labels,
            tools=await self._lending.take(input.tools, profile, principal),
        )
        known = await self._desk.store.log.topic(address.topic)
        state = State(address) if known is None else (await self._desk.live(address)).state
        decided = decide(state, command)
        begun = decision(
            invocation,
            decided,
            0,
            lambda after: Began(operation=invocation.operation_id, session=item_of(after)),
        )
        return Decision(
            begun.output,
            events=begun.events,
            expects=begun.expects,
            commands=(*begun.commands, working(address, profile)),
            inverse=Call(
                operation="sessions.cancel",
                arguments={"session": address.id, "namespace": address.namespace, "reason": "undone"},
            ),
        )

    def _account(self, profile: Profile) -> Principal:
        account = self._desk.account(profile.account)
        if account is None:
            raise AGENT_INCOMPLETE(f"{profile.agent} works on the account {profile.account}, which is not there.")
        return account

    @write(
        "sessions.fork",
        permission=START,
        reversibility=Reversibility.COMPENSATING,
        inverse="sessions.cancel",
        typical_ms=50,
        faults=(
            NOT_FOUND,
            INVALID,
            TOO_LARGE,
            SESSION_STARTED,
            AGENT_INCOMPLETE,
            TREE_BOUND,
            AGENT_STOPPED,
            AGENT_BARRED,
        ),
        lacking=lacking_namespace,
    )
    async def fork(self, invocation: Invocation, input: ForkSession) -> Decision[Began]:
        """Begin a session that shares another one's history up to an event, and goes its own way from there.

        What was open there stays with the source: the fork sends no effect again, and has none of its approvals,
        timers, questions and children. It acts for whoever forks it, and what was spent before is not counted again.
        What a lack of trust takes from the agent now is taken from the fork, and who may not read the session cannot
        have its history either. Refused where the agent is not declared any more, or is private elsewhere by now.
        """
        principal = invocation.principal
        require_outside(principal, "fork sessions")
        require(principal, READ, "Taking over a session's history")
        source = self._desk.address(principal, input)
        await self._desk.live(source)
        recorded = await self._copied(source, input.at)
        address = Address(source.namespace, input.to or uuid7())
        if await self._desk.store.log.topic(address.topic) is not None:
            raise session_started(address, "/to")
        state = fold(State(address), recorded)
        if state.poison is not None:
            raise INVALID(
                f"Event {state.poison.sequence} cannot be understood; fork before it.",
                pointer="/at",
                facts={"at": state.poison.sequence},
            )
        require_agent(principal, state.agent)
        profile = Profile.from_json(state.profile)
        rights = rights_of(begun_for(principal, self._account(profile)))
        given: list[commands.Command] = [
            commands.Fork(invocation.time, str(source), state.sequence, rights, state.account, principal.id)
        ]
        now = await self._desk.admitted(profile)
        self._desk.profiles.require(state.agent, address.namespace)
        if now.version != profile.version:
            limit = state.limits.cost
            bounds = bounds_of(now, None if limit is None else decimal_text(limit))
            given.append(commands.Migrate(invocation.time, now.agent, now.version, now.to_json(), bounds, principal.id))
        if input.text is not None:
            given.append(commands.Send(invocation.time, input.text, input.data, principal.id))
        forked = decision(
            invocation,
            decide(state, *given),
            0,
            lambda after: Began(operation=invocation.operation_id, session=item_of(after)),
        )
        copies = [_copy(one, address) for one in recorded]
        return Decision(
            forked.output,
            events=(*copies, *forked.events),
            expects={address.topic: 0},
            commands=(*forked.commands, working(address, profile)),
            inverse=Call(
                operation="sessions.cancel",
                arguments={"session": address.id, "namespace": address.namespace, "reason": "undone"},
            ),
        )

    async def _copied(self, source: Address, at: int | None) -> list[Recorded]:
        log = self._desk.store.log
        recorded: list[Recorded] = []
        after = BEGINNING
        while page := await log.read(source.topic, after, 1000):
            recorded += page
            after = page[-1].position
            if at is not None and page[-1].sequence >= at:
                break
            if len(recorded) > MOST_COPIED:
                raise TOO_LARGE(
                    f"A fork copies at most {MOST_COPIED} events.", pointer="/at", facts={"limit": MOST_COPIED}
                )
        if at is not None and at > recorded[-1].sequence:
            last = recorded[-1].sequence
            raise INVALID(f"The session has {last} events, none at {at}.", pointer="/at", facts={"events": last})
        return [one for one in recorded if at is None or one.sequence <= at]

    @write(
        "sessions.migrate",
        permission=CONTROL,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(
            NOT_FOUND,
            INVALID,
            SESSION_ENDED,
            SESSION_QUARANTINED,
            AGENT_INCOMPLETE,
            DELEGATES_CYCLIC,
            TEMPLATE_VALUES,
            TREE_BOUND,
            AGENT_STOPPED,
            AGENT_BARRED,
        ),
        lacking=lacking_agent,
    )
    async def migrate(self, invocation: Invocation, input: MigrateSession) -> Decision[Changed]:
        """Have a session go on with its agent as it is declared now, or with another agent.

        Nothing else ever changes the agent of a session. What was said so far stays, and so do the account it works
        on, whose rights were never this other agent's to use, and the budget and depth that one above it gave.
        """
        require_outside(invocation.principal, "change the agent of a session")
        require_agent(invocation.principal, input.agent or "")
        address = self._desk.address(invocation.principal, input)
        state = (await self._desk.live(address)).state
        profile = await self._desk.profile(input.agent or state.agent, address.namespace, input.values)
        if profile.account != state.account:
            raise INVALID(
                f"{profile.agent} works on the account {profile.account}, the session on {state.account}: begin a "
                "session of its own.",
                pointer="/agent",
                facts={"account": profile.account, "sessionAccount": state.account},
            )
        bounds = bounds_of(profile)
        if state.parent is not None:
            bounds["depth"] = min(bounds["depth"], state.limits.depth)
        return await self._desk.decide(
            invocation,
            address,
            lambda after: Changed(operation=invocation.operation_id, session=item_of(after)),
            commands.Migrate(
                invocation.time,
                profile.agent,
                profile.version,
                profile.to_json(),
                bounds,
                invocation.principal.id,
            ),
        )


def _copy(recorded: Recorded, address: Address) -> Event:
    event = recorded.event
    return Event(
        address.topic,
        event.type,
        event.data,
        principal=event.principal,
        subject=event.subject,
        causation=event.id,
        correlation=str(address),
        source="pharos/fork",
        time=event.time,
        refs=event.refs,
    )
