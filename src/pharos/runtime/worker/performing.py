"""Effects: what is done outside, and what is said of how it went. Nothing here decides; every way a connector can
behave becomes a command to the decider."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from operator import is_
from typing import Final, cast

from pharos.core.event import Event
from pharos.core.fault import Fault, Retry
from pharos.core.fault import State as Aftermath
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import Errand, ModelReply, ModelText, Share, Task, Tool, ToolResult
from pharos.mesh.money import decimal_text, nanos_of
from pharos.runtime.context.excerpts import by_reference
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.schemas import misfits
from pharos.runtime.session.address import effect_key
from pharos.runtime.session.commands import (
    ChildDone,
    ChildRefused,
    ChildTaken,
    Command,
    Compact,
    ModelAnswered,
    ModelFailed,
    Offered,
    Reckoned,
    ToolFailed,
    ToolLookedUp,
    ToolReturned,
)
from pharos.runtime.session.data.parts import BlobRef, ClientTool
from pharos.runtime.session.deciding.guards import end_of
from pharos.runtime.session.deciding.reckoning import counted_for
from pharos.runtime.session.state import Effect, State
from pharos.runtime.tools.offering import Offer
from pharos.runtime.worker.charges import BEGINNING, Place, charges
from pharos.runtime.worker.ports import Reach, Shortened
from pharos.runtime.worker.streams import Stream
from pharos.store.ports import Store

_log = logging.getLogger(__name__)

LONGEST_RESULT: Final = 64 * 1024
"""Bytes of a tool's answer that an event holds; of a longer one it holds the beginning, and where the whole is."""

SHORT: Final = 4 * 1024
"""Characters of a tool's answer that is judged at once."""

MOST_STEPS: Final = 5_000_000
"""Taken to judge a tool's answer: its schema comes with installed code, and a list of a thousand is no attack."""

ModelSaid = ModelAnswered | ModelFailed | Compact | Offered
"""What asking a model may come to."""

_MAY_HELP = frozenset({Retry.SAME_REQUEST, Retry.AFTER_TIME})
_NOTHING_HAPPENED = frozenset({Aftermath.UNCHANGED, Aftermath.ROLLED_BACK})


def now() -> datetime:
    """The time that commands carry."""
    return datetime.now(UTC)


def offered(offer: Offer, *, asking: bool) -> Offered:
    """What is offered now, for the session to know; ``asking``: before the model is asked."""
    missing = tuple((one.name, one.nearest or "") for one in offer.missing)
    return Offered(now(), offer.versions, missing, asking)


class Performer:
    """Performs the effects of one session at a time, on behalf of whom it acts for."""

    def __init__(self, store: Store, reach: Reach, profiles: dict[str, Profile], seen: Place = BEGINNING) -> None:
        """``profiles``: those that were read already, by version. ``seen``: how far the session was read when it was
        taken up."""
        self._store = store
        self._reach = reach
        self._profiles = profiles
        self._seen = seen
        self._found: dict[str, Tool] | None = None
        self._offered: tuple[tuple[str, tuple[ClientTool, ...]], Sequence[Tool], Offer] | None = None

    def errand(self, state: State, id: str, *, ending: bool = False) -> Errand:
        """On whose account, and under which key. Raises ``PermissionError`` where nobody is there to act for, unless it
        is to end something (``ending``)."""
        principal = self._reach.principal(state)
        if principal is None and not ending:
            raise PermissionError
        if principal is None:
            # Ending what one has begun takes no right.
            namespace, _, name = state.agent.rpartition("/")
            principal = Principal(PrincipalKind.AGENT, name, namespace)
        budgets = [Share(session, limit) for session, limit in state.above]
        if state.limits.cost is not None:
            budgets.append(Share(str(state.address), decimal_text(state.limits.cost)))
        return Errand(
            key=effect_key(state.address, id),
            session=str(state.address),
            principal=principal,
            account=state.account,
            tree=state.tree,
            deadline=end_of(state, now()),
            correlation=state.tree,
            budgets=tuple(budgets),
        )

    def profile(self, state: State) -> Profile:
        """The pinned profile. Raises ``ValueError`` for one that is not what its version says."""
        profile = self._profiles.get(state.version)
        if profile is None:
            profile = Profile.from_json(state.profile)
            if len(self._profiles) >= 1024:
                self._profiles.clear()
            self._profiles[state.version] = profile
        return profile

    def _offer(self, state: State, profile: Profile, found: Sequence[Tool]) -> Offer:
        """What is offered. From step to step the tools are mostly the very same objects: then it is the same offer."""
        known, of = self._offered, (state.version, state.client_tools)
        same = known is not None and known[0] == of and len(known[1]) == len(found)
        if known is not None and same and all(map(is_, known[1], found)):
            return known[2]
        offer = Offer(profile, found, state, agents=self._reach.agents is not None)
        self._offered = (of, found, offer)
        self._found = {tool.name: tool for tool in found}
        return offer

    async def think(
        self, state: State, id: str, stream: Stream, *, fresh: bool
    ) -> tuple[Sequence[Command], tuple[Event, ...]]:
        """Ask the model. ``fresh``: nobody has before, for this answer. The second value is what its stream still has
        to write."""
        said, rest = await self._ask(state, id, stream)
        commands: list[Command] = [said]
        if isinstance(said, ModelAnswered) and self._offered is not None and self._offered[2].versions != state.tools:
            commands.insert(0, offered(self._offered[2], asking=False))
        whole = isinstance(said, Offered) or (isinstance(said, ModelAnswered | Compact) and said.call)
        if not (fresh and whole):
            commands = [*await self.charges(state, id, said), *commands]
        return commands, rest

    async def charges(self, state: State, id: str, said: Command) -> Sequence[Command]:
        """What calls for an answer have cost beside the one that ``said`` tells of."""
        try:
            return await self.reckon(state, id, (said.call,) if isinstance(said, ModelAnswered | Compact) else ())
        except Fault as fault:
            _log.warning("what calls for %s of %s have cost cannot be read: %s", id, state.address, fault)
            return (Reckoned(now(), id, open=True),)

    async def reckon(self, state: State, id: str, known: Sequence[str] = ()) -> Sequence[Command]:
        """What calls for an answer have cost, as far as nobody has counted it, and whether that is all. ``known``:
        calls that the caller counts. Raises faults of the store."""
        counted = counted_for(state, id)
        if counted is None:
            return ()
        # Asked before the log is read: what is settled between the two is in the log by then.
        open = await self._reach.models.open(effect_key(state.address, id))
        found = await charges(self._store.log, state, id, now(), (*known, *counted), self._seen)
        return (*found, Reckoned(now(), id, open))

    async def _ask(self, state: State, id: str, stream: Stream) -> tuple[ModelSaid, tuple[Event, ...]]:
        try:
            errand = self.errand(state, id)
            profile = self.profile(state)
            found = await self._reach.tools.tools(errand.principal)
            offer = self._offer(state, profile, found)
            if state.tools and offer.versions != state.tools:
                # The model is told before it is asked: what it knows of its tools is not so any more.
                return offered(offer, asking=True), ()
            prepared = await self._reach.contexts.prepare(state, profile, offer.offered, errand, id)
            if isinstance(prepared, Shortened):
                return Compact(now(), *prepared), ()
            reply: ModelReply | None = None
            async with aclosing(self._reach.models.call(errand, prepared.request)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, ModelText):
                        await stream.add(piece.text)
                    else:
                        reply = piece
        except Fault as fault:
            return self._no_answer(id, fault), ()
        except PermissionError:
            return ModelFailed(now(), id, "PRINCIPAL_GONE", "Whoever it acts for is not there any more.", False), ()
        except Exception as error:  # noqa: BLE001 - the boundary: a defect of a connector ends the effect, not the worker
            _log.exception("a model call of %s failed by a defect", state.address)
            return ModelFailed(now(), id, "INTERNAL", type(error).__name__, False), ()
        if reply is None:
            return ModelFailed(now(), id, "INCOMPLETE", "The model said nothing.", True), ()
        cost = None if reply.cost is None else nanos_of(reply.cost)
        answer = ModelAnswered(
            now(), id, reply.message, reply.finish, cast("JsonObject", reply.usage), cost, reply.call, reply.model,
            offer.propose(reply.message, state), prepared.context,
        )  # fmt: skip
        return answer, await stream.rest()

    def _no_answer(self, id: str, fault: Fault) -> ModelFailed:
        advice = fault.document.retry
        return ModelFailed(now(), id, fault.code, fault.detail, advice.retry in _MAY_HELP, advice.after_seconds)

    async def act(self, state: State, effect: Effect) -> Command:
        """Call a tool."""
        id = effect.id
        try:
            errand = self.errand(state, id)
            if (changed := await self._changed(effect, errand.principal)) is not None:
                return changed
            result = await self._reach.tools.call(errand, effect.name, effect.arguments)
            content, blob = await self._kept(result)
        except Fault as fault:
            document = fault.document
            happened = document.state not in _NOTHING_HAPPENED
            retryable = document.retry.retry in _MAY_HELP
            return ToolFailed(now(), id, fault.code, fault.detail, retryable, document.retry.after_seconds, happened)
        except PermissionError:
            return ToolFailed(now(), id, "PRINCIPAL_GONE", "Whoever it acts for is gone.", False, None, False)
        except Exception as error:  # noqa: BLE001 - the boundary: see above
            _log.exception("the tool %s failed by a defect", effect.name)
            return ToolFailed(now(), id, "TOOL_FAILED", type(error).__name__, False)
        if (wrong := await self._misfit(effect, result)) is not None:
            return ToolReturned(now(), id, wrong, failed=True)
        return ToolReturned(now(), id, content, result.failed, result.structured if blob is None else None, blob)

    async def look_up(self, state: State, effect: Effect) -> Command:
        """Ask whether a call happened."""
        id = effect.id
        try:
            known, result = await self._reach.tools.lookup(self.errand(state, id), effect.name)
            if known != "done" or result is None:
                return ToolLookedUp(now(), id, "unknown" if known == "done" else known)
            content, blob = await self._kept(result)
        except (Fault, PermissionError) as error:
            _log.warning("the look-up of %s failed: %s", effect.name, error)
            return ToolLookedUp(now(), id, "unknown")
        except Exception:  # noqa: BLE001 - the boundary: see above
            _log.exception("the look-up of %s failed by a defect", effect.name)
            return ToolLookedUp(now(), id, "unknown")
        structured = result.structured if blob is None else None
        return ToolLookedUp(now(), id, "done", content, result.failed, structured, blob)

    async def _changed(self, effect: Effect, principal: Principal) -> ToolFailed | None:
        """Why the tool is not the one that was asked for: it is gone, or means something else now."""
        if self._found is None:
            self._found = {tool.name: tool for tool in await self._reach.tools.tools(principal)}
        tool = self._found.get(effect.name)
        if tool is None:
            return ToolFailed(
                now(), effect.id, "TOOL_GONE", f"The tool {effect.name!r} is not there any more.", False, None, False
            )
        if tool.version != effect.version:
            words = f"The tool {effect.name!r} was changed after the call was asked for. It was not made: look again."
            return ToolFailed(now(), effect.id, "TOOL_CHANGED", words, False, None, False)
        return None

    async def _misfit(self, effect: Effect, result: ToolResult) -> str | None:
        """Why an answer is not what the tool promises."""
        tool = None if self._found is None else self._found.get(effect.name)
        schema = None if tool is None else tool.output_schema
        if schema is None or result.failed:
            return None
        if result.structured is None:
            return "TOOL_RESULT_INVALID: the tool promises an object and answered without one."
        judge = partial(misfits, schema, result.structured, MOST_STEPS)
        # A long one takes long: others go on meanwhile.
        wrong = judge() if len(result.content) <= SHORT else await asyncio.to_thread(judge)
        return f"TOOL_RESULT_INVALID: the tool's answer is not what it promises: {'; '.join(wrong)}" if wrong else None

    async def _kept(self, result: ToolResult) -> tuple[str, BlobRef | None]:
        """The content for the event, and where the whole is if it is long. Stored before it is spoken of."""
        if len(result.content) * 4 <= LONGEST_RESULT:
            return result.content, None
        whole = result.content.encode(errors="replace")
        if len(whole) <= LONGEST_RESULT:
            return result.content, None
        digest = await self._store.blobs.put(whole)
        shown = by_reference(whole.decode(), LONGEST_RESULT // 4, digest)
        return shown, BlobRef(digest=digest, size=len(whole), mediaType="text/plain; charset=utf-8")

    async def give(self, state: State, id: str) -> Command:
        """Give a child its task."""
        child = state.children[id]
        if self._reach.agents is None:
            return ChildRefused(now(), id, "NOT_FOUND", "No other agents can be reached.")
        budget = None if child.reserved is None else decimal_text(child.reserved)
        task = Task(child.agent, child.text, child.data, frozenset(child.permissions), budget, child.depth, child.path)
        try:
            errand = self.errand(state, id)
            ends = [at for at in (errand.deadline, child.deadline) if at is not None]
            errand = replace(errand, deadline=min(ends, default=None))
            return ChildTaken(now(), id, await self._reach.agents.give(errand, task))
        except Fault as fault:
            return ChildRefused(now(), id, fault.code, fault.detail)
        except PermissionError:
            return ChildRefused(now(), id, "PRINCIPAL_GONE", "Whoever it acts for is gone.")
        except Exception as error:  # noqa: BLE001 - the boundary: see above
            _log.exception("giving a task to %s failed by a defect", child.agent)
            return ChildRefused(now(), id, "INTERNAL", type(error).__name__)

    async def ask_after(self, state: State, id: str) -> Command | None:
        """How a child is."""
        if self._reach.agents is None:
            return None
        end = await self._reach.agents.end(self.errand(state, id, ending=True), state.children[id].task)
        return None if end is None else ChildDone(now(), id, end)

    async def end_child(self, state: State, id: str, task: str, reason: str) -> None:
        """Ask a child to end."""
        if self._reach.agents is not None and task:
            await self._reach.agents.cancel(self.errand(state, id, ending=True), task, reason)

    async def put(self, state: State, id: str) -> None:
        """Put before a person what waits for one."""
        people = self._reach.people
        if people is None:
            return
        errand = self.errand(state, id)
        if (question := state.questions.get(id)) is not None:
            await people.ask(errand, question.question, question.choices, question.who)
        elif (approval := state.approvals.get(id)) is not None:
            words = f"May {state.agent} call {approval.name}? ({approval.digest[:12]})"
            await people.ask(errand, words, ("approve", "deny"), approval.who)
        elif (effect := state.effects.get(id)) is not None:
            words = f"Did the call of {effect.name} by {state.agent} happen? Nobody knows."
            await people.ask(errand, words, ("done", "not done", "abandoned"), "")

    async def withdraw(self, state: State, id: str) -> None:
        """The answer is not needed any more."""
        if self._reach.people is not None:
            await self._reach.people.withdraw(self.errand(state, id, ending=True), id)
