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
    began = time.perf_counter()
    assert misfits({"pattern": "^(a+)+$"}, "a" * 50_000 + "!")
    doubling = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**doubling, "d40": {"type": "string"}}}
    assert problems_of_schema(schema)
    deep: Any = {}
    for _ in range(900):
        deep = {"friends": [deep]}
    assert misfits(PERSON, deep)
    assert time.perf_counter() - began < 5
