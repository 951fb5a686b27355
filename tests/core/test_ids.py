"""Ids: UUIDv7, strictly growing within a process."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from pharos.core.ids import uuid7


def test_is_a_version_7_uuid_of_now() -> None:
    before = time.time_ns() // 1_000_000
    value = uuid.UUID(uuid7())
    after = time.time_ns() // 1_000_000
    assert value.version == 7
    assert value.variant == uuid.RFC_4122
    assert before <= value.int >> 80 <= after + 1


def test_grows_strictly_across_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: [uuid7() for _ in range(5_000)], range(4)))
    assert all(batch == sorted(batch) for batch in batches)
    assert len({value for batch in batches for value in batch}) == 20_000


def test_infra_24_grows_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = uuid7()
    past = time.time_ns() - 3_600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: past)
    later = [uuid7() for _ in range(10_000)]
    assert [first, *later] == sorted([first, *later])
