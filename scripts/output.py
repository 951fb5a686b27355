"""Writing generated files: formatted, only where they changed, and nothing stale left beside them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def formatted(path: Path, text: str) -> str:
    """Python source as ruff would leave it."""
    # Said here, because ruff otherwise looks for modules on the disk, where a new one is not yet.
    ours = ["--config", 'lint.isort.known-first-party=["pharos"]']
    for arguments in (["check", "--fix-only", "--select", "I,F401", "--quiet", *ours], ["format", "--quiet"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(path), "-"]
        text = subprocess.run(command, input=text, text=True, capture_output=True, check=True, cwd=ROOT).stdout
    return text


def stale(files: Mapping[Path, str], owned: Iterable[Path] = ()) -> list[Path]:
    """The files whose content is not as given, and those in ``owned`` directories that are not given at all."""
    changed = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    present = [path for directory in owned for path in directory.rglob("*") if path.is_file()]
    left = [path for path in present if path not in files and "__pycache__" not in path.parts]
    return sorted([*changed, *left])


def finish(files: Mapping[Path, str], owned: Iterable[Path] = (), *, check: bool) -> int:
    """Write what is stale, or with ``check`` only name it; return the exit code."""
    found = stale(files, owned)
    for path in found:
        print(("stale: " if check else "wrote ") + str(path.relative_to(ROOT)))
        if check:
            continue
        if path not in files:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], "utf-8")
    return 1 if check and found else 0
