"""What the texts below the attributes of a class say.

They are read from its source when somebody asks for a schema. Pydantic's own option ``use_attribute_docstrings`` reads
them when a class is made, in a way that costs milliseconds a class: a fifth of what a city needed to start, for texts
that most cities are never asked for.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Final

_TRIES: Final = 10
"""Of a parse that meets another thread's; one takes some milliseconds."""


@cache
def attribute_docstrings(cls: type, base: type) -> Mapping[str, str]:
    """The docstrings of ``cls``'s annotated attributes, by name; of one inherited from a class below ``base``, its.

    Nothing where there is no source to read.
    """
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__[: cls.__mro__.index(base)]):
        own = _classes_of(each.__module__).get(each.__qualname__, {})
        for name in inspect.get_annotations(each):
            found.pop(name, None)  # declared anew, so what was said of it elsewhere is no longer said
        found.update(own)
    return found


@cache
def _classes_of(module: str) -> Mapping[str, Mapping[str, str]]:
    """The attributes' docstrings of every class in a module, by the class's qualified name."""
    loaded = sys.modules.get(module)
    if loaded is None:
        return {}
    try:
        tree = _parsed(inspect.getsource(loaded))
    except (OSError, TypeError, SyntaxError):
        return {}  # built in, made by a program, or its file is gone
    return dict(_classes(tree.body, ""))


def _parsed(source: str) -> ast.Module:
    """The syntax tree of a module.

    Before 3.11.9 and 3.12.3 Python counts the depth of the tree it builds in one place for all threads and takes
    another's steps for a defect of its own (gh-106905). Schemas are made beside the event loop, so threads do meet.
    """
    for _ in range(_TRIES):
        try:
            return ast.parse(source)
        except SystemError:
            continue
    return ast.parse(source)


def _classes(body: list[ast.stmt], within: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for node in body:
        match node:
            case ast.ClassDef():
                yield f"{within}{node.name}", dict(_documented(node.body))
                yield from _classes(node.body, f"{within}{node.name}.")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _classes(node.body, f"{within}{node.name}.<locals>.")


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, following in pairwise(body):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
