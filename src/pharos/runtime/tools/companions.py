"""The memory and the sandbox that an agent was given, as tools it can reach for by itself.

What is recalled for each step without being asked for is the assembler's business; here an agent looks further, keeps
something, or runs code. Like any other tool they must be among the agent's ``tools``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pharos.core.fault import NOT_FOUND
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import (
    EffectClass,
    Errand,
    Known,
    MemoryConnector,
    SandboxConnector,
    Tool,
    ToolResult,
)
from pharos.runtime.profiles.kinds import AgentSpec, MemoryUse, SandboxUse

RECALL, REMEMBER, RUN = "recall", "remember", "run_code"
MOST_RECALLED = 50
MOST_CODE = 200_000
"""Characters."""


def companions_of(spec: AgentSpec) -> Sequence[str]:
    """Names of the tools that an agent has by its memory and its sandbox."""
    return [*((RECALL, REMEMBER) if spec.memory is not None else ()), *((RUN,) if spec.sandbox is not None else ())]


class Companions:
    """Implements :class:`~pharos.mesh.connectors.ToolConnector`. ``declared`` is the agent of a name and namespace, as
    it is now."""

    def __init__(
        self,
        declared: Callable[[str, str], AgentSpec | None],
        memories: Mapping[str, MemoryConnector],
        sandboxes: Mapping[str, SandboxConnector],
    ) -> None:
        self._declared = declared
        self._memories = memories
        self._sandboxes = sandboxes

    async def tools(self, principal: Principal) -> Sequence[Tool]:
        """Those of the agent that ``principal`` is."""
        memory, sandbox = self._of(principal)
        found: list[Tool] = []
        if memory is not None and memory.name in self._memories:
            found += [_RECALL, _REMEMBER]
        if sandbox is not None and sandbox.name in self._sandboxes:
            found.append(_run(sandbox))
        return found

    async def call(self, errand: Errand, name: str, arguments: JsonObject) -> ToolResult:
        """Call one. Raises ``NOT_FOUND`` where the agent has none of it any more, and the faults of the plugin."""
        memory, sandbox = self._of(errand.principal)
        if name == RUN and sandbox is not None and (place := self._sandboxes.get(sandbox.name)) is not None:
            return await _ran(place, sandbox, errand, arguments)
        if memory is not None and (kept := self._memories.get(memory.name)) is not None:
            if name == RECALL:
                return await _recalled(kept, errand, arguments)
            if name == REMEMBER:
                return await _remembered(kept, errand, arguments)
        raise NOT_FOUND(f"There is no tool {name[:64]!r}.", subject=name[:64])

    async def lookup(self, errand: Errand, name: str) -> tuple[Known, ToolResult | None]:
        """Nobody has to: each of them may be called again."""
        return "unknown", None

    def _of(self, principal: Principal) -> tuple[MemoryUse | None, SandboxUse | None]:
        spec = self._declared(principal.name, principal.namespace) if principal.kind is PrincipalKind.AGENT else None
        return (None, None) if spec is None else (spec.memory, spec.sandbox)


async def _ran(place: SandboxConnector, use: SandboxUse, errand: Errand, arguments: JsonObject) -> ToolResult:
    language, code, workspace = arguments.get("language"), arguments.get("code"), arguments.get("workspace", "")
    if language not in use.languages:
        return ToolResult(f"The language must be one of {', '.join(use.languages)}.", failed=True)
    if not isinstance(code, str) or len(code) > MOST_CODE:
        return ToolResult(f"Give code, of at most {MOST_CODE} characters.", failed=True)
    if not isinstance(workspace, str):
        return ToolResult("The workspace is the one that an earlier run answered.", failed=True)
    ran = await place.run(errand, str(language), code, workspace, use.seconds)
    return ToolResult(ran.output, {"output": ran.output, "workspace": ran.workspace}, ran.failed)


async def _recalled(memory: MemoryConnector, errand: Errand, arguments: JsonObject) -> ToolResult:
    query, limit = arguments.get("query"), arguments.get("limit", 8)
    if not isinstance(query, str) or not query:
        return ToolResult("Say what is looked for.", failed=True)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MOST_RECALLED:
        return ToolResult(f"The limit is a number from 1 to {MOST_RECALLED}.", failed=True)
    found = await memory.recall(errand, query, limit)
    if not found:
        return ToolResult("Nothing is known about that.", {"items": []})
    text = "\n".join(f"[{each.id}] {each.text}" for each in found)
    return ToolResult(text, {"items": [{"id": each.id, "text": each.text, "score": each.score} for each in found]})


async def _remembered(memory: MemoryConnector, errand: Errand, arguments: JsonObject) -> ToolResult:
    text = arguments.get("text")
    if not isinstance(text, str) or not text:
        return ToolResult("Give a text.", failed=True)
    id = await memory.remember(errand, text, {"session": errand.session})
    return ToolResult(f"Kept as {id}.", {"id": id})


def _object(properties: JsonObject, *required: str) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": [*required],
        "additionalProperties": False,
    }


_RECALL = Tool(
    RECALL,
    "Look in your memory for what is known about something.",
    _object(
        {
            "query": {"type": "string", "description": "What is looked for, in words."},
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST_RECALLED, "default": 8},
        },
        "query",
    ),
    EffectClass.PURE,
)
_REMEMBER = Tool(
    REMEMBER,
    "Keep something in your memory that will matter later. Whole sentences that can be understood alone.",
    _object({"text": {"type": "string"}}, "text"),
    EffectClass.IDEMPOTENT,
)


def _run(use: SandboxUse) -> Tool:
    return Tool(
        RUN,
        "Run code where it can do no harm, and see what it prints.",
        _object(
            {
                "language": {"type": "string", "enum": [*use.languages]},
                "code": {"type": "string"},
                "workspace": {
                    "type": "string",
                    "description": "To go on with the files of an earlier run: the workspace that it answered.",
                },
            },
            "language",
            "code",
        ),
        EffectClass.PURE,
    )
