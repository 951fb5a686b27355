from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.running import Ran, RunningCity, clean_environment, running_city

from pharos.server.cli.app import run

Pharos = Callable[..., Ran]


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCity]:
    """One city for all tests of a worker. Tests keep out of each other's way by the names they use."""
    with running_city(tmp_path_factory.mktemp("city")) as found:
        yield found


@pytest.fixture
def pharos(
    city: RunningCity, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Pharos:
    """Run a command line in this process, in an empty directory: the same code without the start of a process."""
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PHAROS_URL", city.url)
    monkeypatch.setenv("PHAROS_KEY", city.key)
    monkeypatch.chdir(tmp_path)

    def go(*words: str) -> Ran:
        capsys.readouterr()
        code = run(words)
        said = capsys.readouterr()
        return Ran(int(code), said.out, said.err)

    return go
