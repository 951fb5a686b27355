"""Where every commit is synced, the write-ahead log has its room from the start."""

from __future__ import annotations

import logging
import os
import resource
import shutil
from pathlib import Path

import pytest
from tests.contracts.samples import append, event, numbers

from pharos.store.sqlite.engine import open_store
from pharos.store.sqlite.preallocation import ROOM


def size(home: Path) -> int:
    return (home / "city.db-wal").stat().st_size


async def test_commits_do_not_lengthen_the_log(tmp_path: Path) -> None:
    store = open_store(tmp_path, full_sync=True)
    assert size(tmp_path) == ROOM
    for n in range(20):
        await append(store, event(n=n))
    assert size(tmp_path) == ROOM
    await store.close()
    assert not (tmp_path / "city.db-wal").exists()


async def test_without_a_sync_of_every_commit_there_is_none(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert size(tmp_path) < ROOM
    await store.close()


async def test_what_a_killed_process_left_is_found_in_front_of_the_zeros(tmp_path: Path) -> None:
    home, left = tmp_path / "home", [tmp_path / "left0", tmp_path / "left1"]
    store = open_store(home, full_sync=True)
    # Killed before the first commit (the log holds how the tables were made), and after some.
    shutil.copytree(home, left[0])
    for n in range(5):
        await append(store, event(n=n))
    shutil.copytree(home, left[1])
    await store.close()
    for killed, expected in zip(left, ([], [0, 1, 2, 3, 4]), strict=True):
        for more in (5, 6):
            store = open_store(killed, full_sync=True)
            assert size(killed) == ROOM
            assert numbers(await store.log.read_all()) == expected
            await append(store, event(n=more))
            expected.append(more)
            await store.close()


async def test_a_log_of_nothing_but_zeros_is_empty(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await append(store, event(n=1))
    await store.close()
    (tmp_path / "city.db-wal").write_bytes(bytes(ROOM))
    store = open_store(tmp_path, full_sync=True)
    assert numbers(await store.log.read_all()) == [1]
    await append(store, event(n=2))
    assert numbers(await store.log.read_all()) == [1, 2]
    await store.close()


async def test_a_disk_without_room_for_it_is_opened_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        with caplog.at_level(logging.WARNING):
            store = open_store(tmp_path, full_sync=True)
        assert size(tmp_path) < 1_000_000
        assert os.strerror(27) in caplog.text
        await append(store, event(n=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert numbers(await store.log.read_all()) == [1]
    await store.close()
