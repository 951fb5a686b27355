"""Calls that are left to whoever speaks to the session, decided without a store."""

from __future__ import annotations

import pytest
from tests.runtime.session.play import TOOL, Play, ToolFacts

from pharos.core.fault import Fault
from pharos.runtime.session import commands as c
from pharos.runtime.session.data.parts import ClientTool
from pharos.runtime.session.effects import CallTool
from pharos.runtime.session.snapshot import dump, load

CLIENT = ToolFacts("client")
PAINT = ClientTool(name="paint", description="Paints.", parameters={"type": "object", "properties": {}})
DRAW = ClientTool(name="draw", description="Draws.", parameters={"type": "object", "properties": {}})


def says(play: Play, *results: tuple[str, str], text: str = "", failed: bool = False) -> None:
    """What came of calls, and then a text, in one decision."""
    said = [c.Send(play.now, told, {}, "key/default/k", id, failed) for id, told in results]
    if text:
        said.append(c.Send(play.now, text, {}, "key/default/k"))
    play.do(*said)


def test_a_call_that_is_left_waits_and_its_result_goes_on_with_the_turn() -> None:
    play = Play().begin(interactive=True)
    before = len(play.effects)
    play.answers("", ("paint", {"colour": "red"}, CLIENT))
    [question] = play.state.questions.values()
    assert (question.name, question.arguments, question.call) == ("paint", {"colour": "red"}, "c1")
    assert play.state.waiting == (f"call:{question.id}",) and play.state.status == "waiting"
    assert len(play.effects) == before, "nobody of the city does anything about it, and no person is asked"
    assert not [effect for effect in play.recover().effects if effect.id == question.id]
    assert load(dump(play.state)) == play.state
    says(play, (question.id, "painted"))
    play.go()
    [item] = play.state.steps[-1].items
    assert (item.kind, item.text, item.call, item.name, item.failed) == ("result", "painted", "c1", "paint", False)
    play.answers("done")
    assert play.state.waiting == ("input",)
    play.check()


def test_calls_of_both_sorts_are_one_turn() -> None:
    play = Play().begin(interactive=True)
    play.answers("", ("paint", {"n": 1}, CLIENT), ("look", {"n": 2}, TOOL), ("paint", {"n": 3}, CLIENT))
    [effect] = play.state.effects
    assert play.effects[-1] == CallTool(effect)
    first, second = play.state.questions
    says(play, (second, "three"))
    play.go()
    play.returns(effect, "two")
    assert play.state.model is None and play.state.waiting == (f"call:{first}",)
    says(play, (first, "one"), text="and now?")
    play.go()
    assert [(item.kind, item.text) for item in play.state.steps[-1].items] == [
        ("result", "one"), ("result", "two"), ("result", "three"), ("input", "and now?"),
    ]  # fmt: skip
    play.check()


def test_a_result_is_taken_once() -> None:
    play = Play().begin(interactive=True)
    play.answers("", ("paint", {}, CLIENT))
    [id] = play.state.questions
    for wrong in ("e999", "e1"):
        with pytest.raises(Fault) as caught:
            says(play, (wrong, "x"))
        assert caught.value.code == "NOT_WAITING"
    says(play, (id, "painted"))
    with pytest.raises(Fault) as caught:
        says(play, (id, "painted again"))
    assert caught.value.code == "NOT_WAITING"
    play.go()
    assert [item.text for item in play.state.steps[-1].items] == ["painted"]


def test_a_result_that_failed_is_told_as_one() -> None:
    play = Play().begin(interactive=True)
    play.answers("", ("paint", {}, CLIENT))
    [id] = play.state.questions
    says(play, (id, "no paint is left"), failed=True)
    play.go()
    assert play.state.steps[-1].items[0].failed
    play.check()


def test_nobody_who_answers_does_not_hold_a_session_up_for_ever() -> None:
    play = Play(seconds=60.0).begin(interactive=True)
    play.answers("", ("paint", {}, CLIENT))
    [id] = play.state.questions
    timer = play.state.timers["deadline"]
    play.fire("deadline")
    play.go()
    assert play.state.status == "expired" and not play.state.questions and timer.due <= play.now
    with pytest.raises(Fault) as caught:
        says(play, (id, "late"))
    assert caught.value.code == "SESSION_ENDED"
    play.check()


def test_the_same_call_over_and_over_is_refused_as_that_of_any_tool() -> None:
    play = Play(repeats=2).begin(interactive=True)
    for _ in range(2):
        play.answers("", ("paint", {"same": True}, CLIENT))
        [id] = play.state.questions
        says(play, (id, f"painted {play.said}"))
        play.go()
    play.answers("", ("paint", {"same": True}, CLIENT))
    assert not play.state.questions and "REPEATED" in play.state.steps[-1].items[0].text


def test_whoever_speaks_says_which_tools_they_have_and_it_is_recorded_where_it_changes() -> None:
    play = Play().begin(interactive=True, tools=(PAINT,))
    assert play.state.client_tools == (PAINT,)
    play.answers("hello")
    for tools, known in ((None, (PAINT,)), ((PAINT,), (PAINT,)), ((PAINT, DRAW), (PAINT, DRAW)), ((), ())):
        play.do(c.Send(play.now, "more", {}, "key/default/k", tools=tools))
        assert play.state.client_tools == known
        play.go()
        play.answers("well")
    assert [fact.data.get("tools") for fact in play.facts if fact.type == "input.received"] == [
        None, None, [PAINT, DRAW], [],
    ]  # fmt: skip
    play.check()


def test_a_fork_has_none_of_the_tools_of_whoever_spoke_to_the_source() -> None:
    play = Play().begin(interactive=True, tools=(PAINT,))
    play.answers("", ("paint", {}, CLIENT))
    rights = play.state.rights
    assert rights is not None
    play.do(c.Fork(play.now, "default/source", play.state.sequence, rights, "default/k", "user/default/other"))
    assert play.state.client_tools == () and not play.state.questions and not play.state.calls
    assert [item.kind for item in play.state.inbox] == ["result"]


def test_a_session_that_is_cancelled_leaves_no_call_open() -> None:
    play = Play().begin(interactive=True)
    play.answers("", ("paint", {}, CLIENT))
    effects = len(play.effects)
    play.do(c.Cancel(play.now, "user/default/p"))
    play.go()
    assert play.state.status == "cancelled" and not play.state.questions
    assert len(play.effects) == effects, "there is nothing to withdraw"
    play.check()
