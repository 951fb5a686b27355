"""Between an operation's input and a command line, in both directions.

Required plain values are positional, in the order of the input; where there is none, the one that names what the verb
is about is, and may be left out (``agents stop [AGENT]``). Everything else is an option in kebab-case. Lists are
options given several times, maps are ``--labels team=a``, and what only JSON can say is JSON text (``@FILE`` reads it
from a file, ``@-`` from standard input).
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from pharos.client.description import Description, Parameter

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


_PLAIN = frozenset({"string", "time", "integer", "number", "secret"})


class JsonType(click.ParamType[Any]):
    """JSON text, or ``@FILE``."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        text = value
        try:
            if value.startswith("@"):
                text = sys.stdin.read() if value == "@-" else Path(value[1:]).read_text("utf-8")
            return json.loads(text)
        except OSError as error:
            self.fail(f"{value[1:]}: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(f"""not JSON, such as '{{"data": 3}}' or @FILE: {error}""", param, ctx)


class PairType(click.ParamType[tuple[str, str]]):
    """``name=value``."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not of the form name=value", param, ctx)
        return name, text


class TimeType(click.ParamType[str]):
    """A moment: as a table shows it (local time), with a zone, a date alone, or how long ago (``2h``, ``7d``)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if ago := _AGO.fullmatch(text):
            return (datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])).isoformat()
        try:
            moment = datetime.fromisoformat(text)
            return text if moment.tzinfo is not None else moment.astimezone().isoformat()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; it looks like 2026-01-31, '2026-01-31 14:00', …T14:00Z or 2h", param, ctx)


_AGO = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class SecretType(click.ParamType[str]):
    """A secret: from a file (``@FILE``) or standard input (``-``), where no other user of the machine can see it."""

    name = "secret"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text not in ("-", "@-") and not text.startswith("@"):
            self.fail("a command line can be seen by others: give @FILE, or - for standard input", param, ctx)
        try:
            found = sys.stdin.read() if text in ("-", "@-") else Path(text[1:]).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{text[1:]}: {getattr(error, 'strerror', None) or 'not text'}", param, ctx)
        return found.strip()


class ReferenceType(click.ParamType[str]):
    """The name of a resource, completed by asking the city."""

    name = "name"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from pharos.server.cli.completion import resource_names

        return resource_names(self.kind, incomplete)


class KindType(click.ParamType[str]):
    """A kind of resource: its name or plural, in any case, completed without asking the city."""

    name = "kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from pharos.client.description import kinds

        found = [kind for kind in kinds() if kind["name"].lower().startswith(incomplete.lower())]
        return [CompletionItem(kind["name"], help=kind["summary"]) for kind in found]


def click_parameters(operation: Description) -> list[click.Parameter]:
    """What click needs to read an operation's input."""
    by_place = places(operation)
    return [
        _argument(parameter, operation.noun) if parameter in by_place else _option(parameter, operation.noun)
        for parameter in operation.parameters
    ]


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
    kind = parameter.kind or _named_kind(parameter.name, noun)
    match parameter.shape:
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
        case "secret":
            return SecretType()


def _named_kind(name: str, noun: str) -> str:
    """The kind that a member called ``key`` or ``budget`` (or ``name``, under ``budgets``) most likely names."""
    from pharos.client.description import kinds

    for kind in kinds():
        if name == kind["name"].lower() or (name == "name" and noun == kind["plural"]):
            return kind["name"]
    return ""


def _place(parameter: Parameter, noun: str) -> str:
    """How help names a value that is given by its place: an ``id`` among ``operations`` is an OPERATION."""
    if parameter.shape == "secret":
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
