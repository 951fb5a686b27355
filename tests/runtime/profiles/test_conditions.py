"""Conditions of approval rules: what is refused before any call is judged by it."""

from __future__ import annotations

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
