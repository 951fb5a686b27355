"""A home belongs to one process, for exactly as long as that process lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.contracts.samples import append, event, refused

from pharos.store.faults import HOME_IN_USE, STORAGE_FAILED
from pharos.store.sqlite.engine import open_store

HOLD = """
import sys, pathlib
from pharos.store.sqlite.engine import open_store
store = open_store(pathlib.Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


async def test_a_home_is_opened_once(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    store = open_store(home)
    with refused(HOME_IN_USE) as fault:
        open_store(home)
    assert fault.value.document.facts["home"] == str(home)
    await append(store, event())
    await store.close()
    await open_store(home).close()


async def test_another_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "home")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with refused(HOME_IN_USE) as fault:
            open_store(tmp_path / "home")
        assert fault.value.document.facts["process"] == str(holder.pid)
        holder.kill()
        holder.wait()
    await open_store(tmp_path / "home").close()


async def test_a_home_is_private_and_clean_after_closing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    await append(store, event())
    await store.close()
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0
    assert sorted(p.name for p in (tmp_path / "home").iterdir()) == ["blobs", "city.db", "lock", "views.db"]


async def test_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a home")
    with refused(STORAGE_FAILED):
        open_store(tmp_path / "file")


@pytest.mark.parametrize("name", ["city.db", "views.db"])
async def test_what_is_no_database_is_not_touched(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / name).write_bytes(b"this is no database at all, however long it may be " * 100)
    before = (home / name).read_bytes()
    with refused(STORAGE_FAILED):
        open_store(home)
    assert (home / name).read_bytes() == before
    # The refusal has let go of the home.
    (home / name).unlink()
    await open_store(home).close()


async def test_leftovers_of_interrupted_uploads_are_removed(tmp_path: Path) -> None:
    partial = tmp_path / "home" / "blobs" / "partial"
    partial.mkdir(parents=True)
    (partial / "abc").write_bytes(b"half")
    store = open_store(tmp_path / "home")
    assert list(partial.iterdir()) == []
    await store.close()
