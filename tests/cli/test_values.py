"""A call and the command that makes it are the same thing: what is printed as a fix can be pasted and means the fix."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharos.client.description import Description, Parameter, descriptions
from pharos.server.cli.app import Root, root
from pharos.server.cli.operations import NounGroup
from pharos.server.cli.types import TimeType
from pharos.server.cli.values import RESERVED, arguments, click_parameters, command_line, option_name, places

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)

EVERYTHING = Description(
    name="things.try",
    summary="Try.",
    description="",
    effect="write",
    reversibility="exact",
    permission=None,
    streaming=False,
    page=False,
    slow=False,
    parameters=(
        Parameter("name", "string", required=True),
        Parameter("size", "integer", required=True),
        Parameter("someText", "string"),
        Parameter("share", "number"),
        Parameter("level", "string", choices=("low", "high")),
        Parameter("words", "string", many=True),
        Parameter("numbers", "integer", many=True),
        Parameter("labels", "map"),
        Parameter("spec", "json"),
        Parameter("documents", "json", many=True),
        Parameter("force", "boolean", default=False),
        Parameter("deep", "boolean", default=True),
        Parameter("maybe", "boolean"),
        Parameter("withoutDefaultList", "string", many=True, required=True),
    ),
)


def _value(parameter: Parameter) -> st.SearchStrategy[Any]:
    shapes: dict[str, st.SearchStrategy[Any]] = {
        "string": st.sampled_from(parameter.choices) if parameter.choices else TEXT,
        "integer": st.integers(-(10**9), 10**9),
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
        "time": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        "map": st.dictionaries(TEXT.filter(lambda name: name and "=" not in name), TEXT, min_size=1, max_size=3),
        "text": TEXT.filter(lambda text: not text.startswith("@")),
        "json": JSON.filter(lambda value: value is not None),
    }
    one = shapes[parameter.shape]
    return st.lists(one, min_size=1, max_size=3) if parameter.many else one


@st.composite
def _calls(draw: st.DrawFn, operation: Description) -> dict[str, Any]:
    return {
        parameter.name: draw(_value(parameter))
        for parameter in operation.parameters
        if parameter.required or draw(st.booleans())
    }


def _parsed(operation: Description, words: list[str]) -> dict[str, Any]:
    command = click.Command("try", params=click_parameters(operation))
    with command.make_context("try", [*words]) as context:  # click empties the list it is given
        return arguments(operation, context.params)


@given(_calls(EVERYTHING))
def test_a_command_line_means_its_call(call: dict[str, Any]) -> None:
    descriptions()["things.try"] = EVERYTHING
    try:
        line = command_line("things.try", call)
    finally:
        del descriptions()["things.try"]
    program, noun, verb, *words = shlex.split(line)
    assert (program, noun, verb) == ("pharos", "things", "try")
    found = _parsed(EVERYTHING, words)
    # A flag that is at its default is not written; leaving it out says the same.
    assert {"force": False, **found} == {"force": False, **call}


# What has a secret among its words cannot: nobody writes that out again.
WRITABLE = [item for item in descriptions().values() if all(part.shape != "secret" for part in item.parameters)]


@pytest.mark.parametrize("operation", WRITABLE, ids=lambda operation: operation.name)
def test_every_operation_can_be_written_as_a_command(operation: Description) -> None:
    @settings(max_examples=20)
    @given(_calls(operation))
    def check(call: dict[str, Any]) -> None:
        words = shlex.split(command_line(operation.name, call))[3:]
        found = _parsed(operation, words)
        defaults = {p.name: p.default for p in operation.parameters if p.shape == "boolean" and p.default is not None}
        assert {**defaults, **found} == {**defaults, **call}

    check()


@pytest.mark.parametrize(
    ("operation", "line"),
    [
        ("agents.stop", "pharos agents stop planner"),
        ("topics.read", "pharos topics read orders/7"),
        ("topics.tail", "pharos topics tail orders/7"),
        ("faults.list", "pharos faults list BUDGET_EXCEEDED"),
        ("kinds.list", "pharos kinds list Agent"),
        ("keys.list", "pharos keys list bot"),
    ],
)
def test_what_a_verb_is_about_stands_by_its_place_also_where_it_may_be_left_out(operation: str, line: str) -> None:
    known, words = descriptions()[operation], shlex.split(line)[3:]
    [place] = places(known)
    assert not place.required
    assert _parsed(known, words) == {**_parsed(known, []), place.name: words[0]}
    assert command_line(operation, {place.name: words[0]}) == line


def test_a_name_without_its_kind_has_no_place() -> None:
    assert places(descriptions()["catalog.delete"]) == []


def test_a_time_is_taken_as_a_table_shows_it() -> None:
    def read(text: str) -> datetime:
        return datetime.fromisoformat(TimeType().convert(text, None, None))

    assert read("2026-01-31 14:00:05") == datetime(2026, 1, 31, 14, 0, 5).astimezone()
    assert read("2026-01-31") == datetime(2026, 1, 31).astimezone()
    assert read("2026-01-31T14:00:00Z") == datetime(2026, 1, 31, 14, tzinfo=UTC)
    before = datetime.now(UTC)
    assert before <= read("2h") + timedelta(hours=2) <= datetime.now(UTC)
    with pytest.raises(click.UsageError, match="looks like 2026-01-31"):
        read("yesterday")


def test_what_this_version_does_not_know_is_written_as_a_plain_call() -> None:
    line = command_line("tomorrow.invent", {"a": [1, "it's"]})
    program, call, name, text = shlex.split(line)
    assert (program, call, name, json.loads(text)) == ("pharos", "call", "tomorrow.invent", {"a": [1, "it's"]})


@pytest.mark.parametrize("operation", descriptions().values(), ids=lambda operation: operation.name)
def test_no_input_takes_the_name_of_a_common_option(operation: Description) -> None:
    by_place = places(operation)
    options = {option_name(parameter) for parameter in operation.parameters if parameter not in by_place}
    assert not options & RESERVED


def test_every_operation_has_a_command() -> None:
    context = click.Context(root, **root.context_settings)
    for operation in descriptions().values():
        group = root.get_command(context, operation.noun)
        assert isinstance(group, NounGroup), f"{operation.noun} is hidden by a command of that name"
        assert group.get_command(context, operation.verb) is not None


def test_every_listed_command_exists_and_has_help() -> None:
    assert isinstance(root, Root)
    context = click.Context(root, **root.context_settings)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None, name
        assert command.get_help(click.Context(command, info_name=name, parent=context)), name
