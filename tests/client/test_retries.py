"""Which failures are repeated, after which pause, and when it is enough."""

from __future__ import annotations

import pytest

from pharos.client.faults import CONNECTION_LOST, NO_ANSWER_IN_TIME
from pharos.client.retries import LONGEST_ADVICE, Attempts
from pharos.core.fault import FORBIDDEN, OVERLOADED, Fault


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_pauses_grow_and_end() -> None:
    attempts = Attempts(retries=3, timeout=60, clock=Clock())
    pauses = [attempts.pause_after(CONNECTION_LOST()) for _ in range(3)]
    assert 0.05 <= pauses[0] <= 0.1
    assert 0.1 <= pauses[1] <= 0.2
    assert 0.2 <= pauses[2] <= 0.4
    with pytest.raises(Fault):
        attempts.pause_after(CONNECTION_LOST())


@pytest.mark.parametrize("fault", [FORBIDDEN(), NO_ANSWER_IN_TIME(), OVERLOADED()], ids=lambda fault: fault.code)
def test_what_repeating_cannot_help_is_raised_at_once(fault: Fault) -> None:
    with pytest.raises(Fault):
        Attempts(retries=3, timeout=60).pause_after(fault)


def test_the_city_may_say_how_long_to_wait() -> None:
    assert Attempts(retries=1, timeout=60).pause_after(OVERLOADED(retry_after=1.5)) == 1.5


def test_a_long_wait_is_left_to_the_caller() -> None:
    with pytest.raises(Fault):
        Attempts(retries=1, timeout=60).pause_after(OVERLOADED(retry_after=LONGEST_ADVICE + 1))


def test_no_attempt_begins_after_the_deadline() -> None:
    clock = Clock()
    attempts = Attempts(retries=10, timeout=1.0, clock=clock)
    clock.now += 0.99
    with pytest.raises(Fault):
        attempts.pause_after(CONNECTION_LOST())
    clock.now += 5
    assert attempts.remaining == pytest.approx(0.001)
