"""``kill -9`` at every crossing of a scripted session of 36 steps: the outcome is the one of a life without it.

The whole sweep (each crossing of the session once, and sessions that are killed again and again: more than 200 kills)
runs with ``make kills``; here every fifth crossing does.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

WHOLE = os.environ.get("PHAROS_KILLS") == "all"


def lived(home: Path, plan: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """What each session of the plan came to."""
    program = [sys.executable, "-m", "tests.runtime.session.mortal", str(home), json.dumps(plan)]
    ran = subprocess.run(program, capture_output=True, text=True, timeout=400, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return [json.loads(line) for line in ran.stdout.splitlines()]


def check(result: dict[str, Any], unharmed: dict[str, Any]) -> None:
    """Nothing of the outcome tells of the kills."""
    for same in ("outcome", "text", "turns"):
        assert result[same] == unharmed[same]
    assert result["stream"], "the streamed text is not the beginning of the answers"
    for effect, times in result["done"].items():
        # What changes nothing may be asked again; everything else is done once, and an unsafe call that was cut off
        # was looked at by a person first.
        assert times == 1 or effect.startswith("pure "), f"{effect} was done {times} times"
    assert len(result["done"]) == len(unharmed["done"])


@pytest.mark.timeout(420)
def test_killed_at_every_crossing_a_session_comes_to_the_same_and_each_effect_is_done_once(tmp_path: Path) -> None:
    [unharmed] = lived(tmp_path / "unharmed", [[]])
    assert unharmed["outcome"] == "completed"
    assert unharmed["steps"] >= 30
    crossings = unharmed["crossings"]
    places = list(range(1, crossings + 1)) if WHOLE else list(range(1, crossings + 1, 5))
    again = random.Random(20261121)
    often = [[again.randint(1, 9) for _ in range(20)] for _ in range(6 if WHOLE else 2)]
    results = lived(tmp_path / "killed", [*([place] for place in places), *often])
    for result in results:
        check(result, unharmed)
    kills = sum(result["killed"] for result in results)
    assert kills >= (200 if WHOLE else 40)
    # Some kills fell between an unsafe call and its record: those were asked about, and never called again.
    assert not WHOLE or any(result["unknown"] for result in results)
