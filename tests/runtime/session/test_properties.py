"""Any order of commands, results, crashes, timers and events of others: what holds of every session."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, with_config
from tests.runtime.session.play import Play, ToolFacts
from tests.runtime.session.test_hard_logs import forked

from pharos.core.fault import Fault
from pharos.mesh.connectors import TaskEnd
from pharos.runtime.session import commands as c
from pharos.runtime.session import events
from pharos.runtime.session.data.table import DATA
from pharos.runtime.session.effects import CallModel, CallTool, GiveTask
from pharos.runtime.session.events import TERMINAL
from pharos.runtime.session.evolve import TYPES
from pharos.runtime.session.snapshot import dump, hash_of, load

WHO = ("user/default/ann", "user/default/ben")
TOOLS = (
    ToolFacts("tool", "pure"),
    ToolFacts("tool", "idempotent"),
    ToolFacts("tool", "reconcilable"),
    ToolFacts("tool", "unsafe"),
    ToolFacts("tool", "unsafe", approval=True),
    ToolFacts("person", "pure"),
    ToolFacts("client"),
    ToolFacts("timer", "pure"),
    ToolFacts("agent", "idempotent", tasks=(c.Given("default/helper", "x", {}),)),
    None,
)
ARGUMENTS = ({"n": 1}, {"n": 2}, {"question": "?", "seconds": 5}, {"seconds": -1}, {})

Step = tuple[int, int, int]


class Chaos:
    """Does what it is told, wherever that is possible."""

    def __init__(self) -> None:
        self.play = Play(
            cost="0.00001", seconds=500.0, parallel=2, steps=12, repeats=2, stalls=4, toolRetries=1, modelRetries=1
        )
        self.play.begin()
        self.begun: Counter[str] = Counter()
        self.allowed: Counter[str] = Counter()
        """How often an unsafe call may be made: once, and once more each time it is known not to have happened."""
        self.ended_effects: list[str] = []

    def step(self, step: Step) -> None:
        what, which, more = step
        play = self.play
        before, effects = len(play.facts), len(play.effects)
        status = play.state.status
        ended = play.state.end is not None
        spent = play.state.spent
        try:
            self._act(what, which, more)
        except Fault as fault:
            assert fault.code != "INTERNAL"
            assert len(play.facts) == before, "what is refused changes nothing"
            return
        state = play.state
        assert [fact.sequence for fact in play.facts] == list(range(1, state.sequence + 1))
        assert state.reserved >= 0
        for effect in play.effects[effects:]:
            assert not ended or not isinstance(effect, CallModel | CallTool | GiveTask), "nothing begins after the end"
            if isinstance(effect, CallTool):
                called = state.effects[effect.id]
                if called.kind == "unsafe":
                    self.begun[effect.id] += 1
                    assert self.begun[effect.id] <= 1 + self.allowed[effect.id], "an unsafe call was repeated"
        if state.end is not None and not ended:
            assert not state.children and state.model is None
            assert all(one.status == "unknown" for one in state.effects.values())
        if ended:
            assert state.status == status or state.quarantine is not None
            assert state.spent == spent
        assert sum(fact.type in TERMINAL for fact in play.facts) <= 1

    def _act(self, what: int, which: int, more: int) -> None:
        play = self.play
        state, now, who = play.state, play.now, WHO[more % 2]
        play.passes(more % 7)

        def one(of: dict[str, object]) -> str:
            return list(of)[which % len(of)] if of else "e999"

        match what:
            case 0 | 1:
                if state.model is not None and state.model.retry_at is None:
                    calls = [
                        (f"t{(which + n) % 3}", ARGUMENTS[(more + n) % 5], TOOLS[(which + n * more) % 9])
                        for n in range(more % 4)
                    ]
                    play.answers("text", *calls, cost=which * 100)
            case 2 | 3:
                play.returns(one(state.effects), f"answer {which % 3}", failed=more % 5 == 0)  # type: ignore[arg-type]
            case 4:
                play.recover()
            case 5:
                if state.model is not None:
                    play.do(c.ModelFailed(now, state.model.id, "UPSTREAM_FAILED", "x", more % 2 == 0))
            case 6:
                id, happened = one(state.effects), more % 2 == 0  # type: ignore[arg-type]
                known = state.effects.get(id)
                if known is not None and known.status == "begun" and not happened:
                    self.allowed[id] += 1
                play.do(c.ToolFailed(now, id, "TOOL_FAILED", "x", which % 3 > 0, None, happened))
            case 7:
                play.do(c.ToolTimedOut(now, one(state.effects), 5.0))  # type: ignore[arg-type]
            case 8:
                id, said = one(state.effects), ("done", "not done", "unknown")[more % 3]  # type: ignore[arg-type]
                known = state.effects.get(id)
                if known is not None and known.status == "begun" and said == "not done":
                    self.allowed[id] += 1  # whoever knows has said so
                play.do(c.ToolLookedUp(now, id, said, "found"))  # type: ignore[arg-type]
            case 9:
                timers = [id for id in state.timers if id != "deadline"]
                if timers:
                    play.fire(timers[which % len(timers)])
                    play.go()
            case 10:
                approval = state.approvals.get(one(state.approvals))  # type: ignore[arg-type]
                if approval is not None:
                    command = c.Approve if more % 3 else c.Deny
                    play.do(command(now, approval.id, approval.digest if which % 4 else "0" * 64, who))
            case 11:
                play.do(c.Send(now, "more", {}, who, one(state.questions) if which % 2 else ""))  # type: ignore[arg-type]
            case 12:
                id = one(state.effects)  # type: ignore[arg-type]
                outcome = ("done", "not done", "abandoned")[more % 3]
                play.do(c.Resolve(now, id, outcome, who, "said"))  # type: ignore[arg-type]
                if outcome == "not done":
                    self.allowed[id] += 1
            case 13:
                if state.children:
                    child = one(state.children)  # type: ignore[arg-type]
                    if more % 3 == 0:
                        play.do(c.ChildTaken(now, child, f"default/{child}"))
                    elif more % 3 == 1:
                        play.child_ends(child, ("completed", "failed", "cancelled")[which % 3], spent="0.000000100")
                    else:
                        play.do(c.ChildDone(now, child, TaskEnd("completed", "well", spent="0.000000200")))
            case 14:
                play.do(c.Pause(now, who) if more % 2 else c.Resume(now, who))
            case 15:
                play.do(c.Extend(now, which * 1000, who))
            case 16:
                for id in (*state.effects, *([state.model.id] if state.model else [])):
                    play.do(c.Stopped(now, id))
            case 17:
                if more == 0:
                    play.do(c.Cancel(now, who))
            case 18:
                # What others append, late or twice.
                told = {"text": "x", "data": {}}
                type, data = (
                    ("timer.fired", {"id": f"e{which}"}),
                    ("child.completed", {"id": f"e{which}", **told, "spent": "0"}),
                    ("input.received", {**told, "by": "u"}),
                )[more % 3]
                play.happens(type, **data)
            case 19:
                # Twice the same: it is paid once.
                if state.model is not None:
                    for _ in range(2):
                        play.do(c.ModelCharged(now, state.model.id, f"call-{which}", "unknown", more))
                    assert play.state.spent <= state.spent + more
            case _:
                play.go()


DATA_OF = {type: TypeAdapter(with_config(ConfigDict(extra="forbid", strict=True))(of)) for type, of in DATA.items()}
"""What each event may say, and no more."""


def test_every_event_has_a_meaning_and_a_type() -> None:
    kept_elsewhere = {events.CHECKPOINT_WRITTEN, events.STREAM_DELTA, events.STREAM_RESET}
    assert set(DATA) == set(TYPES) | kept_elsewhere


STEPS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30), st.integers(0, 12)), max_size=60)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_what_holds_of_every_session(steps: list[Step]) -> None:
    chaos = Chaos()
    for step in steps:
        chaos.step(step)
    play = chaos.play
    play.check()
    for fact in play.facts:
        DATA_OF[fact.type].validate_python(fact.data)
    assert load(dump(play.state)) == play.state
    # From anywhere it can be brought to its end.
    if play.state.end is None:
        play.do(c.Cancel(play.now, WHO[0]))
        play.recover()
        if play.state.model is not None and play.state.end is None:
            play.do(c.Stopped(play.now, play.state.model.id))
        for id in list(play.state.children):
            play.child_ends(id, "cancelled")
        for effect in list(play.state.effects.values()):
            if effect.kind == "reconcilable" and effect.status == "begun":
                play.do(c.ToolLookedUp(play.now, effect.id, "unknown"))
        play.go()
        assert play.state.end is not None
        play.check()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(1, 200))
def test_every_prefix_of_every_session_can_be_forked_and_finished(steps: list[Step], at: int) -> None:
    chaos = Chaos()
    for step in steps:
        chaos.step(step)
    play = chaos.play
    fork = forked(play, min(at, play.state.sequence))
    assert hash_of(fork.state) == hash_of(fork.state.copy())
    fork.effects = []
    fork.go()
    assert not any(isinstance(effect, CallTool | GiveTask) for effect in fork.effects)
    for _ in range(3):
        if fork.state.model is not None:
            fork.answers("the end", cost=0)
        elif fork.state.waiting == ("input",):
            fork.do(c.Send(fork.now, "go on", {}, WHO[0]))
            fork.go()
    assert fork.state.end is not None or fork.state.pause is not None
    fork.check()
