"""What happens in a session, a line for each event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from pharos.server.cli.views.cells import money, plain, time

_GOOD = ("completed", "granted", "reconciled", "extended")
_BAD = ("failed", "denied", "refused", "timed_out", "expired", "exceeded", "quarantined", "unknown", "cancelled")

_SAYS = ("name", "agent", "question", "code", "detail", "content", "text", "reason", "purpose", "on", "outcome")
"""What of an event people look for, in this order. All of it is shown by --json."""

_MOST = 400
"""Characters of one value. A result can be a megabyte."""


def happened(console: Console, item: Mapping[str, Any]) -> None:
    """One event of a session, or a piece of an answer that is on its way."""
    type = str(item.get("type", ""))
    data = item.get("data") or {}
    line = Text.assemble((f"{time(item.get('time')).plain[-8:]} ", "dim"), (f"{type:<20}", _style(type)))
    for said in _said(type, data):
        line.append(f" {said}")
    line.rstrip()
    console.print(line)


def _style(type: str) -> str:
    what = type.rpartition(".")[2]
    return "green" if what in _GOOD else "red" if what in _BAD else "dim" if type.startswith("stream.") else ""


def _said(type: str, data: Mapping[str, Any]) -> Iterator[str]:
    if id := data.get("id"):
        yield str(id)
    if isinstance(message := data.get("message"), dict):
        yield from _message(message)
    if type == "turn.started":
        yield f"step {data.get('turn')}"
    if type == "context.assembled":
        yield f"{data.get('tokens')} of {data.get('budget')} tokens in {data.get('messages')} messages"
    for name in _SAYS:
        # A delta is a piece of text, in which blanks and line breaks count.
        if (value := data.get(name)) not in (None, "", [], id):
            yield json.dumps(value, ensure_ascii=False) if type == "stream.delta" else _short(plain(value).plain)
    if due := data.get("due", data.get("retryAt")):
        yield f"at {time(due)}"
    if arguments := data.get("arguments"):
        yield _short(json.dumps(arguments, ensure_ascii=False))
    if digest := data.get("digest") if type == "approval.requested" else None:
        yield f"digest {digest}"
    if (spent := data.get("spent", data.get("cost"))) is not None:
        yield f"({money(spent)} spent)" if "spent" in data else f"(cost {money(spent)})"


def _message(message: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(content := message.get("content"), str) and content:
        yield _short(content)
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield f"{function.get('name')}({_short(str(function.get('arguments', '')))})"


def _short(value: str) -> str:
    """On one line, and not longer than people read."""
    line = " ".join(value.split())
    return line if len(line) <= _MOST else f"{line[:_MOST]} … ({len(line)} characters)"
