"""Python functions as tools: the signature is the schema, the docstring the description.

A function may be ``async`` or not; one that is not runs on a thread. A parameter of type
:class:`~pharos.mesh.connectors.Errand` is no argument of the tool: there the function finds the key of the effect, to
be handed on to whatever honours such keys.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError

from pharos.control.problems import MOST_PROBLEMS, problems_of
from pharos.control.wording import without_secrets
from pharos.core.fault import NOT_FOUND, Fault, State
from pharos.core.principal import Principal
from pharos.core.wire import Json, JsonObject
from pharos.mesh.connectors import EffectClass, Errand, Known, Tool, ToolResult
from pharos.runtime.tools.definitions import versioned
from pharos.runtime.tools.faults import TOOL_BROKE

_log = logging.getLogger(__name__)

Function = Callable[..., Any]
Lookup = Callable[..., Any]


class ToolError(Exception):
    """What was asked of a tool was not done, and nothing else was: the model is told why, and may do something else."""


class _Untitled(GenerateJsonSchema):
    """Titles only repeat the names, and the schema is read by models that pay for each token."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class _Made:
    tool: Tool
    function: Function
    arguments: type[BaseModel]
    answer: TypeAdapter[Any]
    errand: str
    """The parameter that is given the errand; empty if there is none."""
    lookup: Lookup | None


class FunctionTools:
    """Functions that ``visible`` principals may call. Implements :class:`~pharos.mesh.connectors.ToolConnector`."""

    def __init__(self, visible: Callable[[Principal], bool] = lambda _: True) -> None:
        self._visible = visible
        self._made: dict[str, _Made] = {}

    def add(
        self,
        function: Function,
        *,
        name: str = "",
        description: str = "",
        effect: EffectClass | str = EffectClass.UNSAFE,
        approval: bool = False,
        lookup: Lookup | None = None,
    ) -> Tool:
        """Make ``function`` a tool.

        ``effect`` says what may be done when nobody knows whether a call happened; a ``reconcilable`` one needs a
        ``lookup``: a function of the errand that answers what the call did, or ``None`` if it was not made. Raises
        ``TypeError`` for what cannot be a tool, ``ValueError`` for a name that is taken or an effect that is none.
        """
        made = _make(function, name, description, _effect(effect), approval, lookup)
        if made.tool.name in self._made:
            raise ValueError(f"there is a tool {made.tool.name!r} already")
        self._made[made.tool.name] = made
        return made.tool

    @property
    def names(self) -> Sequence[str]:
        """Of all functions."""
        return sorted(self._made)

    async def tools(self, principal: Principal) -> Sequence[Tool]:
        """See :class:`~pharos.mesh.connectors.ToolConnector`."""
        return [made.tool for made in self._made.values()] if self._visible(principal) else []

    async def call(self, errand: Errand, name: str, arguments: JsonObject) -> ToolResult:
        """Call a function. Arguments that do not fit are told the model, as is a :class:`ToolError`; another error is
        ``TOOL_BROKE``."""
        made = self._named(errand, name)
        try:
            given = made.arguments.model_validate(arguments)
        except ValidationError as error:
            wrong = problems_of(error, made.arguments, arguments)[:MOST_PROBLEMS]
            problems = [each.to_json() for each in wrong]
            told: JsonObject = {"error": "The arguments do not fit.", "problems": [*problems]}
            return ToolResult(orjson.dumps(told).decode(), told, failed=True)
        values = {field: getattr(given, field) for field in type(given).model_fields}
        if made.errand:
            values[made.errand] = errand
        try:
            return _result(made, await _run(made.function, values))
        except ToolError as error:
            return ToolResult(str(error), failed=True)
        except Fault:
            raise
        except Exception as error:
            raise _broke(name, error) from error

    async def lookup(self, errand: Errand, name: str) -> tuple[Known, ToolResult | None]:
        """Ask the function's ``lookup``; without one nobody knows."""
        made = self._named(errand, name)
        if made.lookup is None:
            return "unknown", None
        try:
            answer = await _run(made.lookup, {next(iter(inspect.signature(made.lookup).parameters)): errand})
            return ("not done", None) if answer is None else ("done", _result(made, answer))
        except Fault:
            raise
        except Exception as error:
            raise _broke(name, error) from error

    def _named(self, errand: Errand, name: str) -> _Made:
        made = self._made.get(name) if self._visible(errand.principal) else None
        if made is None:
            raise NOT_FOUND(f"There is no tool {name[:64]!r}.", subject=name[:64])
        return made


def _make(
    function: Function, name: str, description: str, effect: EffectClass, approval: bool, lookup: Lookup | None
) -> _Made:
    name = name or function.__name__
    if (effect is EffectClass.RECONCILABLE) != (lookup is not None):
        raise TypeError(f"tool {name}: a reconcilable effect has a lookup, and no other has")
    description = description or inspect.cleandoc(function.__doc__ or "")
    if not description:
        raise TypeError(f"tool {name}: a model knows it by its docstring, which it does not have")
    hints = get_type_hints(function, include_extras=True)
    answer = hints.pop("return", Any)
    fields: dict[str, Any] = {}
    errand = ""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(f"tool {name}: {parameter} cannot be an argument; each has a name")
        if parameter.name not in hints:
            raise TypeError(f"tool {name}: the argument {parameter.name} has no type")
        if hints[parameter.name] is Errand:
            errand = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    arguments = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    schema: JsonObject = arguments.model_json_schema(schema_generator=_Untitled)
    schema.pop("title", None)
    schema.setdefault("properties", {})
    adapter: TypeAdapter[Any] = TypeAdapter(answer)
    promised = None if answer is ToolResult else _output_schema(adapter)
    tool = Tool(name, description, schema, effect, promised, approval)
    return _Made(versioned(tool), function, arguments, adapter, errand, lookup)


def _effect(named: str) -> EffectClass:
    try:
        return EffectClass(named)
    except ValueError:
        raise ValueError(f"an effect is {', '.join(EffectClass)}, not {named!r}") from None


def _output_schema(answer: TypeAdapter[Any]) -> JsonObject | None:
    """Of an answer that is an object; others are told as text."""
    schema = answer.json_schema(mode="serialization", schema_generator=_Untitled)
    return schema if schema.get("type") == "object" and "properties" in schema else None


async def _run(function: Function, values: dict[str, Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(**values)
    return await asyncio.to_thread(function, **values)


def _result(made: _Made, answer: Any) -> ToolResult:
    if isinstance(answer, ToolResult):
        return answer
    if answer is None:
        return ToolResult("Done.")
    if isinstance(answer, str):
        return ToolResult(answer)
    try:
        told: Json = made.answer.dump_python(answer, mode="json", warnings="error")
        content = orjson.dumps(told).decode()
    except (PydanticSerializationError, TypeError) as error:
        raise TypeError(
            f"the tool answered with a {type(answer).__name__}, which is not what it says it does"
        ) from error
    return ToolResult(content, told if isinstance(told, dict) else None)


def _broke(name: str, error: Exception) -> Fault:
    _log.error("the tool %s failed", name, exc_info=error)
    said = without_secrets(f"{type(error).__name__}: {error}")[:500]
    return TOOL_BROKE(f"The tool {name!r} failed: {said}", subject=name, state=State.UNKNOWN)
