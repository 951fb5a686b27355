"""The server's own plane: which version this is, and whether the city is well."""

from __future__ import annotations

import platform
from datetime import datetime
from typing import Literal

from pharos import __version__
from pharos.core.fault import Fix
from pharos.core.operation import Invocation, operations_of, read
from pharos.core.plane import Plane
from pharos.core.resource import API_VERSION
from pharos.core.wire import Wire
from pharos.server.doctor import Doctor, State
from pharos.server.faults import ALL


class Nothing(Wire):
    """No input."""


class Version(Wire):
    """What is running."""

    version: str
    """Version of Pharos."""
    api_version: Literal["pharos/v1"] = API_VERSION
    """Version of the manifests it understands."""
    python: str
    started_at: datetime
    """When this process opened the city."""


class CheckResult(Wire):
    """What one check found."""

    check: str
    state: State
    message: str
    fix: Fix | None = None
    """How to mend it."""


class Report(Wire):
    """A medical report, the worst first."""

    healthy: bool
    """Whether no check found an error. Warnings are for the next working day."""
    checks: list[CheckResult]


class SystemOperations:
    """The operations of the server itself."""

    def __init__(self, doctor: Doctor, started_at: datetime) -> None:
        self._doctor = doctor
        self._started_at = started_at

    @read("system.version", permission=None, typical_ms=1)
    async def version(self, invocation: Invocation, input: Nothing) -> Version:
        """Tell which version is running, and since when."""
        return Version(version=__version__, python=platform.python_version(), started_at=self._started_at)

    @read("system.doctor", permission="system.read", typical_ms=50)
    async def doctor(self, invocation: Invocation, input: Nothing) -> Report:
        """Examine the city: storage, views, credentials, references, clock, disk.

        Each check gives its state and, where something is wrong, how to mend it. Nothing is changed.
        """
        findings = [finding async for finding in self._doctor.examine()]
        findings.sort(key=lambda finding: _WORST_FIRST[finding.state])
        return Report(
            healthy=all(finding.state != "error" for finding in findings),
            checks=[
                CheckResult(check=found.check, state=found.state, message=found.message, fix=found.fix)
                for found in findings
            ],
        )


_WORST_FIRST = {"error": 0, "warning": 1, "ok": 2}


def system_plane(doctor: Doctor, started_at: datetime) -> Plane:
    """The plane of the front door."""
    return Plane(
        name="system",
        summary="Version and health of the city.",
        operations=operations_of(SystemOperations(doctor, started_at)),
        faults=ALL,
    )
