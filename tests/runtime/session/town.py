"""A small town for sessions: a real store, a worker, and connectors that follow a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.runtime.session.plain import PlainDispatch

from pharos.core.event import Event, Recorded
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import (
    EffectClass,
    Errand,
    Known,
    ModelReply,
    ModelRequest,
    ModelText,
    Task,
    TaskEnd,
    Tool,
    ToolResult,
)
from pharos.runtime.profiles.kinds import AgentSpec
from pharos.runtime.profiles.profile import Profile, profile_of
from pharos.runtime.session import commands as c
from pharos.runtime.session.address import Address
from pharos.runtime.session.data.parts import Bounds, Rights
from pharos.runtime.session.decide import decide
from pharos.runtime.session.deciding.draft import Decided
from pharos.runtime.session.state import State
from pharos.runtime.worker.lanes import GROUP, timers
from pharos.runtime.worker.live import Live, read
from pharos.runtime.worker.ports import Prepared, Reach, Shortened
from pharos.runtime.worker.run import event_of
from pharos.runtime.worker.worker import Worker
from pharos.store.delivery import Fire
from pharos.store.ports import Append, Store
from pharos.store.sqlite.engine import open_store

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RIGHTS = Rights(kind="key", name="ci", namespace="default", permissions=["*"], chain=[])
ALL = Principal(PrincipalKind.KEY, "ci", permissions=frozenset({"*"}))


def profile(**spec: Any) -> Profile:
    """An agent's profile."""
    whole = {"model": "m", "key": "ci", "tools": ["*"], **spec}
    return profile_of("default/a", "default/ci", "m", "Be good.", ("default/helper",), "", AgentSpec(**whole), {})


PROFILE = profile()


def start(text: str = "do it", *, now: datetime = NOW, bounds: Bounds | None = None, **more: Any) -> c.Start:
    """The command that begins a session."""
    given: dict[str, Any] = {
        "agent": "default/a",
        "version": PROFILE.version,
        "profile": PROFILE.to_json(),
        "bounds": bounds if bounds is not None else {"seconds": 3600.0},
        "rights": RIGHTS,
        "account": "default/ci",
        "owner": "key/default/ci",
        "text": text,
        "data": {},
        **more,
    }
    return c.Start(now, **given)


def said(text: str = "", *calls: tuple[str, str, JsonObject]) -> JsonObject:
    """A model's message: text, and calls as (id, tool, arguments)."""
    message: JsonObject = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for id, name, arguments in calls
        ]
    return message


Answer = JsonObject | BaseException | Callable[[Errand, ModelRequest], Awaitable[JsonObject]]


class ScriptedModel:
    """Answers by a script: a function of how many answers stand in the request, so that a repeated call is answered
    the same."""

    def __init__(self, script: Callable[[int, ModelRequest], Answer], pieces: int = 0) -> None:
        self.script = script
        self.pieces = pieces
        self.calls: list[tuple[str, ModelRequest]] = []

    async def open(self, key: str) -> bool:
        """What it answered is known at once."""
        return False

    async def call(self, errand: Errand, request: ModelRequest) -> AsyncIterator[ModelText | ModelReply]:
        self.calls.append((errand.key, request))
        turn = sum(message["role"] == "assistant" for message in request.messages)
        answer = self.script(turn, request)
        if isinstance(answer, BaseException):
            raise answer
        message = answer if isinstance(answer, dict) else await answer(errand, request)
        text = str(message.get("content") or "")
        for index in range(self.pieces):
            size = -(-len(text) // self.pieces)
            if piece := text[index * size : (index + 1) * size]:
                yield ModelText(piece)
                await asyncio.sleep(0)
        yield ModelReply(message, "stop", {"input": 10, "output": 5}, "0.001", f"call-{errand.key}", "m")


def script(*answers: Answer) -> Callable[[int, ModelRequest], Answer]:
    """One answer after the other; the last one again and again."""
    return lambda turn, request: answers[min(turn, len(answers) - 1)]


ToolFunction = Callable[[Errand, JsonObject], Awaitable[ToolResult]]


@dataclass
class ScriptedTools:
    """Tools from functions."""

    functions: dict[str, ToolFunction] = field(default_factory=dict)
    found: dict[str, Tool] = field(default_factory=dict)
    lookups: dict[str, Callable[[Errand], Awaitable[tuple[Known, ToolResult | None]]]] = field(default_factory=dict)
    calls: list[tuple[str, str, JsonObject]] = field(default_factory=list)

    def add(self, name: str, function: ToolFunction, effect: EffectClass = EffectClass.IDEMPOTENT, **more: Any) -> None:
        self.functions[name] = function
        self.found[name] = Tool(name, name, {"type": "object"}, effect, **more)

    async def tools(self, principal: Principal) -> Sequence[Tool]:
        return list(self.found.values())

    async def call(self, errand: Errand, name: str, arguments: JsonObject) -> ToolResult:
        self.calls.append((errand.key, name, arguments))
        return await self.functions[name](errand, arguments)

    async def lookup(self, errand: Errand, name: str) -> tuple[Known, ToolResult | None]:
        return await self.lookups[name](errand)


class WholeHistory:
    """Shows a model everything."""

    async def prepare(
        self, state: State, profile: Profile, tools: Sequence[Tool], errand: Errand, id: str
    ) -> Prepared | Shortened:
        messages: list[JsonObject] = [{"role": "system", "content": profile.instructions}]
        for step in state.steps:
            for item in step.items:
                if item.kind == "result":
                    messages.append({"role": "tool", "tool_call_id": item.call, "content": item.text})
                else:
                    messages.append({"role": "user", "content": item.text})
            if step.reply is not None:
                messages.append(step.reply)
        return Prepared(ModelRequest(profile.model, messages, [{"name": tool.name} for tool in tools]))


class ScriptedAgents:
    """Takes tasks, and ends them when told to."""

    def __init__(self) -> None:
        self.given: dict[str, Task] = {}
        self.gives: list[str] = []
        self.cancelled: list[tuple[str, str]] = []
        self.ends: dict[str, TaskEnd] = {}
        self.heard = asyncio.Event()

    async def give(self, errand: Errand, task: Task) -> str:
        self.gives.append(errand.key)
        self.given[errand.key] = task
        self.heard.set()
        return f"task-{errand.key}"

    async def end(self, errand: Errand, id: str) -> TaskEnd | None:
        return self.ends.get(id)

    async def cancel(self, errand: Errand, id: str, reason: str) -> None:
        self.cancelled.append((id, reason))
        self.heard.set()


class ScriptedPeople:
    """Notes what people are asked."""

    def __init__(self) -> None:
        self.asked: dict[str, tuple[str, tuple[str, ...], str]] = {}
        self.withdrawn: list[str] = []

    async def ask(self, errand: Errand, question: str, choices: Sequence[str], who: str) -> str:
        self.asked[errand.key] = (question, tuple(choices), who)
        return errand.key

    async def withdraw(self, errand: Errand, id: str) -> None:
        self.withdrawn.append(id)


@dataclass
class Town:
    """A store, and what sessions in it can reach."""

    store: Store
    models: ScriptedModel
    tools: ScriptedTools = field(default_factory=ScriptedTools)
    agents: ScriptedAgents = field(default_factory=ScriptedAgents)
    people: ScriptedPeople = field(default_factory=ScriptedPeople)
    principals: Callable[[State], Principal | None] = lambda state: ALL
    made: int = 0

    def reach(self) -> Reach:
        return Reach(
            self.models, self.tools, WholeHistory(), lambda state: self.principals(state), self.agents, self.people
        )

    def worker(self, *, seconds: float = 30.0, **more: Any) -> tuple[PlainDispatch, Worker]:
        dispatch = PlainDispatch(self.store, GROUP, seconds)
        return dispatch, Worker(self.store, dispatch, self.reach(), **{"at_once": 16, "drain": 0.2, **more})

    @asynccontextmanager
    async def working(self, **more: Any) -> AsyncIterator[Worker]:
        """A worker, and someone who fires what is due."""
        dispatch, worker = self.worker(**more)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(dispatch.service())
            firing = asyncio.create_task(fire(self.store))
            try:
                await stack.enter_async_context(worker.service())
                yield worker
            finally:
                await stack.aclose()
                firing.cancel()
                await asyncio.gather(firing, return_exceptions=True)

    async def begin(self, command: c.Start | None = None, id: str = "") -> Address:
        """Start a session."""
        self.made += 1
        address = Address("default", id or f"s{self.made}")
        await self.tell(address, command or start(now=datetime.now(UTC)))
        return address

    async def tell(self, address: Address, *given: c.Command) -> Decided:
        """Give commands from outside; after a lost race, again."""
        while True:
            live = await read(self.store.log, address)
            decided = decide(live.state, *given)
            if not decided.facts:
                return decided
            expected: int | None = live.state.sequence
            appends = []
            for fact in decided.facts:
                appends.append(Append(event_of(address.topic, fact, "test", ""), expected))
                expected = None
            for notice in decided.notices:
                appends.append(Append(Event(notice.topic, notice.type, notice.data)))
            try:
                await self.store.commit(*appends, *timers(address, decided.wakes))
            except Exception as error:
                if getattr(error, "code", "") == "POSITION_CONFLICT":
                    continue
                raise
            return decided

    async def look(self, address: Address) -> State:
        """The session as its log has it."""
        return (await read(self.store.log, address)).state

    async def events(self, address: Address) -> list[Recorded]:
        """Everything that happened in a session."""
        return list(await self.store.log.read(address.topic, limit=100_000))

    async def types(self, address: Address) -> list[str]:
        return [recorded.event.type for recorded in await self.events(address)]

    async def until(self, address: Address, wanted: str | Callable[[State], bool], seconds: float = 20.0) -> State:
        """Wait until a session's status is ``wanted``, or it fulfils a condition, by following its log."""
        holds = (lambda state: state.status == wanted) if isinstance(wanted, str) else wanted
        live = Live(State(address))
        async with asyncio.timeout(seconds):
            while True:
                await live.catch_up(self.store.log)
                if holds(live.state):
                    return live.state
                async for recorded in self.store.log.tail(address.topic, live.position):
                    if recorded.sequence > live.state.sequence:
                        break


async def fire(store: Store) -> None:
    """Append what is due, when it is due."""
    while True:
        due, next = await store.deliveries.due()
        for scheduled in due:
            await store.commit(Fire(scheduled.id, scheduled.due))
        if due:
            continue
        changed = asyncio.create_task(store.deliveries.rescheduled())
        wait = None if next is None else max(0.0, (next - store.deliveries.now()).total_seconds())
        try:
            await asyncio.wait({changed}, timeout=wait)
        finally:
            changed.cancel()
            await asyncio.gather(changed, return_exceptions=True)


@asynccontextmanager
async def open_town(home: Path, models: ScriptedModel, *, full_sync: bool = False) -> AsyncIterator[Town]:
    """A town in a directory."""
    store = open_store(home, full_sync=full_sync)
    try:
        yield Town(store, models)
    finally:
        await store.close()


async def echo(errand: Errand, arguments: JsonObject) -> ToolResult:
    """Answers with what it was given."""
    return ToolResult(json.dumps(arguments, sort_keys=True))


def facts(name: str, **more: Any) -> c.ToolFacts:
    """What a decision knows of a tool."""
    return c.ToolFacts("tool", **more)


Numbers = Mapping[str, int]
