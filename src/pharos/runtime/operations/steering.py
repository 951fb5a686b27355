"""Speaking to sessions: input, answers, and when to rest or end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from pharos.core.call import Call
from pharos.core.fault import INVALID, NOT_FOUND
from pharos.core.forms import form
from pharos.core.operation import Decision, Invocation, Reversibility, write
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.wire import Json, JsonObject
from pharos.mesh.money import to_nanos
from pharos.mesh.topics.access import lacking_namespace
from pharos.runtime.operations.desk import APPROVE, CONTROL, SEND, Desk
from pharos.runtime.operations.items import Changed, EffectId, Reason, Text, Which, item_of
from pharos.runtime.operations.lending import Lending, LentTool, LentTools, Results
from pharos.runtime.orchestration.bounds import require_outside
from pharos.runtime.orchestration.faults import TREE_BOUND
from pharos.runtime.orchestration.reviewers import WAY
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session import commands
from pharos.runtime.session.data.parts import ClientTool
from pharos.runtime.session.faults import (
    ANSWER_GIVEN,
    ANSWER_LATE,
    ANSWER_MISMATCH,
    INBOX_FULL,
    NOT_WAITING,
    OWN_REQUEST,
    SESSION_ENDED,
    SESSION_QUARANTINED,
)
from pharos.runtime.session.state import State
from pharos.runtime.tools.faults import TOOL_NAME_TAKEN, TOOL_UNUSABLE
from pharos.runtime.worker.lanes import ending

_ANSWERING = (
    NOT_FOUND, OWN_REQUEST, ANSWER_GIVEN, ANSWER_LATE, ANSWER_MISMATCH, NOT_WAITING, SESSION_ENDED, SESSION_QUARANTINED,
)  # fmt: skip


class SendInput(Which):
    """Input of ``sessions.send``."""

    text: Text
    """Empty, with ``results`` and without ``data``: there is nothing to say beside them."""
    data: JsonObject = Field(default_factory=dict)
    """More of it, as an object."""
    answers: EffectId | None = None
    """The question that it answers; left out: it is new input, which the model sees at its next step."""
    results: Results = Field(default_factory=list)
    """What came of calls that were left to the caller: all are told at once, and before the text."""
    tools: LentTools | None = None
    """Those that the caller carries out itself from here on; left out: as before. What the model calls of them waits
    for its result."""


class Answer(Which):
    """Input of ``sessions.approve`` and ``sessions.deny``."""

    approval: EffectId
    digest: str = Field(pattern=form(r"^[a-f0-9]{64}$", "the 64 digits 0-9 and a-f that `sessions.get` shows"))
    """Of the call that one has seen, from ``sessions.get``: the answer is to that call and to no other."""
    reason: Reason = ""


class Because(Which):
    """Names a session, and says why."""

    reason: Reason = ""


class ResolveEffect(Which):
    """Input of ``sessions.resolve``."""

    effect: EffectId
    outcome: Literal["done", "not done", "abandoned"]
    """``done``: it happened, and ``content`` is its result. ``not done``: it did not; it is done now, under the same
    key. ``abandoned``: it is not to be done any more, and the model is told so."""
    content: Text = ""
    """The result, where it happened."""


class ExtendBudget(Which):
    """Input of ``sessions.extend``."""

    budget: Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9, allow_inf_nan=False)]
    """The most it may spend altogether, as a decimal string."""


class Steering:
    """What people and programs say to sessions."""

    def __init__(self, desk: Desk, lending: Lending) -> None:
        self._desk = desk
        self._lending = lending

    async def _say(self, invocation: Invocation, which: Which, *said: commands.Command) -> Decision[Changed]:
        address = self._desk.address(invocation.principal, which)

        def output(after: State) -> Changed:
            return Changed(operation=invocation.operation_id, session=item_of(after))

        return await self._desk.decide(invocation, address, output, *said)

    @write(
        "sessions.send",
        permission=SEND,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(
            NOT_FOUND,
            INVALID,
            SESSION_ENDED,
            SESSION_QUARANTINED,
            NOT_WAITING,
            INBOX_FULL,
            TOOL_NAME_TAKEN,
            TOOL_UNUSABLE,
        ),
        lacking=lacking_namespace,
    )
    async def send(self, invocation: Invocation, input: SendInput) -> Decision[Changed]:
        """Give a session input, or the answer to a question it has asked.

        Input that comes while the model works is part of its next step. A question is answered once, and so is a call
        that was left to the caller. None of `tools` may have the name of one that the agent has.
        """
        by, now = invocation.principal.id, invocation.time
        said = [
            commands.Send(now, result.text, result.data, by, result.answers, result.failed) for result in input.results
        ]
        if input.text or input.data or input.answers or not said:
            said.append(commands.Send(now, input.text, input.data, by, input.answers or ""))
        if input.tools is not None:
            tools = await self._taken(invocation.principal, input, input.tools) if input.tools else ()
            said[0] = said[0]._replace(tools=tools)
        return await self._say(invocation, input, *said)

    async def _taken(self, principal: Principal, which: Which, given: Sequence[LentTool]) -> tuple[ClientTool, ...]:
        """The tools that are given, looked at where they are others than before."""
        state = (await self._desk.live(self._desk.address(principal, which))).state
        if tuple(tool.definition() for tool in given) == state.client_tools:
            return state.client_tools
        return await self._lending.take(given, Profile.from_json(state.profile), principal)

    @write(
        "sessions.approve",
        permission=APPROVE,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=_ANSWERING,
        lacking=lacking_namespace,
    )
    async def approve(self, invocation: Invocation, input: Answer) -> Decision[Changed]:
        """Agree to a call that a session wants to make.

        The agreement is to exactly the call whose `digest` is given. It is recorded before the call is made and stays
        whatever happens to the call. The first answer counts; the same one again changes nothing.
        """
        return await self._answer(invocation, input, commands.Approve)

    @write(
        "sessions.deny",
        permission=APPROVE,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=_ANSWERING,
        lacking=lacking_namespace,
    )
    async def deny(self, invocation: Invocation, input: Answer) -> Decision[Changed]:
        """Refuse a call that a session wants to make. The model is told, with the reason."""
        return await self._answer(invocation, input, commands.Deny)

    async def _answer(
        self, invocation: Invocation, input: Answer, of: type[commands.Approve | commands.Deny]
    ) -> Decision[Changed]:
        await self._not_its_own(invocation.principal, input)
        said = of(invocation.time, input.approval, input.digest, invocation.principal.id, input.reason)
        return await self._say(invocation, input, said)

    async def _not_its_own(self, principal: Principal, input: Answer) -> None:
        """No agent agrees to its own calls, nor to those it has had made by giving the work to another, whoever it acts
        for. One above it may where the rule names that very agent as the one to ask."""
        state = (await self._desk.live(self._desk.address(principal, input))).state
        namespace, _, name = state.agent.partition("/")
        above = _agents_above(state)
        behind = {actor.name for actor in principal.chain if actor.kind is PrincipalKind.AGENT}
        refused = not behind.isdisjoint({name, *above})
        if principal.kind is PrincipalKind.AGENT:
            approval = state.approvals.get(input.approval)
            asked = approval is not None and approval.who == f"{WAY}:{principal.namespace}/{principal.name}"
            itself = (principal.namespace, principal.name) == (namespace, name)
            ordered = principal.name in above or principal.id == state.owner
            refused = refused or itself or (ordered and not asked)
        if refused:
            raise OWN_REQUEST(subject=str(state.address), rule="runtime/four-eyes")

    @write(
        "sessions.cancel",
        permission=CONTROL,
        reversibility=Reversibility.COMPENSATING,
        inverse="sessions.fork",
        destroys=True,
        faults=(NOT_FOUND, SESSION_QUARANTINED),
        lacking=lacking_namespace,
    )
    async def cancel(self, invocation: Invocation, input: Because) -> Decision[Changed]:
        """End a session, and everything below it.

        What is under way is stopped, its children end first, and what was kept of its budget for them is free again.
        What may have happened outside and cannot be known is named at its end. Asked twice it changes nothing. To undo
        it is to fork the session from where it was: the fork goes on, without what was under way.
        """
        command = commands.Cancel(invocation.time, invocation.principal.id, input.reason)
        made = await self._say(invocation, input, command)
        before = max(made.expects.values(), default=None)
        if before is None:
            return made
        made = _with_inverse(made, "sessions.fork", at=before)
        return replace(made, commands=(*made.commands, ending(self._desk.address(invocation.principal, input))))

    @write(
        "sessions.pause",
        permission=CONTROL,
        reversibility=Reversibility.COMPENSATING,
        inverse="sessions.resume",
        faults=(NOT_FOUND, SESSION_ENDED, SESSION_QUARANTINED),
        lacking=lacking_namespace,
    )
    async def pause(self, invocation: Invocation, input: Because) -> Decision[Changed]:
        """Let a session begin nothing new. What is under way ends, and its result is kept."""
        made = await self._say(
            invocation, input, commands.Pause(invocation.time, invocation.principal.id, input.reason)
        )
        return _with_inverse(made, "sessions.resume")

    @write(
        "sessions.resume",
        permission=CONTROL,
        reversibility=Reversibility.COMPENSATING,
        inverse="sessions.pause",
        faults=(NOT_FOUND, SESSION_ENDED, SESSION_QUARANTINED, NOT_WAITING),
        lacking=lacking_namespace,
    )
    async def resume(self, invocation: Invocation, input: Which) -> Decision[Changed]:
        """Let a paused session go on."""
        made = await self._say(invocation, input, commands.Resume(invocation.time, invocation.principal.id))
        return _with_inverse(made, "sessions.pause")

    @write(
        "sessions.close",
        permission=SEND,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(NOT_FOUND, SESSION_ENDED, SESSION_QUARANTINED, NOT_WAITING),
        lacking=lacking_namespace,
    )
    async def close(self, invocation: Invocation, input: Which) -> Decision[Changed]:
        """Complete an interactive session with its last answer."""
        return await self._say(invocation, input, commands.Close(invocation.time, invocation.principal.id))

    @write(
        "sessions.resolve",
        permission=CONTROL,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(NOT_FOUND, NOT_WAITING, SESSION_QUARANTINED),
        lacking=lacking_namespace,
    )
    async def resolve(self, invocation: Invocation, input: ResolveEffect) -> Decision[Changed]:
        """Say whether a call happened of which nobody could tell.

        Such a call was cut off in the middle, and its tool can neither be asked nor called again safely. The session
        waits for this.
        """
        by = invocation.principal.id
        command = commands.Resolve(invocation.time, input.effect, input.outcome, by, input.content)
        return await self._say(invocation, input, command)

    @write(
        "sessions.extend",
        permission=CONTROL,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(NOT_FOUND, INVALID, SESSION_ENDED, SESSION_QUARANTINED, TREE_BOUND),
        lacking=lacking_namespace,
    )
    async def extend(self, invocation: Invocation, input: ExtendBudget) -> Decision[Changed]:
        """Set the most that a session may spend. One that waits for money goes on."""
        require_outside(invocation.principal, "raise a budget")
        command = commands.Extend(invocation.time, to_nanos(input.budget), invocation.principal.id)
        return await self._say(invocation, input, command)

    @write(
        "sessions.release",
        permission=CONTROL,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(NOT_FOUND, NOT_WAITING),
        lacking=lacking_namespace,
    )
    async def release(self, invocation: Invocation, input: Which) -> Decision[Changed]:
        """Let a session out of quarantine, once what was in its way is mended. Otherwise it is put there again."""
        command = commands.ReleaseQuarantine(invocation.time, invocation.principal.id)
        return await self._say(invocation, input, command)


def _agents_above(state: State) -> set[str]:
    """Names of the agents that a session works for. A key that is declared as an agent's is none of them by being the
    account: agents that share one are not each other."""
    rights = state.rights
    if rights is None:
        return set()
    accounts = {name.rpartition("/")[2] for name in (state.account, *rights.get("accounts", ()))}
    links = [(rights["kind"], rights["name"]), *((kind, name) for kind, name in rights["chain"])]
    return {name for kind, name in links if kind == PrincipalKind.AGENT.value} - accounts


def _with_inverse(made: Decision[Changed], operation: str, **more: Json) -> Decision[Changed]:
    session = made.output.session
    call = Call(operation=operation, arguments={"session": session.session, "namespace": session.namespace, **more})
    return replace(made, inverse=call)
