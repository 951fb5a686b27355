"""Work given away: by one call or several, within money, rights, depth and time, and joined by rule."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.orchestration.family import AGENTS, NOW, Member

from pharos.core.principal import covers
from pharos.core.wire import JsonObject
from pharos.mesh.money import NANOS, nanos_of
from pharos.runtime.orchestration.delegation import delegate_tool, facts_of
from pharos.runtime.session import events
from pharos.runtime.session.commands import Advance, Cancel, ChildTaken, JoinOf
from pharos.runtime.session.deciding.children import link_of, narrowed
from pharos.runtime.session.deciding.joins import standing
from pharos.runtime.session.effects import CancelTask, Fact, GiveTask
from pharos.runtime.session.evolve import evolve
from pharos.runtime.session.state import Ended, Join


def _task(agent: str = "default/a", text: str = "look", **more: object) -> JsonObject:
    return {"agent": agent, "text": text, **more}  # type: ignore[dict-item]


def _group(count: int, rule: str, need: int | None = None, seconds: float | None = None) -> JsonObject:
    join: JsonObject = {"rule": rule}
    if need is not None:
        join["need"] = need
    if seconds is not None:
        join["seconds"] = seconds
    return {"tasks": [_task(text=f"part {n}", budget="0.001") for n in range(count)], "join": join}


# Fan-out and join.


def test_calls_of_one_answer_work_side_by_side_and_the_model_goes_on_when_all_have_answered() -> None:
    boss = Member().start()
    effects = boss.call(_task("default/a"), _task("default/b"), _task("default/c"))
    assert [type(effect) for effect in effects] == [GiveTask] * 3
    boss.taken()
    one, two, three = boss.state.children
    assert not boss.ended(two, "two", "0.5") and boss.state.model is None
    boss.ended(one, "one")
    boss.ended(three, "three", outcome="failed")
    assert boss.told() == [("one", False), ("two", False), ("three", True)]
    assert boss.state.model is not None and boss.state.spent == NANOS // 2 and boss.state.reserved == 0


@pytest.mark.parametrize(
    ("rule", "need", "ends", "met", "left"),
    [
        ("all", None, "cccc", True, 0),
        ("all", None, "cf", False, 2),
        ("any", None, "ffc", True, 1),
        ("any", None, "ffff", False, 0),
        ("quorum", None, "cfcc", True, 0),
        ("quorum", 2, "cc", True, 2),
        ("quorum", 3, "ff", False, 2),
        ("partial", None, "fffc", True, 0),
        ("partial", 2, "fffc", False, 0),
    ],
)
def test_a_join_is_over_when_nothing_can_change_its_answer(
    rule: str, need: int | None, ends: str, met: bool, left: int
) -> None:
    boss = Member().start()
    boss.call(_group(4, rule, need))
    boss.taken()
    children = list(boss.state.children)
    for place, end in enumerate(ends):
        assert boss.state.joins, "it was over before its last child"
        effects = boss.ended(children[place], outcome="completed" if end == "c" else "failed")
    assert not boss.state.joins
    ((text, failed),) = boss.told()
    assert failed is not met
    assert text.startswith("Enough" if met else "Not enough")
    # Those that nobody waits for are told to end, and what they bring is nobody's.
    assert [effect.id for effect in effects if isinstance(effect, CancelTask)] == children[len(ends) :]
    assert len(boss.state.children) == left
    for child in list(boss.state.children):
        boss.ended(child, "late", "0.0001", outcome="cancelled")
    assert len(boss.told()) == 1 and not boss.state.reserved


def test_what_late_children_spent_counts_and_the_session_ends_after_them() -> None:
    boss = Member().start()
    boss.call(_group(2, "any"))
    boss.taken()
    one, two = boss.state.children
    boss.ended(one, "enough", "0.0002")
    boss.answer({"role": "assistant", "content": "done"})
    assert boss.state.end is None and boss.state.waiting == (f"child:{two}",)
    boss.ended(two, "too late", "0.0003", outcome="cancelled")
    assert boss.state.end is not None and boss.state.end.outcome == "completed"
    assert boss.state.spent == nanos_of("0.0005")


def test_mesh_30_a_thousand_children_of_which_three_fail_and_the_join_survives_the_crash() -> None:
    boss = Member(children=1_000).start()
    boss.call(_group(1_000, "quorum", 997))
    boss.taken()
    children = list(boss.state.children)
    assert len(children) == 1_000
    for place, id in enumerate(children[:500]):
        boss.ended(id, outcome="failed" if place in (3, 141, 499) else "completed")
    effects = boss.crash()
    assert len(effects) == 500, "only those that have not ended are asked about"
    for id in children[500:]:
        boss.ended(id)
    ((text, failed),) = boss.told()
    assert not failed and text.startswith("Enough: 997 of 1000 tasks were completed; 997 had to be (quorum).")
    assert boss.state.spawned == 1_000 and not boss.state.children


def test_a_join_whose_time_is_over_is_answered_with_what_there_is() -> None:
    boss = Member().start()
    boss.call(_group(3, "partial", 1, seconds=30))
    boss.taken()
    one, two, three = boss.state.children
    boss.ended(one, "the first")
    assert NOW + timedelta(seconds=30) in boss.waking()
    assert not boss.fire(29) and boss.state.joins
    effects = boss.fire(1)
    assert [effect.id for effect in effects if isinstance(effect, CancelTask)] == [two, three]
    ((text, failed),) = boss.told()
    assert not failed and "1 of 3 tasks were completed when the time was over" in text and "the first" in text
    # The timer of a join that is over before its time is cleared.
    other = Member("s2").start()
    other.call(_group(1, "all", seconds=30))
    other.taken()
    other.ended(*other.state.children)
    assert not [timer for timer in other.state.timers.values() if timer.purpose == "join"]


def test_a_task_that_cannot_be_given_counts_as_failed_in_its_join() -> None:
    boss = Member(children=2).start()
    boss.call(_group(3, "quorum", 2))
    assert len(boss.state.children) == 2
    boss.taken()
    for id in list(boss.state.children):
        boss.ended(id)
    ((text, failed),) = boss.told()
    assert not failed and "TOO_MANY" in text


def test_a_child_that_is_taken_after_nobody_waits_for_it_is_cancelled() -> None:
    boss = Member().start()
    boss.call(_group(2, "any"))
    one, two = boss.state.children
    boss.ended(one)
    effects = boss.crash()
    assert GiveTask(two) in effects
    (effect,) = boss.do(ChildTaken(NOW, two, "default/x"))
    assert type(effect) is CancelTask


@given(
    rule=st.sampled_from(["all", "any", "quorum", "partial"]),
    of=st.integers(1, 8),
    data=st.data(),
)
def test_once_a_join_is_over_no_further_end_changes_its_answer(rule: str, of: int, data: st.DataObject) -> None:
    usual = {"all": of, "any": 1}
    need = usual.get(rule) or data.draw(st.integers(1, of))
    outcomes = data.draw(st.lists(st.booleans(), min_size=of, max_size=of))
    join = Join("c", rule, need, of, None)  # type: ignore[arg-type]
    answers = []
    for completed in [None, *outcomes]:
        if completed is not None:
            join = join._replace(ended=(*join.ended, Ended("e", "a", completed, "", {})))
        now = standing(join, late=False)
        answers.append(now.met if now.over else None)
    decided = [answer for answer in answers if answer is not None]
    assert answers[-1] is not None, "it is over when all have ended"
    assert len(set(decided)) == 1
    assert decided[0] == (sum(outcomes) >= need)


# Money.


def test_mesh_33_ten_children_that_see_the_same_budget_never_overspend() -> None:
    boss = Member(cost="1").start()
    boss.call(*[_task(text=f"part {n}", budget="0.3") for n in range(10)])
    assert len(boss.state.children) == 3, "the money of three is set aside before any of them runs"
    assert boss.state.reserved == nanos_of("0.9")
    boss.taken()
    for id in list(boss.state.children):
        boss.ended(id, spent="0.3")
    assert boss.state.spent == nanos_of("0.9") <= NANOS
    assert sum("BUDGET" in text for text, failed in boss.told() if failed) == 7


def test_runtime_51_what_is_not_spent_is_free_again() -> None:
    boss = Member(cost="1").start()
    boss.call(_task(budget="0.9"))
    boss.taken()
    boss.ended(*boss.state.children, spent="0.1")
    assert boss.state.available == nanos_of("0.9")
    boss.call(_task(text="more", budget="0.9"))
    assert len(boss.state.children) == 1


def test_children_without_a_budget_of_their_own_share_what_is_left() -> None:
    boss = Member(cost="1").start()
    boss.call(*[_task(text=f"part {n}") for n in range(4)])
    amounts = [child.reserved or 0 for child in boss.state.children.values()]
    assert len(amounts) == 4 and sum(amounts) < NANOS and min(amounts) > nanos_of("0.15")


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_order_of_gifts_and_ends_lets_a_tree_overspend(data: st.DataObject) -> None:
    """What is spent and set aside is never more than the limit, whatever children are given, spend of theirs, and in
    which order they end; a child that spends what it was given is the worst case."""
    limit = data.draw(st.integers(1, 1_000))
    boss = Member(cost=f"0.000000{limit:03d}" if limit < 1_000 else "0.000001", stalls=1_000).start()
    whole = boss.state.limits.cost or 0
    for _ in range(data.draw(st.integers(1, 5))):
        if boss.state.model is None:
            break
        asked = data.draw(st.lists(st.integers(0, 600), min_size=1, max_size=5))
        boss.call(*[_task(text=f"{boss.state.turn} {n}", budget=f"0.{amount:09d}") for n, amount in enumerate(asked)])
        assert boss.state.spent + boss.state.reserved <= whole
        boss.taken()
        for id in data.draw(st.permutations(list(boss.state.children))):
            share = boss.state.children[id].reserved or 0
            spent = data.draw(st.integers(0, share))
            boss.ended(id, spent=f"0.{spent:09d}")
            assert boss.state.spent + boss.state.reserved <= whole
        assert boss.state.reserved == 0


# Depth and circles.


def test_runtime_31_a_depth_bomb_stops_at_the_limit() -> None:
    path: tuple[str, ...] = ()
    for depth in range(10):
        member = Member(f"s{depth}", depth=4).start(depth=depth, path=path)
        member.call(_task(AGENTS[depth % 3], text=f"level {depth}"))
        if depth < 4:
            (child,) = member.state.children.values()
            path = child.path
            assert child.depth == depth + 1
        else:
            assert not member.state.children
            assert "TOO_DEEP" in member.told()[0][0]


def test_mesh_31_the_same_question_to_the_same_agent_further_up_is_a_circle() -> None:
    path = (link_of("default/a", "look", {}), link_of("default/b", "other", {}))
    member = Member().start(depth=2, path=path)
    member.call(_task("default/a", "look"))
    assert "CIRCLE" in member.told()[0][0] and not member.state.children


def test_mesh_31_two_agents_that_hand_work_to_and_fro_are_stopped_whatever_they_say() -> None:
    path: tuple[str, ...] = ()
    for depth in range(8):
        agent, other = ("default/a", "default/b") if depth % 2 else ("default/b", "default/a")
        member = Member(f"s{depth}", agent, depth=16).start(depth=depth, path=path)
        member.call(_task(other, f"turn {depth}, said anew each time"))
        if not member.state.children:
            break
        path = next(iter(member.state.children.values())).path
    assert depth == 4
    assert "PING_PONG" in member.told()[0][0]


# Rights.

PATTERNS = st.sampled_from(["*", "a.*", "a.x", "a.y", "b.*", "b.x", "c.x"])
ALL = ["a.x", "a.y", "a.z", "b.x", "b.y", "c.x", "d.x"]


@given(st.lists(st.lists(PATTERNS, max_size=4), min_size=1, max_size=6))
def test_runtime_32_along_any_chain_rights_only_narrow(chain: list[list[str]]) -> None:
    held = frozenset(["*"])
    for asked in chain:
        member = Member().start(permissions=sorted(held))
        now = frozenset(map(str, narrowed(member.state, tuple(asked))))
        for permission in ALL:
            if covers(now, permission):
                assert covers(held, permission)
                assert not asked or covers(frozenset(asked), permission)
        held = now


def test_runtime_32_a_child_that_asks_for_more_than_its_parent_has_gets_what_both_have() -> None:
    member = Member().start(permissions=["ledger.read", "budgets.*"])
    member.call(_task(permissions=["*"]), _task(text="b", permissions=["budgets.raise", "keys.issue"]))
    rights = [child.permissions for child in member.state.children.values()]
    assert rights == [("budgets.*", "ledger.read"), ("budgets.raise",)]


# Time and ends.


def test_a_child_has_no_more_time_than_its_parent() -> None:
    boss = Member().start()
    boss.state.deadline = NOW + timedelta(seconds=60)
    boss.call(_task(seconds=10), _task(text="long", seconds=3_600))
    assert [child.deadline for child in boss.state.children.values()] == [
        NOW + timedelta(seconds=10),
        NOW + timedelta(seconds=60),
    ]


def test_runtime_25_a_cancelled_parent_ends_after_its_three_children() -> None:
    boss = Member().start()
    boss.call(_task("default/a"), _task("default/b"), _group(1, "all"))
    boss.taken()
    boss.do(Cancel(NOW, "key/default/k", "enough"))
    effects = boss.do(Advance(NOW))
    assert sorted(effect.id for effect in effects if isinstance(effect, CancelTask)) == sorted(boss.state.children)
    for id in list(boss.state.children):
        assert boss.state.end is None
        boss.ended(id, outcome="cancelled", spent="0.0001")
    assert boss.state.end is not None and boss.state.end.outcome == "cancelled"
    assert boss.state.spent == nanos_of("0.0003")


def test_runtime_28_a_child_that_finishes_as_the_cancel_arrives_counts_once() -> None:
    boss = Member().start()
    boss.call(_task("default/a"))
    boss.taken()
    (id,) = boss.state.children
    boss.do(Cancel(NOW, "key/default/k", "enough"))
    boss.ended(id, "finished after all", "0.25")
    assert boss.state.end is not None and boss.state.spent == nanos_of("0.25")
    assert not boss.ended(id, "again", "0.25") and boss.state.spent == nanos_of("0.25")


def test_runtime_29_a_parent_that_is_gone_while_its_child_completes_finds_what_it_said() -> None:
    boss = Member().start()
    boss.call(_task("default/a"))
    boss.taken()
    (id,) = boss.state.children
    # The child says so in its parent's log, in the commit that ends it; nobody works on the parent then.
    data: JsonObject = {"id": id, "text": "found it", "data": {}, "spent": "0.1"}
    boss.facts.append(Fact(events.CHILD_COMPLETED, data, NOW, boss.state.sequence + 1))
    evolve(boss.state, events.CHILD_COMPLETED, data, boss.state.sequence + 1, NOW)
    boss.crash()
    assert boss.told() == [("found it", False)] and boss.state.model is not None


# What the model may say.


def test_the_tool_names_the_agents_there_are() -> None:
    tool = delegate_tool(AGENTS)
    assert tool.input_schema["properties"]["agent"]["enum"] == [*AGENTS]  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({}, "no agent None"),
        ({"agent": "default/z", "text": "x"}, "there are default/a, default/b, default/c"),
        ({"agent": "default/a", "text": "  "}, "say the task"),
        ({"agent": "default/a", "text": "x", "data": []}, "data must be"),
        ({"agent": "default/a", "text": "x", "budget": "much"}, "'much' is not an amount"),
        ({"agent": "default/a", "text": "x", "budget": "-1"}, "is not an amount"),
        ({"agent": "default/a", "text": "x", "seconds": 0}, "seconds must be"),
        ({"agent": "default/a", "text": "x", "seconds": True}, "seconds must be"),
        ({"agent": "default/a", "text": "x", "permissions": "*"}, "permissions must be"),
        ({"tasks": []}, "1 to 1000"),
        ({"tasks": [{"agent": "default/a", "text": "x"}, {"agent": "q", "text": "x"}]}, "tasks/1: there is no agent"),
        ({"tasks": [{"agent": "default/a", "text": "x"}], "join": {"rule": "most"}}, "join/rule"),
        ({"tasks": [{"agent": "default/a", "text": "x"}], "join": {"rule": "quorum", "need": 2}}, "from 1 to 1"),
        ({"tasks": [_task(), _task()], "join": {"rule": "any", "need": 2}}, "means nothing with the rule any"),
    ],
)
def test_arguments_that_mean_nothing_are_told_to_the_model(arguments: JsonObject, word: str) -> None:
    assert word in facts_of(arguments, AGENTS).problem


def test_what_is_left_out_has_the_usual_value() -> None:
    facts = facts_of({"tasks": [_task(), _task(text="b"), _task(text="c")]}, AGENTS)
    assert facts.join == JoinOf("all", 3)
    assert facts_of({"tasks": [_task(), _task()], "join": {"rule": "quorum"}}, AGENTS).join == JoinOf("quorum", 2)
