"""When schedules are due, also where the clock of a zone jumps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharos.mesh.topics.cron import check_cron, next_after, times_after
from pharos.mesh.topics.kinds import ScheduleSpec, check_schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_mesh_28_an_hour_that_is_left_out_runs_once_right_after() -> None:
    # Berlin, 29 March 2026: 02:00 becomes 03:00, which is 01:00 UTC.
    times = times_after("30 2 * * *", "Europe/Berlin", at("2026-03-28T12:00"), 2)
    assert times == [at("2026-03-29T01:00"), at("2026-03-30T00:30")]


def test_mesh_28_an_hour_that_comes_twice_runs_once() -> None:
    # Berlin, 25 October 2026: 03:00 becomes 02:00 again; the first 02:30 is 00:30 UTC.
    times = times_after("30 2 * * *", "Europe/Berlin", at("2026-10-24T12:00"), 2)
    assert times == [at("2026-10-25T00:30"), at("2026-10-26T01:30")]


def test_mesh_28_what_runs_every_hour_goes_by_the_time_that_passes() -> None:
    for day in ("2026-03-28T23:30", "2026-10-24T22:30"):
        times = times_after("0 * * * *", "Europe/Berlin", at(day), 6)
        assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(hours=1)}


def test_mesh_28_several_times_in_the_missing_hour_are_one() -> None:
    times = times_after("10,20,30 2 * * *", "Europe/Berlin", at("2026-03-29T00:30"), 2)
    assert times[0] == at("2026-03-29T01:00")
    assert times[1] == at("2026-03-30T00:10")


@given(
    st.sampled_from(["30 2 * * *", "*/15 * * * *", "0 0 1 * *", "5,35 1-3 * * *", "0 12 * * 1-5"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata"]),
    st.datetimes(min_value=datetime(2025, 1, 1), max_value=datetime(2028, 1, 1)),  # noqa: DTZ001 - hypothesis' own
)
def test_mesh_28_times_only_move_on(cron: str, zone: str, start: datetime) -> None:
    after = start.replace(tzinfo=UTC)
    times = times_after(cron, zone, after, 10)
    assert len(times) == 10
    assert all(earlier < later for earlier, later in zip([after, *times], times, strict=False))


def test_the_next_from_each_time_is_the_same_row() -> None:
    row = times_after("*/20 1-4 * * *", "Europe/Berlin", at("2026-10-24T20:00"), 20)
    walked, after = [], at("2026-10-24T20:00")
    for _ in row:
        following = next_after("*/20 1-4 * * *", "Europe/Berlin", after)
        assert following is not None
        walked.append(after := following)
    assert walked == row


@pytest.mark.parametrize("wrong", ["", "x", "* * * *", "61 * * * *", "0 0 30 2 *", "* * * * * * *"])
def test_wrong_expressions_are_explained(wrong: str) -> None:
    assert check_cron(wrong, "UTC")


def test_a_schedule_says_all_that_is_wrong() -> None:
    spec = ScheduleSpec(topic="replies/x", cron="x", at=at("2030-01-01"), time_zone="Mars/Olympus")
    assert [pointer for pointer, _ in check_schedule(spec)] == ["/cron", "/timeZone", "/topic"]
    assert [pointer for pointer, _ in check_schedule(ScheduleSpec(topic="a", cron="x"))] == ["/cron"]
    assert check_schedule(ScheduleSpec(topic="a", cron="0 9 * * 1-5", time_zone="Europe/Paris")) == []
