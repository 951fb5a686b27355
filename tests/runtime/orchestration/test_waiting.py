"""Deadlocks are found exactly where there are some, and the victim is named with a reason."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pharos.runtime.orchestration.waiting import Wait, blocked, victims

NAMES = [f"s{n}" for n in range(8)]


@st.composite
def graphs(draw: st.DrawFn) -> list[Wait]:
    waits = []
    for who in NAMES:
        on = draw(st.lists(st.sampled_from([*NAMES, "outside"]), unique=True, max_size=4))
        if on:
            waits.append(Wait(who, tuple(on), draw(st.integers(1, len(on)))))
    return waits


def _can_go_on(waits: list[Wait]) -> set[str]:
    """By brute force: let everybody who can go on do so, again and again."""
    left = {wait.who: wait for wait in waits}
    done = {name for wait in waits for name in wait.on} - left.keys()
    while ready := [who for who, wait in left.items() if len(done & set(wait.on)) >= wait.need]:
        for who in ready:
            done.add(who)
            del left[who]
    return done


@settings(max_examples=300)
@given(graphs())
def test_blocked_are_exactly_those_that_can_never_go_on(waits: list[Wait]) -> None:
    assert blocked(waits) == {wait.who for wait in waits} - _can_go_on(waits)


@settings(max_examples=300)
@given(graphs(), st.lists(st.integers(0, 5), min_size=8, max_size=8))
def test_without_its_victims_everybody_goes_on_and_each_was_the_cheapest_of_its_ring(
    waits: list[Wait], costs: list[int]
) -> None:
    cost = dict(zip(NAMES, costs, strict=True))
    found = victims(waits, cost)
    assert bool(found) == bool(blocked(waits))
    assert not blocked([wait for wait in waits if wait.who not in {victim.who for victim in found}])
    by_name = {wait.who: wait for wait in waits}
    for victim in found:
        assert victim.circle[0] == victim.who
        assert victim.cost == min(cost[who] for who in victim.circle)
        for one, other in zip(victim.circle, (*victim.circle[1:], victim.circle[0]), strict=True):
            assert other in by_name[one].on
        assert victim.who in victim.why
    # Nobody is ended for nothing: with any one of them spared and all the others gone, somebody is blocked.
    assert found == victims(waits, cost)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60))
def test_a_tree_of_delegations_is_never_a_deadlock(edges: list[tuple[int, int]]) -> None:
    """Each task is a session of its own, begun by the one that waits for it: whoever was begun later waits for nobody
    who was begun before."""
    on: dict[str, tuple[str, ...]] = {}
    for one, other in edges:
        if one < other:
            on[f"s{one}"] = (*on.get(f"s{one}", ()), f"s{other}")
    assert not blocked([Wait(who, targets, len(set(targets))) for who, targets in on.items()])


def test_mesh_32_two_orchestrators_that_wait_for_each_other_and_the_slots_they_hold() -> None:
    """Each holds one of the two slots and waits for the other's answer; their children wait for a slot."""
    waits = [
        Wait("default/one", ("default/two",), 1, "asked it and waits for the answer"),
        Wait("default/two", ("default/one",), 1, "asked it and waits for the answer"),
        Wait("default/one.e5", ("slot 0", "slot 1"), 1, "waits for a slot of pool default/small"),
        Wait("slot 0", ("default/one",), 1, "is held by it"),
        Wait("slot 1", ("default/two",), 1, "is held by it"),
    ]
    costs = {"default/one": 900, "default/two": 200, "default/one.e5": 0}
    (victim,) = victims(waits, costs, frozenset({"slot 0", "slot 1"}))
    assert victim.who == "default/two" and victim.cost == 200
    assert victim.why == (
        "default/two waits for default/one (asked it and waits for the answer); "
        "default/one waits for default/two (asked it and waits for the answer). "
        "Nobody can go on; ending default/two loses the least."
    )
    assert victim.frees == ("default/one", "default/one.e5", "slot 0", "slot 1")


def test_parents_that_hold_the_slots_their_children_need() -> None:
    waits = [
        Wait("a", ("a1", "a2"), 2),
        Wait("b", ("b1",), 1),
        *(Wait(child, ("slot 0", "slot 1"), 1) for child in ("a1", "a2", "b1")),
        Wait("slot 0", ("a",), 1),
        Wait("slot 1", ("b",), 1),
    ]
    found = victims(waits, {"a": 10, "b": 3}, frozenset({"slot 0", "slot 1"}))
    assert found and not {"slot 0", "slot 1"} & {victim.who for victim in found}
    # A parent that gives its slot back while it waits blocks nobody.
    assert not blocked([wait for wait in waits if not wait.who.startswith("slot")])


def test_one_of_many_is_enough_as_long_as_one_can_go_on() -> None:
    assert not blocked([Wait("a", ("b", "c"), 1), Wait("b", ("a",), 1)])
    assert blocked([Wait("a", ("b", "c"), 2), Wait("b", ("a",), 1)]) == {"a", "b"}
