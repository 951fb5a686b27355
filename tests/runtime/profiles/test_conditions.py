"""Conditions of approval rules: what is refused before any call is judged by it."""

from __future__ import annotations

from typing import Any

import pytest

from pharos.control.expressions import Expression
from pharos.core.wire import JsonObject
from pharos.runtime.profiles.conditions import holds, problems_of


def test_an_expression_walks_over_a_list_once() -> None:
    once = 'arguments.to.exists(one, one.endsWith("@example.com"))'
    assert not problems_of(once)
    assert holds(once, {"arguments": {"to": ["a@example.com"]}})
    # Nested, their times multiply, and the model chooses how long the list is.
    nested = "arguments.to.all(a, arguments.to.all(b, a != b))"
    assert any("more than once" in problem for problem in problems_of(nested))
    # A comment hides no loop, whose variable may have the name of another.
    hidden = "arguments.a.all(//\n tool, arguments.a.all//\n(agent //\n, tool + agent > 0))"
    assert any("more than once" in problem for problem in problems_of(hidden))


@pytest.mark.parametrize(
    ("source", "most"),
    [
        ("arguments.a.exists(x, x in arguments.b)", 300),
        ("arguments.a.filter(x, x in arguments.b).size() > 0", 300),
        ("arguments.a.map(x, arguments.b).size() < 0", 40),
        ("arguments.a.exists(x, arguments.t.contains(x))", 300),
        ("arguments.a.size() < 0 || 'no' in arguments.b", 900),
        (f"arguments.a.exists(x, {' || '.join(['x in arguments.b'] * 45)})", 40),
    ],
)
def test_arguments_that_take_too_long_to_look_at_are_asked_about(
    source: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model chooses how much they are: a loop over some thousands took seconds, during which nothing else went on."""
    looked: list[Expression] = []
    evaluate = Expression.evaluate

    def look(expression: Expression, seen: Any) -> object:
        looked.append(expression)
        return evaluate(expression, seen)

    monkeypatch.setattr(Expression, "evaluate", look)

    def arguments(count: int) -> JsonObject:
        return {"a": [f"a{n}" for n in range(count)], "b": ["b"] * count, "t": "b" * count}

    assert not problems_of(source)
    assert not holds(source, {"arguments": arguments(most)}) and len(looked) == 1
    assert holds(source, {"arguments": arguments(10 * most)}) and len(looked) == 1
    # What it does not look at may be as much as it will.
    assert not holds("budget > 1.0", {"arguments": arguments(10 * most), "budget": 0.5}) and len(looked) == 2
    assert holds(source, {"arguments": {"a": {"b": ["x"] * 3_000}}}) and len(looked) == 2


def test_characters_count_where_they_are_looked_at_again_and_again() -> None:
    many: JsonObject = {"arguments": {"a": ["x"] * 100, "t": "y" * 1_000_000}}
    assert holds("arguments.a.exists(x, arguments.t.contains(x))", many)
    assert not holds('arguments.t.contains("x")', many)


def test_a_list_that_stands_in_the_expression_is_walked_over_too() -> None:
    source = f"[{', '.join(['1'] * 300)}].exists(x, arguments.t.contains('no'))"
    assert not problems_of(source)
    assert not holds(source, {"arguments": {"t": "y" * 10_000}})
    assert holds(source, {"arguments": {"t": "y" * 1_000_000}})
