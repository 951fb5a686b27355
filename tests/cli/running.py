"""A city as a process of its own, and the command line run against it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_OPEN = re.compile(r"is open at (http://\S+)")


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class RunningCity:
    """A city that is up. ``directory`` is where it was started: its home is ``.pharos`` below it."""

    url: str
    directory: Path
    process: subprocess.Popen[str]

    @property
    def key(self) -> str:
        """The administrator's key."""
        return (self.directory / ".pharos" / "admin.key").read_text().strip()

    def pharos(self, *words: str, input: str | None = None, env: Mapping[str, str] | None = None) -> Ran:
        """Run ``pharos`` as a process, in the directory of the city."""
        return pharos(*words, directory=self.directory, input=input, env={"PHAROS_URL": self.url, **(env or {})})


def clean_environment() -> dict[str, str]:
    """The environment without what would lead to another city."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PHAROS_", "_PHAROS"))}


def pharos(*words: str, directory: Path, input: str | None = None, env: Mapping[str, str] | None = None) -> Ran:
    """Run ``pharos`` as a process."""
    ran = subprocess.run(
        [sys.executable, "-m", "pharos", *words],
        cwd=directory,
        env={**clean_environment(), **(env or {})},
        input=input,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@contextmanager
def running_city(directory: Path, *words: str) -> Iterator[RunningCity]:
    """``pharos up`` in ``directory`` on a free port, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pharos", "up", "--port", "0", *words],
        cwd=directory,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    try:
        yield RunningCity(_address(process, said), directory, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def _address(process: subprocess.Popen[str], said: list[str]) -> str:
    """Where the city listens, as it says at start. What it says later is read and forgotten, so it never blocks."""
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        if found := _OPEN.search(line):
            threading.Thread(target=_drain, args=(process,), daemon=True).start()
            return found[1]
    raise AssertionError("the city did not start:\n" + "".join(said))


def _drain(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    try:
        for _ in process.stdout:
            pass
    except ValueError:
        return  # closed while it was read, at the end of the test
