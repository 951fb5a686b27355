"""Which calls belong to one conversation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.insight.calls import call, event, recorded
from tests.insight.test_folds import tables

from pharos.core.event import Event
from pharos.insight.journeys import JourneysProjection

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def stitch(*told: tuple[timedelta, dict[str, Any]] | dict[str, Any]) -> list[int]:
    """For each call the number of its journey, counted from 0 in the order of their beginning."""
    events: list[Event] = []
    for number, each in enumerate(told):
        after, data = each if isinstance(each, tuple) else (timedelta(seconds=number), each)
        events.append(event(data, after))
    rows = sorted(tables(JourneysProjection(), [recorded(events)])["journey_steps"])
    assert len(rows) == len(told)
    numbers: dict[object, int] = {}
    return [numbers.setdefault(row[1], len(numbers)) for row in rows]


def test_a_call_that_adds_to_anothers_messages_continues_it() -> None:
    assert stitch(call(["a"]), call(["a", "b", "c"]), call(["a", "b", "c", "d", "e"])) == [0, 0, 0]


def test_only_the_last_marks_need_to_be_shown() -> None:
    assert stitch(call(["a", "b"]), call(["b", "c", "d"]), call(["d", "e", "f"])) == [0, 0, 0]


def test_other_messages_are_another_journey() -> None:
    assert stitch(call(["a"]), call(["x"]), call(["a", "b"]), call(["x", "y"])) == [0, 1, 0, 1]


def test_the_longest_known_beginning_wins() -> None:
    # Two conversations that began alike: the second "a" is a journey of its own, and each goes its own way.
    first = call(["a", "b", "c"])
    assert stitch(call(["a"]), first, call(["a"]), call(["a", "x", "y"]), call(["a", "b", "c", "d"])) == [0, 0, 1, 1, 0]


def test_common_words_at_the_beginning_are_not_enough() -> None:
    # The same system prompt and examples, another question: nobody ever sent just the beginning.
    assert stitch(call(["s", "e", "q1"]), call(["s", "e", "q2"])) == [0, 1]


def test_an_answered_first_message_that_comes_again_is_a_new_journey() -> None:
    assert stitch(call(["s", "q"]), call(["s", "q"]), call(["s", "q"])) == [0, 1, 2]


def test_a_failed_call_that_is_tried_again_is_the_same_journey() -> None:
    refused = call(["s", "q"], outcome="refused", attempts=[])
    assert stitch(refused, call(["s", "q"]), call(["s", "q", "a", "r"])) == [0, 0, 0]
    assert stitch((MINUTE, call(["q"], outcome="error")), (16 * MINUTE + MINUTE, call(["q"]))) == [0, 1]


def test_another_answer_asked_for_in_the_middle_is_the_same_journey() -> None:
    second = ["q", "a", "r"]
    assert stitch(call(["q"]), call(second), call(second), call([*second, "b", "t"])) == [0, 0, 0, 0]


def test_a_changed_message_in_the_middle_is_a_fork_of_the_same_journey() -> None:
    assert stitch(call(["q"]), call(["q", "a", "r"]), call(["q", "a", "s"])) == [0, 0, 0]


def test_the_callers_own_id_is_believed_whatever_the_messages() -> None:
    told = [call(["a"], "s1"), call(["x"], "s1"), call(["a", "b"], "s2"), call([], "s2")]
    assert stitch(*told) == [0, 0, 1, 1]
    assert stitch((DAY, call(["a"], "s1")), (400 * DAY, call(["x"], "s1"))) == [0, 0]


def test_nobody_joins_a_journey_of_another_key() -> None:
    assert stitch(call(["a"]), call(["a", "b"], key="other")) == [0, 1]
    assert stitch(call([], "s1"), call([], "s1", key="other"), call([], "s1", namespace="other")) == [0, 1, 2]
    # Not by choosing an id that reads like another key's mark or id either.
    assert stitch(call(["a"], key="k"), call([], "b#a", key="k"), call([], "x", key="k=b")) == [0, 1, 2]


def test_a_call_without_marks_is_a_journey_of_its_own() -> None:
    assert stitch(call(), call()) == [0, 1]


def test_marks_are_forgotten_after_a_week() -> None:
    assert stitch((DAY, call(["a"])), (7 * DAY, call(["a", "b"])), (13 * DAY, call(["a", "b", "c"]))) == [0, 0, 0]
    assert stitch((DAY, call(["a"])), (9 * DAY, call(["a", "b"]))) == [0, 1]


def test_forgotten_marks_leave_the_table_and_conversation_ids_stay() -> None:
    events = [event(call([f"m{day}"]), day * DAY) for day in range(30)]
    events.append(event(call([], "s1"), timedelta()))
    events.append(event(call(["last"]), 30 * DAY, id="e-00"))
    marks = tables(JourneysProjection(), [recorded(events)])["journey_marks"]
    assert sorted(str(row[0]) for row in marks) == sorted(
        ["default/ci-bot=s1", "default/ci-bot#last", *(f"default/ci-bot#m{day}" for day in range(23, 30))]
    )


def test_a_journey_is_named_after_its_first_call() -> None:
    told = recorded([event(call(["a"], call="c1")), event(call(["a", "b"], call="c2"))])
    found = tables(JourneysProjection(), [told])
    assert [row[0] for row in found["journeys"]] == ["j-c1"]
    steps = {row[3]: (row[1], row[4]) for row in found["journey_steps"]}
    assert steps == {"c1": ("j-c1", ""), "c2": ("j-c1", "c1")}
