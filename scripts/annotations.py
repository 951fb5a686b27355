"""Type annotations as source code, with the imports they need, and as the shapes a command line can write."""

from __future__ import annotations

import collections.abc
import keyword
import types
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, JsonValue, SecretStr
from pydantic.fields import FieldInfo

from pharos.client.description import Parameter, Shape
from pharos.core.docstrings import attribute_docstrings
from pharos.core.resource import Ref
from pharos.core.wire import Wire

_SEQUENCES = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Set)
_MAPPINGS = (dict, collections.abc.Mapping)
_PLAIN = (str, int, float, bool, bytes)
_IMPORTED = (datetime, date, timedelta, Decimal)

_COMMON_HELP = {
    ("namespace", "string"): "Namespace.",
    ("limit", "integer"): "Most items of the page.",
    ("cursor", "string"): "Where to continue: `next` of the page before.",
    ("lease", "json"): "The lease, as `groups.claim` gave it.",
    ("message", "json"): """A message, such as {"type": "placed", "data": 3}.""",
    ("outcome", "string"): "How the call ended: `ok`, `error`, `refused`, `cancelled`, `incomplete` or `unknown`.",
    ("policy", "string"): "Name of an AuditPolicy.",
    ("reason", "string"): "Why. It is recorded.",
    ("since", "time"): "From this moment on.",
    ("until", "time"): "Before this moment.",
    ("user", "string"): "An end user, as calls named them.",
}
"""What members mean that many inputs share, where the input itself says nothing."""


@dataclass
class Imports:
    """The names a piece of generated code needs, by module."""

    names: dict[str, set[str]] = field(default_factory=dict)

    def need(self, module: str, name: str) -> str:
        """Note that ``name`` is imported from ``module``, and return it. Raises ``ValueError`` for a clash."""
        for other, names in self.names.items():
            if name in names and other != module:
                raise ValueError(f"{name} is needed from {other} and from {module}")
        self.names.setdefault(module, set()).add(name)
        return name

    def lines(self) -> list[str]:
        """Import statements, sorted as ruff sorts them."""
        order = sorted(self.names, key=lambda module: (module.startswith("pharos"), module))
        return [f"from {module} import {', '.join(sorted(self.names[module]))}" for module in order]


def source(annotation: Any, imports: Imports) -> str:
    """``annotation`` as the source of a parameter's type: collections by their read-only protocols."""
    annotation = datetime if annotation is AwareDatetime else annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in (Any, JsonValue) or origin is JsonValue:
        return imports.need("pharos.core.wire", "Json")
    if annotation is None or annotation is type(None):
        return "None"
    if origin is Annotated:
        return source(arguments[0], imports)
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(source(option, imports) for option in arguments))
    if origin is Literal:
        return f"{imports.need('typing', 'Literal')}[{', '.join(_quoted(value) for value in arguments)}]"
    if origin in _SEQUENCES:
        return f"{imports.need('collections.abc', 'Sequence')}[{source(arguments[0], imports)}]"
    if origin in _MAPPINGS:
        inner = ", ".join(source(argument, imports) for argument in arguments)
        return f"{imports.need('collections.abc', 'Mapping')}[{inner}]"
    if annotation is SecretStr:
        return "str"  # text on the wire; the city strikes it out wherever it is shown or kept
    if annotation in _PLAIN:
        return str(annotation.__name__)
    if annotation is Decimal:
        return f"{imports.need('decimal', 'Decimal')} | str"  # amounts are decimal text on the wire
    if annotation in _IMPORTED:
        return imports.need(annotation.__module__, annotation.__name__)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        values = ", ".join(_quoted(member.value) for member in annotation)
        name = imports.need(annotation.__module__, annotation.__name__)
        return f"{name} | {imports.need('typing', 'Literal')}[{values}]"
    if isinstance(annotation, type) and issubclass(annotation, Wire):
        return model_source(annotation, imports)
    raise TypeError(f"no way to write the type {annotation!r} in generated code")


def model_source(model: type[Wire], imports: Imports) -> str:
    """The source that names a model, also one of a generic type (``Page[LedgerRow]``)."""
    generic = model.__pydantic_generic_metadata__
    if generic["origin"] is None:
        return imports.need(model.__module__, model.__name__)
    name = imports.need(generic["origin"].__module__, generic["origin"].__name__)
    arguments = [_argument_source(argument, imports) for argument in generic["args"]]
    return f"{name}[{', '.join(arguments)}]"


def _argument_source(argument: Any, imports: Imports) -> str:
    return imports.need("typing", "Any") if argument is Any else source(argument, imports)


def fields_of(model: type[Wire]) -> Mapping[str, FieldInfo]:
    """The members of a model by name, with what the texts below them say."""
    texts = attribute_docstrings(model, Wire)
    fields = {name: copy(info) for name, info in model.model_fields.items()}
    for name, info in fields.items():
        info.description = info.description or texts.get(name)
    return fields


def parameter(name: str, info: FieldInfo) -> Parameter:
    """A member of an input as something a command line can take."""
    annotation = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    inner = _without_none(annotation)
    many = get_origin(inner) in _SEQUENCES
    if many:
        inner = _without_none(get_args(inner)[0])
    default = None if info.is_required() or info.default_factory is not None else info.default
    if isinstance(default, Enum):
        default = default.value
    reference = next((mark.kind for mark in _marks(annotation) if isinstance(mark, Ref)), "")
    return Parameter(
        name=info.alias or name,
        shape="text" if _is_document(info) else _shape(inner),
        many=many,
        required=info.is_required(),
        default=default if isinstance(default, str | int | float | bool) else None,
        choices=_choices(inner),
        help=meaning(name, info),
        kind=reference,
    )


def _is_document(info: FieldInfo) -> bool:
    """Whether a member is the content of a file: its schema says of which type."""
    return isinstance(info.json_schema_extra, dict) and "contentMediaType" in info.json_schema_extra


def safe(name: str) -> str:
    """``name`` as Python can say it: ``budgets.raise`` is the method ``raise_``."""
    return f"{name}_" if keyword.iskeyword(name) else name


def meaning(name: str, info: FieldInfo) -> str:
    """What a member means, on one line."""
    described = info.description or _COMMON_HELP.get((name, _shape(_without_none(info.annotation))), "")
    return " ".join(described.split())


def _without_none(annotation: Any) -> Any:
    """The one alternative that is not ``None``; of several, all of them, which only JSON can say."""
    if get_origin(annotation) is Annotated:
        return _without_none(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        options = [option for option in get_args(annotation) if option is not type(None)]
        if len(options) == 1:
            return _without_none(options[0])
    return annotation


def _shape(annotation: Any) -> Shape:
    origin = get_origin(annotation)
    if origin is Literal:
        return "string" if all(isinstance(value, str) for value in get_args(annotation)) else "json"
    if annotation is bool:
        return "boolean"
    if annotation is int:
        return "integer"
    if annotation is float:
        return "number"
    if annotation in (datetime, AwareDatetime):
        return "time"
    if annotation is SecretStr:
        return "secret"
    if annotation in (str, bytes, *_IMPORTED):
        return "string"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "string"
    if origin in _MAPPINGS and get_args(annotation) == (str, str):
        return "map"
    return "json"


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal and _shape(annotation) == "string":
        return tuple(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(str(member.value) for member in annotation)
    return ()


def _marks(annotation: Any) -> Iterator[object]:
    yield from getattr(annotation, "__metadata__", ())
    for inner in get_args(annotation):
        yield from _marks(inner)


def _quoted(value: object) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else repr(value)
