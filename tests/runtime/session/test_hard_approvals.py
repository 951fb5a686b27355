"""Hard cases 10 to 18: approvals."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.runtime.session.play import TOOL, Play
from tests.runtime.session.town import NOW

from pharos.core.fault import Fault
from pharos.runtime.session import commands as c
from pharos.runtime.session.effects import AskPerson, CallTool, Withdraw

ASKED = TOOL._replace(approval=True)
ANN, BEN = "user/default/ann", "user/default/ben"


def asking(**bounds: float) -> tuple[Play, str, str]:
    """A session that waits for agreement to one call; the request's id and digest."""
    play = Play(**bounds).begin()
    play.answers("", ("pay", {"amount": 5}, ASKED))
    [approval] = play.state.approvals.values()
    assert play.effects[-1] == AskPerson(approval.id)
    assert play.state.waiting == (f"approval:{approval.id}",)
    return play, approval.id, approval.digest


def refused(play: Play, command: c.Command) -> str:
    with pytest.raises(Fault) as fault:
        play.do(command)
    return fault.value.code


def test_an_approved_call_is_made_and_a_denied_one_is_told_to_the_model() -> None:
    play, id, digest = asking()
    play.do(c.Approve(play.now, id, digest, ANN))
    play.go()
    [effect] = play.state.effects.values()
    assert play.effects[-1] == CallTool(effect.id) and effect.arguments == {"amount": 5}
    play.check()
    play, id, digest = asking()
    play.do(c.Deny(play.now, id, digest, ANN, "too much"))
    play.go()
    assert play.state.effects == {}
    assert "too much" in play.state.steps[-1].items[0].text
    play.check()


def test_input_that_comes_while_somebody_is_asked_says_again_what_is_waited_for() -> None:
    """Who follows the session from its own input on would never hear that it waits, and for what."""
    play, id, _ = asking()
    told = len(play.facts)
    play.do(c.Send(play.now, "Hurry up.", {}, ANN))
    play.go()
    assert [fact.type for fact in play.facts[told:]] == ["input.received", "session.waiting"]
    assert play.state.waiting == (f"approval:{id}",)
    play.check()


def test_input_does_not_change_that_and_since_when_a_session_waits_for_a_person() -> None:
    """Also in histories of cities that did not say it again: they would count as running, and the time as their own."""
    play, id, _ = asking(seconds=60.0)
    since = play.state.waiting_since
    play.passes(50.0)
    play.do(c.Send(play.now, "Hurry up.", {}, ANN))
    assert (play.state.status, play.state.waiting, play.state.waiting_since) == ("waiting", (f"approval:{id}",), since)
    play.fire("deadline")
    play.go()
    assert play.state.status == "waiting" and play.state.timers["deadline"].due > play.now
    play.check()


def test_a_session_without_time_left_that_waits_for_a_person_is_left_alone() -> None:
    """Its end is as near as ever whenever the timer fires: with a millisecond left, a thousand times in a second."""
    play = Play(seconds=60.0).begin()
    play.passes(59.999)
    play.answers("", ("pay", {"amount": 5}, ASKED))
    [approval] = play.state.approvals.values()
    began, told = play.now, len(play.facts)
    for _ in range(5):
        play.fire("deadline")
        play.go()
        assert play.state.status == "waiting"
    assert (play.now - began).total_seconds() >= 4 * 60
    assert len(play.facts) - told <= 4 * 5
    # Its time runs again as soon as it works: what is left of it, and no more.
    play.do(c.Approve(play.now, approval.id, approval.digest, ANN))
    play.go()
    assert play.state.status == "running" and (play.state.timers["deadline"].due - play.now).total_seconds() <= 0.001
    play.fire("deadline")
    play.go()
    assert play.state.cancel is not None and play.state.cancel.expired
    play.check()


def test_a_look_at_its_time_does_not_make_the_time_its_own() -> None:
    """It may wait long for a slot of its pool before it is worked on again, and still waits for the person."""
    play, id, _ = asking(seconds=60.0)
    for _ in range(3):
        play.fire("deadline")
        play.do(c.CheckTime(play.now), advance=False)
        assert (play.state.status, play.state.waiting) == ("waiting", (f"approval:{id}",))
    play.passes(3600.0)
    play.do(c.CheckTime(play.now), advance=False)
    assert play.state.cancel is None
    play.check()


def test_a_deadline_ends_a_session_that_waits_for_a_person_when_it_comes() -> None:
    play = Play(seconds=3600.0).begin(deadline=NOW + timedelta(seconds=10))
    play.passes(1.0)
    play.answers("", ("pay", {"amount": 5}, ASKED))
    play.fire("deadline")
    play.go()
    assert play.state.status == "expired" and (play.now - NOW).total_seconds() == 10


def test_runtime_10_an_approval_that_comes_twice_counts_once() -> None:
    play, id, digest = asking()
    play.do(c.Approve(play.now, id, digest, ANN))
    before = len(play.facts)
    play.do(c.Approve(play.now, id, digest, ANN))
    assert len(play.facts) == before
    play.go()
    assert play.types.count("effect.requested") == 1
    play.do(c.Approve(play.now, id, digest, ANN))
    play.go()
    assert play.types.count("effect.requested") == 1
    # Of another person it is told that it was decided.
    assert refused(play, c.Approve(play.now, id, digest, BEN)) == "ANSWER_GIVEN"


@pytest.mark.parametrize("first", [c.Approve, c.Deny])
def test_runtime_11_of_a_grant_and_a_denial_the_first_counts_and_the_second_is_told_so(first: type) -> None:
    second = c.Deny if first is c.Approve else c.Approve
    play, id, digest = asking()
    play.do(first(play.now, id, digest, ANN))
    with pytest.raises(Fault) as fault:
        play.do(second(play.now, id, digest, BEN))
    assert fault.value.code == "ANSWER_GIVEN"
    assert fault.value.document.facts["by"] == ANN
    assert fault.value.document.facts["granted"] is (first is c.Approve)
    # Whatever got past a check and into the log: the fold takes the first.
    play.happens(f"approval.{'denied' if first is c.Approve else 'granted'}", id=id, digest=digest, by=BEN, reason="")
    play.go()
    assert bool(play.state.effects) is (first is c.Approve)
    play.check()


def test_runtime_12_an_approval_after_its_time_is_too_late() -> None:
    play, id, digest = asking(approvalSeconds=60.0)
    play.passes(61)
    # Before anyone has noticed that it is over, and after.
    assert refused(play, c.Approve(play.now, id, digest, ANN)) == "ANSWER_LATE"
    play.go()
    assert play.effects.count(Withdraw(id)) == 1
    assert refused(play, c.Approve(play.now, id, digest, ANN)) == "ANSWER_LATE"
    assert play.state.effects == {}
    assert "in time" in play.state.steps[-1].items[0].text
    play.check()


def test_an_approval_expires_by_its_timer_alone() -> None:
    play, id, _ = asking(approvalSeconds=60.0)
    [timer] = [timer for timer in play.state.timers.values() if timer.of == id]
    play.fire(timer.id)
    play.go()
    assert "approval.expired" in play.types and play.state.model is not None
    play.check()


def test_runtime_13_an_approval_after_the_session_was_cancelled_is_refused() -> None:
    play, id, digest = asking()
    play.do(c.Cancel(play.now, BEN))
    assert refused(play, c.Approve(play.now, id, digest, ANN)) == "SESSION_ENDED"
    play.go()
    assert play.state.status == "cancelled"
    assert refused(play, c.Approve(play.now, id, digest, ANN)) in ("SESSION_ENDED", "ANSWER_LATE")
    assert "effect.requested" not in play.types
    play.check()


def test_runtime_14_an_approval_of_other_arguments_is_refused() -> None:
    play, id, digest = asking()
    other = Play("other").begin()
    other.answers("", ("pay", {"amount": 500}, ASKED))
    [approval] = other.state.approvals.values()
    assert approval.digest != digest
    assert refused(play, c.Approve(play.now, id, approval.digest, ANN)) == "ANSWER_MISMATCH"
    assert play.state.approvals[id].granted_by == ""


def test_runtime_16_an_approval_outlives_a_run_that_fails() -> None:
    play, id, digest = asking()
    play.do(c.Approve(play.now, id, digest, ANN))
    play.go()
    [effect] = play.state.effects
    play.do(c.ToolFailed(play.now, effect, "UPSTREAM_FAILED", "503", True))
    [timer] = [timer for timer in play.state.timers.values() if timer.purpose == "retry"]
    play.fire(timer.id)
    play.effects = []
    play.go()
    # The same call under the same key, and nobody is asked again.
    assert play.effects == [CallTool(effect)]
    assert play.types.count("approval.requested") == 1
    play.recover()
    assert CallTool(effect) in play.effects
    play.check()


def test_runtime_17_two_open_approvals_are_answered_in_any_order() -> None:
    play = Play().begin()
    play.answers("", ("pay", {"n": 1}, ASKED), ("pay", {"n": 2}, ASKED))
    first, second = play.state.approvals.values()
    play.do(c.Approve(play.now, second.id, second.digest, ANN))
    play.go()
    [effect] = play.state.effects.values()
    assert effect.arguments == {"n": 2}
    play.do(c.Deny(play.now, first.id, first.digest, ANN))
    play.go()
    play.returns(effect.id, "paid")
    results = play.state.steps[-1].items
    assert results[1].text == "paid" and results[0].failed
    play.check()


def test_an_answer_to_one_of_two_requests_does_not_answer_the_other() -> None:
    play = Play().begin()
    play.answers("", ("pay", {"n": 1}, ASKED), ("pay", {"n": 2}, ASKED))
    first, second = play.state.approvals.values()
    assert refused(play, c.Approve(play.now, first.id, second.digest, ANN)) == "ANSWER_MISMATCH"
