"""Judge an export of the ledger by the validator of FOCUS itself: ``pharos ledger export --format focus > ledger.csv``.

The validator (``focus-validator``) brings half a gigabyte with it, so it is no dependency of this project: it is
installed into a place of its own. Its newest release knows FOCUS 1.0; what it gets wrong itself is listed below and
left out. Exit code: 0, 1 with findings, 2 where it cannot be run.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

REQUIREMENTS: Final = ("focus-validator==1.0.0", "multimethod<2")
"""It does not start with a newer multimethod."""

_CONDITIONAL = "the specification wants the column only of providers that have such a thing"
_MISNAMED = "it looks for the column's display name; its id is another"
KNOWN: Final[Mapping[str, str]] = {
    "BillingCurrency_IsCurrencyCode": "its list of currencies is missing from the package",
    "PricingQuantity_IsDecimal": "it takes a column of whole numbers for none of decimals",
    "SkuPriceId_Nullable": "it looks at a column that was renamed before 1.0",
    **dict.fromkeys(("InvoiceIssuer_Required", "Provider_Required", "Publisher_Required"), _MISNAMED),
    "ResourceID_Required": _MISNAMED,
    **dict.fromkeys(
        (f"CommitmentDiscount{name}_Required" for name in ("Category", "Id", "Name", "Status", "Type")), _CONDITIONAL
    ),
    **dict.fromkeys((f"{name}UnitPrice_Required" for name in ("Contracted", "List")), _CONDITIONAL),
}
"""Findings of the validator that are none, and why."""

_FINDING = re.compile(r"^(\w+) failed:\n((?:\t.*\n?)*)", re.M)


def findings(report: str) -> dict[str, str]:
    """What the validator found wrong, by its rule, without what it is itself wrong about."""
    return {rule: said for rule, said in _FINDING.findall(report) if rule not in KNOWN}


def installed(work: Path) -> Path:
    """The validator, installed below ``work`` if it is not."""
    home = work / "focus"
    if not (home / "bin" / "focus-validator").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "--quiet", *REQUIREMENTS], check=True)
    return home / "bin" / "focus-validator"


def main() -> int:
    """Install the validator, run it, print what it found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, help="the export")
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="where the validator is installed")
    options = parser.parse_args()
    try:
        command = [str(installed(options.work)), "--data-file", str(options.file)]
        command += ["--validate-version", "1.0", "--column-namespace", "x_"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the validator could not be run: {error}", file=sys.stderr)
        return 2
    report = run.stdout + run.stderr
    if "Traceback" in report:
        print(report, file=sys.stderr)
        return 2
    found = findings(report)
    for rule, said in found.items():
        print(f"{rule}\n{said}")
    print(f"{len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
