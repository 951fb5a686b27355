"""One provider fails, another answers: what the client sees, what the providers see, what is on record."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
from tests.sdk.clients import OpenAIClient, Question

ASK = [Question("hi")]
HERE = "rules: [{answer: I am here}]"

paths = pytest.mark.parametrize(
    ("model", "first", "second"), [("north-then-south", "north", "south"), ("south-then-north", "south", "north")]
)


@paths
async def test_a_provider_is_killed_mid_run(
    found: Any, client: Any, stream: bool, model: str, first: str, second: str
) -> None:
    town = await found(HERE)
    speaker = client(town)
    assert (await speaker.ask(model, ASK, stream=stream)).text == "I am here"
    await town.kill(first)
    for _ in range(3):
        assert (await speaker.ask(model, ASK, stream=stream)).text == "I am here"
    assert len(getattr(town, first).received) == 1
    assert len(getattr(town, second).received) == 3
    rows = await town.ledger()
    assert [row["provider"] for row in rows if row["outcome"] == "ok"] == [first, second, second, second]
    lost = [row for row in rows if row["outcome"] == "error"]
    assert lost
    assert {(row["provider"], row["fault"]) for row in lost} == {(first, "UPSTREAM_UNREACHABLE")}


BEGUN = "{text: a b c d, pace: {perTokenMs: 60000}}"
SILENT = "{text: a b c d, pace: {firstTokenMs: 60000}}"


@paths
async def test_a_provider_is_killed_while_many_stream(
    found: Any, client: Any, model: str, first: str, second: str
) -> None:
    """Streams that have begun are told; the others are answered by whoever is left. Money is settled exactly."""
    town = await found(HERE, **{first: f"rules: [{{answers: [{', '.join([BEGUN, SILENT] * 4)}]}}]"})
    speaker = client(town)
    asking = [asyncio.create_task(speaker.ask(model, ASK, stream=True)) for _ in range(8)]
    await getattr(town, first).received.wait_for(lambda record: record.number == 8)
    await town.kill(first)
    answers = await asyncio.gather(*asking, return_exceptions=True)
    texts = [answer.text for answer in answers if not isinstance(answer, BaseException)]
    assert set(texts) == {"I am here"}
    assert len(texts) >= 4
    for error in (answer for answer in answers if isinstance(answer, BaseException)):
        assert isinstance(error, openai.APIError | anthropic.APIError)
    purse, rows = await town.purse(), await town.ledger()
    assert Decimal(purse["reserved"]) == 0
    assert Decimal(purse["settled"]) == sum(Decimal(row["cost"]) for row in rows)
    assert len([row for row in rows if row["outcome"] == "ok"]) == len(texts)


@paths
@pytest.mark.parametrize(
    "fault",
    [
        "kind: status, status: 500",
        "kind: status, status: 529",
        "kind: status, status: 401",
        "kind: status, status: 429, retryAfterSeconds: 30",
        "kind: status, status: 502, body: <h1>Bad gateway</h1>, contentType: text/html",
        "kind: contentType",
        "kind: error",
        "kind: cut",
        "kind: cut, afterChunks: 0",
        "kind: cut, afterChunks: 0, clean: true",
    ],
)
async def test_each_failure_before_the_first_word_is_made_good(
    found: Any, client: Any, stream: bool, model: str, first: str, second: str, fault: str
) -> None:
    if "clean" in fault and not stream:
        fault = "kind: cut, afterBytes: 20, clean: true"
    town = await found(HERE, **{first: f"rules: [{{answer: {{text: never, fault: {{{fault}}}}}}}]"})
    answer = await client(town).ask(model, ASK, stream=stream)
    assert answer.text == "I am here"
    rows = await town.ledger()
    assert [(row["provider"], row["outcome"]) for row in rows] == [(first, "error"), (second, "ok")]
    assert len({row["call"] for row in rows}) == 1


@paths
async def test_a_request_at_fault_is_asked_once(
    found: Any, client: Any, stream: bool, model: str, first: str, second: str
) -> None:
    town = await found(HERE, **{first: "rules: [{answer: {fault: {kind: status, status: 400, message: No.}}}]"})
    with pytest.raises(Exception, match=r"No\."):
        await client(town).ask(model, ASK, stream=stream)
    assert len(getattr(town, second).received) == 0


@paths
async def test_after_the_first_word_nobody_else_answers(
    found: Any, client: Any, model: str, first: str, second: str
) -> None:
    town = await found(HERE, **{first: "rules: [{answer: {text: a b c d, fault: {kind: cut, afterChunks: 2}}}]"})
    with pytest.raises(Exception, match=r"."):
        await client(town).ask(model, ASK, stream=True)
    assert len(getattr(town, second).received) == 0


TWICE = """
rules:
- answers: [{fault: {kind: status, status: 500}}, {fault: {kind: status, status: 500}}]
  afterwards: pass
otherwise: At last
"""


async def test_the_sdk_s_own_retries(found: Any, client: Any, model: str, stream: bool) -> None:
    """The city makes one attempt for each request here; what the SDK repeats are calls of their own."""
    town = await found(TWICE)
    with pytest.raises(Exception, match=r"."):
        await client(town).ask(model, ASK, stream=stream)
    assert len(town.provider(model).received) == 1
    answer = await client(town, max_retries=3).ask(model, ASK, stream=stream)
    assert answer.text == "At last"
    assert len(town.provider(model).received) == 3
    rows = await town.ledger()
    assert [row["outcome"] for row in rows] == ["error", "error", "ok"]
    assert len({row["call"] for row in rows}) == 3


async def test_a_client_that_leaves_a_stream(found: Any, client: Any, model: str) -> None:
    """The provider is told to stop, and what was said is settled."""
    town = await found("rules: [{answer: {text: a b c d, pace: {perTokenMs: 60000, tokensPerChunk: 1}}}]")
    speaker = client(town)
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    if isinstance(speaker, OpenAIClient):
        stream: Any = await speaker.sdk.chat.completions.create(model=model, messages=messages, stream=True)
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        await stream.close()
    else:
        async with speaker.sdk.messages.stream(model=model, max_tokens=99, messages=messages) as stream:
            async for text in stream.text_stream:
                assert text == "a"
                break
    record = await town.provider(model).received.wait_for(lambda record: record.outcome != "running")
    assert record.outcome == "left"
    async with asyncio.timeout(30):
        while not (rows := await town.ledger()):
            await asyncio.sleep(0.02)
    assert rows[0]["outcome"] == "cancelled"
    assert rows[0]["tokens"]["estimated"] is True
    purse = await town.purse()
    assert Decimal(purse["reserved"]) == 0
