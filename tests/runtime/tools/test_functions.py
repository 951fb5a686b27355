"""Python functions as tools."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from pharos.core.fault import INVALID, Fault, State
from pharos.core.principal import Principal, PrincipalKind
from pharos.mesh.connectors import EffectClass, Errand, ToolResult
from pharos.runtime.tools.functions import FunctionTools, ToolError

WHO = Principal(PrincipalKind.AGENT, "helper")
ERRAND = Errand("default/s1/e4", "default/s1", WHO)


class Report(BaseModel):
    city: str
    degrees: float


async def weather(city: str, unit: Literal["C", "F"] = "C", days: list[int] | None = None) -> Report:
    """The weather of a city.

    Of today, unless days are given.
    """
    return Report(city=city, degrees=21 if unit == "C" else 70)


async def test_the_signature_is_the_schema() -> None:
    tools = FunctionTools()
    tool = tools.add(weather, effect="pure")
    assert tool.description == "The weather of a city.\n\nOf today, unless days are given."
    assert tool.effect is EffectClass.PURE
    assert tool.input_schema["required"] == ["city"]
    assert tool.input_schema["additionalProperties"] is False
    properties: Any = tool.input_schema["properties"]
    assert properties["city"] == {"type": "string"}
    assert properties["unit"] == {"type": "string", "enum": ["C", "F"], "default": "C"}
    assert tool.output_schema is not None
    assert tool.output_schema["required"] == ["city", "degrees"]
    assert (await tools.tools(WHO))[0].version == FunctionTools().add(weather, effect="pure").version
    assert tool.version != FunctionTools().add(weather).version


async def test_arguments_are_typed_and_answers_are_json() -> None:
    tools = FunctionTools()
    tools.add(weather)
    result = await tools.call(ERRAND, "weather", {"city": "Graz"})
    assert result == ToolResult('{"city":"Graz","degrees":21.0}', {"city": "Graz", "degrees": 21.0})


async def test_arguments_that_do_not_fit_are_told_the_model_all_at_once() -> None:
    tools = FunctionTools()
    tools.add(weather)
    result = await tools.call(ERRAND, "weather", {"ciyt": "Graz", "unit": "K"})
    assert result.failed
    problems: Any = result.structured and result.structured["problems"]
    assert {(p["pointer"], p.get("suggestion")) for p in problems} == {
        ("/city", None), ("/ciyt", "city"), ("/unit", None),
    }  # fmt: skip


async def test_a_function_may_block_and_know_its_errand() -> None:
    threads: list[int] = []

    def note(text: str, errand: Errand) -> str:
        """Keep a note."""
        threads.append(threading.get_ident())
        return f"{errand.key}: {text}"

    tools = FunctionTools()
    tool = tools.add(note, effect=EffectClass.IDEMPOTENT)
    assert list(tool.input_schema["properties"]) == ["text"]  # type: ignore[arg-type]
    assert (await tools.call(ERRAND, "note", {"text": "x"})).content == "default/s1/e4: x"
    assert threads != [threading.get_ident()]


async def test_what_went_wrong_says_whether_something_happened() -> None:
    async def pay(to: str) -> str:
        """Pay."""
        if to == "nobody":
            raise ToolError("There is no such account.")
        if to == "limit":
            raise INVALID("Too much.")
        raise RuntimeError("connection lost, key sk-abcdefgh12345678")

    tools = FunctionTools()
    tools.add(pay)
    assert await tools.call(ERRAND, "pay", {"to": "nobody"}) == ToolResult("There is no such account.", failed=True)
    with pytest.raises(Fault, match="Too much"):
        await tools.call(ERRAND, "pay", {"to": "limit"})
    with pytest.raises(Fault) as broke:
        await tools.call(ERRAND, "pay", {"to": "somebody"})
    assert (broke.value.code, broke.value.document.state) == ("TOOL_BROKE", State.UNKNOWN)
    assert "connection lost" in broke.value.detail
    assert "abcdefgh" not in broke.value.detail


async def test_a_function_may_say_nothing_or_all_of_it() -> None:
    async def nothing() -> None:
        """Do something."""

    async def everything() -> ToolResult:
        """Say everything."""
        return ToolResult("no", {"why": "because"}, failed=True)

    tools = FunctionTools()
    assert tools.add(nothing).output_schema is None
    assert tools.add(everything).output_schema is None
    assert await tools.call(ERRAND, "nothing", {}) == ToolResult("Done.")
    assert await tools.call(ERRAND, "everything", {}) == ToolResult("no", {"why": "because"}, failed=True)


async def test_an_answer_that_is_not_what_it_says_is_no_answer() -> None:
    async def wrong() -> Report:
        """Wrong."""
        return {"city": 1}  # type: ignore[return-value]

    tools = FunctionTools()
    tools.add(wrong)
    with pytest.raises(Fault) as broke:
        await tools.call(ERRAND, "wrong", {})
    assert broke.value.code == "TOOL_BROKE"


async def test_a_reconcilable_effect_is_looked_up() -> None:
    made: dict[str, str] = {}

    async def order(what: str, errand: Errand) -> str:
        """Order something."""
        made[errand.key] = f"ordered {what}"
        return made[errand.key]

    async def find(errand: Errand) -> str | None:
        return made.get(errand.key)

    tools = FunctionTools()
    tools.add(order, effect="reconcilable", lookup=find)
    assert await tools.lookup(ERRAND, "order") == ("not done", None)
    await tools.call(ERRAND, "order", {"what": "tea"})
    assert await tools.lookup(ERRAND, "order") == ("done", ToolResult("ordered tea"))


async def test_who_may_not_see_a_function_does_not_find_it() -> None:
    tools = FunctionTools(lambda principal: principal.name == "helper")
    tools.add(weather)
    stranger = Principal(PrincipalKind.AGENT, "stranger")
    assert await tools.tools(stranger) == []
    with pytest.raises(Fault) as refused:
        await tools.call(Errand("k", "s", stranger), "weather", {"city": "Graz"})
    assert refused.value.code == "NOT_FOUND"


@dataclass
class Anything:
    x: int


def test_what_cannot_be_a_tool_is_refused_where_it_is_written() -> None:
    def silent(x: int) -> int:
        return x

    def untyped(x) -> int:  # type: ignore[no-untyped-def]
        """Something."""
        return 1

    def many(*xs: int) -> int:
        """Something."""
        return 1

    for function, why in ((silent, "docstring"), (untyped, "no type"), (many, "has a name")):
        with pytest.raises(TypeError, match=why):
            FunctionTools().add(function)
    with pytest.raises(TypeError, match="lookup"):
        FunctionTools().add(weather, effect="reconcilable")
    with pytest.raises(ValueError, match="effect"):
        FunctionTools().add(weather, effect="effectful")
    tools = FunctionTools()
    tools.add(weather)
    with pytest.raises(ValueError, match="already"):
        tools.add(weather)
    with pytest.raises(Fault) as refused:
        FunctionTools().add(weather, name="the weather")
    assert refused.value.code == "TOOL_UNUSABLE"
