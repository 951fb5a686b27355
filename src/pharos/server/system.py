"""The server's own plane: which version this is, and whether the city is well."""

from __future__ import annotations

import platform
from datetime import datetime

from pharos import __version__
from pharos.control.health import CheckResult, Report, Version
from pharos.core.operation import Invocation, operations_of, read
from pharos.core.plane import Plane
from pharos.core.wire import Wire
from pharos.server.doctor import Doctor
from pharos.server.faults import ALL


class Nothing(Wire):
    """No input."""


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
