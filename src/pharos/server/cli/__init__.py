"""The command ``pharos``: every operation of the city from a shell, and the few commands that need no city.

Operations come from the description beside the client (``client/operations.json``), so that none is missing and help
needs neither a city nor an import of its planes. Exit codes are in ``exits.py``.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command of this process's arguments, and end the process with its exit code."""
    from pharos.server.cli.app import run

    sys.exit(run(sys.argv[1:]))
