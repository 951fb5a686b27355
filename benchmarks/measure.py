"""Shared parts of the benchmarks: processes pinned to a core, their CPU time and memory, and tables.

CPU time is read from the scheduler's own account (``/proc/PID/task/*/schedstat``, nanoseconds) for a process and all of
its descendants: it survives a noisy machine, where wall-clock rates do not.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


def free_port() -> int:
    """A port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Wait until something listens on the port; raise if the process ends first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it listened")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port} after {seconds} s")


def wait_until_ready(url: str, seconds: float = 60) -> None:
    """Wait until ``url`` answers 200."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """A process and everything it started that still runs."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time used so far by a process, its threads and its descendants."""
    total = 0
    for process in descendants(pid):
        for account in Path(f"/proc/{process}/task").glob("*/schedstat"):
            try:
                total += int(account.read_text().split()[0])
            except OSError:
                continue
    return total / 1e9


def rss_mb(pid: int) -> float:
    """Resident memory of a process and its descendants, in MB."""
    pages = 0
    for process in descendants(pid):
        try:
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass
class Pinned:
    """A process on one core, ended with its whole group when the block is left."""

    command: Sequence[str]
    core: int
    port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    ready_seconds: float = 60

    def __enter__(self) -> Pinned:
        output = self.log.open("wb") if self.log else subprocess.DEVNULL
        self.process = subprocess.Popen(
            ["taskset", "-c", str(self.core), *self.command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.environment},
            start_new_session=True,
        )
        if self.port is not None:
            try:
                wait_for_port(self.port, self.process, self.ready_seconds)
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        for sign, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
            if self.process.poll() is not None:
                break
            os.killpg(self.process.pid, sign)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid


def median(values: Iterable[float]) -> float:
    """The median, or NaN of nothing."""
    kept = list(values)
    return statistics.median(kept) if kept else float("nan")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""

    def show(value: object) -> str:
        if isinstance(value, float):
            return "-" if value != value else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
        return str(value)

    lines = [list(map(str, header)), *([show(v) for v in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text)
