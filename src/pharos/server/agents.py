"""How agents are joined to the city: what they reach, who works on their sessions, and what lies beyond the wall."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.core.event import BlobRef
from pharos.core.operation import Effect
from pharos.core.plane import Plane
from pharos.core.principal import Principal
from pharos.core.resource import ResourceId
from pharos.mesh.connectors import MemoryConnector, ModelConnector, PersonConnector, SandboxConnector, ToolConnector
from pharos.mesh.runner import ProjectionRunner
from pharos.mesh.scheduling.plane import Scheduling
from pharos.runtime.code import CodeAgent, distinct, installed_code, load_code
from pharos.runtime.context.promises import PromiseTools
from pharos.runtime.context.results import ResultTools
from pharos.runtime.orchestration.agents import SessionAgents
from pharos.runtime.orchestration.plane import orchestration_plane
from pharos.runtime.orchestration.reviewers import WAY, ReviewerAgents
from pharos.runtime.orchestration.standing import Gate, Standings
from pharos.runtime.orchestration.stopping import is_halted
from pharos.runtime.plane import Reaching, principal_by, sessions_plane
from pharos.runtime.profiles.kinds import AGENT, AgentSpec
from pharos.runtime.profiles.plane import profiles_plane
from pharos.runtime.tools.companions import Companions
from pharos.runtime.tools.people import Everywhere
from pharos.runtime.tools.plugins import Installed, memory_plugins, person_plugins, sandbox_plugins, tool_plugins
from pharos.runtime.tools.toolbox import Toolbox
from pharos.runtime.worker.lanes import GROUP
from pharos.server.ground import Ground
from pharos.server.outside import outside
from pharos.server.tools import OperationTools
from pharos.trust.authenticator import principal_of
from pharos.trust.granting import may_grant
from pharos.trust.kinds import KEY


@dataclass(frozen=True, slots=True)
class Brought:
    """What comes to a city with its code: agents in Python, and plugins by their names."""

    code: Sequence[CodeAgent]
    tools: Mapping[str, ToolConnector]
    memories: Mapping[str, MemoryConnector]
    sandboxes: Mapping[str, SandboxConnector]
    people: Mapping[str, PersonConnector]


def brought(files: Sequence[Path], code: Sequence[CodeAgent], installed: Installed) -> Brought:
    """What the files that end in ``.py``, ``code`` and the packages that are ``installed`` bring.

    Raises ``AGENT_CODE_BROKEN`` and the faults of plugins: call it before there is a home, so that a wrong name leaves
    nothing behind.
    """
    return Brought(
        distinct([*_coded(files), *code, *installed_code(installed)]),
        tool_plugins(installed),
        memory_plugins(installed),
        sandbox_plugins(installed),
        person_plugins(installed),
    )


@dataclass(frozen=True, slots=True)
class Agents:
    """The part of the city in which agents live."""

    tools: ToolConnector
    """What they can do."""
    planes: tuple[Plane, ...]


def agents_of(
    ground: Ground,
    brought: Brought,
    models: ModelConnector,
    scheduling: Scheduling,
    runner: Callable[[], ProjectionRunner],
    authenticate: Callable[[str], Principal],
    reveal: Callable[[ResourceId], str],
    draining: asyncio.Event,
    keep: Callable[[str, bytes], Awaitable[BlobRef]],
) -> Agents:
    """Join them. ``models`` is how they reach models; the projections run by ``runner`` once the planes are known."""
    store, index, invoker, directory = ground.store, ground.index, ground.invoker, ground.directory
    tools = Toolbox(
        {
            "the city": OperationTools(lambda: directory.operations, invoker),
            "promises": PromiseTools(),
            "results": ResultTools(store),
            "memory and sandbox": Companions(partial(_agent, index), brought.memories, brought.sandboxes),
            **{f"the plugin {name}": connector for name, connector in brought.tools.items()},
            **{str(agent.id): agent.tools for agent in brought.code},
        }
    )
    account = partial(_account, index)
    gate = Gate(index, Standings(store.views, runner), partial(_reads, directory))
    here = SessionAgents(index, store, gate.admit)
    beyond = outside(ground, authenticate, runner, draining, reveal, here, keep)
    people = Everywhere({WAY: ReviewerAgents(index, store, account), **brought.people})
    reaching = Reaching(models, tools, beyond.agents, people, memory=brought.memories.get)
    planes = (
        profiles_plane(index, partial(may_grant, index), tools, account),
        sessions_plane(store, index, runner, account, reaching, scheduling.dispatcher(GROUP), admit=gate.begun),
        orchestration_plane(store, index, runner, principal_by(account, partial(is_halted, index))),
        *beyond.planes,
    )
    return Agents(tools, planes)


def _account(index: Index, name: str) -> Principal | None:
    """Who works on the account of a key, with what the key may do now."""
    namespace, _, short = name.rpartition("/")
    key = index.get(KEY, short, namespace)
    if key is None or (key.spec.expires_at is not None and key.spec.expires_at <= datetime.now(UTC)):
        return None
    return principal_of(key)


def _reads(directory: Directory) -> frozenset[str]:
    """The permissions of operations that change nothing."""
    operations = directory.operations.values()
    reads = {one.permission for one in operations if one.effect is Effect.READ and one.permission is not None}
    return frozenset(reads - {one.permission for one in operations if one.effect is not Effect.READ})


def _agent(index: Index, name: str, namespace: str) -> AgentSpec | None:
    agent = index.get(AGENT, name, namespace)
    return None if agent is None else agent.spec


def _coded(files: Sequence[Path]) -> Iterator[CodeAgent]:
    """The agents of the files in Python. Raises ``AGENT_CODE_BROKEN``."""
    for file in files:
        if file.suffix == ".py":
            yield from load_code(str(file))
