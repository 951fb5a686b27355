"""What the operations on sessions share: reading one, deciding, and saying who may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from pharos.core.event import Event
from pharos.core.fault import FORBIDDEN
from pharos.core.operation import Decision, Invocation, Written
from pharos.core.principal import Actor, Principal
from pharos.core.wire import Json, JsonObject
from pharos.mesh.topics.access import CROSS, lacking_namespace, namespace_for
from pharos.runtime.operations.items import Which
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session.address import Address
from pharos.runtime.session.commands import Command
from pharos.runtime.session.deciding.draft import Decided
from pharos.runtime.session.faults import no_session
from pharos.runtime.session.state import State
from pharos.runtime.worker.checkpoints import Checkpoints
from pharos.runtime.worker.deciding import decided
from pharos.runtime.worker.lanes import timers
from pharos.runtime.worker.live import Live, read
from pharos.runtime.worker.run import event_of
from pharos.store.ports import Store

START = "sessions.start"
READ = "sessions.read"
SEND = "sessions.send"
APPROVE = "sessions.approve"
CONTROL = "sessions.control"

W = TypeVar("W", bound=Written)


class Profiles(Protocol):
    """Where sessions get their agents from."""

    def resolve(self, agent: str, namespace: str, values: Mapping[str, Json]) -> Profile:
        """The profile of an agent as it is declared now. Raises ``NOT_FOUND``, ``FORBIDDEN`` for one that is private in
        another namespace, ``AGENT_INCOMPLETE`` …"""

    def require(self, agent: str, namespace: str) -> None:
        """Raise what resolving raises where an agent may not work in a namespace now."""


AccountOf = Callable[[str], Principal | None]
"""Who works on the account ``namespace/name``, with the rights they have now; ``None``: there is no such account."""


Admit = Callable[[Profile], Awaitable[Profile]]


class Desk:
    """Reads sessions, and decides about them."""

    def __init__(self, store: Store, profiles: Profiles, account: AccountOf, admit: Admit | None = None) -> None:
        """``admit`` looks at every profile before a session gets it: it may be made stricter, or refused."""
        self.store = store
        self.profiles = profiles
        self.account = account
        self._admit = admit
        self._checkpoint = Checkpoints(store).read

    async def profile(self, agent: str, namespace: str, values: Mapping[str, Json]) -> Profile:
        """The profile that a session of an agent begins with now. Raises what resolving and admitting it raise."""
        return await self.admitted(self.profiles.resolve(agent, namespace, values))

    async def admitted(self, profile: Profile) -> Profile:
        """A profile as it may be used now. Raises what admitting it raises."""
        return profile if self._admit is None else await self._admit(profile)

    def address(self, principal: Principal, which: Which) -> Address:
        """The session that is meant. Raises ``FORBIDDEN`` for another namespace than one may look into."""
        return Address(namespace_for(principal, which.namespace), which.session)

    async def live(self, address: Address) -> Live:
        """A session as it is now. Raises ``NOT_FOUND``."""
        live = await read(self.store.log, address, self._checkpoint)
        if not live.state.sequence:
            raise no_session(address)
        return live

    async def decide(
        self, invocation: Invocation, address: Address, output: Callable[[State], W], *commands: Command
    ) -> Decision[W]:
        """The decision that brings about what commands from outside come to."""
        live = await self.live(address)
        return decision(invocation, await decided(live.state, *commands), live.state.sequence, output)


def decision(invocation: Invocation, made: Decided, sequence: int, output: Callable[[State], W]) -> Decision[W]:
    """Facts that were decided on the state at ``sequence``, as a write's decision."""
    state = made.state
    by, topic = invocation.principal.id, state.address.topic
    events = [event_of(topic, fact, by, state.tree, invocation.correlation) for fact in made.facts]
    events += [
        Event(notice.topic, notice.type, notice.data, principal=by, correlation=state.tree) for notice in made.notices
    ]
    return Decision(
        output(state),
        events=tuple(events),
        expects={topic: sequence} if made.facts else {},
        commands=tuple(timers(state.address, made.wakes)),
    )


def begun_for(principal: Principal, account: Principal) -> Principal:
    """Whom a session acts for that ``principal`` begins: the account it works on, on behalf of who asks."""
    return replace(account, chain=(Actor(principal.kind, principal.name), *principal.chain))


def require_agent(principal: Principal, agent: str) -> None:
    """Raise ``FORBIDDEN`` where an agent is of another namespace than one may give work in."""
    if _crosses(principal, agent):
        raise FORBIDDEN(
            f"The agent {agent} works on an account of its own namespace, and you are of {principal.namespace!r}: "
            f"giving it work needs the permission {CROSS}.",
            subject=agent,
            pointer="/agent",
            required_permission=CROSS,
        )


def lacking_agent(owner: object, principal: Principal, arguments: JsonObject) -> str | None:
    """What a caller lacks for a call that names an agent, and perhaps a namespace."""
    lacking = lacking_namespace(owner, principal, arguments)
    return CROSS if lacking is None and _crosses(principal, str(arguments.get("agent") or "")) else lacking


def _crosses(principal: Principal, agent: str) -> bool:
    home, slash, _ = agent.partition("/")
    return bool(slash) and home != principal.namespace and not principal.may(CROSS)
