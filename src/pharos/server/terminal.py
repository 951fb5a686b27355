"""What ``pharos up`` says to the person or program that started it: that the city is open, is ending, has ended."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pharos import __version__


@dataclass(frozen=True, slots=True)
class Opened:
    """A city that has opened. It says where the admin key is, never what it is."""

    home: Path
    host: str
    port: int
    loopback: bool
    """Whether only this machine can reach it."""
    warnings: Sequence[str] = ()
    """What its resources name and what is not there."""
    tls: bool = False
    admin: str | None = None
    """Where operations are, if they have an address of their own."""

    @property
    def url(self) -> str:
        """Where it is reached."""
        return url_of(self.host, self.port, tls=self.tls)

    @property
    def admin_key(self) -> Path:
        """The file that holds the first key."""
        return self.home / "admin.key"


def url_of(host: str, port: int, *, tls: bool) -> str:
    """The address of a server."""
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


_IN_THE_CLEAR = (
    "reachable from other machines without TLS: keys and prompts travel in the clear. Give --tls-cert and --tls-key, "
    "or put a TLS proxy in front."
)


def _warnings(opened: Opened) -> list[str]:
    return [*opened.warnings, *([] if opened.loopback or opened.tls else [_IN_THE_CLEAR])]


def greeting(opened: Opened) -> str:
    """For a person."""
    lines = [
        f"Pharos {__version__} is open at {opened.url}",
        f"  home       {opened.home}",
        f"  admin key  {opened.admin_key}",
        f"             export PHAROS_KEY=$(cat {shlex.quote(str(opened.admin_key))})",
        *_faces(opened),
        "  stop       Ctrl-C",
        *(f"  warning    {warning}" for warning in _warnings(opened)),
    ]
    return "\n".join(lines) + "\n"


def _faces(opened: Opened) -> list[str]:
    operations = "/api (operations)  /mcp (tools)  /openapi.json  /metrics"
    if opened.admin is None:
        return [f"  faces      /v1 (models)  {operations}"]
    return [
        "  faces      /v1 (models)",
        f"  operations {opened.admin}",
        f"             {operations}",
        f"             export PHAROS_URL={opened.admin}",
    ]


def announcement(opened: Opened) -> str:
    """For a program: one line of JSON."""
    found = {
        "version": __version__,
        "url": opened.url,
        **({} if opened.admin is None else {"adminUrl": opened.admin}),
        "home": str(opened.home),
        "adminKey": str(opened.admin_key),
        "warnings": _warnings(opened),
    }
    return json.dumps(found, ensure_ascii=False) + "\n"


def _stopping(calls: int, seconds: float) -> str:
    if not calls:
        return "Stopping: nothing is under way.\n"
    under_way = "1 call under way has" if calls == 1 else f"{calls} calls under way have"
    return f"Stopping: {under_way} {seconds:g} s to end. Ctrl-C again cuts them off.\n"


def _stopped(home: Path) -> str:
    return f"Stopped. Everything is kept in {home}.\n"


@dataclass(frozen=True, slots=True)
class Voice:
    """The words for each moment."""

    opened: Callable[[Opened], str]
    stopping: Callable[[int, float], str]
    """With the calls under way, and the seconds they may take."""
    stopped: Callable[[Path], str]


PEOPLE = Voice(greeting, _stopping, _stopped)
PROGRAMS = Voice(
    announcement,
    lambda calls, seconds: json.dumps({"stopping": {"calls": calls, "drainSeconds": seconds}}) + "\n",
    lambda home: json.dumps({"stopped": True}) + "\n",
)


def say(text: str) -> None:
    """Write ``text`` on stdout. That nobody reads there any more is no reason to end otherwise than in order."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        # Python would complain once more while it closes stdout, and end with another exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
