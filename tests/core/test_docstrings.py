"""What stands below an attribute reaches the schema, and is read only when a schema is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from typing import Annotated, Generic, TypeVar

import pytest
from pydantic import Field

from pharos.core.docstrings import _parsed, attribute_docstrings
from pharos.core.wire import Page, Wire

T = TypeVar("T")


class Base(Wire):
    """A base."""

    first: int
    """The first,
    on two lines."""
    second: int
    """The second."""


class Sub(Base):
    """A subclass that says anew what one member is."""

    second: str
    third_one: Annotated[int, Field(description="said by the field")] = 0
    """not this"""

    class Inner(Wire):
        """A class within."""

        deep: int = 0
        """Deep down."""


class Holder(Wire):
    """Has models as members."""

    same: Base
    """A base."""
    other: Base
    """Another."""


class Box(Wire, Generic[T]):
    """A generic model."""

    content: T
    """What is in it."""


def test_texts_are_those_below_the_attributes() -> None:
    assert attribute_docstrings(Base, Wire) == {"first": "The first,\non two lines.", "second": "The second."}
    assert attribute_docstrings(Sub, Wire)["first"] == "The first,\non two lines."
    assert "second" not in attribute_docstrings(Sub, Wire)
    assert attribute_docstrings(Sub.Inner, Wire) == {"deep": "Deep down."}


def test_a_class_in_a_function_has_its_texts() -> None:
    class Local(Wire):
        member: int = 0
        """Of a local class."""

    assert Local.model_json_schema()["properties"]["member"]["description"] == "Of a local class."


def test_a_schema_says_them_once() -> None:
    properties = Sub.model_json_schema(by_alias=True)["properties"]
    assert properties["first"]["description"] == "The first,\non two lines."
    assert "description" not in properties["second"]
    assert properties["thirdOne"]["description"] == "said by the field"
    members = Holder.model_json_schema(by_alias=True)["properties"]
    assert "description" not in members["same"], "its type says that already"
    assert members["other"]["description"] == "Another."


def test_a_parametrized_model_has_the_texts_of_its_origin() -> None:
    assert Box[int].model_json_schema()["properties"]["content"]["description"] == "What is in it."
    assert Page[Base].model_json_schema()["properties"]["items"]


def test_what_has_no_source_has_no_texts() -> None:
    made = type("Made", (Wire,), {"__annotations__": {"member": int}, "__module__": "nowhere"})
    assert attribute_docstrings(made, Wire) == {}


def test_importing_reads_no_source() -> None:
    program = """
        import inspect
        def refuse(*arguments, **options):
            raise AssertionError("a source was read")
        inspect.findsource = refuse
        import pharos.gateway.models.kinds
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_parse_that_met_another_threads_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """See gh-106905 of Python, which is not to be had on demand."""
    parse, met = ast.parse, iter(["once", "twice"])

    def meeting(source: str) -> ast.Module:
        if next(met, None):
            raise SystemError("AST constructor recursion depth mismatch (before=77, after=96)")
        return parse(source)

    monkeypatch.setattr(ast, "parse", meeting)
    assert isinstance(_parsed("x: int"), ast.Module)
