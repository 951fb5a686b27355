"""What an agent has said it will do. A promise is made and kept by a tool call, so that it is a fact of the session and
not a sentence somewhere in a long conversation: no summary can lose it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import orjson

from pharos.core.fault import NOT_FOUND
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import EffectClass, Errand, Known, Tool, ToolResult
from pharos.runtime.context.parts import Obligation
from pharos.runtime.session.state import Step

MAKE: Final = "promise_make"
KEEP: Final = "promise_keep"

_NAME: JsonObject = {"type": "string", "minLength": 1, "maxLength": 64, "description": "A short name of your choice."}

TOOLS: Final[Mapping[str, Tool]] = {
    MAKE: Tool(
        MAKE,
        "Put on record something you have said you will do and cannot do now, so that it is not forgotten.",
        {
            "type": "object",
            "properties": {"name": _NAME, "text": {"type": "string", "minLength": 1, "maxLength": 500}},
            "required": ["name", "text"],
            "additionalProperties": False,
        },
        EffectClass.PURE,
        version="1",
    ),
    KEEP: Tool(
        KEEP,
        "Say that a promise is kept, or cannot be kept any more.",
        {
            "type": "object",
            "properties": {"name": _NAME},
            "required": ["name"],
            "additionalProperties": False,
        },
        EffectClass.PURE,
        version="1",
    ),
}


class PromiseTools:
    """Offers the two. They change nothing outside: that they were called is what counts. A
    :class:`~pharos.mesh.connectors.ToolConnector`."""

    async def tools(self, principal: Principal) -> Sequence[Tool]:
        """Both, for everyone."""
        return tuple(TOOLS.values())

    async def call(self, errand: Errand, name: str, arguments: JsonObject) -> ToolResult:
        """Says that it is on record."""
        if name not in TOOLS:
            raise NOT_FOUND(f"There is no tool {name!r}.")
        word = "on record" if name == MAKE else "closed"
        return ToolResult(f"The promise {arguments.get('name')} is {word}.")

    async def lookup(self, errand: Errand, name: str) -> tuple[Known, ToolResult | None]:
        """Never asked: the tools are pure."""
        return "unknown", None


def promises_of(steps: Sequence[Step]) -> Iterator[Obligation]:
    """The promises that were made and not kept, oldest first."""
    open: dict[str, Obligation] = {}
    for step, after in pairwise(steps):
        done = {item.call for item in after.items if item.kind == "result" and not item.failed}
        calls = None if step.reply is None else step.reply.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict) and call.get("id") in done:
                _note(open, call)
    return iter(open.values())


def _note(open: dict[str, Obligation], call: JsonObject) -> None:
    function = call.get("function")
    if not isinstance(function, dict) or function.get("name") not in TOOLS:
        return
    try:
        arguments = orjson.loads(str(function.get("arguments")))
    except orjson.JSONDecodeError:
        return
    name = str(arguments.get("name")) if isinstance(arguments, dict) else ""
    if function["name"] == KEEP:
        open.pop(name, None)
    elif name:
        open[name] = Obligation("promise", name, str(arguments.get("text")), str(call.get("id")))
