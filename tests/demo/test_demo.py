"""``make demo`` shows the main job without a question asked, and leaves nothing running."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _commands() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            yield path.read_bytes()


@pytest.mark.timeout(330)
def test_the_demo_runs_to_its_end_and_leaves_nothing(tmp_path: Path) -> None:
    # No real provider, whatever the machine that runs the tests knows.
    hidden = {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden and not name.startswith("PHAROS_")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/demo.py")],
        capture_output=True,
        text=True,
        timeout=300,
        env={**kept, "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in (
        "Hello, harbour!",
        "anthropic SDK → openai-chat provider: get_weather",
        "openai SDK → anthropic provider: get_weather",
        "served by provider south",
        "402 BUDGET_EXCEEDED",
        "the approver's MCP client called budgets_raise",
        "the same call again: Yes",
        "~ Budget/pocket-money",
        "the city is dead",
        "a scholar is back: I looked: nine ships with grain wait for the north wind.",
        "The report, from three shelves: ",
        "visits to the library in all: 3, one for each shelf",
        "ended with exit code 0",
    ):
        assert shown in done.stdout, f"{shown!r} is missing:\n{done.stdout}\n{done.stderr}"
    # Its children name the directory they work in; whoever is left would be found by it.
    assert not [command for command in _commands() if str(tmp_path).encode() in command]
    assert not list(tmp_path.glob("pharos-demo-*"))
