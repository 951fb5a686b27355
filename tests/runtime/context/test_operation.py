"""``sessions.context`` over the log of a session that the decider has made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from tests.runtime.context.histories import SEARCH, said

from pharos.core.event import Event
from pharos.core.fault import Fault
from pharos.core.operation import Invocation
from pharos.core.principal import SYSTEM, Principal, PrincipalKind
from pharos.core.wire import JsonObject
from pharos.runtime.context.assembly import assemble
from pharos.runtime.context.operations import ContextOperations, LookAt
from pharos.runtime.context.parts import Compaction
from pharos.runtime.context.reading import budget_of, obligations_of, parts_of
from pharos.runtime.profiles.kinds import AgentSpec
from pharos.runtime.profiles.profile import Profile, profile_of
from pharos.runtime.session.address import Address
from pharos.runtime.session.commands import (
    Advance,
    Command,
    Compact,
    Given,
    ModelAnswered,
    Proposed,
    Send,
    Start,
    ToolFacts,
)
from pharos.runtime.session.data.parts import ClientTool
from pharos.runtime.session.data.thinking import ContextAssembled
from pharos.runtime.session.decide import decide
from pharos.runtime.session.state import State
from pharos.runtime.tools.offering import Offer
from pharos.store.ports import Append, Store
from pharos.store.sqlite.engine import open_store

OURS = replace(SYSTEM, namespace="default")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ADDRESS = Address("default", "s1")


def profile(tokens: int) -> Profile:
    spec = AgentSpec.model_validate({"model": "m", "key": "k", "tools": [SEARCH.name], "context": {"tokens": tokens}})
    return profile_of("default/a", "default/k", "m", "You help.", (), "", spec, {})


class Session:
    """A session whose worker is the test: the same decider, assembler and log."""

    def __init__(self, store: Store, of: Profile) -> None:
        self.store, self.profile, self.state = store, of, State(ADDRESS)

    async def do(self, command: Command) -> None:
        decided = decide(self.state, command)
        for fact in decided.facts:
            event = Event(ADDRESS.topic, fact.type, fact.data, time=fact.time)
            await self.store.commit(Append(event, expected_sequence=fact.sequence - 1))
        self.state = decided.state

    async def start(self, text: str) -> None:
        rights = {"kind": "key", "name": "k", "namespace": "default", "permissions": ["*"], "chain": []}
        start = Start(
            now=NOW,
            agent="default/a",
            version=self.profile.version,
            profile=self.profile.to_json(),
            bounds={},
            rights=rights,  # type: ignore[arg-type]
            account="default/k",
            owner="key/default/k",
            text=text,
            data={},
            interactive=True,
        )
        await self.do(start)
        await self.do(Advance(NOW))

    async def answer(self, message: JsonObject, *proposed: Proposed) -> None:
        context = assemble(parts_of(self.state, self.profile, [SEARCH]), budget_of(self.profile))
        while context.compact is not None:
            done = context.compact.fallback()
            await self.do(Compact(NOW, done.steps, done.data()))
            context = assemble(parts_of(self.state, self.profile, [SEARCH]), budget_of(self.profile))
        assert self.state.model is not None
        id = self.state.model.id
        usage: JsonObject = {"input": 1, "output": 1}
        record: ContextAssembled = context.record(id)
        await self.do(ModelAnswered(NOW, id, message, "stop", usage, 0, "c", "m", proposed, record))

    async def send(self, text: str) -> None:
        await self.do(Send(NOW, text, {}, "key/default/k"))
        await self.do(Advance(NOW))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    await opened.close()


async def _offer(profile: Profile, principal: Principal, client_tools: tuple[ClientTool, ...] = ()) -> Offer:
    return Offer(profile, [SEARCH], State(Address("default", "nowhere"), client_tools=client_tools), agents=False)


async def test_every_step_is_shown_byte_for_byte_as_it_was_sent(store: Store) -> None:
    session = Session(store, profile(2_000))
    await session.start("begin")
    for number in range(30):
        await session.answer(said(f"answer {number} " + "word " * 60))
        await session.send(f"request {number}")
    assert session.state.compacted > 0
    operations = ContextOperations(store.log, _offer)
    for step in (1, 2, 12, 29, 30):
        seen = await operations.context(Invocation(OURS), LookAt(session="s1", step=step))
        assert (seen.step, seen.same, seen.tools_changed) == (step, True, False)
        assert seen.tokens <= 2_000 and seen.parts
    now = await operations.context(Invocation(OURS), LookAt(session="s1", messages=True))
    assert now.step == 31 and now.same is None and now.recorded is None
    assert now.messages is not None and now.messages[-1] == {"role": "user", "content": "request 29"}
    assert [one.steps for one in now.shortened] == [session.state.compacted]


async def test_another_budget_shows_more_or_less(store: Store) -> None:
    session = Session(store, profile(2_000))
    await session.start("begin")
    for number in range(30):
        await session.answer(said(f"answer {number} " + "word " * 60))
        await session.send(f"request {number}")
    operations = ContextOperations(store.log, _offer)
    more = await operations.context(Invocation(OURS), LookAt(session="s1", budget=50_000))
    assert not more.shortened and more.tokens > 2_000 and more.same is None
    less = await operations.context(Invocation(OURS), LookAt(session="s1", budget=1_000))
    assert less.shortened and less.tokens <= 1_000


async def test_a_step_or_session_that_was_never_is_not_found(store: Store) -> None:
    session = Session(store, profile(2_000))
    await session.start("begin")
    operations = ContextOperations(store.log, _offer)
    with pytest.raises(Fault, match="steps up to 1, and no step 2"):
        await operations.context(Invocation(OURS), LookAt(session="s1", step=2))
    stranger = Principal(PrincipalKind.USER, "eve", namespace="elsewhere", permissions=frozenset({"sessions.read"}))
    with pytest.raises(Fault, match="FORBIDDEN"):
        await operations.context(Invocation(stranger), LookAt(session="s1", namespace="default"))
    with pytest.raises(Fault, match="no session"):
        await operations.context(Invocation(stranger), LookAt(session="s1"))
    with pytest.raises(Fault, match="no session"):
        await operations.context(Invocation(OURS), LookAt(session="other"))


async def test_what_is_open_in_a_session_is_read_from_its_state(store: Store) -> None:
    session = Session(store, profile(20_000))
    await session.start("begin")
    calls = [("c1", "pay", {"a": 1}), ("c2", "ask", {"question": "Which one?"}), ("c3", "delegate", {"text": "look"})]
    facts = [
        ToolFacts("tool", "unsafe", approval=True),
        ToolFacts("person"),
        ToolFacts("agent", tasks=(Given("default/helper", "look", {}),)),
    ]
    proposed = [
        Proposed(id, name, cast("JsonObject", arguments), f"d{id}", tool)
        for (id, name, arguments), tool in zip(calls, facts, strict=True)
    ]
    await session.answer(said("", *calls), *proposed)  # type: ignore[arg-type]
    open = {one.kind: one for one in obligations_of(session.state)}
    assert set(open) == {"approval", "question", "child"}
    assert open["child"].text == "default/helper works on: look" and open["child"].call == "c3"
    assert open["approval"].text.startswith("pay waits")


def test_a_compaction_survives_its_event() -> None:
    made = Compaction(3, {"role": "user", "content": "x"}, (1, 5), "model")
    assert Compaction.read(3, made.data()) == made
