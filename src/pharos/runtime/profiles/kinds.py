"""The kinds ``Agent`` and ``PromptTemplate``: everything a zero-code agent is, as a manifest.

A tool is named as the model sees it. Where a list of tools is asked for, ``*`` stands for any characters:
``catalog_*``, ``*_list``, ``*``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from pharos.control.expressions import MAX_EXPRESSION
from pharos.control.index import Index
from pharos.core.fault import FORBIDDEN, Fault
from pharos.core.forms import form
from pharos.core.principal import Principal
from pharos.core.resource import AnyResource, Kind, Name, Ref, Resource, ResourceId, Spec
from pharos.core.wire import Json, JsonObject, Wire
from pharos.mesh.topics.access import CROSS
from pharos.runtime.profiles.conditions import problems_of
from pharos.runtime.profiles.templates import (
    MOST_TEXT,
    PromptTemplateSpec,
    VariableName,
    absent,
    check_template,
    unfit,
)
from pharos.runtime.schemas import problems_of_schema

PRIVATE: Final = ("federation", "private")
"""Label of an ``Agent`` that nobody outside its namespace may give work to, here or over A2A."""

ToolPattern = Annotated[
    str,
    StringConstraints(
        pattern=form(r"^[A-Za-z0-9_*-]{1,64}$", "the name of a tool, such as catalog_get; * stands for any letters")
    ),
]
"""The name of a tool, in which ``*`` stands for any characters."""

Money = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9, allow_inf_nan=False)]
"""An amount in USD: a decimal string with at most nine places."""

OWN_MEMBERS = frozenset({"model", "messages", "tools", "stream", "stream_options", "n", "user", "response_format"})
"""Members of a request that the runtime writes itself."""


class Prompt(Wire):
    """A template, and what stands at its places."""

    template: Annotated[str, Ref("PromptTemplate")]
    values: Annotated[dict[VariableName, Json], Field(max_length=200)] = Field(default_factory=dict)
    """By the name of the variable. Those that are ``given: session`` may be left to who starts a session."""


class AgentLimits(Wire):
    """What ends a session that would not end by itself."""

    steps: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Calls of the model."""
    cost: Money | None = None
    """Most that a session may spend, with all that it delegates; left out: what the budgets of its key allow."""
    seconds: Annotated[int, Field(ge=1, le=31_536_000)] = 3_600
    """From the start of a session, without the time in which it waits for a person."""
    repetitions: Annotated[int, Field(ge=1, le=1_000)] = 3
    """How often the same tool may be called with the same arguments."""
    parallel_tools: Annotated[int, Field(ge=1, le=64)] = 8
    """Tools that run at once."""
    depth: Annotated[int, Field(ge=0, le=16)] = 4
    """How many delegations deep its work may be passed on; 0: not at all."""


class ContextBudget(Wire):
    """How much a model sees at each step."""

    tokens: Annotated[int, Field(ge=512, le=10_000_000)] = 64_000
    """Of the whole request; what the answer may need is not part of it."""
    output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Most that one answer may have; left out: as the ``Model`` says."""
    result_tokens: Annotated[int, Field(ge=64, le=1_000_000)] = 4_000
    """A tool's result beyond this is kept, and the model sees its beginning and a reference."""
    compact_at: Annotated[float, Field(gt=0.1, le=1)] = 0.8
    """Share of ``tokens`` at which old turns become a summary."""


class ApprovalRule(Wire):
    """When a person must agree to a call of a tool."""

    tools: Annotated[list[ToolPattern], Field(min_length=1, max_length=200)]
    ask: Literal["always", "unsafe", "never"]
    """``unsafe``: where nobody could tell whether a call that was cut off had happened. ``never`` only ends the search
    for a rule: a tool that itself demands agreement is asked about all the same."""
    when: Annotated[str, Field(min_length=1, max_length=MAX_EXPRESSION)] | None = None
    """A CEL expression over the call, for what the tool's name does not say: ``budget > 1.0``,
    ``arguments.to != "ada"``. Where it is false the search goes on; where nobody can say, it counts as true. That is
    also so where it names ``arguments`` and they are more than 2,000 values, or where it walks over a list that is too
    long for it: elements, times all values, at most 250,000 (with ``map``: elements squared)."""
    who: Annotated[str, Field(max_length=256)] = ""
    """Whom to ask, in the words of the city's way to people; left out: whoever may approve. ``agent:NAMESPACE/NAME``
    asks that agent, which answers with the tools ``sessions_approve`` and ``sessions_deny``."""


class MemoryUse(Wire):
    """The memory an agent has: a plugin of the group ``pharos.memories``."""

    name: Name
    recall: Annotated[int, Field(ge=0, le=100)] = 8
    """Most things that are recalled for a step."""


class SandboxUse(Wire):
    """Where an agent runs code: a plugin of the group ``pharos.sandboxes``."""

    name: Name
    languages: Annotated[list[Name], Field(min_length=1, max_length=16)] = Field(default_factory=lambda: ["python"])
    seconds: Annotated[float, Field(gt=0, le=86_400)] = 30
    """Most that one run may take."""


class AgentSpec(Spec):
    """An agent: what it thinks with, what it may do, on whose account, and where it stops."""

    model: Annotated[str, Ref("Model")]
    key: Annotated[str, Ref("Key")]
    """On whose account it works: models, budgets, limits, guards and permissions are this key's."""
    description: Annotated[str, Field(max_length=4_000)] = ""
    """What it is good for, for people and for agents that may delegate to it."""
    instructions: Annotated[str, Field(max_length=MOST_TEXT)] = ""
    """What stands before every conversation. A text as it is; places for values are the business of a template."""
    prompt: Prompt | None = None
    """Instructions from a template instead."""
    tools: Annotated[list[ToolPattern], Field(max_length=500)] = Field(default_factory=list)
    """The tools it may call; left out: none. It never sees one that its key may not use."""
    approvals: Annotated[list[ApprovalRule], Field(max_length=100)] = Field(default_factory=list)
    """When a person must agree first; the first rule that names a tool counts. A tool that no rule names is asked about
    if it demands so itself."""
    delegates: Annotated[list[Annotated[str, Ref("Agent")]], Field(max_length=100)] = Field(default_factory=list)
    """Agents that it may give work to."""
    remote_delegates: Annotated[list[Annotated[str, Ref("RemoteAgent")]], Field(max_length=100)] = Field(
        default_factory=list
    )
    """Agents elsewhere that it may give work to, over A2A. Of two with one name, that of this city is meant."""
    memory: MemoryUse | None = None
    sandbox: SandboxUse | None = None
    limits: AgentLimits = Field(default_factory=AgentLimits)
    context: ContextBudget = Field(default_factory=ContextBudget)
    pool: Annotated[str, Ref("Pool")] | None = None
    """Where its sessions wait for their turn; left out: in the city's own pool."""
    class_: Annotated[Name | None, Field(alias="class")] = None
    """Its class in the pool; left out: the pool's ordinary one."""
    weight_label: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """What its sessions have as `label/weight` in the shares and weights of the pool; left out: nothing."""
    options: JsonObject = Field(default_factory=dict)
    """Further members of each request to the model, such as ``temperature``, in the words of chat completions."""
    output: JsonObject | None = None
    """JSON Schema (2020-12) of an object: what its last answer must be; left out: text. An answer that does not fit is
    given back with what is wrong, twice; then the session fails."""


def is_private(agent: Resource[AgentSpec]) -> bool:
    """Whether only its own namespace may know of the agent, and give it work."""
    name, value = PRIVATE
    return agent.metadata.labels.get(name) == value


def matches(patterns: Sequence[str], tool: str) -> bool:
    """Whether one of ``patterns`` names the tool."""
    return _expression(tuple(patterns)).fullmatch(tool) is not None


@lru_cache(maxsize=4096)
def _expression(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One for all of them: every tool is asked about at every step."""
    return re.compile("|".join(map(_glob, patterns)) or r"(?!)")


def _glob(pattern: str) -> str:
    """A pattern as a regular expression that never tries again: each part is looked for once, where it comes first.
    With a plain ``.*`` for each star, a few dozen of them would hold up the city for longer than it lives."""
    first, *middle = map(re.escape, pattern.split("*"))
    if not middle:
        return first
    last = middle.pop()
    return f"{first}{''.join(f'(?>.*?{part})' for part in middle if part)}.*{last}"


def check_agent(spec: AgentSpec) -> Sequence[tuple[str, str]]:
    """What the types of an agent's spec cannot say."""
    problems: list[tuple[str, str]] = []
    if spec.prompt is not None and spec.instructions:
        problems.append(("/instructions", "give either instructions or a prompt"))
    for name in sorted(OWN_MEMBERS & spec.options.keys()):
        hint = "; say it in output" if name == "response_format" else ""
        problems.append((f"/options/{name}", f"the runtime writes {name!r} itself{hint}"))
    if "max_tokens" in spec.options or "max_completion_tokens" in spec.options:
        problems.append(("/options", "say the most tokens of an answer in context.outputTokens"))
    for index, rule in enumerate(spec.approvals):
        if rule.when is not None:
            problems += [(f"/approvals/{index}/when", problem) for problem in problems_of(rule.when)]
    if spec.output is not None:
        problems += [(f"/output{at}", problem) for at, problem in problems_of_schema(spec.output)]
        if spec.output.get("type") != "object":
            problems.append(("/output", 'must be the JSON Schema of an object: {"type": "object", …}'))
    for field, names in (
        ("tools", spec.tools),
        ("delegates", spec.delegates),
        ("remoteDelegates", spec.remote_delegates),
    ):
        seen: set[str] = set()
        for index, value in enumerate(names):
            if value in seen:
                problems.append((f"/{field}/{index}", f"{value!r} is listed twice"))
            seen.add(value)
    if (spec.delegates or spec.remote_delegates) and not spec.limits.depth:
        problems.append(("/limits/depth", "0 forbids what delegates allow"))
    return problems


Find = Callable[[ResourceId], AnyResource | None]

_AGENT, _TEMPLATE = Ref("Agent"), Ref("PromptTemplate")


def cycle_of(agent: Resource[AgentSpec], find: Find) -> tuple[tuple[ResourceId, ...], int] | None:
    """The agents through which ``agent`` would come to delegate to itself, itself first and last, and which of its
    delegates begins the circle; ``None`` if it does not."""
    for place, name in enumerate(agent.spec.delegates):
        start = _AGENT.resolve(name, agent.metadata.namespace)
        came: dict[ResourceId, ResourceId] = {start: agent.id}
        waiting = [start]
        while waiting:
            id = waiting.pop()
            if id == agent.id:
                path = [id]
                while (id := came[id]) != agent.id:
                    path.append(id)
                return (agent.id, *reversed(path)), place
            found = find(id)
            if found is None or not isinstance(found.spec, AgentSpec):
                continue
            for other in found.spec.delegates:
                next = _AGENT.resolve(other, id.namespace)
                if next not in came:
                    came[next] = id
                    waiting.append(next)
    return None


def joined_agent(agent: Resource[AgentSpec], find: Find) -> Sequence[tuple[str, str]]:
    """What an agent may not be together with the other resources: part of a circle, or without values that its
    template asks of it. What does not exist yet is no problem yet."""
    problems: list[tuple[str, str]] = []
    if (found := cycle_of(agent, find)) is not None:
        circle = " -> ".join(f"{id.namespace}/{id.name}" for id in found[0])
        problems.append((f"/delegates/{found[1]}", f"delegates in a circle: {circle}"))
    prompt = agent.spec.prompt
    if prompt is not None:
        template = find(_TEMPLATE.resolve(prompt.template, agent.metadata.namespace))
        if template is not None and isinstance(template.spec, PromptTemplateSpec):
            values, here = prompt.values, "/prompt/values"
            wrong = [*unfit(template.spec, values, here, "agent"), *absent(template.spec, values, here, "agent")]
            problems += [(problem.pointer, problem.message) for problem in wrong]
    return problems


MayGrant = Callable[[Principal, AnyResource | None, Sequence[tuple[str, str]]], Fault | None]
"""``trust.granting.may_grant`` over the city's index: whether someone may let others act as a key."""


Advise = Callable[[Resource[AgentSpec]], Awaitable[Sequence[tuple[str, str]]]]
"""See :attr:`Kind.advise`."""


def agent_kind(may_grant: MayGrant, advise: Advise) -> Kind[AgentSpec]:
    """The kind with its guard: who says what an agent does gives away the key on whose account it is done, and has
    those it delegates to work on theirs."""

    def guard(
        principal: Principal, before: Resource[AgentSpec] | None, after: Resource[AgentSpec] | None
    ) -> Fault | None:
        if after is None or (before is not None and before.spec == after.spec):
            return None
        known = () if before is None else before.spec.delegates
        return _may_delegate(principal, after, known) or may_grant(principal, after, [("/spec/key", after.spec.key)])

    return replace(AGENT, guard=guard, advise=advise)


def _may_delegate(principal: Principal, agent: Resource[AgentSpec], known: Sequence[str]) -> Fault | None:
    """Why ``principal`` may not have an agent give work to those of other namespaces, beside the ``known`` ones."""
    home = agent.metadata.namespace
    for place, name in enumerate(agent.spec.delegates):
        if name not in known and _AGENT.resolve(name, home).namespace != home and not principal.may(CROSS):
            return FORBIDDEN(
                f"{name} works on an account of its own namespace: having {agent.id} give it work needs the permission "
                f"{CROSS}.",
                subject=str(agent.id),
                pointer=f"/spec/delegates/{place}",
                required_permission=CROSS,
            )
    return None


def template_kind(index: Index, may_grant: MayGrant) -> Kind[PromptTemplateSpec]:
    """The kind with its guard: who changes what agents are told says what they do, with the keys they have."""

    def guard(
        principal: Principal, before: Resource[PromptTemplateSpec] | None, after: Resource[PromptTemplateSpec] | None
    ) -> Fault | None:
        if after is None or (before is not None and before.spec == after.spec):
            return None
        for id in index.referrers(after.id):
            agent = index.get(AGENT, id.name, id.namespace) if id.kind == AGENT.name else None
            if agent is not None and (refused := may_grant(principal, agent, [("/spec/key", agent.spec.key)])):
                return _because(refused, f"{after.id} says what {agent.id} does.")
        return None

    return replace(PROMPT_TEMPLATE, guard=guard)


def _because(refused: Fault, why: str) -> Fault:
    return refused.amended(lambda document: document.model_copy(update={"detail": f"{why} {document.detail}"}))


AGENT: Kind[AgentSpec] = Kind(
    "Agent",
    AgentSpec,
    "An agent: its model, instructions, tools, limits and delegates, and the key on whose account it works.",
    check=check_agent,
    joined=joined_agent,
)
"""For look-ups in the index, which go by the name; registered is :func:`agent_kind`."""

PROMPT_TEMPLATE: Kind[PromptTemplateSpec] = Kind(
    "PromptTemplate",
    PromptTemplateSpec,
    "A text with typed variables, from which agents have their instructions.",
    check=check_template,
)
"""For look-ups; registered is :func:`template_kind`."""
