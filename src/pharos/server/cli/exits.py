"""Exit codes of ``pharos``."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAULT = 1
    """The city refused, or the work failed: the fault is on stderr."""
    USAGE = 2
    """The command line itself is wrong; nothing was sent."""
    UNREACHABLE = 3
    """No city answered."""
    INTERRUPTED = 130
    """Ctrl-C."""


MEANINGS = {
    Exit.OK: "done",
    Exit.FAULT: "the city refused or the work failed; the fault, with its fixes, is on stderr",
    Exit.USAGE: "the command line is wrong; nothing was sent",
    Exit.UNREACHABLE: "no city answered at the address",
    Exit.INTERRUPTED: "interrupted (Ctrl-C)",
}
