"""What ``pharos up`` says to the person who starts it."""

from __future__ import annotations

import shlex
from pathlib import Path

from pharos import __version__
from pharos.core.fault import FaultDocument


def greeting(home: Path, host: str, port: int, *, loopback: bool) -> str:
    """The banner of a city that has opened. It says where the admin key is, never what it is."""
    address = f"[{host}]" if ":" in host else host
    key = home / "admin.key"
    lines = [
        f"Pharos {__version__} is open at http://{address}:{port}",
        f"  home       {home}",
        f"  admin key  {key}",
        f"             export PHAROS_KEY=$(cat {shlex.quote(str(key))})",
        "  faces      /v1 (models)  /api (operations)  /mcp (tools)  /openapi.json  /metrics",
        "  stop       Ctrl-C",
    ]
    if not loopback:
        lines.append(
            "  warning    reachable from other machines without TLS: keys and prompts travel in the clear. "
            "Put a TLS proxy in front."
        )
    return "\n".join(lines) + "\n"


def fault_text(document: FaultDocument) -> str:
    """A fault for a person who has only a terminal: what, where, and what to do."""
    lines = [f"{document.code}: {document.detail}"]
    lines += [
        f"  {problem.pointer or '/'}: {problem.message}{_hint(problem.suggestion)}" for problem in document.problems
    ]
    lines += [f"  because {cause.message}" for cause in document.causes]
    lines += [f"  fix: {fix.title}" for fix in document.fixes]
    return "\n".join(lines) + "\n"


def _hint(suggestion: str | None) -> str:
    return f" Did you mean {suggestion!r}?" if suggestion else ""
