"""The history checker itself: it accepts what may happen, and each made-up bad history is found out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.history import Call, History, Outcome, check

from pharos.core.fault import CONFLICT, Fault, State


def made(*calls: Call) -> History:
    return History(calls=list(calls))


def call(process: str, kind: str, at: int, until: int | None, outcome: Outcome = "ok", **facts: Any) -> Call:
    return Call(process, kind, facts, at, until, outcome)


def append(value: int, at: int, until: int | None, outcome: Outcome = "ok") -> Call:
    return call("p", "append", at, until, outcome, topic="t", value=value)


def claim(process: str, epoch: int, at: int, until: int) -> Call:
    return call(process, "claim", at, until, group="g", topic="t", epoch=epoch)


def commit(process: str, epoch: int, values: list[int], at: int, until: int | None, outcome: Outcome = "ok") -> Call:
    return call(process, "commit", at, until, outcome, group="g", topic="t", epoch=epoch, values=values)


def test_what_may_happen_is_accepted() -> None:
    history = made(
        append(1, 0, 10),
        append(2, 5, 15),
        append(3, 16, None, "unknown"),
        append(4, 17, 20, "fail"),
        append(5, 18, None, "unknown"),
        claim("a", 1, 20, 21),
        commit("a", 1, [2], 22, None, "unknown"),
        claim("b", 2, 30, 31),
        commit("a", 1, [2], 32, 33, "fail"),
        commit("b", 2, [2], 34, 35),
        commit("b", 2, [1, 3], 36, 37),
        call("b", "claim", 40, 41, group="g"),
        call("b", "once", 50, 51, key="k"),
        call("c", "once", 50, 51, "fail", key="k"),
    )
    # 1 and 2 overlapped, so either may be first; of 3 and 5, which are unknown, one is there.
    assert check(history, {"t": [2, 1, 3]}, drained=["g"]) == []


BAD = {
    "is lost": (made(append(1, 0, 1)), {"t": []}, ()),
    "2 times": (made(append(1, 0, 1)), {"t": [1, 1]}, ()),
    "nobody appended": (made(append(1, 0, 1, "fail")), {"t": [1]}, ()),
    "appended twice": (made(append(1, 0, 1), append(1, 0, 1)), {"t": [1]}, ()),
    "stands after": (made(append(1, 0, 1), append(2, 2, 3)), {"t": [2, 1]}, ()),
    "given twice": (made(claim("a", 1, 0, 1), claim("b", 1, 5, 6)), {}, ()),
    "epochs": (made(claim("a", 2, 0, 1), claim("b", 1, 5, 6)), {}, ()),
    "had taken the lease": (made(claim("a", 1, 0, 1), claim("b", 2, 5, 6), commit("a", 1, [], 7, 8)), {}, ()),
    "under the lease of a": (made(claim("a", 1, 0, 1), commit("b", 1, [], 7, 8)), {}, ()),
    "several committers": (made(commit("a", 1, [], 7, 8), commit("b", 1, [], 9, 10)), {}, ()),
    "took effect twice": (
        made(append(1, 0, 1), commit("a", 1, [1], 7, 8), commit("b", 2, [1], 9, 10)),
        {"t": [1]},
        (),
    ),
    "effects": (
        made(append(1, 0, 1), append(2, 2, 3), commit("a", 1, [2], 7, 8), commit("a", 1, [1], 9, 10)),
        {"t": [1, 2]},
        (),
    ),
    "which is not in the log": (made(commit("a", 1, [9], 7, 8)), {"t": []}, ()),
    "never handled": (made(append(1, 0, 1)), {"t": [1]}, ("g",)),
    "happened twice": (made(call("a", "once", 0, 1, key="k"), call("b", "once", 0, 1, key="k")), {}, ()),
}


@pytest.mark.parametrize("problem", sorted(BAD))
def test_a_bad_history_is_found_out(problem: str) -> None:
    history, log, drained = BAD[problem]
    found = check(history, log, drained=drained)
    assert any(problem in sentence for sentence in found), found


def test_an_order_that_is_only_visible_over_several_operations() -> None:
    """3 was done before 1 began, and both overlap 2: no pair of neighbours shows it."""
    history = made(append(1, 20, 30), append(2, 0, 40), append(3, 5, 10))
    assert any("stands after" in sentence for sentence in check(history, {"t": [1, 2, 3]}))


def test_faults_and_other_errors_have_the_outcome_they_prove() -> None:
    history = History()
    for error, outcome in (
        (CONFLICT(), "fail"),
        (CONFLICT(state=State.UNKNOWN), "unknown"),
        (TimeoutError(), "unknown"),
    ):
        with pytest.raises((Fault, TimeoutError)), history.invoke("p", "append", topic="t", value=1):
            raise error
        assert history.calls[-1].outcome == outcome
        assert (history.calls[-1].returned is None) == (outcome == "unknown")


def test_a_kill_leaves_what_was_invoked_as_unknown(tmp_path: Path) -> None:
    path = tmp_path / "history"
    script = (
        "import os, signal, sys; from pathlib import Path; from tests.history import History\n"
        "history = History(Path(sys.argv[1]))\n"
        "with history.invoke('p', 'append', topic='t', value=1) as call: call.found(position='x')\n"
        "with history.invoke('p', 'append', topic='t', value=2): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", script, str(path)], cwd=root, check=False)
    assert done.returncode == -9
    with path.open("a") as file:
        file.write(f'[{os.getpid()}, 7, "inv')
    history = History.load(path)
    assert [(c.facts["value"], c.outcome) for c in history.calls] == [(1, "ok"), (2, "unknown")]
    assert history.calls[0].facts["position"] == "x"
    assert check(history, {"t": [1]}) == [] == check(history, {"t": [1, 2]})
