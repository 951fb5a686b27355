"""The loop and its guards, decided without a store."""

from __future__ import annotations

import time
from dataclasses import fields

import pytest
from tests.runtime.session.play import NOW, TOOL, Play, ToolFacts
from tests.runtime.session.town import start

from pharos.core.fault import Fault
from pharos.runtime.session import commands as c
from pharos.runtime.session.address import Address
from pharos.runtime.session.decide import decide
from pharos.runtime.session.deciding import people
from pharos.runtime.session.effects import AskPerson, CallModel, CallTool, Stop, Wake
from pharos.runtime.session.evolve import fold, folded
from pharos.runtime.session.snapshot import dump, hash_of, load
from pharos.runtime.session.state import State


def test_a_step_is_a_thought_its_calls_side_by_side_and_what_came_of_them() -> None:
    play = Play().begin()
    assert play.effects == [CallModel("e3")]
    play.answers("", ("a", {"n": 1}, TOOL), ("b", {"n": 2}, TOOL))
    first, second = play.state.effects
    assert play.effects[1:] == [CallTool(first), CallTool(second)]
    play.returns(second, "two")
    assert play.state.model is None, "the model waits for all results"
    play.returns(first, "one")
    # In the order of the calls, whichever was first.
    assert [item.text for item in play.state.steps[-1].items] == ["one", "two"]
    play.answers("the answer")
    assert play.state.status == "completed"
    assert play.state.end is not None and play.state.end.text == "the answer"
    play.check()


def test_input_that_comes_while_the_model_works_is_part_of_the_next_step() -> None:
    play = Play().begin()
    id = play.calls()
    play.do(c.Send(play.now, "and be quick", {}, "user/default/p"))
    play.returns(id, "ok")
    assert [(item.kind, item.text) for item in play.state.steps[-1].items] == [
        ("result", "ok"),
        ("input", "and be quick"),
    ]
    play.check()


def test_an_interactive_session_waits_for_more_until_it_is_closed() -> None:
    play = Play().begin(interactive=True)
    play.answers("hello")
    assert play.state.status == "waiting" and play.state.waiting == ("input",)
    play.do(c.Send(play.now, "more", {}, "user/default/p"))
    play.go()
    play.answers("bye")
    play.do(c.Close(play.now, "user/default/p"))
    assert play.state.end is not None and play.state.end.text == "bye"
    play.check()


def test_a_session_begins_once() -> None:
    play = Play().begin()
    with pytest.raises(Fault) as refused:
        play.do(start())
    assert refused.value.code == "SESSION_STARTED"


def test_a_call_of_an_unknown_tool_or_with_wrong_arguments_is_told_to_the_model() -> None:
    play = Play().begin()
    play.answers("", ("nothing", {}, None), ("t", {}, TOOL._replace(problem="n is missing")))
    assert play.state.effects == {}
    assert [item.text.split(":")[0] for item in play.state.steps[-1].items] == ["NOT_FOUND", "INVALID"]
    assert all(item.failed for item in play.state.steps[-1].items)
    play.check()


def test_more_calls_than_may_run_at_once_wait_for_room() -> None:
    play = Play(parallel=2).begin()
    play.answers("", *(("t", {"n": n}, ToolFacts("tool", "unsafe")) for n in range(4)))
    ids = list(play.state.effects)
    assert [effect for effect in play.effects if isinstance(effect, CallTool)] == [CallTool(ids[0]), CallTool(ids[1])]
    # Those that wait were never begun: whoever takes the session up may begin them, unsafe as they are.
    play.recover()
    assert [play.state.effects[id].status for id in ids] == ["unknown", "unknown", "begun", "begun"]
    play.check()


def test_a_session_that_has_taken_all_its_steps_fails() -> None:
    play = Play(steps=2).begin()
    for _ in range(2):
        play.returns(play.calls(n=play.said), f"new {play.said}")
    assert play.state.end is not None and play.state.end.code == "guard/steps"
    play.check()


def test_the_same_call_again_and_again_is_refused_and_then_ends_the_session() -> None:
    play = Play(repeats=2, stalls=100).begin()
    for _ in range(2):
        play.returns(play.calls(n=1))
    for _ in range(2):
        play.answers("", ("t", {"n": 1}, TOOL))
        assert play.state.steps[-1].items[0].text.startswith("REPEATED")
    play.answers("", ("t", {"n": 1}, TOOL))
    assert play.state.end is not None and play.state.end.code == "guard/repetition"
    play.check()


def test_another_call_in_between_is_no_repetition() -> None:
    play = Play(repeats=1, stalls=100).begin()
    for n in (1, 2, 1, 2, 1):
        play.returns(play.calls(n=n))
    assert play.state.end is None


def test_turns_that_teach_nothing_new_end_the_session() -> None:
    play = Play(stalls=3, repeats=100).begin()
    for n in range(4):
        play.returns(play.calls(n=n), "nothing found")
    assert play.state.end is not None and play.state.end.code == "guard/progress"
    play.check()


def test_without_money_it_waits_and_with_more_it_goes_on() -> None:
    play = Play(cost="0.000001").begin()
    id = play.calls()  # cost 1000 billionths: all there was
    play.returns(id)
    assert play.state.status == "paused" and play.state.pause is not None
    assert play.state.pause.code == "BUDGET_EXCEEDED"
    with pytest.raises(Fault) as refused:
        play.do(c.Resume(play.now, "user/default/p"))
    assert refused.value.code == "NOT_WAITING"
    with pytest.raises(Fault):
        play.do(c.Extend(play.now, 10, "user/default/p"))
    play.do(c.Extend(play.now, 5000, "user/default/p"))
    play.go()
    assert play.state.model is not None
    play.check()


def test_its_time_is_over_without_the_time_in_which_it_waited_for_a_person() -> None:
    play = Play(seconds=100.0).begin()
    assert next(wake for wake in play.wakes if isinstance(wake, Wake)).id == "deadline"
    play.answers("", ("ask_person", {"question": "well?"}, ToolFacts("person", "pure")))
    [question] = play.state.questions
    play.passes(90)
    play.do(c.Send(play.now, "yes", {}, "user/default/p", question))
    play.go()
    play.fire("deadline")
    play.go()
    assert play.state.end is None, "it has waited for 90 of its 100 seconds"
    play.fire("deadline")
    play.do(c.Advance(play.now))
    assert play.state.status == "cancelling"
    assert isinstance(play.effects[-1], Stop)
    play.do(c.Stopped(play.now, play.effects[-1].id))
    assert play.state.status == "expired"
    play.check()


def test_a_paused_session_takes_results_and_begins_nothing() -> None:
    play = Play().begin()
    id = play.calls()
    play.do(c.Pause(play.now, "user/default/p", "lunch"))
    play.effects = []
    play.returns(id)
    assert play.effects == [] and play.state.status == "paused"
    play.do(c.Resume(play.now, "user/default/p"))
    play.go()
    assert play.state.model is not None
    play.check()


def test_a_model_that_fails_is_asked_again_later_and_not_for_ever() -> None:
    play = Play(modelRetries=2).begin()
    for attempt in (1, 2):
        model = play.state.model
        assert model is not None and model.attempt == attempt
        play.do(c.ModelFailed(play.now, model.id, "UPSTREAM_FAILED", "503", True))
        [timer] = play.state.timers
        play.fire(timer)
        play.go()
    model = play.state.model
    assert model is not None
    play.do(c.ModelFailed(play.now, model.id, "UPSTREAM_FAILED", "503", True))
    assert play.state.end is not None and play.state.end.code == "UPSTREAM_FAILED"
    play.check()


def test_the_wait_before_another_try_differs_between_sessions_and_heeds_what_the_provider_said() -> None:
    waits = set()
    for number in range(20):
        play = Play(f"s{number}").begin()
        assert play.state.model is not None
        play.do(c.ModelFailed(play.now, play.state.model.id, "RATE_LIMITED", "429", True, retry_after=7.0))
        [timer] = play.state.timers.values()
        waits.add((timer.due - play.now).total_seconds())
    assert len(waits) == 20 and min(waits) >= 7.0


def test_a_session_in_quarantine_is_not_decided_about() -> None:
    play = Play().begin()
    play.do(c.QuarantineIt(play.now, "CRASHES", "it died too often", 0, 9))
    for command in (c.Advance(play.now), c.Send(play.now, "x", {}, "u"), c.Cancel(play.now, "u")):
        with pytest.raises(Fault) as refused:
            play.do(command)
        assert refused.value.code == "SESSION_QUARANTINED"
    play.do(c.ReleaseQuarantine(play.now, "u"))
    play.go()
    assert play.state.status == "running"
    play.check()


def test_a_state_is_the_same_after_it_was_written_and_read() -> None:
    play = Play(cost="5").begin()
    play.answers("", ("t", {"n": 1}, TOOL), ("t", {"n": 2}, TOOL._replace(approval=True)))
    again = load(dump(play.state))
    assert again == play.state and hash_of(again) == hash_of(play.state)


def test_folding_4000_events_takes_less_than_20_milliseconds() -> None:
    play = Play(steps=10_000, repeats=10_000, stalls=10_000, toolSeconds=5.0).begin()
    while len(play.facts) < 4000:
        decided = play.state.model
        assert decided is not None
        call = f"c{len(play.facts)}"
        message = {"role": "assistant", "tool_calls": [{"id": call, "function": {"name": "t", "arguments": "{}"}}]}
        proposed = (c.Proposed(call, "t", {}, call, TOOL),)
        answer = c.ModelAnswered(NOW, decided.id, message, "stop", {}, 1, "", "m", proposed)  # type: ignore[arg-type]
        for given in (answer, c.ToolReturned(NOW, f"e{play.state.sequence + 2}", "x" * 200, False)):
            made = decide(play.state, given)
            play.state = made.state
            play.facts += made.facts
    recorded = play.recorded()
    best = 1.0
    for _ in range(10):
        # Time of this thread: others may have the machine meanwhile.
        began = time.thread_time()
        state = fold(State(Address("default", "play")), recorded)
        best = min(best, time.thread_time() - began)
    assert state.poison is None and state.sequence == len(recorded)
    assert best < 0.02, f"{best * 1000:.1f} ms"


def test_asking_a_person_names_the_question() -> None:
    play = Play().begin()
    play.answers(
        "", ("ask_person", {"question": "red or blue?", "choices": ["red", "blue"]}, ToolFacts("person", "pure"))
    )
    [question] = play.state.questions.values()
    assert play.effects[-1] == AskPerson(question.id)
    assert play.state.waiting == (f"question:{question.id}",)
    with pytest.raises(Fault) as refused:
        play.do(c.Send(play.now, "red", {}, "u", "e999"))
    assert refused.value.code == "NOT_WAITING"
    play.do(c.Send(play.now, "red", {}, "u", question.id))
    play.go()
    assert play.state.steps[-1].items[0].text == "red"
    play.check()
    assert folded(play.state.address, play.recorded()[:3]).turn == 1


def test_what_waits_to_be_read_is_bounded() -> None:
    play = Play().begin()
    for number in range(people.MOST_UNREAD - len(play.state.inbox)):
        play.do(c.Send(play.now, f"{number}", {}, "user/default/ann"))
    with pytest.raises(Fault) as full:
        play.do(c.Send(play.now, "one more", {}, "user/default/ann"))
    assert full.value.code == "INBOX_FULL" and full.value.document.facts["inputs"] == people.MOST_UNREAD
    # What was read makes room.
    play = Play().begin()
    play.do(c.Send(play.now, "x" * people.LARGEST_UNREAD, {}, "user/default/ann"))
    with pytest.raises(Fault):
        play.do(c.Send(play.now, "one more", {}, "user/default/ann"))
    play.answers("I see.")
    play.do(c.Send(play.now, "one more", {}, "user/default/ann"))


def test_a_copy_shares_nothing_that_can_be_changed() -> None:
    state = State(Address("default", "s1"))
    copied = state.copy()
    shared = [each.name for each in fields(State) if getattr(copied, each.name) is getattr(state, each.name)]
    changed = [each.name for each in fields(State) if str(each.type).startswith(("dict[", "list[", "set["))]
    assert len(changed) > 10 and not set(shared) & set(changed)
