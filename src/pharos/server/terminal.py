"""What ``pharos up`` says, once the city is open, to the person or program that started it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
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
