"""Who gives a text of another form is told in words what is meant, and never shown a regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from scripts.survey import survey

from pharos.control.problems import validate
from pharos.core.fault import Fault
from pharos.core.forms import WORD, form, in_words
from pharos.core.resource import NAME_PATTERN, Name


def _patterns(schema: Any) -> Iterator[str]:
    """The patterns that a validator compares texts with."""
    if isinstance(schema, dict):
        if schema.get("type") == "str" and isinstance(found := schema.get("pattern"), str):
            yield found
        schema = list(schema.values())
    for inner in schema if isinstance(schema, list | tuple) else ():
        yield from _patterns(inner)


def test_every_pattern_of_an_input_or_a_kind_is_in_words() -> None:
    city = survey()
    models = [*(item.input for item in city.operations), *(kind.spec for kind in city.kinds)]
    patterns = {found for model in models for found in _patterns(model.__pydantic_core_schema__)}
    assert NAME_PATTERN in patterns
    assert {found for found in patterns if in_words(found) is None} == set()


def test_the_words_are_what_is_told() -> None:
    class Input(BaseModel):
        name: Name

    with pytest.raises(Fault) as refused:
        validate(Input, {"name": "Not A Name"})
    [problem] = refused.value.document.problems
    assert problem.message == f"Must be {in_words(NAME_PATTERN)}."


def test_one_pattern_means_one_thing() -> None:
    assert form(WORD, str(in_words(WORD))) == WORD
    with pytest.raises(ValueError, match=re.escape("already means")):
        form(WORD, "something else")
