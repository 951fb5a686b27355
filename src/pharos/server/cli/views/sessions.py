"""A session: how it stands, and what happens in it, a line for each event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from pharos.server.cli.values import command_line
from pharos.server.cli.views.cells import plain, time, usd
from pharos.server.cli.views.generic import show_object

_GOOD = ("completed", "granted", "reconciled", "extended")
_BAD = ("failed", "denied", "refused", "timed_out", "expired", "exceeded", "quarantined", "unknown", "cancelled")

_SAYS = ("name", "agent", "question", "code", "detail", "content", "text", "reason", "purpose", "on", "outcome")
"""What of an event people look for, in this order. All of it is shown by --json."""

_MOST = 400
"""Characters of one value. A result can be a megabyte."""


def session(console: Console, output: Mapping[str, Any]) -> None:
    """How a session stands, and what a person can say to what it waits for."""
    show_object(console, output, "sessions.get")
    which = _which(output)
    for approval in output.get("approvals", ()):
        _commands(console, _answers(which, approval))
    for question in output.get("questions", ()):
        _commands(console, {"answer": _line("sessions.send", which, answers=question["id"], text="TEXT")})
    for effect in output.get("effects", ()):
        if effect["status"] == "unknown":
            says = {"it happened": "done", "it did not": "not done", "leave it": "abandoned"}
            lines = {
                said: _line("sessions.resolve", which, effect=effect["id"], outcome=outcome)
                for said, outcome in says.items()
            }
            _commands(console, lines)


def _which(of: Mapping[str, Any]) -> dict[str, Any]:
    """The members that name the session, of an output or of the input that asked for it."""
    namespace = of.get("namespace")
    return {"session": of.get("session")} | ({"namespace": namespace} if namespace not in (None, "default") else {})


def _answers(which: Mapping[str, Any], approval: Mapping[str, Any]) -> dict[str, str]:
    asked = {"approval": approval["id"], "digest": approval["digest"]}
    return {verb: _line(f"sessions.{verb}", which, **asked) for verb in ("approve", "deny")}


def _line(operation: str, which: Mapping[str, Any], **more: str) -> str:
    return command_line(operation, {**which, **more})


def _commands(console: Console, lines: Mapping[str, str]) -> None:
    console.print()
    for what, line in lines.items():
        console.print(Text.assemble((f"{what}: ", "bold green"), (line, "bold")))


def happened(console: Console, item: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """One event of the session that ``given`` names, or a piece of an answer that is on its way."""
    type = str(item.get("type", ""))
    data = item.get("data") or {}
    line = Text.assemble((f"{time(item.get('time')).plain[-8:]} ", "dim"), (f"{type:<20}", _style(type)))
    for said in _said(type, data):
        line.append(f" {said}")
    line.rstrip()
    console.print(line)
    if type == "approval.requested" and not data.get("who"):
        for verb, command in _answers(_which(given), data).items():
            console.print(Text.assemble((f"{verb:>29}: ", "bold green"), (command, "bold")))


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
    if (spent := data.get("spent", data.get("cost"))) is not None:
        yield f"({usd(spent)} spent)" if "spent" in data else f"(cost {usd(spent)})"


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
