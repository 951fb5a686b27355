"""Tools and state of front ends: which calls are left to them, and what becomes of what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.federation.scripted import Session
from tests.federation.test_agui import chats, events, names, run, stream
from tests.federation.town import Town

from pharos.core.fault import Fault
from pharos.gateway.federation.agui.input import (
    MOST_ENTRIES,
    MOST_STATE,
    MOST_VALUES,
    NO_RESULT,
    input_of,
)
from pharos.gateway.federation.tasks.work import Result
from pharos.runtime.session import events as of

PAINT = {"name": "paint", "description": "Paints.", "parameters": {"type": "object", "properties": {}}}
DRAW = {"name": "draw", "description": "Draws."}


def call(id: str, **arguments: Any) -> dict[str, Any]:
    name = id.rstrip("0123456789")
    return {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def tool(call: str, content: str, **more: Any) -> dict[str, Any]:
    return {"id": f"t-{call}", "role": "tool", "toolCallId": call, "content": content, **more}


def user(text: str) -> dict[str, Any]:
    return {"id": f"u-{text}", "role": "user", "content": text}


def after(*messages: dict[str, Any], run: str = "r2", calls: tuple[str, ...] = ("paint1",), **more: Any) -> Any:
    """The input of a later run: the conversation as a front end has it, and these behind it."""
    made = {"id": "a1", "role": "assistant", "toolCalls": [call(id) for id in calls]}
    return {"threadId": "t1", "runId": run, "messages": [user("hello"), made, *messages], "tools": [PAINT], **more}


async def paints(session: Session) -> None:
    """Leaves two calls to the front end, and says what came of them when it has both."""
    if len(session.heard) == 1:
        await session.think("Look:", calls=(call("paint1", colour="red"), call("draw2")))
        await session.leave(("e5", "paint1", {"colour": "red"}), ("e6", "draw2", {}))
    elif len(session.heard) == 2:
        await session.tell(of.SESSION_WAITING, {"on": ["call:e6"]})
    else:
        await session.think(", ".join(session.heard[1:]))
        await session.tell(of.SESSION_WAITING, {"on": ["input"]})


async def refused(city: Town, body: dict[str, Any]) -> dict[str, Any]:
    async with city.http() as http:
        answer = await http.post(f"{city.url}/agui/default/helper", json=body)
    assert 400 <= answer.status_code < 500, answer.text
    return {"status": answer.status_code, **answer.json()}


async def test_a_call_of_a_front_ends_tool_is_told_and_ends_the_run(city: Town) -> None:
    city.work.script = paints
    found = await events(city, run("hello", tools=[PAINT, DRAW]))
    assert names(found) == [
        "RUN_STARTED", "STEP_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END",
        "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END",
        "STEP_FINISHED", "RUN_FINISHED",
    ]  # fmt: skip
    assert found[5].tool_call_name == "paint" and json.loads(found[6].delta) == {"colour": "red"}
    assert found[-1].outcome.type == "success"
    assert city.work.begun[0].tools == [PAINT, DRAW]


async def test_results_go_to_the_calls_they_are_of_all_at_once(city: Town) -> None:
    city.work.script = paints
    await events(city, run("hello", tools=[PAINT]))
    body = after(tool("draw2", "drawn"), tool("paint1", "half", error="no paint"), user("so?"), tools=[PAINT])
    found = await events(city, body)
    assert city.work.said[0].results == (Result("e6", "drawn"), Result("e5", "half\nno paint", failed=True))
    assert city.work.said[0].text == "so?" and city.work.said[0].tools == [PAINT]
    assert "".join(getattr(event, "delta", "") for event in found) == "drawn, half\nno paint, so?"
    assert not [name for name in names(found) if name == "TOOL_CALL_RESULT"], "the front end has it"


async def test_a_front_end_that_comes_with_one_of_two_results_is_waited_for(city: Town) -> None:
    city.work.script = paints
    await events(city, run("hello", tools=[PAINT]))
    found = await events(city, after(tool("paint1", "painted")))
    assert names(found) == ["RUN_STARTED", "RUN_FINISHED"] and found[-1].outcome.type == "success"
    rest = await events(city, after(tool("paint1", "painted"), tool("draw2", "drawn"), run="r3"))
    assert [saying.results for saying in city.work.said] == [(Result("e5", "painted"),), (Result("e6", "drawn"),)]
    assert rest[-1].outcome.type == "success" and "".join(getattr(one, "delta", "") for one in rest)


async def test_a_run_with_results_sent_again_is_told_again_and_not_done_again(city: Town) -> None:
    city.work.script = paints
    await events(city, run("hello", tools=[PAINT]))
    body = after(tool("paint1", "painted"), tool("draw2", "drawn"), state={"page": 1})
    first = [found async for found in stream(city, body)]
    assert [found async for found in stream(city, body)] == first and len(city.work.said) == 1
    for place, (id, _) in enumerate(first):
        assert [found async for found in stream(city, body, after=id)] == first[place + 1 :]


async def test_a_result_given_twice_is_noticed_and_not_applied_twice(city: Town) -> None:
    city.work.script = paints
    await events(city, run("hello", tools=[PAINT]))
    await events(city, after(tool("paint1", "painted"), tool("draw2", "drawn")))
    again = await refused(city, after(tool("paint1", "painted"), tool("draw2", "drawn"), run="r3"))
    assert (again["status"], again["code"], again["pointer"]) == (409, "ANSWER_GIVEN", "/messages/3/toolCallId")
    # Beside something that is new it is passed over.
    await events(city, after(tool("paint1", "painted"), tool("draw2", "drawn"), user("more"), run="r4"))
    assert len(city.work.said) == 2 and city.work.said[1].results == () and city.work.said[1].text == "more"


async def test_two_results_for_one_call_are_one(city: Town) -> None:
    city.work.script = paints
    await events(city, run("hello", tools=[PAINT]))
    await events(city, after(tool("paint1", "painted"), tool("paint1", "painted anew")))
    assert city.work.said[0].results == (Result("e5", "painted"),)


@pytest.mark.parametrize("begun", [True, False])
async def test_a_result_of_a_call_that_nobody_made_is_refused_with_its_place(city: Town, begun: bool) -> None:
    city.work.script = paints
    if begun:
        await events(city, run("hello", tools=[PAINT]))
    fault = await refused(city, after(tool("paint9", "painted"), user("so?")))
    assert (fault["code"], fault["pointer"]) == ("INVALID", "/messages/2/toolCallId")
    assert not city.work.said


async def test_a_user_who_goes_on_without_a_result_is_heard(city: Town) -> None:
    city.work.script = paints
    await events(city, run("hello", tools=[PAINT]))
    await events(city, after(tool("paint1", "painted"), user("never mind")))
    assert city.work.said[0].results == (Result("e5", "painted"), Result("e6", NO_RESULT, failed=True))
    assert city.work.said[0].text == "never mind"


async def test_questions_approvals_and_calls_of_one_turn_are_answered_in_one_run(city: Town) -> None:
    async def script(session: Session) -> None:
        if len(session.heard) == 1:
            await session.think("", calls=(call("paint1"), call("ask2"), call("pay3"), call("pay4")))
            await session.leave(("e5", "paint1", {}), waits=False)
            for id in ("e6", "e7"):
                question = {"id": id, "call": "ask2", "question": "Which?", "choices": [], "who": ""}
                await session.tell(of.INPUT_REQUESTED, question)
            await session.need_approval("e8", waits=False)
            await session.need_approval("e9", waits=False)
            on = ["call:e5", "question:e6", "question:e7", "approval:e8", "approval:e9"]
            await session.tell(of.SESSION_WAITING, {"on": on})
        elif session.heard[-1] != "denied":
            # It may well get to what it has heard so far before it hears the rest.
            await session.tell(of.SESSION_WAITING, {"on": ["approval:e8", "approval:e9"]})
        else:
            await chats(session)

    city.work.script = script
    found = await events(city, run("hello", tools=[PAINT]))
    assert {one.id for one in found[-1].outcome.interrupts} >= {"e6", "e7", "e8"}
    resume = [
        {"interruptId": "e6", "status": "resolved", "payload": "red"},
        {"interruptId": "e7", "status": "cancelled"},
        {"interruptId": "e8", "status": "resolved", "payload": {"approved": True}},
        {"interruptId": "e9", "status": "resolved", "payload": {"approved": False}},
    ]
    rest = await events(city, after(tool("paint1", "painted"), resume=resume))
    [saying] = city.work.said
    assert [(one.answers, one.text) for one in saying.results] == [
        ("e5", "painted"), ("e6", "red"), ("e7", "The question was not answered."),
    ]  # fmt: skip
    assert rest[-1].outcome.type == "success" and "You said denied." in "".join(
        getattr(event, "delta", "") for event in rest
    )


async def test_tools_are_those_of_the_run(city: Town) -> None:
    city.work.script = chats
    await events(city, run("one", tools=[PAINT]))
    await events(city, run("two", run="r2"))
    assert city.work.begun[0].tools == [PAINT] and city.work.said[0].tools == []


async def test_state_goes_in_as_data_and_is_told_when_the_run_begins(city: Town) -> None:
    city.work.script = chats
    found = await events(city, run("hello", state={"page": 1}, context=[{"description": "d", "value": "v"}]))
    assert names(found)[:3] == ["RUN_STARTED", "STATE_SNAPSHOT", "STEP_STARTED"]
    assert found[1].snapshot == {"page": 1}
    assert city.work.begun[0].data == {"context": [{"description": "d", "value": "v"}], "state": {"page": 1}}
    second = await events(city, run("more", run="r2", state={"page": 2}))
    assert second[1].snapshot == {"page": 2} and city.work.said[0].data == {"state": {"page": 2}}
    for n, empty in enumerate(({}, None)):
        without = await events(city, run("more", run=f"r{n + 3}", state=empty))
        assert "STATE_SNAPSHOT" not in names(without)
    assert city.work.said[1].data == city.work.said[2].data == {}


async def test_state_that_comes_with_results_alone_is_told_the_agent_where_it_has_changed(city: Town) -> None:
    city.work.script = paints
    await events(city, run("hello", tools=[PAINT], state={"page": 1}))
    found = await events(city, after(tool("paint1", "painted"), state={"page": 1}))
    assert city.work.said[0].data == {} and found[1].snapshot == {"page": 1}
    changed = await events(city, after(tool("draw2", "drawn"), run="r3", state={"page": 2}))
    assert city.work.said[1].data == {"state": {"page": 2}} and changed[1].snapshot == {"page": 2}


async def test_a_body_that_cannot_be_kept_is_refused(city: Town) -> None:
    deep: Any = {}
    for _ in range(200):
        deep = {"in": deep}
    assert (await refused(city, run("hello", state=deep)))["code"] == "INVALID"
    async with city.http() as http:
        body = b'{"threadId": "t", "runId": "r", "messages": [], "state": NaN}'
        assert (await http.post(f"{city.url}/agui/default/helper", content=body)).status_code == 400
    long = await refused(
        city, after(user("x"), {"id": "t", "role": "tool", "toolCallId": "c", "content": [{"type": "image"}]})
    )
    assert long["code"] == "INVALID"


WRONG_CALLS = {"id": "a1", "role": "assistant", "toolCalls": [{}] * (MOST_ENTRIES + 1)}


@pytest.mark.parametrize(
    ("body", "of"),
    [
        (run("hello", state=[{}] * (MOST_STATE + 1)), f"more than {MOST_STATE} values"),
        (run("hello", state={"deep": [{"a": [1] * 1_000}] * 20}), f"more than {MOST_STATE} values"),
        (run("hello", forwardedProps=[1] * (MOST_VALUES + 1)), f"more than {MOST_VALUES} values"),
        (run("hello", tools=[{}] * (MOST_ENTRIES + 1)), f"more than {MOST_ENTRIES} messages"),
        ({**run("hello"), "messages": [WRONG_CALLS]}, f"more than {MOST_ENTRIES} messages"),
        ([1] * (MOST_VALUES + 1), f"more than {MOST_VALUES} values"),
    ],
)
def test_a_body_that_takes_long_to_look_at_is_refused_before_that(body: Any, of: str) -> None:
    with pytest.raises(Fault) as caught:
        input_of(json.dumps(body).encode())
    assert caught.value.code == "INVALID" and of in str(caught.value.document.to_json())


def test_a_state_may_be_large() -> None:
    rows = [[1] * 40] * 400
    assert input_of(json.dumps(run("hello", state=rows)).encode()).state == rows
