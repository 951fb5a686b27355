"""Query strings as input."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import pytest

from pharos.core.fault import Fault
from pharos.core.wire import JsonObject, Wire
from pharos.server.faces.query import arguments, parameters


class Colour(StrEnum):
    RED = "red"


class Inner(Wire):
    a: int


class Input(Wire):
    text: str = ""
    maybe: str | None = None
    count: int | None = None
    flag: bool = False
    ratio: float = 0
    colour: Colour = Colour.RED
    level: Literal["1", "2"] = "1"
    texts: list[str] = []
    counts: list[int] | None = None
    labels: dict[str, str] = {}
    inner: Inner | None = None
    anything: JsonObject = {}


SCHEMA = Input.model_json_schema(by_alias=True)


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("text=1&maybe=null&level=2&colour=red", {"text": "1", "maybe": "null", "level": "2", "colour": "red"}),
        ("count=7&flag=true&ratio=1.5", {"count": 7, "flag": True, "ratio": 1.5}),
        ("count=null", {"count": None}),
        ("count=many", {"count": "many"}),
        ("texts=1&texts=b", {"texts": ["1", "b"]}),
        ("counts=1&counts=2", {"counts": [1, 2]}),
        ("counts=[1,2]&counts=3", {"counts": [1, 2, 3]}),
        ("labels[a]=1&labels[b.c/d]=x", {"labels": {"a": "1", "b.c/d": "x"}}),
        ('inner={"a":1}', {"inner": {"a": 1}}),
        ("unknown=1&labels]=2", {"unknown": "1", "labels]": "2"}),
        ("text=%C3%BC+x&text", None),
        ("text=a&text=b", None),
        ("text=%ff", None),
        ('labels={"a":"1"}&labels[b]=2', {"labels": {"a": "1", "b": "2"}}),
    ],
)
def test_a_query_means_an_input(query: str, meant: JsonObject | None) -> None:
    if meant is None:
        with pytest.raises(Fault):
            arguments(parameters(query.encode()), SCHEMA)
    else:
        assert arguments(parameters(query.encode()), SCHEMA) == meant


def test_a_query_of_thousands_is_refused() -> None:
    with pytest.raises(Fault):
        parameters(b"&".join(b"a=1" for _ in range(2000)))
