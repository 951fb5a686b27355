"""Runs for front ends: each event is read by AG-UI's own types, and a run is told the same however often asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ag_ui.core import Event
from pydantic import TypeAdapter
from tests.federation.scripted import Session
from tests.federation.town import Town

from pharos.runtime.session import events as of

EVENT: TypeAdapter[Any] = TypeAdapter(Event)


def run(*texts: str, run: str = "r1", thread: str = "t1", **fields: Any) -> dict[str, Any]:
    messages = [{"id": f"u{n}", "role": "user", "content": text} for n, text in enumerate(texts)]
    return {"threadId": thread, "runId": run, "messages": messages, **fields}


async def stream(
    city: Town, body: dict[str, Any], key: str = "caller", after: str = "", agent: str = "helper"
) -> AsyncIterator[tuple[str, Any]]:
    """Ids and events, each as AG-UI's types read it."""
    async with (
        city.http(key, **({"Last-Event-ID": after} if after else {})) as http,
        http.stream("POST", f"{city.url}/agui/default/{agent}", json=body) as answer,
    ):
        if answer.status_code != 200:
            await answer.aread()
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/event-stream"
        id = ""
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                id = line[4:]
            elif line.startswith("data: "):
                yield id, EVENT.validate_json(line[6:])


async def events(city: Town, body: dict[str, Any], **fields: Any) -> list[Any]:
    return [event async for _, event in stream(city, body, **fields)]


def names(found: list[Any]) -> list[str]:
    return [event.type.value for event in found]


async def chats(session: Session) -> None:
    """Answers each input, and waits for more."""
    await session.think(f"You said {session.heard[-1]}.", "You said ", f"{session.heard[-1]}.")
    await session.tell(of.SESSION_WAITING, {"on": ["input"]})


async def test_a_run_is_told_from_its_start_to_its_end(city: Town) -> None:
    city.work.script = chats
    found = await events(city, run("hello"))
    assert names(found) == [
        "RUN_STARTED", "STEP_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END", "STEP_FINISHED", "RUN_FINISHED",
    ]  # fmt: skip
    assert "".join(event.delta for event in found if event.type.value == "TEXT_MESSAGE_CONTENT") == "You said hello."
    assert found[0].thread_id == "t1" and found[-1].outcome.type == "success"


async def test_a_thread_goes_on_in_its_session(city: Town) -> None:
    city.work.script = chats
    await events(city, run("one"))
    second = await events(city, run("one", "two", run="r2") | {
        "messages": [
            {"id": "u0", "role": "user", "content": "one"},
            {"id": "a0", "role": "assistant", "content": "You said one."},
            {"id": "u1", "role": "user", "content": [{"type": "text", "text": "two"}]},
        ]
    })  # fmt: skip
    text = "".join(event.delta for event in second if event.type.value == "TEXT_MESSAGE_CONTENT")
    assert text == "You said two." and second[0].run_id == "r2"
    assert len(city.work.begun) == 1 and city.work.begun[0].interactive


async def test_a_run_sent_again_is_told_again_and_not_done_again(city: Town) -> None:
    city.work.script = chats
    first = [(id, event) async for id, event in stream(city, run("hello"))]
    again = [(id, event) async for id, event in stream(city, run("hello"))]
    assert first == again and len(city.work.begun) == 1
    for place, (id, _) in enumerate(first):
        rest = [found async for found in stream(city, run("hello"), after=id)]
        assert rest == first[place + 1 :]


async def test_a_run_sent_again_with_another_input_is_refused(city: Town) -> None:
    city.work.script = chats
    first = await events(city, run("hello", state={"page": 1}))
    async with city.http() as http:
        for other in (
            run("good-bye", state={"page": 1}),
            run("hello", "again", state={"page": 1}),
            run("hello", state={"page": 2}),
            run("hello", state={"page": 1}, tools=[{"name": "paint", "description": "Paint."}]),
            run("hello", state={"page": 1}, resume=[{"interruptId": "e1", "status": "cancelled"}]),
        ):
            refused = await http.post(f"{city.url}/agui/default/helper", json=other)
            assert refused.status_code == 409, refused.text
            assert refused.json()["code"] == "RUN_MISMATCH" and refused.json()["pointer"] == "/runId"
            assert [fix["id"] for fix in refused.json()["fixes"]] == ["new-run"]
    assert len(city.work.begun) == 1 and not city.work.said
    # What it has heard of the answer meanwhile is no other input.
    more = run("hello", state={"page": 1})
    more["messages"].append({"id": "a1", "role": "assistant", "content": "You said"})
    assert await events(city, more) == first


async def test_a_thread_says_which_session_it_is(city: Town) -> None:
    city.work.script = chats
    async with city.http() as http:
        answer = await http.post(f"{city.url}/agui/default/helper", json=run("hello"))
    [id] = [begun.id for begun in city.work.begun]
    assert answer.headers["x-pharos-session"] == f"default/{id}"
    started = EVENT.validate_json(answer.text.split("data: ", 1)[1].split("\n", 1)[0])
    assert started.metadata == {"pharos": {"namespace": "default", "session": id}}


async def test_tools_are_told_with_arguments_and_results(city: Town) -> None:
    async def script(session: Session) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": "x"}'}}
        await session.think("", calls=(call,))
        requested = {
            "id": "e5", "call": "c1", "name": "search", "arguments": {"q": "x"}, "digest": "", "effect": "pure",
            "version": "",
        }  # fmt: skip
        await session.tell(of.EFFECT_REQUESTED, requested)
        await session.tell(of.EFFECT_COMPLETED, {"id": "e5", "content": "found", "failed": False})
        refused = {"call": "c2", "name": "gone", "code": "TOOL_GONE", "detail": "It is gone.", "digest": ""}
        await session.tell(of.EFFECT_REFUSED, refused)
        await chats(session)

    city.work.script = script
    found = await events(city, run("find it"))
    calls = [event for event in found if "TOOL" in event.type.value]
    assert names(calls) == [
        "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT", "TOOL_CALL_RESULT",
    ]  # fmt: skip
    assert calls[0].tool_call_name == "search" and json.loads(calls[1].delta) == {"q": "x"}
    assert calls[3].content == "found" and calls[4].content == "It is gone."
    assert names(found).count("STEP_STARTED") == names(found).count("STEP_FINISHED") == 2


async def test_a_question_interrupts_the_run_and_resume_answers_it(city: Town) -> None:
    async def script(session: Session) -> None:
        if len(session.heard) == 1:
            await session.think("")
            await session.ask("Which colour?", "red", "green")
        else:
            await chats(session)

    city.work.script = script
    found = await events(city, run("paint"))
    interrupt = found[-1].outcome.interrupts[0]
    assert interrupt.message == "Which colour?" and interrupt.response_schema["enum"] == ["red", "green"]
    await _no_answer(city, interrupt.id, {}, {"payload": 3}, {"payload": ["green"]})
    resume = [{"interruptId": interrupt.id, "status": "resolved", "payload": "green"}]
    rest = await events(city, run("paint", run="r2", resume=resume))
    assert rest[-1].outcome.type == "success"
    assert any(getattr(event, "delta", "") == "green." for event in rest)


@pytest.mark.parametrize("agreed", [True, False])
async def test_an_approval_interrupts_the_run_and_resume_decides_it(city: Town, agreed: bool) -> None:
    async def script(session: Session) -> None:
        if len(session.heard) == 1:
            await session.think("")
            await session.need_approval()
        else:
            await chats(session)

    city.work.script = script
    found = await events(city, run("pay"))
    interrupt = found[-1].outcome.interrupts[0]
    assert interrupt.reason == "approval" and "amount" in interrupt.message
    await _no_answer(
        city, "a1", {}, {"payload": True}, {"payload": {"approve": True}}, {"payload": {"approved": "true"}}
    )
    resume = [{"interruptId": "a1", "status": "resolved", "payload": {"approved": agreed}}]
    rest = await events(city, run("pay", run="r2", resume=resume))
    text = "".join(getattr(event, "delta", "") for event in rest)
    assert text == f"You said {'agreed' if agreed else 'denied'}."
    wrong = [{"interruptId": "a9", "status": "resolved"}]
    async with city.http() as http:
        answer = await http.post(f"{city.url}/agui/default/helper", json=run("x", run="r3", resume=wrong))
    assert answer.status_code == 400


async def _no_answer(city: Town, interrupt: str, *entries: dict[str, Any]) -> None:
    """What does not say what was asked for is refused, and the question is still open."""
    async with city.http() as http:
        for number, entry in enumerate(entries):
            resume = [{"interruptId": interrupt, "status": "resolved", **entry}]
            body = run("x", run=f"unfit{number}", resume=resume)
            answer = await http.post(f"{city.url}/agui/default/helper", json=body)
            assert answer.status_code == 400 and answer.json()["pointer"] == "/resume/0/payload", entry


async def test_text_that_was_taken_back_is_replaced_by_what_is_true(city: Town) -> None:
    async def script(session: Session) -> None:
        session.turn = 1
        await session.tell(of.TURN_STARTED, {"turn": 1})
        await session.stream("m1", 0, "Wrong")
        from pharos.core.event import Event as Fact
        from pharos.store.ports import Append

        reset = Fact(session.address.stream, of.STREAM_RESET, {"id": "m1", "turn": 1, "attempt": 2})
        await session.store.commit(Append(reset))
        await session.stream("m1", 0, "Right", attempt=2)
        message = {"role": "assistant", "content": "Right"}
        done = {"id": "m1", "message": message, "finish": "stop", "usage": {}, "cost": "0", "call": "", "model": "m"}
        await session.tell(of.MODEL_COMPLETED, done)
        await session.tell(of.SESSION_WAITING, {"on": ["input"]})

    city.work.script = script
    found = await events(city, run("hello"))
    snapshot = next(event for event in found if event.type.value == "MESSAGES_SNAPSHOT")
    assert [message.content for message in snapshot.messages] == ["hello", "Right"]
    starts = [event.message_id for event in found if event.type.value == "TEXT_MESSAGE_START"]
    ends = [event.message_id for event in found if event.type.value == "TEXT_MESSAGE_END"]
    assert starts == ends and len(set(starts)) == 2


async def test_failure_and_cancellation_end_a_run(city: Town) -> None:
    async def fails(session: Session) -> None:
        await session.fail("BUDGET_EXCEEDED", "There is no money left.")

    city.work.script = fails
    found = await events(city, run("hello"))
    assert found[-1].type.value == "RUN_ERROR" and found[-1].code == "BUDGET_EXCEEDED"

    async def cancels(session: Session) -> None:
        await city.work.cancel(session.asked, session.address, "enough")

    city.work.script = cancels
    found = await events(city, run("hello", thread="t2"))
    assert found[-1].outcome.type == "cancelled"


async def test_two_callers_threads_of_one_name_are_two(city: Town) -> None:
    city.work.script = chats
    await events(city, run("one"))
    other = await events(city, run("two"), key="stranger")
    assert other[-1].outcome.type == "success" and len(city.work.begun) == 2
    assert len({begun.id for begun in city.work.begun}) == 2


async def test_what_is_no_run_is_refused(city: Town) -> None:
    async with city.http() as http:
        url = f"{city.url}/agui/default/helper"
        for body in (
            b"{", b"[]", b"{}", json.dumps(run(thread="")).encode(), json.dumps(run("x", run="a\nb")).encode(),
            json.dumps(run()).encode(),
            json.dumps(
                run() | {"messages": [{"id": "a", "role": "assistant", "content": "x"}]}
            ).encode(),
            json.dumps(
                run()
                | {
                    "messages": [
                        {
                            "id": "u",
                            "role": "user",
                            "content": [{"type": "image", "source": {"type": "url", "value": "https://x"}}],
                        }
                    ]
                }
            ).encode(),
        ):  # fmt: skip
            answer = await http.post(url, content=body)
            assert answer.status_code == 400, body
        lacking = (await http.post(url, json={"threadId": "t", "messages": []})).json()
        assert lacking["problems"] == [{"pointer": "/runId", "message": "This field is required."}]
        assert (await http.post(f"{city.url}/agui/default/nobody", json=run("x"))).status_code == 404
        bad = await http.post(url, json=run("x"), headers={"last-event-id": "nonsense"})
        assert bad.status_code == 400
    async with city.http(None) as http:
        assert (await http.post(f"{city.url}/agui/default/helper", json=run("x"))).status_code == 401
    assert not city.work.begun


async def test_context_goes_in_as_data(city: Town) -> None:
    city.work.script = chats
    await events(city, run("hello", context=[{"description": "page", "value": "cart"}]))
    assert city.work.begun[0].data == {"context": [{"description": "page", "value": "cart"}]}


async def test_a_front_end_that_leaves_and_comes_back_misses_nothing(city: Town) -> None:
    gate = asyncio.Event()

    async def script(session: Session) -> None:
        session.turn = 1
        await session.tell(of.TURN_STARTED, {"turn": 1})
        await session.stream("m1", 0, "One, ")
        await gate.wait()
        await session.stream("m1", 5, "two.")
        message = {"role": "assistant", "content": "One, two."}
        done = {"id": "m1", "message": message, "finish": "stop", "usage": {}, "cost": "0", "call": "", "model": "m"}
        await session.tell(of.MODEL_COMPLETED, done)
        await session.tell(of.SESSION_WAITING, {"on": ["input"]})

    city.work.script = script
    told = []
    first = stream(city, run("count"))
    async for id, event in first:
        told.append((id, event))
        if event.type.value == "TEXT_MESSAGE_CONTENT":
            break
    await first.aclose()  # type: ignore[attr-defined]
    gate.set()
    told += [found async for found in stream(city, run("count"), after=told[-1][0])]
    assert told == [found async for found in stream(city, run("count"))]
