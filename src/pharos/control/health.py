"""What a city says of itself: its version, and a medical report.

The server produces them; they stand here because the client, which is below the server, reads them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pharos.core.fault import Fix
from pharos.core.resource import API_VERSION
from pharos.core.wire import Wire

State = Literal["ok", "warning", "error"]


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
