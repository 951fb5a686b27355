"""Agents that give work to each other, over a real store and the real worker; models follow a script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.runtime.session.plain import PlainDispatch
from tests.runtime.session.town import ScriptedModel, ScriptedTools, Town

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.core.operation import Put
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.resource import Kind, Metadata, Resource, S
from pharos.core.wire import JsonObject
from pharos.gateway.models.kinds import MODEL
from pharos.mesh.connectors import AgentConnector, Errand, ModelRequest
from pharos.runtime.context.contexts import Assembler
from pharos.runtime.orchestration.agents import SessionAgents
from pharos.runtime.orchestration.beginning import bounds_of, rights_of
from pharos.runtime.profiles.kinds import AGENT
from pharos.runtime.profiles.plane import profiles_plane
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.profiles.resolving import agent_named, resolve
from pharos.runtime.session.address import PREFIX, Address
from pharos.runtime.session.commands import Start
from pharos.runtime.session.state import State
from pharos.runtime.tools.functions import FunctionTools
from pharos.runtime.worker.lanes import GROUP
from pharos.runtime.worker.ports import Reach
from pharos.runtime.worker.worker import Worker
from pharos.store.delivery import Subscribe
from pharos.store.ports import Store
from pharos.store.sqlite.engine import open_store
from pharos.trust.kinds import KEY

CI = Principal(PrincipalKind.KEY, "ci", permissions=frozenset({"*"}))

Play = Callable[[str, int, ModelRequest], JsonObject]
"""What an agent answers: its instructions, how often it has answered, and what it was asked."""


@dataclass
class Village:
    """A store with agents declared, and workers for their sessions."""

    store: Store
    index: Index
    play: Play
    tools: ScriptedTools = field(default_factory=ScriptedTools)
    principals: Callable[[State], Principal | None] = lambda state: _held(state)
    agents: AgentConnector | None = None

    def __post_init__(self) -> None:
        self.models = ScriptedModel(self._answer)
        self.agents = self.agents or SessionAgents(self.index, self.store)
        self.town = Town(self.store, self.models, self.tools)

    def _answer(self, turn: int, request: ModelRequest) -> JsonObject:
        return self.play(str(request.messages[0]["content"]), turn, request)

    def profile(self, agent: str) -> Profile:
        return resolve(self.index, agent_named(self.index, agent))

    async def begin(self, agent: str, text: str = "go", id: str = "root", **more: object) -> Address:
        profile = self.profile(agent)
        start = Start(
            now=datetime.now(UTC), agent=profile.agent, version=profile.version, profile=profile.to_json(),
            bounds=bounds_of(profile), rights=rights_of(CI), account=profile.account, owner=CI.id, text=text, data={},
            **more,  # type: ignore[arg-type]
        )  # fmt: skip
        return await self.town.begin(start, id)

    @asynccontextmanager
    async def working(self, *, seconds: float = 30.0, **more: object) -> AsyncIterator[Worker]:
        """A worker, until the block is left."""
        dispatch = PlainDispatch(self.store, GROUP, seconds)
        reach = Reach(self.models, self.tools, Assembler(self.models), self.principals, self.agents)
        worker = Worker(self.store, dispatch, reach, **{"at_once": 16, "drain": 0.2, **more})  # type: ignore[arg-type]
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(dispatch.service())
            await stack.enter_async_context(worker.service())
            yield worker

    async def sessions(self) -> list[Address]:
        topics, _ = await self.store.log.topics("sessions/")
        return [Address.of_topic(topic.name) for topic in topics]


def _held(state: State) -> Principal | None:
    rights = state.rights
    assert rights is not None
    return Principal(PrincipalKind(rights["kind"]), rights["name"], permissions=frozenset(rights["permissions"]))


def errand(key: str, permissions: frozenset[str] = frozenset({"*"})) -> Errand:
    """An errand of the session in front of the last part of ``key``."""
    principal = Principal(PrincipalKind.AGENT, "boss", permissions=permissions)
    return Errand(key, key.rpartition("/")[0], principal, "default/ci")


@asynccontextmanager
async def open_village(home: Path, play: Play, agents: Mapping[str, JsonObject]) -> AsyncIterator[Village]:
    """A village of ``agents``, each with what its declaration says beyond the necessary."""
    store = open_store(home)
    try:
        directory = Directory()
        index = Index(directory.kinds)
        directory.add(profiles_plane(index, lambda *_: None, FunctionTools(), lambda _: None))
        directory.kinds.add(KEY)
        directory.kinds.add(MODEL)
        if not (await store.catalog.list())[0]:
            await _declare(store, MODEL, "m", {"targets": [{"provider": "p", "model": "m"}]})
            await _declare(store, KEY, "ci", {"models": ["*"], "scopes": ["*"]})
            for name, spec in agents.items():
                whole: JsonObject = {"model": "m", "key": "ci", "instructions": f"You are {name}.", **spec}
                await _declare(store, AGENT, name, whole)
        await index.load(store)
        await store.commit(Subscribe(GROUP, PREFIX, backlog=True))
        yield Village(store, index, play)
    finally:
        await store.close()


async def _declare(store: Store, kind: Kind[S], name: str, spec: JsonObject) -> None:
    resource = Resource[kind.spec](  # type: ignore[name-defined]
        kind=kind.name, metadata=Metadata(name=name), spec=kind.spec.model_validate(spec)
    )
    await store.commit(Put(resource, 0))
