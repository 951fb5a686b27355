"""Conditions: what is found when they are applied, what happens on a call, and what is never repeated."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharos.control.expressions import MAX_EXPRESSION, context_of
from pharos.gateway.models.routing.conditions import Condition, problems_of

CALL = {
    "dialect": "anthropic",
    "features": ["tools"],
    "headers": {"x-tier": "gold"},
    "inputTokens": 1200,
    "key": {"name": "bot", "namespace": "default", "labels": {"team": "a"}},
    "maxOutputTokens": 0,
    "metadata": {},
    "model": "fast",
    "prompt": "a secret of the client",
    "session": "",
    "stream": True,
    "text": "a secret of the client",
    "tools": ["web_search", "edit"],
    "user": "",
}


@pytest.mark.parametrize(
    "expression",
    [
        "key.labels.team == 'a'",
        "has(key.labels.team) && key.labels['team'] in ['a', 'b']",
        "headers['x-tier'] == 'gold' && stream",
        "'tools' in features && !('vision' in features)",
        "inputTokens > 1000 && maxOutputTokens == 0",
        "double(inputTokens) / 2.0 > 500.0",
        "tools.exists(t, t.startsWith('web_'))",
        "size(tools) == 2 && dialect != 'openai-chat'",
        "prompt.matches('(?i)SECRET')",
        "text.contains('client') ? true : false",
        "model == 'fast' && user == '' && session == ''",
    ],
)
def test_what_is_right_is_accepted_and_holds(expression: str) -> None:
    assert problems_of(expression) == []
    assert Condition(expression).holds(context_of(CALL)) is True


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("stream && (", "is not a CEL expression: column 12"),
        ("strem", "there is no variable 'strem'; did you mean 'stream'?"),
        ("key.lables.team == 'a'", "the key has no member 'lables'; did you mean 'labels'?"),
        ("key['nam'] == 'a'", "the key has no member 'nam'; did you mean 'name'?"),
        ("has(key.budget)", "the key has no member 'budget'; there are labels, name, namespace"),
        ("text.lower() == 'x'", "there is no function 'lower'"),
        ("inputTokens", "must be true or false; this is of type int"),
        ("key.labels.team > 3", "cannot be evaluated: No such overload"),
        ("key.labels.team > 3 && stream", "cannot be evaluated: No such overload"),
        ("!stream && maxOutputTokens > '3'", "cannot be evaluated: No such overload"),
        ("text.matches('(')", "not a valid regex"),
        ("tools.all(a, tools.all(b, tools.all(c, a + b != c)))", "walks over lists more than 2 times"),
    ],
)
def test_what_cannot_be_right_is_a_problem_when_it_is_applied(expression: str, said: str) -> None:
    (problem,) = problems_of(expression)
    assert said in problem


@pytest.mark.parametrize(
    "expression",
    [
        "key.labels.other == 'a'",
        "metadata[prompt] == 'x'",
        "int(prompt) > 3",
        "tools[7] == 'x'",
        "1 / maxOutputTokens > 0",
    ],
)
def test_what_fails_on_a_call_is_told_without_the_words_of_the_call(expression: str) -> None:
    assert problems_of(expression) == []
    said = Condition(expression).holds(context_of(CALL))
    assert isinstance(said, str)
    assert "secret" not in said


def test_a_value_that_is_neither_true_nor_false() -> None:
    assert Condition("inputTokens").holds(context_of(CALL)) == "it is neither true nor false"


def test_only_the_variables_that_are_looked_at_are_worked_out() -> None:
    assert Condition("tools.exists(t, t == model) || stream").variables == {"tools", "model", "stream"}


_words = st.sampled_from(
    ["stream", "key", ".labels", ".team", "headers", "['x']", " == ", " && ", "!", "(", ")", "'a'", "1", " > ", "tools",
     ".exists(t, ", "t", "size(", "text", ".matches(", " ? ", " : ", "-", "9223372036854775807", "[", "]", "0.5"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(_words, max_size=14).map("".join), st.text(max_size=40)))
def test_no_expression_raises(expression: str) -> None:
    if problems_of(expression):
        return
    assert len(expression) <= MAX_EXPRESSION
    assert isinstance(Condition(expression).holds(context_of(CALL)), bool | str)
