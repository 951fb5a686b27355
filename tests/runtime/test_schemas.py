"""What may be declared as a schema, and what fits one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pharos.runtime.schemas import MOST_NAMED, misfits, problems_of_schema

OBJECT = {"type": "object"}
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "pattern": "^[A-Z]"},
        "age": {"type": "integer", "minimum": 0},
        "friends": {"type": "array", "items": {"$ref": "#"}},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def nested(depth: int) -> dict[str, Any]:
    """A schema so deep."""
    schema: dict[str, Any] = OBJECT
    for _ in range(depth):
        schema = {"properties": {"a": schema}}
    return schema


@pytest.mark.parametrize("schema", [OBJECT, PERSON, {"properties": {"$ref": {"type": "string"}, "pattern": OBJECT}}])
def test_what_may_be_declared(schema: dict[str, Any]) -> None:
    assert problems_of_schema(schema) == []


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "objekt"}, "/type"),
        ({"properties": {"a/b": {"minimum": "x"}}}, "/properties/a~1b/minimum"),
        ({"required": "a"}, "/required"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema"),
        ({"properties": {"a": {"$ref": "https://elsewhere.example/a"}}}, "/properties/a/$ref"),
        ({"items": [{"$ref": "#/$defs/gone"}]}, "/items"),
        ({"anyOf": [{"$ref": "#/$defs/gone"}]}, "/anyOf/0/$ref"),
        ({"$defs": {"a": {"pattern": "(?=x)"}}}, "/$defs/a/pattern"),
        ({"$defs": {"a": {"pattern": "("}}}, "/$defs/a/pattern"),
        ({"patternProperties": {"^x": OBJECT}}, "/patternProperties"),
        ({"allOf": [{"$ref": "#"}]}, ""),
        ({"description": "x" * 70_000}, ""),
        ({"not": nested(110)}, ""),
        ({"not": nested(300)}, ""),
        # What a reference leads to is a schema, and was looked at as one.
        ({"default": {"properties": 3}, "not": {"$ref": "#/default"}}, "/not/$ref"),
        ({"enum": [{"type": "x"}], "not": {"$ref": "#/enum/0"}}, "/not/$ref"),
    ],
)
def test_what_is_refused_with_its_place(schema: dict[str, Any], pointer: str) -> None:
    assert [at for at, _ in problems_of_schema({**OBJECT, **schema})] == [pointer]


def test_a_misfit_is_named_with_its_place() -> None:
    assert misfits(PERSON, {"name": "Ada", "age": 3, "friends": [{"name": "Bea"}]}) == []
    [problem] = misfits(PERSON, {"name": "Ada", "friends": [{"name": "Bea", "age": -1}]})
    assert problem == "/friends/0/age: -1 is less than the minimum of 0"
    found = misfits(PERSON, {"name": "ada", "more": 1})
    assert any("'more' was unexpected" in one for one in found) and any(one.startswith("/name:") for one in found)
    assert len(misfits({"additionalProperties": False}, {str(n): n for n in range(99)})) == 1
    assert len(misfits({"items": {"type": "string"}}, [*range(99)])) == MOST_NAMED  # type: ignore[arg-type]


def test_no_text_and_no_schema_takes_long() -> None:
    began = time.thread_time()
    assert misfits({"pattern": "^(a+)+$"}, "a" * 50_000 + "!")
    doubling = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**doubling, "d40": {"type": "string"}}}
    assert problems_of_schema(schema)
    several: Any = {"anyOf": [{"type": "string"}] * 2_000}
    assert misfits({"items": several}, [1] * 20_000)
    assert misfits(several, ["x" * 100] * 2_000)
    assert misfits({"uniqueItems": True}, [{"a": n} for n in range(5_000)]) == []
    deep: Any = {}
    for _ in range(900):
        deep = {"friends": [deep]}
    assert misfits(PERSON, deep)
    assert time.thread_time() - began < 8


@pytest.mark.parametrize("same", [[1, 1.0], [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], [[], []], [None, None]])
def test_items_that_are_the_same(same: list[Any]) -> None:
    assert misfits({"uniqueItems": True}, same)
    assert not misfits({"uniqueItems": False}, same)


def test_items_that_are_not() -> None:
    distinct: list[Any] = [0, False, 1, True, "1", None, [], {}, [1], [True], {"a": 1}, {"a": True}, {"b": 1}]
    assert misfits({"uniqueItems": True}, distinct) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"properties": 3},
        {"default": {"properties": 3}, "properties": {"a": {"$ref": "#/default"}}},
        {"properties": {"a": {"$ref": "https://elsewhere.example/a"}}},
        nested(110),
    ],
)
def test_what_is_no_schema_judges_nothing(schema: dict[str, Any]) -> None:
    """A tool's comes with its code: a wrong one must not break the session after the tool was called."""
    assert misfits(schema, {"a": {"a": 1}}) == []
