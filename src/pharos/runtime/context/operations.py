"""``sessions.context``: what the model saw at a step, why, and what it would have seen with another budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from pydantic import Field

from pharos.core.event import START, Recorded
from pharos.core.fault import NOT_FOUND
from pharos.core.operation import Invocation, read
from pharos.core.resource import Name
from pharos.core.wire import JsonObject, Wire
from pharos.mesh.topics.access import namespace_for
from pharos.runtime.context.assembly import Context, assemble
from pharos.runtime.context.blocks import digest
from pharos.runtime.context.faults import CONTEXT_TOO_LARGE
from pharos.runtime.context.parts import Budget, Compaction
from pharos.runtime.context.reading import budget_of, parts_of
from pharos.runtime.context.replay import replay, settled
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session import events
from pharos.runtime.session.address import Address
from pharos.runtime.session.data.thinking import ContextAssembled
from pharos.runtime.session.evolve import fold
from pharos.runtime.session.faults import no_session
from pharos.runtime.session.state import State
from pharos.runtime.tools.offering import OfferOf
from pharos.store.ports import Log

PAGE = 1_000


class LookAt(Wire):
    """Input of ``sessions.context``."""

    session: str = Field(min_length=1, max_length=256)
    """Id of the session."""
    namespace: Name | None = None
    """Left out: the caller's own."""
    step: int | None = Field(default=None, ge=1)
    """Which time the model was asked; left out: the last."""
    budget: int | None = Field(default=None, ge=256, le=10_000_000)
    """Tokens, for what it would have seen had this been the agent's budget; left out: what it did see."""
    messages: bool = False
    """Whether the messages and tools themselves are wanted, too."""


class Part(Wire):
    """Why something is in front of the model."""

    kind: str
    reason: str
    tokens: int
    count: int | None = None
    first: int | None = None
    """Sequence of the first event it covers."""
    last: int | None = None
    detail: list[str] = Field(default_factory=list)


class Shortened(Wire):
    """Steps that are told in short."""

    steps: int
    """How many, from the first."""
    method: str
    kept: list[int]
    """Blocks that stay word for word, by the sequence of their first event."""


class Seen(Wire):
    """What a model saw, or would have seen."""

    session: str
    step: int
    budget: int
    tokens: int
    """By estimate, see ``recorded``."""
    parts: list[Part]
    shortened: list[Shortened]
    """The compactions that led to it, oldest first."""
    cached: int
    """Messages in front of what was new: as many as a provider's cache may have had."""
    recorded: JsonObject | None = None
    """What the log says about the real call: digests and counts."""
    same: bool | None = None
    """Whether this is, byte for byte, what the model was sent. ``null``: there is no record, or another budget."""
    tools_changed: bool = False
    """The tools offered now are not those of then."""
    messages: list[JsonObject] | None = None
    tools: list[JsonObject] | None = None


class _Then(NamedTuple):
    """A session as it was when the model was asked, and what was recorded of it."""

    state: State
    record: ContextAssembled | None
    compactions: dict[int, Compaction]


class ContextOperations:
    """The operation on contexts."""

    def __init__(self, log: Log, offer: OfferOf) -> None:
        self._log = log
        self._offer = offer

    @read("sessions.context", permission="sessions.read", typical_ms=20, faults=(NOT_FOUND, CONTEXT_TOO_LARGE))
    async def context(self, invocation: Invocation, input: LookAt) -> Seen:
        """Show what the model saw at a step of a session, part by part, with the reason and the tokens of each.

        With ``budget``, what it would have seen had the agent had this budget from the beginning: nothing is called,
        old steps are told in short by the summaries on record or by excerpts. The parts are those of the session's
        events; tools are those the agent is offered now, and those that whoever speaks to it had then.
        """
        address = Address(namespace_for(invocation.principal, input.namespace), input.session)
        then = await self._then(address, input.step)
        profile = Profile.from_json(then.state.profile)
        tools = (await self._offer(profile, invocation.principal, then.state.client_tools)).offered
        parts, own = parts_of(then.state, profile, tools), budget_of(profile)
        if input.budget is None:
            context = assemble(parts, own)
            if context.compact is not None:
                context = settled(parts, own)
            done: Sequence[Compaction] = [] if parts.compaction is None else [parts.compaction]
        else:
            other = Budget(input.budget, own.result_tokens, own.recall_tokens, own.compact_at)
            again = replay(replace(parts, compaction=None), other, then.compactions)
            context, done = again.context, again.compactions
        return _seen(input, then, context, done)

    async def _then(self, address: Address, step: int | None) -> _Then:
        """Fold up to the moment before the answer of ``step``. Raises ``NOT_FOUND``."""
        recorded = await self._events(address)
        if not recorded:
            raise no_session(address)
        asked = [one for one in recorded if one.event.type == events.TURN_STARTED]
        turns = [cast("int", one.event.data["turn"]) for one in asked]
        if not turns or (step is not None and step not in turns):
            last = turns[-1] if turns else 0
            raise NOT_FOUND(
                f"Session {address} has steps up to {last}, and no step {step or 1}.",
                pointer="/step",
                subject=str(address),
                facts={"steps": last},
            )
        place = turns.index(step) if step is not None else len(turns) - 1
        begun = asked[place].sequence
        end = asked[place + 1].sequence if place + 1 < len(asked) else recorded[-1].sequence + 1
        record, seen = None, []
        compactions: dict[int, Compaction] = {}
        for one in recorded:
            if one.sequence >= end or (one.sequence > begun and one.event.type == events.MODEL_COMPLETED):
                break
            seen.append(one)
            data = cast("JsonObject", one.event.data)
            if one.event.type == events.CONTEXT_ASSEMBLED and one.sequence > begun:
                record = cast("ContextAssembled", data)
            elif one.event.type == events.CONTEXT_COMPACTED:
                steps = cast("int", data["steps"])
                compactions[steps] = Compaction.read(steps, cast("JsonObject", data["compaction"]))
        return _Then(fold(State(address), seen), record, compactions)

    async def _events(self, address: Address) -> list[Recorded]:
        found: list[Recorded] = []
        after = START
        while page := await self._log.read(address.topic, after, PAGE):
            found += page
            after = page[-1].position
        return found


def _seen(input: LookAt, then: _Then, context: Context, done: Sequence[Compaction]) -> Seen:
    record = then.record
    changed = record is not None and record["tools"] != digest(context.tools)
    same = None
    if record is not None and input.budget is None:
        same = record["digest"] == digest(context.messages) and not changed
    return Seen(
        session=str(then.state.address),
        step=then.state.turn,
        budget=context.budget,
        tokens=context.tokens,
        parts=[Part.model_validate(part) for part in context.parts],
        shortened=[Shortened(steps=one.steps, method=one.method, kept=list(one.kept)) for one in done],
        cached=context.before,
        recorded=None if record is None else cast("JsonObject", {k: v for k, v in record.items() if k != "parts"}),
        same=same,
        tools_changed=changed,
        messages=list(context.messages) if input.messages else None,
        tools=list(context.tools) if input.messages else None,
    )
