"""Hard cases 37, 38, 39, 44 to 46, 53: logs that are not understood, forks, replays, and logs that were altered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.runtime.session.play import NOW, TOOL, Play, ToolFacts
from tests.runtime.session.town import RIGHTS

from pharos.core.event import Event, Recorded
from pharos.core.fault import Fault
from pharos.runtime.session import commands as c
from pharos.runtime.session.address import Address
from pharos.runtime.session.chain import Link, broken_at
from pharos.runtime.session.effects import AskPerson, CallTool, GiveTask
from pharos.runtime.session.evolve import fold, folded
from pharos.runtime.session.rerun import rerun
from pharos.runtime.session.snapshot import hash_of
from pharos.runtime.session.state import State

BOSS = "user/default/boss"


def recorded(play: Play, *more: tuple[str, dict[str, object]]) -> list[Recorded]:
    log = play.recorded()
    for type, data in more:
        sequence = len(log) + 1
        event = Event(play.state.address.topic, type, data, time=NOW)  # type: ignore[arg-type]
        log.append(Recorded(event, f"{sequence:016x}", sequence))
    return log


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("effect.completed", {"id": "e999", "content": "x", "failed": False}),
        ("turn.started", {"turn": "two"}),
        ("model.completed", {"id": "e3", "message": {"tool_calls": [7]}}),
        ("timer.set", {"id": "e4", "due": "soon", "purpose": "wait", "of": "c1"}),
    ],
)
def test_runtime_37_an_event_that_cannot_be_folded_stops_the_fold_in_front_of_it(
    type: str, data: dict[str, object]
) -> None:
    play = Play().begin()
    state = folded(play.state.address, recorded(play, (type, data), ("paused", {"by": "u", "reason": "", "code": ""})))
    assert state.poison is not None
    assert (state.poison.sequence, state.poison.type) == (4, type)
    assert state.pause is None and state.sequence == 5
    for command in (c.Advance(NOW), c.Send(NOW, "x", {}, "u"), c.Recover(NOW)):
        with pytest.raises(Fault) as refused:
            Play.do(_at(state), command)
        assert refused.value.code == "SESSION_QUARANTINED"
        assert refused.value.document.facts["at"] == 4


def _at(state: State) -> Play:
    play = Play()
    play.state = state
    return play


def test_runtime_38_an_event_of_an_unknown_type_or_version_is_poison_and_says_so() -> None:
    play = Play().begin()
    state = folded(play.state.address, recorded(play, ("session.teleported", {"to": "mars"})))
    assert state.poison is not None and state.poison.detail == "its type is not known"
    newer = Play().begin().recorded()
    first = newer[0]
    event = replace(first.event, data={**first.event.data, "v": 2})
    state = folded(Address("default", "play"), [first._replace(event=event), *newer[1:]])
    assert state.poison is not None and "version 2" in state.poison.detail


def test_runtime_37_quarantine_and_release_are_read_behind_the_poison() -> None:
    play = Play().begin()
    bad = ("effect.completed", {"id": "e999", "content": "x", "failed": False})
    aside = ("session.quarantined", {"code": "POISON", "detail": "d", "at": 4, "attempts": 8})
    state = folded(play.state.address, recorded(play, bad, aside))
    assert state.status == "quarantined"
    state = folded(play.state.address, recorded(play, bad, aside, ("session.released", {"by": "u"})))
    assert state.quarantine is None and state.poison is not None


def test_runtime_39_the_agent_that_a_session_began_with_goes_on_until_it_is_migrated() -> None:
    play = Play().begin()
    version, profile = play.state.version, play.state.profile
    play.returns(play.calls())
    assert (play.state.version, play.state.profile) == (version, profile)
    play.do(c.Migrate(play.now, "default/a", "sha256:new", {"instructions": "new"}, {"steps": 7}, BOSS))
    assert play.state.version == "sha256:new" and play.state.limits.steps == 7
    before = len(play.facts)
    play.do(c.Migrate(play.now, "default/a", "sha256:new", {}, {}, BOSS))
    assert len(play.facts) == before, "it is that version already"
    play.check()


def forked(play: Play, at: int) -> Play:
    fork = Play("fork")
    fork.facts = [fact for fact in play.facts if fact.sequence <= at]
    fork.state = fold(State(Address("default", "fork")), fork.recorded())
    fork.do(c.Fork(play.now, "default/play", at, RIGHTS, "default/ci", BOSS))
    return fork


def test_runtime_44_a_fork_with_an_effect_in_flight_does_not_send_it_again() -> None:
    play = Play().begin()
    play.calls(tool=ToolFacts("tool", "idempotent"))
    fork = forked(play, play.state.sequence)
    fork.go()
    assert not any(isinstance(effect, CallTool) for effect in fork.effects)
    assert fork.state.steps[-1].items[0].failed and fork.state.model is not None
    fork.recover()
    assert not any(isinstance(effect, CallTool) for effect in fork.effects)
    fork.answers("done")
    assert fork.state.status == "completed"
    fork.check()


def test_runtime_44_every_event_of_a_session_can_be_forked_at() -> None:
    play = Play(cost="9").begin()
    play.answers("", ("t", {"n": 1}, TOOL), ("pay", {"n": 2}, TOOL._replace(approval=True)))
    [approval] = play.state.approvals.values()
    play.do(c.Approve(play.now, approval.id, approval.digest, BOSS))
    play.go()
    for id in list(play.state.effects):
        play.returns(id, f"done {id}")
    [child] = play.delegates("help")
    play.do(c.ChildTaken(play.now, child, "default/x"))
    play.child_ends(child)
    play.go()
    play.answers("the end")
    assert play.state.status == "completed"
    for at in range(1, play.state.sequence + 1):
        fork = forked(play, at)
        fork.go()
        assert not fork.state.effects and not fork.state.approvals and not fork.state.children, at
        assert fork.state.spent == 0 and fork.state.owner == BOSS
        assert fork.state.model is not None or fork.state.waiting == ("input",), at
        fork.do(c.Send(fork.now, "go on", {}, BOSS))
        fork.go()
        if fork.state.model is not None:
            fork.answers("done")
        fork.go()
        if fork.state.model is not None:
            fork.answers("done")
        assert fork.state.status == "completed", at
        fork.check()


def test_runtime_45_a_fork_has_none_of_its_sources_timers_approvals_questions_and_children() -> None:
    play = Play().begin(deadline=NOW.replace(year=2030))
    play.answers(
        "",
        ("pay", {}, TOOL._replace(approval=True)),
        ("wait", {"seconds": 9}, ToolFacts("timer", "pure")),
        ("ask_person", {"question": "?"}, ToolFacts("person", "pure")),
        ("delegate", {}, ToolFacts("agent", "idempotent", tasks=(c.Given("default/helper", "x", {}),))),
    )
    approval = next(iter(play.state.approvals.values()))
    fork = forked(play, play.state.sequence)
    state = fork.state
    assert not (state.approvals or state.timers or state.questions or state.children or state.deadline)
    fork.effects = []
    fork.go()
    assert not any(isinstance(effect, AskPerson | GiveTask) for effect in fork.effects)
    with pytest.raises(Fault) as refused:
        fork.do(c.Approve(fork.now, approval.id, approval.digest, BOSS))
    assert refused.value.code == "NOT_WAITING"
    fork.check()


def test_runtime_46_a_replay_comes_to_the_same_state_and_decides_the_same() -> None:
    play = Play().begin()
    for n in range(5):
        play.returns(play.calls(n=n), f"result {n}")
    play.answers("the end")
    log = play.recorded()
    effects = list(play.effects)
    assert hash_of(folded(play.state.address, log)) == hash_of(play.state)
    again, divergence = rerun(play.state.address, log)
    assert (
        divergence is None and again == sum(fact.type in ("turn.started", "model.requested") for fact in play.facts) + 1
    )
    assert play.effects == effects, "a replay performs nothing"


def test_a_replay_says_where_today_would_be_decided_in_another_way() -> None:
    play = Play().begin()
    play.returns(play.calls())
    log = play.recorded()
    place = next(index for index, one in enumerate(log) if one.event.type == "turn.started" and index > 2)
    altered = log[place]
    event = replace(altered.event, data={"turn": 7})
    log[place] = altered._replace(event=event)
    _, divergence = rerun(play.state.address, log)
    assert divergence is not None and divergence.sequence == altered.sequence
    assert '"turn":7' in divergence.happened and '"turn":2' in divergence.decided


def test_runtime_53_an_event_that_was_altered_breaks_the_chain() -> None:
    play = Play().begin()
    for n in range(4):
        play.returns(play.calls(n=n), f"result {n}")
    link, log = Link(), []
    for one in play.recorded():
        event = one.event
        if event.type == "turn.started":
            event = replace(event, data={**event.data, "chain": link.closed()})
        link = link.then(event)
        log.append(one._replace(event=event))
    assert broken_at(log) is None
    turns = [one.sequence for one in log if one.event.type == "turn.started"]
    for place, one in enumerate(log):
        hurt = one._replace(event=replace(one.event, data={**one.event.data, "extra": 1}))
        broken = broken_at([*log[:place], hurt, *log[place + 1 :]])
        later = [turn for turn in turns if turn > one.sequence]
        assert broken == (later[0] if later else None)
        # What is left out is noticed in the same way.
        if later:
            assert broken_at([*log[:place], *log[place + 1 :]]) == later[0] or place == 0
