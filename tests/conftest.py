"""Rules of the whole suite."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

_CI = os.environ.get("CI", "").lower() in {"1", "true"}

# A loaded machine is slow, not wrong: no deadline per example. In CI the same examples every time.
settings.register_profile("suite", deadline=None, derandomize=_CI, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


_MEMORY = "/dev/shm"
_ROOM = 2 * 1024**3


def _homes_in_memory() -> None:
    """Let ``tmp_path`` be in memory, where the system has a file system there with room enough.

    A city of a test lives for milliseconds and would wait for the disk more than for all else. The files, their locks
    and each ``fsync`` are as real there, and a process that is killed loses as little; a loss of power is tested
    nowhere. ``PYTEST_DEBUG_TEMPROOT=/tmp``, pytest's own variable, has them on the disk.
    """
    if sys.platform != "linux" or not os.path.isdir(_MEMORY):
        return
    space = os.statvfs(_MEMORY)
    if space.f_bavail * space.f_frsize >= _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: many tests wait for a child process, a socket or a deadline."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    _homes_in_memory()
    config.addinivalue_line(
        "markers", "may_skip(reason): this test may be skipped also in CI, where a skip is otherwise an error"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: green says that everything was executed."""
    report = yield
    if _CI and report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("may_skip") is None:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI=true does not allow: {report.longreprtext}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself as a whole (``pytest.importorskip`` and the like)."""
    report = yield
    if _CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, which CI=true does not allow: {report.longreprtext}"
    return report
