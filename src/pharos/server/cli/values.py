"""Between an operation's input and a command line, in both directions.

Required plain values are positional, in the order of the input; where there is none, the one that names what the verb
is about is, and may be left out (``agents stop [AGENT]``). Everything else is an option in kebab-case. Lists are
options given several times, maps are ``--labels team=a``, and what only JSON can say is JSON text. That, and what is
the content of a file, is read from ``@FILE``, or from standard input (``@-``).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

import click

from pharos.client.description import Description, Parameter
from pharos.server.cli.types import (
    DocumentType,
    JsonType,
    KindType,
    ListedType,
    PairType,
    ReferenceType,
    SecretType,
    TimeType,
)

# Option names that every command has; an input may not take them (a test holds this).
RESERVED = frozenset({"json", "output", "url", "help", "dry-run", "idempotency-key", "yes"})


def option_name(parameter: Parameter) -> str:
    """The option that sets a parameter, without dashes: ``expectedRevision`` is ``expected-revision``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"-\1", parameter.name).lower()


def places(operation: Description) -> list[Parameter]:
    """The parameters that are given by their place, in order: the required ones, or else at most one that is not."""
    plain = [parameter for parameter in operation.parameters if not parameter.many and parameter.shape in _PLAIN]
    if required := [parameter for parameter in plain if parameter.required]:
        return required
    if any(parameter.name == "kind" for parameter in plain):
        return []  # A name says nothing without its kind; `pharos get` and its like take both.
    names = {"name", "code", operation.noun.removesuffix("s")}
    return [parameter for parameter in plain if parameter.name in names][:1]


_PLAIN = frozenset({"string", "time", "integer", "number", "text", "secret"})


def click_parameters(operation: Description) -> list[click.Parameter]:
    """What click needs to read an operation's input."""
    by_place = places(operation)
    return [
        _argument(parameter, operation.noun) if parameter in by_place else _option(parameter, operation.noun)
        for parameter in operation.parameters
    ]


def spoken(operation: Description) -> dict[str, str]:
    """How each member of the input is given: the option, or the place as help names it."""
    by_place = places(operation)
    return {
        parameter.name: _place(parameter, operation.noun) if parameter in by_place else f"--{option_name(parameter)}"
        for parameter in operation.parameters
    }


def _argument(parameter: Parameter, noun: str) -> click.Argument:
    metavar = _place(parameter, noun)
    return click.Argument(
        [parameter.name],
        type=_click_type(parameter, noun),
        required=parameter.required,
        metavar=metavar if parameter.required else f"[{metavar}]",
    )


def _option(parameter: Parameter, noun: str) -> click.Option:
    flags = f"--{option_name(parameter)}"
    if parameter.shape == "boolean" and not parameter.many:
        if parameter.default is not False:
            flags += f"/--no-{option_name(parameter)}"
        return click.Option(
            [flags, parameter.name], is_flag=True, default=None, required=parameter.required, help=_help(parameter)
        )
    return click.Option(
        [flags, parameter.name],
        type=_click_type(parameter, noun),
        multiple=parameter.many or parameter.shape == "map",
        required=parameter.required,
        metavar=_metavar(parameter),
        help=_help(parameter),
    )


def _click_type(parameter: Parameter, noun: str) -> click.ParamType[Any]:
    if parameter.choices:
        return click.Choice(parameter.choices)
    if parameter.name == "kind":
        return KindType()
    listed = None if parameter.kind else _LISTED.get(parameter.name) or _LISTED.get(f"{noun}.{parameter.name}")
    kind = parameter.kind or _named_kind(parameter.name, noun)
    match parameter.shape:
        case "string" if listed is not None:
            return ListedType(*listed)
        case "string":
            return ReferenceType(kind) if kind else click.STRING
        case "time":
            return TimeType()
        case "integer":
            return click.INT
        case "number":
            return click.FLOAT
        case "boolean":
            return click.BOOL
        case "map":
            return PairType()
        case "json":
            return JsonType()
        case "text":
            return DocumentType()
        case "secret":
            return SecretType()


_LISTED = {
    "group": ("groups.list", "group"),
    "session": ("sessions.list", "session"),
    "topic": ("topics.list", "name"),
    "approvals.name": ("approvals.list", "name"),
    "audit.call": ("audit.list", "call"),
    "blobs.digest": ("blobs.list", "digest"),
    "faults.code": ("faults.list", "code"),
    "journeys.id": ("journeys.list", "id"),
    "operations.id": ("operations.list", "id"),
    "schedules.id": ("schedules.list", "id"),
    "topics.name": ("topics.list", "name"),
    "views.name": ("views.list", "name"),
}
"""Where values are found that are no names of resources, by the name of the parameter, or by noun and name."""


def _named_kind(name: str, noun: str) -> str:
    """The kind that a member called ``key`` or ``budget`` (or ``name``, under ``budgets``) most likely names."""
    from pharos.client.description import kinds

    for kind in kinds():
        if name == kind["name"].lower() or (name == "name" and noun == kind["plural"]):
            return kind["name"]
    return ""


def _place(parameter: Parameter, noun: str) -> str:
    """How help names a value that is given by its place: an ``id`` among ``operations`` is an OPERATION."""
    if parameter.shape in ("secret", "text"):
        return "@FILE"
    name = noun.removesuffix("s") if parameter.name == "id" else option_name(parameter)
    return name.upper().replace("-", "_")


def _metavar(parameter: Parameter) -> str | None:
    if parameter.choices:
        return None
    return {"string": "TEXT", "time": "TIME", "map": "NAME=VALUE", "json": "JSON"}.get(parameter.shape)


def _help(parameter: Parameter) -> str:
    text = parameter.help
    if parameter.default not in (None, "", False):
        text += f" Default: {str(parameter.default).lower() if parameter.default is True else parameter.default}."
    if parameter.many or parameter.shape == "map":
        text += " Repeatable."
    return text.strip()


def arguments(operation: Description, values: Mapping[str, Any]) -> dict[str, Any]:
    """An operation's input from what click read. What was not given is left out."""
    found: dict[str, Any] = {}
    for parameter in operation.parameters:
        value = values.get(parameter.name)
        if value is None or (isinstance(value, tuple) and not value):
            continue
        if parameter.shape == "map":
            value = dict(value)
        elif parameter.many:
            value = list(value)
        found[parameter.name] = value
    return found


def command_line(name: str, given: Mapping[str, Any]) -> str:
    """The command that makes a call, ready to paste into a shell. The inverse of :func:`arguments`."""
    from pharos.client.description import descriptions

    operation = descriptions().get(name)
    if operation is None or not set(given) <= {parameter.name for parameter in operation.parameters}:
        return shlex.join(["pharos", "call", name, json.dumps(given, ensure_ascii=False)])
    words = ["pharos", operation.noun, operation.verb]
    by_place = places(operation)
    for parameter in operation.parameters:
        if parameter.name in given and parameter not in by_place:
            words += _option_words(parameter, given[parameter.name])
    values = [_text(given[parameter.name]) for parameter in by_place if given.get(parameter.name) is not None]
    words += ["--", *values] if any(value.startswith("-") for value in values) else values
    return shlex.join(words)


def _option_words(parameter: Parameter, value: Any) -> list[str]:
    flag = f"--{option_name(parameter)}"
    if value is None:
        return []
    if parameter.shape == "boolean" and not parameter.many:
        if value:
            return [flag]
        return [] if parameter.default is False else [f"--no-{option_name(parameter)}"]
    if parameter.shape == "map":
        return [word for name, text in value.items() for word in (flag, f"{name}={text}")]
    items = value if parameter.many else [value]
    written = [json.dumps(item, ensure_ascii=False) if parameter.shape == "json" else _text(item) for item in items]
    return [word for text in written for word in ((f"{flag}={text}",) if text.startswith("-") else (flag, text))]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
