"""The tool with which a model gives work to other agents, and what its arguments mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from pharos.core.wire import Json, JsonObject
from pharos.mesh.connectors import EffectClass, Tool
from pharos.mesh.money import nanos_of
from pharos.runtime.session.commands import Given, JoinOf, ToolFacts
from pharos.runtime.session.data.delegating import JoinRule

DELEGATE: Final = "delegate"

MOST_TASKS: Final = 1_000
"""Tasks in one call."""

_RULES: Final[tuple[JoinRule, ...]] = ("all", "any", "quorum", "partial")


def delegate_tool(agents: Sequence[str]) -> Tool:
    """The tool for an agent that may give work to ``agents``."""
    task: JsonObject = {
        "agent": {"type": "string", "enum": [*agents]},
        "text": {"type": "string", "description": "The whole task: the agent sees nothing else."},
        "data": {"type": "object"},
        "budget": {"type": "string", "description": "The most it may spend, of your money, such as 0.25."},
        "seconds": {"type": "number", "exclusiveMinimum": 0, "description": "The time it has."},
        "permissions": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The most it may do; left out: what you may.",
        },
    }
    each: JsonObject = {"type": "object", "properties": task, "required": ["agent", "text"]}
    join: JsonObject = {
        "type": "object",
        "properties": {
            "rule": {
                "type": "string",
                "enum": [*_RULES],
                "description": "all: none may fail. any: the first is enough. quorum: `need` of them are. partial: "
                "whatever there is when all have ended or `seconds` are over, if it is `need` at least.",
            },
            "need": {"type": "integer", "minimum": 1},
            "seconds": {"type": "number", "exclusiveMinimum": 0},
        },
        "required": ["rule"],
    }
    schema: JsonObject = {
        "type": "object",
        "properties": {
            **task,
            "tasks": {"type": "array", "items": each, "description": "Several tasks that are done side by side."},
            "join": join,
        },
    }
    said = (
        "Give a task to another agent and get its answer: `agent` and `text`, or several at once as `tasks`, with "
        "`join` to say when they are enough. Calls of one answer work side by side, too."
    )
    return Tool(DELEGATE, said, schema, EffectClass.IDEMPOTENT)


def facts_of(arguments: JsonObject, agents: Sequence[str]) -> ToolFacts:
    """What a call of the tool wants. ``problem`` says why it means nothing."""
    several = arguments.get("tasks")
    try:
        if several is None:
            return ToolFacts("agent", "idempotent", tasks=(_given(arguments, agents, ""),))
        if not isinstance(several, list) or not 1 <= len(several) <= MOST_TASKS:
            raise ValueError(f"tasks must be a list of 1 to {MOST_TASKS} tasks")
        tasks = tuple(_given(one, agents, f"tasks/{place}: ") for place, one in enumerate(several))
        return ToolFacts("agent", "idempotent", tasks=tasks, join=_join(arguments.get("join"), len(tasks)))
    except ValueError as error:
        return ToolFacts("agent", "idempotent", problem=str(error))


def _given(said: Json, agents: Sequence[str], where: str) -> Given:
    if not isinstance(said, dict):
        raise ValueError(f"{where}a task is an object with agent and text")
    name, text, data = said.get("agent"), said.get("text"), said.get("data", {})
    agent = _named(name, agents)
    if agent is None:
        raise ValueError(f"{where}there is no agent {name!r} to give work to; there are {', '.join(agents)}")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{where}say the task in text")
    if not isinstance(data, dict):
        raise ValueError(f"{where}data must be an object")
    permissions = said.get("permissions", [])
    if not isinstance(permissions, list) or not all(isinstance(one, str) for one in permissions):
        raise ValueError(f"{where}permissions must be a list of texts")
    budget = said.get("budget")
    try:
        nanos = None if budget is None else nanos_of(str(budget))
    except ValueError:
        raise ValueError(f"{where}budget {budget!r} is not an amount; say one such as 0.25") from None
    names = tuple(cast("list[str]", permissions))
    return Given(agent, text, data, names, nanos, _seconds(said.get("seconds"), where))


def _named(said: Json, agents: Sequence[str]) -> str | None:
    """Which of the agents is meant: by its name, too, where only one has it, whatever its namespace."""
    if said in agents:
        return cast("str", said)
    found = [agent for agent in agents if agent.rpartition("/")[2] == said]
    return found[0] if len(found) == 1 else None


def _seconds(said: Json, where: str) -> float | None:
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 < said <= 366 * 86_400:
        raise ValueError(f"{where}seconds must be a number above 0, at most a year")
    return float(said)


def _join(said: Json, tasks: int) -> JoinOf:
    """``all`` where nothing is said. ``need`` is all of them, one, more than half, or one, by the rule."""
    if said is None:
        return JoinOf("all", tasks)
    if not isinstance(said, dict) or said.get("rule") not in _RULES:
        raise ValueError(f"join/rule must be one of {', '.join(_RULES)}")
    rule = cast("JoinRule", said["rule"])
    usual: dict[JoinRule, int] = {"all": tasks, "any": 1, "quorum": tasks // 2 + 1, "partial": 1}
    need = said.get("need", usual[rule])
    if isinstance(need, bool) or not isinstance(need, int) or not 1 <= need <= tasks:
        raise ValueError(f"join/need must be a number from 1 to {tasks}")
    if rule in ("all", "any") and need != usual[rule]:
        raise ValueError(f"join/need means nothing with the rule {rule}; say quorum or partial")
    return JoinOf(rule, need, _seconds(said.get("seconds"), "join/"))
