"""``pharos doctor``: the way to the city first, then the city's own report (``system.doctor``)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from pharos.server.cli.exits import Exit
from pharos.server.cli.session import Session, pass_session, progress, with_common_options

if TYPE_CHECKING:
    from pharos.client.target import Target
    from pharos.core.wire import JsonObject as Report

_POLL_SECONDS = 0.1


@with_common_options
@click.command()
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait until the city is ready, at most so long.",
)
@pass_session
def doctor(session: Session, wait: float) -> int:
    """Find out what is wrong between here and the city, and in it.

    Checks the address, the key, the connection and its permissions from here; then the city examines its storage,
    views, credentials, references, clock and disk. Exit code 0: healthy; 1: something is wrong; 3: no city answers.

    \b
    Examples:
      pharos doctor
      pharos up & pharos doctor --wait 30
    """
    from pharos.client.target import find_target

    target = find_target(session.url, session.key)
    with progress(f"Waiting for {target.url}" if wait else ""):
        ready = _await_ready(target, wait)
    target = find_target(session.url, session.key)  # a city that has just started has written its key meanwhile
    checks: list[Report] = [_reached(target, ready), _entered_with(target)]
    code = Exit.OK if ready else Exit.UNREACHABLE
    if ready:
        checks += _examined(session)
    healthy = all(check["state"] != "error" for check in checks)
    session.show({"healthy": healthy, "checks": list(checks)}, "system.doctor")
    return code if code or healthy else Exit.FAULT


def _await_ready(target: Target, seconds: float) -> bool:
    """Whether the city is ready now, or becomes so within ``seconds``."""
    import httpx2

    deadline = time.monotonic() + seconds
    with httpx2.Client(timeout=5.0) as http:
        while True:
            try:
                if http.get(f"{target.url}/readyz").status_code == 200:
                    return True
            except httpx2.HTTPError:
                pass
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)


def _reached(target: Target, ready: bool) -> Report:
    if ready:
        return _check("address", "ok", f"A city is ready at {target.url}.")
    message = f"No city is ready at {target.url}."
    return _check("address", "error", message, "Start one with `pharos up`, or set PHAROS_URL to the one you mean")


def _entered_with(target: Target) -> Report:
    if target.key is not None:
        return _check("key", "ok", f"Entering with the key from {target.key_source}.")
    message = "There is no key to enter with: PHAROS_KEY is not set, and there is no .pharos/admin.key here."
    return _check("key", "warning", message, "Set PHAROS_KEY, or run in the directory in which the city was started")


def _examined(session: Session) -> list[Report]:
    """The city's own checks, or the one that says why there are none."""
    from pharos.core.fault import Fault
    from pharos.server.cli.faults import ways_in

    try:
        report = session.call("system.doctor", {})
    except Fault as fault:
        state = "warning" if fault.code == "FORBIDDEN" else "error"
        if fault.code == "UNAUTHENTICATED":
            fix = "; ".join(ways_in(session.key_source()))
        elif (permission := fault.document.required_permission) is not None:
            fix = f"Enter with a key whose `scopes` have {permission}"
        else:
            fix = "; ".join(fix.title for fix in fault.document.fixes)
        return [_check("entry", state, f"{fault.code}: {fault.document.detail}", fix)]
    checks = report.get("checks")
    return [check for check in checks if isinstance(check, dict)] if isinstance(checks, list) else []


def _check(name: str, state: str, message: str, fix: str = "") -> Report:
    """A check in the form of the city's own."""
    found: Report = {"check": name, "state": state, "message": message}
    if fix:
        found["fix"] = {
            "id": "by-hand",
            "title": fix,
            "applicability": "manual",
            "effect": "",
            "permitted": "yes",
        }
    return found
