"""Hard cases 19 to 28, 41 to 43: effects, cancellation, children, time."""

from __future__ import annotations

import pytest
from tests.runtime.session.play import TOOL, Play, ToolFacts

from pharos.core.fault import Fault
from pharos.mesh.connectors import TaskEnd
from pharos.runtime.session import commands as c
from pharos.runtime.session.deciding.timers import LONGEST_WAIT
from pharos.runtime.session.effects import (
    AskPerson,
    AwaitTask,
    CallModel,
    CallTool,
    CancelTask,
    GiveTask,
    LookUp,
    Notify,
    Stop,
    Unwake,
)

UNSAFE = ToolFacts("tool", "unsafe")
TRACEABLE = ToolFacts("tool", "reconcilable")
PURE = ToolFacts("tool", "pure")
BOSS = "user/default/boss"


def retry(play: Play) -> None:
    [timer] = [timer for timer in play.state.timers.values() if timer.purpose == "retry"]
    play.fire(timer.id)
    play.go()


def test_taking_a_session_up_treats_each_class_as_it_allows() -> None:
    play = Play().begin()
    play.answers("", *(("t", {"n": n}, tool) for n, tool in enumerate((PURE, TOOL, TRACEABLE, UNSAFE))))
    pure, idempotent, traceable, unsafe = play.state.effects
    play.recover()
    assert play.effects == [CallTool(pure), CallTool(idempotent), LookUp(traceable), AskPerson(unsafe)]
    assert play.state.effects[unsafe].status == "unknown"
    play.check()


@pytest.mark.parametrize("outcome", ["done", "not done", "abandoned"])
def test_a_person_says_what_became_of_a_call_that_nobody_knew_about(outcome: str) -> None:
    play = Play().begin()
    id = play.calls(tool=UNSAFE)
    play.recover()
    assert play.state.waiting == (f"effect:{id}",)
    play.effects = []
    play.do(c.Resolve(play.now, id, outcome, BOSS, "receipt 7"))  # type: ignore[arg-type]
    play.go()
    if outcome == "done":
        assert play.state.steps[-1].items[0].text == "receipt 7"
    elif outcome == "not done":
        assert play.effects == [CallTool(id)] and play.state.effects[id].attempt == 2
    else:
        assert play.state.steps[-1].items[0].failed
    with pytest.raises(Fault) as refused:
        play.do(c.Resolve(play.now, id, "done", BOSS))
    assert refused.value.code == "NOT_WAITING"
    play.check()


@pytest.mark.parametrize("known", ["done", "not done", "unknown"])
def test_a_look_up_says_what_became_of_a_call(known: str) -> None:
    play = Play().begin()
    id = play.calls(tool=TRACEABLE)
    play.recover()
    play.effects = []
    play.do(c.ToolLookedUp(play.now, id, known, "receipt"))  # type: ignore[arg-type]
    if known == "done":
        assert play.state.steps[-1].items[0].text == "receipt"
    elif known == "not done":
        assert play.effects == [CallTool(id)]
    else:
        assert play.state.effects[id].status == "unknown" and play.effects == [AskPerson(id)]
    play.check()


def test_runtime_19_an_answer_after_the_time_was_over_is_noted_and_not_applied() -> None:
    play = Play(toolRetries=0).begin()
    id = play.calls(tool=PURE)
    play.do(c.ToolTimedOut(play.now, id, 5.0))
    told = play.state.steps[-1].items
    assert told[0].failed and "5.0 seconds" in told[0].text
    play.returns(id, "late")
    assert play.last.type == "effect.completed" and play.last.data["late"] is True
    assert play.state.steps[-1].items == told
    play.check()


def test_a_late_answer_of_a_call_that_only_a_person_could_judge_is_the_truth_about_it() -> None:
    play = Play().begin()
    id = play.calls(tool=UNSAFE)
    play.do(c.ToolTimedOut(play.now, id, 5.0))
    assert play.state.effects[id].status == "unknown"
    play.returns(id, "it did happen")
    assert play.state.steps[-1].items[0].text == "it did happen"
    play.check()


def test_runtime_20_when_a_tools_retries_are_used_up_the_model_is_told() -> None:
    play = Play(toolRetries=2).begin()
    id = play.calls()
    for attempt in (1, 2):
        assert play.state.effects[id].attempt == attempt
        play.do(c.ToolFailed(play.now, id, "UPSTREAM_FAILED", "503", True))
        retry(play)
    play.do(c.ToolFailed(play.now, id, "UPSTREAM_FAILED", "503", True))
    assert play.state.steps[-1].items[0].text == "UPSTREAM_FAILED: 503"
    assert play.types.count("effect.failed") == 3
    play.check()


def test_a_failure_that_may_have_had_its_effect_is_not_repeated_where_that_is_unsafe() -> None:
    for tool, command in ((UNSAFE, AskPerson), (TRACEABLE, LookUp)):
        play = Play().begin()
        id = play.calls(tool=tool)
        play.effects = []
        play.do(c.ToolFailed(play.now, id, "UPSTREAM_FAILED", "reset", True, happened=True))
        assert play.effects == [command(id)]
    # One that says that nothing happened is tried again even so.
    play = Play().begin()
    id = play.calls(tool=UNSAFE)
    play.do(c.ToolFailed(play.now, id, "OVERLOADED", "full", True, happened=False))
    retry(play)
    assert play.effects[-1] == CallTool(id)
    play.check()


def test_runtime_24_cancelled_while_a_model_is_asked() -> None:
    play = Play().begin()
    model = play.state.model
    assert model is not None
    play.do(c.Cancel(play.now, BOSS, "enough"))
    play.go()
    assert play.state.status == "cancelling" and play.effects[-1] == Stop(model.id)
    play.do(c.Stopped(play.now, model.id))
    assert play.state.status == "cancelled"
    assert play.state.end is not None and play.state.end.text == "enough"
    play.check()


def test_runtime_24_an_answer_that_came_all_the_same_is_paid_for_and_nothing_follows_from_it() -> None:
    play = Play().begin()
    play.do(c.Cancel(play.now, BOSS))
    play.go()
    play.answers("", ("t", {}, TOOL), cost=77)
    assert play.state.status == "cancelled" and play.state.spent == 77
    assert "effect.requested" not in play.types
    play.check()


def test_runtime_25_cancelled_while_three_children_run_all_end_before_the_parent_does() -> None:
    play = Play(cost="9").begin()
    children = play.delegates("one", "two", "three")
    for id in children:
        play.do(c.ChildTaken(play.now, id, f"default/{id}"))
    reserved = play.state.reserved
    assert reserved > 0
    play.do(c.Cancel(play.now, BOSS, "stop"))
    play.effects = []
    play.go()
    assert play.effects == [CancelTask(id, f"default/{id}", "stop") for id in children]
    for number, id in enumerate(children):
        assert play.state.end is None, f"only {number} of 3 have ended"
        play.child_ends(id, "cancelled", spent="0.5")
        play.go()
    assert play.state.status == "cancelled"
    # What was kept for them is free again, less what they spent.
    assert play.state.reserved == 0
    assert play.state.spent == 1_500_000_000 + 1000
    play.check()


def test_a_child_that_nobody_is_known_to_have_taken_is_ended_as_soon_as_somebody_has() -> None:
    play = Play().begin()
    [child] = play.delegates("one")
    play.do(c.Cancel(play.now, BOSS, "stop"))
    play.go()
    play.do(c.ChildTaken(play.now, child, "default/x"))
    assert CancelTask(child, "default/x", "stop") in play.effects
    play.child_ends(child, "cancelled")
    play.go()
    assert play.state.status == "cancelled"
    play.check()


def test_runtime_26_cancelled_during_an_unsafe_effect_it_says_that_nobody_knows() -> None:
    play = Play().begin()
    id = play.calls(tool=UNSAFE)
    play.do(c.Cancel(play.now, BOSS))
    play.go()
    assert play.effects[-1] == Stop(id)
    play.do(c.Stopped(play.now, id))
    assert play.state.status == "cancelled"
    assert play.state.end is not None and play.state.end.unknown == (id,)
    # It can be cleared up afterwards, and is not done any more.
    with pytest.raises(Fault):
        play.do(c.Resolve(play.now, id, "not done", BOSS))
    play.do(c.Resolve(play.now, id, "done", BOSS, "it did"))
    assert play.state.effects == {}
    play.check()


def test_runtime_26_what_an_unsafe_effect_still_says_in_its_grace_is_taken() -> None:
    play = Play().begin()
    id = play.calls(tool=UNSAFE)
    play.do(c.Cancel(play.now, BOSS))
    play.go()
    play.returns(id, "sent")
    assert play.state.status == "cancelled"
    assert play.state.end is not None and play.state.end.unknown == ()
    play.check()


def test_runtime_27_cancelled_twice() -> None:
    play = Play().begin()
    play.do(c.Cancel(play.now, BOSS))
    before = len(play.facts)
    play.do(c.Cancel(play.now, "user/default/other"))
    assert len(play.facts) == before
    play.go()
    assert play.state.model is not None
    play.do(c.Stopped(play.now, play.state.model.id))
    play.do(c.Cancel(play.now, BOSS))
    assert play.types.count("cancel.requested") == 1 and play.types.count("session.cancelled") == 1
    play.check()


def test_runtime_28_a_child_that_finishes_as_the_cancellation_arrives_has_finished() -> None:
    play = Play(cost="9").begin()
    [child] = play.delegates("one")
    play.do(c.ChildTaken(play.now, child, "default/x"))
    play.child_ends(child, "completed", spent="0.25")
    play.do(c.Cancel(play.now, BOSS))
    play.go()
    assert play.state.status == "cancelled" and play.state.spent == 250_000_000 + 1000
    # Its end counts once, however often it is told.
    play.child_ends(child, "cancelled", spent="0.25")
    assert play.state.spent == 250_000_000 + 1000
    play.check()


def test_runtime_30_a_child_that_was_spawned_is_given_again_under_the_same_name() -> None:
    play = Play().begin()
    [child] = play.delegates("one")
    play.recover()
    assert play.effects == [GiveTask(child)]
    assert play.types.count("child.spawned") == 1
    play.do(c.ChildTaken(play.now, child, "default/x"))
    play.recover()
    assert play.effects == [AwaitTask(child)]
    play.do(c.ChildDone(play.now, child, TaskEnd("completed", "well", spent="0")))
    assert play.state.steps[-1].items[0].text == "well"
    play.check()


def test_runtime_31_depth_and_circles_of_children_are_refused() -> None:
    deep = Play(depth=2).begin(depth=2)
    deep.answers("", ("delegate", {}, ToolFacts("agent", "idempotent", tasks=(c.Given("default/helper", "x", {}),))))
    assert deep.state.children == {} and deep.state.steps[-1].items[0].text.startswith("TOO_DEEP")
    one = Play().begin()
    [child] = one.delegates("again")
    link = one.state.children[child].path[-1]
    below = Play("below", depth=5).begin(depth=1, path=(link,))
    below.answers(
        "", ("delegate", {}, ToolFacts("agent", "idempotent", tasks=(c.Given("default/helper", "again", {}),)))
    )
    assert below.state.steps[-1].items[0].text.startswith("CIRCLE")


def test_runtime_51_children_side_by_side_cannot_spend_the_same_money() -> None:
    play = Play(cost="1").begin()
    first = ToolFacts("agent", "idempotent", tasks=(c.Given("default/helper", "a", {}, budget=600_000_000),))
    second = ToolFacts("agent", "idempotent", tasks=(c.Given("default/helper", "b", {}, budget=600_000_000),))
    play.answers("", ("delegate", {"n": 1}, first), ("delegate", {"n": 2}, second))
    [child] = play.state.children
    assert play.state.reserved == 600_000_000
    assert [call.result.text.split(":")[0] for call in play.state.calls.values() if call.result] == ["BUDGET"]
    play.child_ends(child, "completed", spent="0.1")
    play.go()
    assert play.state.available == 1_000_000_000 - 100_000_000 - 1000
    play.check()


def test_the_end_of_a_child_is_told_to_its_parent_in_the_commit_that_ends_it() -> None:
    play = Play().begin(parent={"topic": "sessions/default/parent", "child": "e9"}, depth=1)
    play.answers("forty-two", cost=5)
    said = {"id": "e9", "text": "forty-two", "data": {}, "spent": "0.000000005"}
    assert play.notices == [Notify("sessions/default/parent", "child.completed", said, "end of default/play")]


def test_runtime_41_a_timer_that_came_due_while_nobody_worked_fires_once() -> None:
    play = Play().begin()
    play.answers("", ("wait", {"seconds": 60}, ToolFacts("timer", "pure")))
    [timer] = play.state.timers
    play.passes(3600)
    play.happens("timer.fired", id=timer)
    play.recover()
    play.happens("timer.fired", id=timer)
    play.go()
    assert play.types.count("turn.started") == 2
    play.check()


def test_runtime_42_a_timer_that_is_cleared_as_it_fires_means_nothing() -> None:
    play = Play().begin()
    play.answers("", ("wait", {"seconds": 60}, ToolFacts("timer", "pure")))
    [timer] = play.state.timers
    play.do(c.Cancel(play.now, BOSS))
    play.go()
    assert Unwake(timer) in play.wakes and play.state.status == "cancelled"
    play.happens("timer.fired", id=timer)
    play.go()
    assert play.state.status == "cancelled" and play.last.type == "timer.fired"
    play.check()


def test_runtime_43_a_clock_that_is_moved_back_moves_nothing_else() -> None:
    play = Play(seconds=100.0, approvalSeconds=50.0).begin()
    play.answers("", ("pay", {}, TOOL._replace(approval=True)))
    [approval] = play.state.approvals.values()
    play.passes(-3600)
    play.do(c.Approve(play.now, approval.id, approval.digest, BOSS))
    play.go()
    [effect] = play.state.effects
    play.returns(effect)
    play.answers("done")
    assert play.state.status == "completed" and play.state.idle_seconds >= 0
    assert [fact.sequence for fact in play.facts] == list(range(1, len(play.facts) + 1))
    play.check()


def test_a_wait_that_makes_no_sense_is_refused() -> None:
    for arguments in ({}, {"until": "tomorrow"}, {"seconds": LONGEST_WAIT.total_seconds() * 2}, {"seconds": True}):
        play = Play().begin()
        play.answers("", ("wait", arguments, ToolFacts("timer", "pure")))
        assert play.state.steps[-1].items[0].text.startswith("INVALID")
    play = Play().begin()
    assert play.effects == [CallModel("e3")]
