"""What is wrong with a document is said in the words of the document, not in those of the library that found it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import AwareDatetime, Field

from pharos.control.problems import invalid, validate
from pharos.core.fault import Fault, Problem
from pharos.core.resource import Name
from pharos.core.wire import Wire


class Source(Wire):
    env: str | None = None
    file: str | None = None


class Thing(Wire):
    name: Name = "x"
    source: Source = Source()
    labels: dict[str, str] = {}
    many: Annotated[list[str], Field(min_length=1, max_length=2)] = ["x"]
    count: Annotated[int, Field(gt=0)] = 1
    share: float = 1
    on: bool = True
    limit: Decimal = Decimal(1)
    until: AwareDatetime = datetime.fromisoformat("2026-01-31T14:00:00Z")
    word: Annotated[str, Field(max_length=3, pattern="^[b-y]+$")] = "x"
    size: Literal["small", "large"] = "small"
    version: Literal["v1"] = "v1"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "Not A Name"}, "Must be a name: lower-case letters"),
        ({"source": "sk-abc"}, "Must be an object; its members: env, file."),
        ({"labels": "a=b"}, "Must be an object."),
        ({"labels": {"a": 5}}, "Must be text."),
        ({"many": "one"}, "Must be a list."),
        ({"many": []}, "Must have at least 1 item."),
        ({"many": ["a", "b", "c"]}, "Must have at most 2 items."),
        ({"count": "many"}, "Must be a whole number."),
        ({"count": 0}, "Must be greater than 0."),
        ({"share": "half"}, "Must be a number."),
        ({"on": "perhaps"}, "Must be true or false."),
        ({"limit": "a lot"}, 'Must be a decimal number, such as "25.00".'),
        ({"until": "tomorrow"}, "Must be a time with its zone"),
        ({"until": "2026-01-31"}, "Must be a time with its zone"),
        ({"until": "2026-01-31T14:00:00"}, "Must be a time with its zone"),
        ({"word": "long"}, "Must be at most 3 characters long."),
        ({"word": "A"}, "Must match the pattern ^[b-y]+$."),
        ({"size": "smal"}, "Must be 'small' or 'large'."),
        ({"nmae": "x"}, "There is no such field."),
    ],
    ids=lambda value: str(value)[:40],
)
def test_every_kind_of_mistake(given: dict[str, Any], said: str) -> None:
    with pytest.raises(Fault) as caught:
        validate(Thing, given)
    [problem] = caught.value.document.problems
    assert problem.message.startswith(said)
    assert caught.value.document.detail == problem.message
    for jargon in ("Input", "String", "dictionary", "instance", "valid "):
        assert jargon not in problem.message


def test_what_can_only_be_one_thing_needs_no_hint() -> None:
    with pytest.raises(Fault) as caught:
        validate(Thing, {"version": "v2", "size": "smal"})
    hints = {problem.pointer: problem.suggestion for problem in caught.value.document.problems}
    assert hints == {"/version": None, "/size": "small"}


def test_several_problems_are_counted() -> None:
    found = [Problem(pointer="/a", message="Must be text."), Problem(pointer="/b", message="Must be a list.")]
    assert invalid(found).document.detail == "2 problems; the first: Must be text."
