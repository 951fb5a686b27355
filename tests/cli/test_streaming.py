"""A stream that stops midway says how to go on: to people as a command, to programs as a fix of the fault."""

from __future__ import annotations

import json
import signal
from io import StringIO
from pathlib import Path

import pytest
from tests.client.scripted import cut, events, scripted

from pharos.server.cli.app import run
from pharos.server.cli.streaming import _Terminated

_ITEMS = [f'id: p{number}\ndata: {{"position": "p{number}", "type": "said", "data": {{}}}}' for number in (1, 2)]
_ON = "pharos sessions stream --after p2 pilot"


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PHAROS_KEY", "k")
    monkeypatch.chdir(tmp_path)


def test_a_stream_that_is_cut_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(events(*_ITEMS, end=False), cut, cut, cut) as city:
        assert run(["sessions", "stream", "pilot", "--url", city.url]) == 3
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert f"fix (likely): Go on behind the last item\n  {_ON}\n" in err


def test_a_program_is_told_so_in_the_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(events(*_ITEMS, end=False), cut, cut, cut) as city:
        assert run(["call", "sessions.stream", '{"session": "pilot"}', "--json", "--url", city.url]) == 3
    [fix] = json.loads(capsys.readouterr().err)["fixes"]
    assert fix["call"] == {"operation": "sessions.stream", "arguments": {"session": "pilot", "after": "p2"}}


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(StringIO):
        """Ctrl-C comes when the second item is shown: it was not seen."""

        def flush(self) -> None:
            if len(self.getvalue().splitlines()) == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdout", Interrupted())
    with scripted(events(*_ITEMS)) as city:
        assert run(["sessions", "stream", "pilot", "--url", city.url]) == 130
    assert capsys.readouterr().err.strip() == f"to go on from here: {_ON.replace('p2', 'p1')}"


def test_sigterm_says_how_to_go_on_and_does_what_it_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminated(StringIO):
        def flush(self) -> None:
            if len(self.getvalue().splitlines()) == 2:
                signal.raise_signal(signal.SIGTERM)

    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        monkeypatch.setattr("sys.stdout", Terminated())
        with scripted(events(*_ITEMS)) as city, pytest.raises(_Terminated):
            run(["sessions", "stream", "pilot", "--url", city.url])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]
    assert capsys.readouterr().err.strip() == f"to go on from here: {_ON.replace('p2', 'p1')}"
