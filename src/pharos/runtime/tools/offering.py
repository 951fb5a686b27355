"""What a model is offered: the tools of the session's connector that its profile allows, the runtime's own, and those
that whoever speaks to the session carries out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, cast

import orjson

from pharos.control.expressions import Variables
from pharos.core.principal import Principal
from pharos.core.wire import Json, JsonObject, is_deep
from pharos.mesh.connectors import EffectClass, Tool, ToolConnector
from pharos.mesh.money import NANOS
from pharos.runtime.context.excerpts import READER
from pharos.runtime.orchestration.delegation import DELEGATE, delegate_tool, facts_of
from pharos.runtime.profiles.profile import Profile, acting
from pharos.runtime.session.address import Address
from pharos.runtime.session.commands import Proposed, ToolFacts
from pharos.runtime.session.data.parts import ClientTool
from pharos.runtime.session.state import State
from pharos.runtime.tools.definitions import versioned
from pharos.runtime.tools.matching import Unmatched, unmatched

ASK: Final = "ask_person"
WAIT: Final = "wait"

_ASK = Tool(
    ASK,
    "Ask a person and wait for the answer.",
    {
        "type": "object",
        "properties": {
            "question": {"type": "string"},
            "choices": {"type": "array", "items": {"type": "string"}, "description": "Answers to choose from."},
            "who": {"type": "string", "description": "Whom to ask; left out: whoever the work is for."},
        },
        "required": ["question"],
    },
    EffectClass.PURE,
)
_WAIT = Tool(
    WAIT,
    "Wait, for some seconds or until a time.",
    {
        "type": "object",
        "properties": {
            "seconds": {"type": "number", "minimum": 0},
            "until": {"type": "string", "format": "date-time"},
        },
    },
    EffectClass.PURE,
)
OWN: Final = (_ASK, _WAIT)
"""Tools that no connector has: what they do is decided."""

DIGITS: Final = 16
"""Of a definition's digest, to know it again by."""


class Offer:
    """The tools that a model is offered in a step, and what is decided about its calls of them."""

    __slots__ = ("_delegates", "_facts", "_found", "_offers", "_profile", "offered", "versions")

    def __init__(self, profile: Profile, found: Sequence[Tool], state: State, *, agents: bool) -> None:
        """``found``: those of the session's connector. ``agents``: work can be given to others at all."""
        own: list[Tool] = []
        facts: dict[str, ToolFacts] = {}
        delegates: Sequence[str] = ()
        for tool in OWN:
            if profile.allows(tool.name):
                own.append(tool)
                facts[tool.name] = ToolFacts("person" if tool is _ASK else "timer", "pure")
        if agents and profile.delegates and state.depth < state.limits.depth:
            own.append(delegate_tool(profile.delegates))
            facts[DELEGATE] = ToolFacts("agent", "idempotent")
            delegates = profile.delegates
        for tool in found:
            # Whoever gets results can read on in them.
            allowed = profile.allows(tool.name) or (tool.name == READER and bool(profile.spec.tools))
            if tool.name not in facts and allowed:
                facts[tool.name] = ToolFacts("tool", tool.effect.value, version=tool.version)
                own.append(tool)
        for lent in state.client_tools:
            # The agent's own come first: nobody gets a call of theirs by giving a tool the name of one.
            if lent["name"] not in facts:
                tool = versioned(Tool(lent["name"], lent["description"], lent["parameters"]))
                facts[tool.name] = ToolFacts("client", version=tool.version)
                own.append(tool)
        self._profile, self._found = profile, found
        self._delegates = delegates
        self._facts: Mapping[str, ToolFacts] = facts
        self.offered: Sequence[Tool] = own
        self.versions = {tool.name: tool.version.removeprefix("sha256:")[:DIGITS] for tool in own}
        """By name: the beginning of the digest of the definition."""
        self._offers = {tool.name: tool for tool in own}

    @property
    def missing(self) -> Sequence[Unmatched]:
        """What the agent names and is not offered."""
        return [*unmatched(self._profile.spec.tools, [DELEGATE, *(tool.name for tool in (*OWN, *self._found))])]

    def propose(self, message: JsonObject, state: State) -> tuple[Proposed, ...]:
        """The calls that a model's message asks for, in a session as it stands."""
        asked = message.get("tool_calls")
        if not asked:
            return ()
        return tuple(self._proposed(call, state) for call in cast("list[JsonObject]", asked))

    def _proposed(self, call: JsonObject, state: State) -> Proposed:
        function = cast("dict[str, Json]", call["function"])
        name, written = str(function["name"]), str(function.get("arguments") or "{}")
        facts, problem = self._facts.get(name), ""
        try:
            arguments = orjson.loads(written)
        except orjson.JSONDecodeError as error:
            arguments, problem = {}, f"they are no JSON: {error}"
        if not isinstance(arguments, dict):
            arguments, problem = {}, "they must be an object"
        elif is_deep(arguments):
            arguments, problem = {}, "they are nested too deeply"
        if facts is not None and facts.kind == "agent" and not problem:
            facts = facts_of(arguments, self._delegates)
        if facts is not None and facts.kind in ("tool", "agent") and not problem:
            asks, who = self._profile.asks(self._offers[name], _variables(state, facts, name, arguments))
            facts = facts._replace(approval=asks, who=who)
        digest = digest_of(name, arguments if not problem else {"unreadable": written})
        return Proposed(str(call["id"]), name, arguments, digest, facts, problem)


def _variables(state: State, facts: ToolFacts, name: str, arguments: JsonObject) -> Variables:
    """What conditions of rules can look at."""
    given = sum(task.budget or 0 for task in facts.tasks)
    left = state.available
    return {
        "agent": state.agent,
        "arguments": arguments,
        "budget": given / NANOS,
        "depth": state.depth,
        "effect": facts.effect,
        "left": -1.0 if left is None else left / NANOS,
        "spent": state.spent / NANOS,
        "tool": name,
    }


class OfferOf(Protocol):
    """What an agent is offered now, where a session of it is begun for somebody who has these tools."""

    async def __call__(
        self, profile: Profile, principal: Principal, client_tools: tuple[ClientTool, ...] = ()
    ) -> Offer: ...


def offers(tools: ToolConnector, account: Callable[[str], Principal | None]) -> OfferOf:
    """Of these tools, to agents with the rights of the ``account`` they work on."""

    async def offer(profile: Profile, principal: Principal, client_tools: tuple[ClientTool, ...] = ()) -> Offer:
        acts = acting(profile.agent, account(profile.account) or principal)
        nowhere = State(Address(principal.namespace, "nowhere"), client_tools=client_tools)
        return Offer(profile, await tools.tools(acts), nowhere, agents=True)

    return offer


def digest_of(name: str, arguments: JsonObject) -> str:
    """What exactly is to be done: SHA-256 of the tool's name and the arguments as JSON with sorted keys."""
    said = orjson.dumps([name, arguments], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).hexdigest()
