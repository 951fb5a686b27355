"""Models as tables of their members, in words for people."""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, JsonValue
from pydantic.fields import FieldInfo

from pharos.core.forms import in_words
from pharos.core.resource import NAME_PATTERN, Ref
from pharos.core.wire import Wire
from scripts.annotations import fields_of, meaning

_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence)
_WORDS: dict[object, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    datetime: "time",
    AwareDatetime: "time with zone",
    Decimal: "decimal text",
    Any: "any JSON",
}


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a model."""

    name: str
    words: str
    """Its type."""
    required: bool
    default: str
    description: str
    models: tuple[type[Wire], ...]
    """Models its type is made of."""


def members(model: type[Wire]) -> list[Member]:
    """The members of a model, in its order, by wire name."""
    return [_member(name, info) for name, info in fields_of(model).items()]


def table(model: type[Wire], *, output: bool = False) -> str:
    """The members as a Markdown table. In an output nothing is "required": its column is left out."""
    rows = members(model)
    if not rows:
        return "Nothing.\n"
    head = ["member", "type", *([] if output else ["default"]), "meaning"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        default = "**required**" if row.required else row.default
        name = f"`{row.name}`"
        lines.append([name, row.words, *([] if output else [default]), row.description])
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines) + "\n"


def nested(model: type[Wire]) -> list[type[Wire]]:
    """The models inside a model, each once, in the order they are met; the model itself is not among them."""
    found: dict[type[Wire], None] = {}

    def visit(outer: type[Wire]) -> None:
        for member in members(outer):
            for inner in member.models:
                if inner not in found and inner is not model:
                    found[inner] = None
                    visit(inner)

    visit(model)
    return list(found)


def summary(model: type[Wire]) -> str:
    """First paragraph of a model's docstring."""
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def plain(text: str) -> str:
    """Docstring markup (``code``) as Markdown (`code`)."""
    return text.replace("``", "`")


def _member(name: str, info: FieldInfo) -> Member:
    annotation = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return Member(
        name=info.alias or name,
        words=type_text(annotation),
        required=info.is_required(),
        default=_default(info),
        description=plain(meaning(name, info)),
        models=tuple(_models(annotation)),
    )


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return ""
    value = info.get_default(call_default_factory=True, validated_data={})
    match value:
        case None:
            return ""
        case bool():
            return "`true`" if value else "`false`"
        case Enum():
            return f"`{value.value}`"
        case Wire():
            return "see there"
        case str() | int() | float() | Decimal():
            return f"`{value}`" if value != "" else ""
        case list() | tuple() | dict() if not value:
            return "none"
        case list() | tuple():
            return ", ".join(f"`{item}`" for item in value)
    return f"`{value}`"


def type_text(annotation: Any) -> str:
    """A type in words: ``list of text``, ``reference to Provider``, ``integer ≥ 1``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        reference = next((mark for mark in arguments[1:] if isinstance(mark, Ref)), None)
        if reference is not None:
            inner = f"[{reference.kind}](#{anchor(reference.kind)})"
            return f"names of {inner}" if get_origin(arguments[0]) in _LISTS else f"name of {inner}"
        marks = list(_flat(arguments[1:]))
        if any(getattr(mark, "pattern", None) == NAME_PATTERN for mark in marks):
            return "name"
        return type_text(arguments[0]) + _limits(marks)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_text(option) for option in arguments if option is not type(None)))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in _LISTS:
        inner = type_text(arguments[0])
        return f"names of {inner.removeprefix('name of ')}" if inner.startswith("name of ") else f"list of {inner}"
    if origin in (dict, collections.abc.Mapping):
        return "any JSON object" if arguments[1] in (JsonValue, Any) else f"map of {type_text(arguments[1])}"
    if annotation in _WORDS:
        return _WORDS[annotation]
    if annotation is JsonValue or origin is JsonValue:
        return "any JSON"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, Wire):
        return f"[{annotation.__name__}](#{anchor(annotation.__name__)})"
    return getattr(annotation, "__name__", str(annotation))


def anchor(title: str) -> str:
    """The fragment of a heading, as the common Markdown renderers make it."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def _limits(marks: Iterable[object]) -> str:
    words, meant = [], ""
    for mark in marks:
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if (bound := getattr(mark, attribute, None)) is not None:
                words.append(f"{sign} {bound}")
        if (least := getattr(mark, "min_length", None)) not in (None, 0):
            words.append(f"at least {least} long")
        if (most := getattr(mark, "max_length", None)) is not None:
            words.append(f"at most {most} long")
        if (pattern := getattr(mark, "pattern", None)) is not None:
            meant = f" ({in_words(pattern) or f'matching `{pattern}`'})"
    return (" " + ", ".join(words) if words else "") + meant


def _flat(marks: Iterable[object]) -> Iterator[object]:
    """The constraints in a list of marks; a ``Field(...)`` carries several."""
    for mark in marks:
        if isinstance(mark, FieldInfo):
            yield from _flat(mark.metadata)
        else:
            yield mark


def _models(annotation: Any) -> Iterator[type[Wire]]:
    if isinstance(annotation, type) and issubclass(annotation, Wire):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
