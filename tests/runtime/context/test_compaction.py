"""Old steps in short: what is open stays, what is covered is told, and the summary never grows over its share."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.context.histories import Talk, play, said, scripts, talk, torn

from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM
from pharos.mesh.connectors import Errand
from pharos.runtime.context.compaction import ASK, SUMMARY_SHARE, TARGET, Plan
from pharos.runtime.context.extracts import extract
from pharos.runtime.context.parts import Artifact, Obligation, ObligationKind
from pharos.runtime.context.promises import KEEP, MAKE, PromiseTools, promises_of
from pharos.runtime.context.replay import replay, settled

KINDS: list[ObligationKind] = ["approval", "question", "child", "timer", "promise", "effect"]


def _long(session: Talk, turns: int, words: int = 60) -> None:
    session.hear("the first request: find the owner of sha256:" + "b" * 64)
    for number in range(turns):
        session.ask()
        session.answer(said(f"answer {number} " + "word " * words))
        session.hear(f"request {number}")
    session.ask()


def _first_plan(session: Talk) -> Plan:
    """Talk until a compaction is due."""
    session.hear("begin")
    while (plan := session.ask(compacting=False).compact) is None:
        session.answer(said("word " * 60))
        session.hear("go on")
    return plan


@settings(max_examples=40, deadline=None)
@given(
    scripts(),
    st.lists(st.tuples(st.sampled_from(KINDS), st.text("abc \n", min_size=1, max_size=200)), max_size=8),
    st.booleans(),
)
def test_what_is_open_is_never_summarised_away(
    script: list[tuple[str, str, list[str], list[bool]]], things: list[tuple[ObligationKind, str]], model: bool
) -> None:
    """Whatever is open at any step, the context says so after a compaction: in the city's own words beside the summary,
    whether a model wrote that or not."""
    session = talk(3_000, model=model)
    opened = [Obligation(kind, f"{kind}-{n}", text, f"c{n}-0") for n, (kind, text) in enumerate(things)]
    session.open(*opened)
    play(session, script)
    for compaction in session.compactions:
        told = str(compaction.message["content"])
        for one in opened:
            assert f"- {one.kind} {one.id}: {' '.join(one.text.split())}" in told.splitlines()
    final = session.contexts[-1]
    if session.compactions:
        assert session.compactions[-1].message in final.messages
    assert torn(final.messages) == []


def test_what_an_open_approval_is_about_stays_word_for_word() -> None:
    session = talk(3_000)
    session.hear("refund order 17")
    session.ask()
    session.answer(said("", ("pay-1", "pay", {"order": 17, "amount": "99.90"})))
    session.open(Obligation("approval", "e4", "pay waits for a person's agreement", "pay-1"))
    session.hear("while that waits: tell me a story")
    for number in range(40):
        session.ask()
        session.answer(said(f"chapter {number} " + "word " * 60))
        session.hear("go on")
    context = session.ask()
    assert session.compactions
    called = [message for message in context.messages if message.get("tool_calls")]
    assert len(called) == 1 and "99.90" in orjson.dumps(called[0]).decode()
    kept = next(part for part in context.parts if part["kind"] == "kept")
    assert kept["reason"] == "open: approval e4"
    # Once it is closed, the next compaction lets it go.
    session.open()
    for number in range(60):
        session.answer(said(f"chapter {number} " + "word " * 60))
        session.hear("go on")
        context = session.ask()
    assert not [message for message in context.messages if message.get("tool_calls")]


def test_a_compaction_leaves_room_so_that_the_next_is_far() -> None:
    session = talk(4_000)
    _long(session, 200)
    after = [context for context in session.contexts if any(part["kind"] == "summary" for part in context.parts)]
    assert after[0].tokens <= session.budget.tokens * TARGET * 1.05
    assert len(session.compactions) <= len(session.contexts) / 8


def test_the_last_request_stays_word_for_word() -> None:
    session = talk(3_000)
    session.hear("Write the report, in French, for Ada only.")
    for number in range(40):
        session.ask()
        session.answer(said("", (f"c{number}", "search", {"q": "x"})))
        session.result(f"c{number}", f"result {number} " + "word " * 60)
    context = session.ask()
    assert len(session.compactions) > 1
    assert {"role": "user", "content": "Write the report, in French, for Ada only."} in context.messages


def test_a_model_is_asked_with_the_prompt_it_has_just_seen() -> None:
    session = talk(3_000)
    plan = _first_plan(session)
    request = plan.request()
    assert request[-1] == {"role": "user", "content": ASK}
    # All but the question is the beginning of the prompt before: a provider's cache has it.
    sent = session.contexts[-2].messages
    assert request[:-1] == list(sent[: len(request) - 1])


def test_a_summary_that_is_too_long_is_cut_and_an_empty_one_replaced() -> None:
    plan = _first_plan(talk(3_000))
    long = plan.done("x" * 100_000)
    assert len(str(long.message["content"])) < 3_000 * SUMMARY_SHARE * 3 + 200
    assert long.method == "model"
    assert plan.done("  \n").method == "extract"


def test_an_extract_has_the_first_request_the_newest_words_and_all_references() -> None:
    session = talk(3_000, model=False)
    _long(session, 120)
    told = str(session.compactions[-1].message["content"])
    assert "sha256:" + "b" * 64 in told
    assert "left out" in told
    assert len(session.compactions) > 3
    newest = session.compactions[-1].steps - 1
    assert f"answer {newest} " in told
    assert extract([], 100) == "Nothing was said yet."


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=600), max_size=30), st.integers(0, 2_000))
def test_an_extract_keeps_to_its_size(texts: list[str], most: int) -> None:
    messages = [{"role": "user", "content": text} for text in texts]
    assert len(extract(messages, most).encode()) <= most  # type: ignore[arg-type]


def test_files_are_listed_beside_the_summary() -> None:
    session = talk(3_000)
    session.parts = replace(session.parts, artifacts=(Artifact("report.pdf", "sha256:" + "c" * 64, 12_345),))
    _long(session, 30)
    assert f"- report.pdf (12345 bytes, sha256:{'c' * 64})" in str(session.compactions[-1].message["content"])


def test_promises_are_open_from_the_call_that_makes_them_to_the_one_that_keeps_them() -> None:
    session = talk()
    session.hear("mail me tomorrow")
    session.ask()
    session.answer(
        said("", ("p1", MAKE, {"name": "mail", "text": "mail Ada"}), ("p2", MAKE, {"name": "b", "text": "x"}))
    )
    session.result("p1", "on record", name=MAKE)
    session.result("p2", "on record", name=MAKE)
    session.ask()
    assert [(one.id, one.text, one.call) for one in promises_of(session.parts.steps)] == [
        ("mail", "mail Ada", "p1"),
        ("b", "x", "p2"),
    ]
    session.answer(said("", ("p3", KEEP, {"name": "b"})))
    session.result("p3", "closed", name=KEEP)
    session.ask()
    assert [one.id for one in promises_of(session.parts.steps)] == ["mail"]


async def test_promise_tools_answer_and_refuse_what_they_are_not() -> None:
    tools, errand = PromiseTools(), Errand("k", "default/s", SYSTEM)
    assert [tool.name for tool in await tools.tools(SYSTEM)] == [MAKE, KEEP]
    assert (await tools.call(errand, MAKE, {"name": "a", "text": "b"})).content == "The promise a is on record."
    with pytest.raises(Fault):
        await tools.call(errand, "other", {})


@settings(max_examples=25, deadline=None)
@given(scripts())
def test_a_replay_with_the_same_budget_is_what_was_seen(script: list[tuple[str, str, list[str], list[bool]]]) -> None:
    session = talk(2_500)
    play(session, script)
    recorded = {compaction.steps: compaction for compaction in session.compactions}
    again = replay(session.parts, session.budget, recorded)
    assert again.compactions == session.compactions
    assert again.context.messages == session.contexts[-1].messages


def test_a_replay_with_more_room_shows_what_was_told_in_short() -> None:
    session = talk(3_000)
    _long(session, 60)
    recorded = {compaction.steps: compaction for compaction in session.compactions}
    more = replay(session.parts, replace(session.budget, tokens=100_000), recorded)
    assert not more.compactions
    assert more.context.tokens > 3_000
    less = replay(session.parts, replace(session.budget, tokens=1_500), recorded)
    assert len(less.compactions) > len(session.compactions)
    assert less.context.tokens <= 1_500
    assert settled(session.parts, session.budget).compact is None
