"""What values on a command line look like: how each is read, and what a shell offers in its place."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


class DocumentType(click.ParamType[str]):
    """The content of a file: as it is, or ``@FILE``, or ``@-`` for standard input."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.startswith("@"):
            return text
        try:
            return sys.stdin.read() if text == "@-" else Path(text[1:]).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{text[1:]}: {getattr(error, 'strerror', None) or 'not text'}", param, ctx)


_DOCUMENT = DocumentType()


class JsonType(click.ParamType[Any]):
    """JSON text, or ``@FILE``."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        text = _DOCUMENT.convert(value, param, ctx)
        try:
            return json.loads(text)
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
        return _DOCUMENT.convert("@-" if text == "-" else text, param, ctx).strip()


class ReferenceType(click.ParamType[str]):
    """The name of a resource, completed by asking the city."""

    name = "name"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from pharos.server.cli.completion import resource_names

        return resource_names(self.kind, incomplete)


class ListedType(click.ParamType[str]):
    """Something that is no resource, completed from what a list operation has for ``member``."""

    name = "text"

    def __init__(self, operation: str, member: str) -> None:
        self.operation, self.member = operation, member

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from pharos.server.cli.completion import listed

        return listed(self.operation, self.member, incomplete)


class KindType(click.ParamType[str]):
    """A kind of resource: its name or plural, in any case, completed without asking the city."""

    name = "kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from pharos.client.description import kinds

        found = [kind for kind in kinds() if kind["name"].lower().startswith(incomplete.lower())]
        return [CompletionItem(kind["name"], help=kind["summary"]) for kind in found]
