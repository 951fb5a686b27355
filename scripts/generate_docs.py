"""Write the pages under docs/reference/ from the code. ``--check`` writes nothing and exits 1 where one is stale."""

from __future__ import annotations

import sys
from pathlib import Path

from pharos.client import faults as client_faults
from pharos.gateway.models.dialects.registry import DIALECTS
from scripts.output import ROOT, finish
from scripts.reference import cli, faults, kinds, losses, operations
from scripts.survey import Survey, survey

REFERENCE = ROOT / "docs" / "reference"

_NOTE = "<!-- Generated from the code by `make docs`; edits are overwritten. -->\n\n"


def files(city: Survey) -> dict[Path, str]:
    """Every generated page with its content."""
    by_owner = dict(city.faults)
    catalogue = [
        ("Everywhere", by_owner.pop("core")),
        *((owner.capitalize(), codes) for owner, codes in by_owner.items()),
        ("On the caller's side", client_faults.ALL),
    ]
    pages = {
        "operations.md": operations.page(city.operations),
        "kinds.md": kinds.page(city.kinds),
        "faults.md": faults.page(catalogue),
        "losses.md": losses.page(DIALECTS.values()),
        "cli.md": cli.page(),
    }
    return {REFERENCE / name: _NOTE + text.rstrip("\n") + "\n" for name, text in pages.items()}


if __name__ == "__main__":
    sys.exit(finish(files(survey()), [REFERENCE], check="--check" in sys.argv))
