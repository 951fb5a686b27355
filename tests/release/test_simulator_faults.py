"""Every way to fail, byte by byte, and what the SDKs make of it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import anthropic
import openai
import pytest
from tests.release.simulated import RawResponse, Running, Simulate, events

QUESTION: list[Any] = [{"role": "user", "content": "hi"}]
WORDS = "one two three four five six"


def script(fault: str, more: str = "") -> str:
    return f"rules: [{{answer: {{text: {WORDS}, fault: {{{fault}}}{more}}}}}]"


async def call(running: Running, dialect: str, **more: Any) -> RawResponse:
    return await (running.chat(**more) if dialect == "openai" else running.messages(**more))


def content(response: RawResponse) -> list[str]:
    """The pieces of text that a stream brought."""
    found = []
    for event in events(response.body):
        delta = event.get("delta", {}).get("text")
        if event.get("choices"):
            delta = event["choices"][0]["delta"].get("content")
        if delta:
            found.append(delta)
    return found


both = pytest.mark.parametrize("dialect", ["openai", "anthropic"])
ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@both
@ways
async def test_a_status_with_retry_after(simulate: Simulate, dialect: str, stream: bool) -> None:
    fault = "kind: status, status: 429, retryAfterSeconds: 1.5, message: Slow down, headers: {x-limit: '10'}"
    running = await simulate(script(fault))
    response = await call(running, dialect, stream=stream)
    assert (response.status, response.headers["retry-after"], response.headers["x-limit"]) == (429, "1.5", "10")
    error = json.loads(response.body)["error"]
    assert error["message"] == "Slow down"
    assert error["type"] == {"openai": "requests", "anthropic": "rate_limit_error"}[dialect]
    assert running.simulator.received.last.outcome == "refused"


async def test_a_status_in_the_words_of_the_script(simulate: Simulate) -> None:
    running = await simulate(
        """
        rules:
        - answers:
          - {fault: {kind: status, status: 429, type: insufficient_quota, code: insufficient_quota}}
          - {fault: {kind: status, status: 502, body: "<h1>Bad gateway</h1>", contentType: text/html}}
        """
    )
    error = json.loads((await running.chat()).body)["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    page = await running.chat()
    assert (page.status, page.headers["content-type"], page.body) == (502, "text/html", b"<h1>Bad gateway</h1>")


@both
@ways
async def test_a_stall_before_the_headers(simulate: Simulate, dialect: str, stream: bool) -> None:
    running = await simulate(script("kind: stall, seconds: 0.05"))
    response = await call(running, dialect, stream=stream)
    assert response.raw == b""
    assert running.simulator.received.last.outcome == "failed"


@both
async def test_a_stall_in_the_middle(simulate: Simulate, dialect: str) -> None:
    running = await simulate(script("kind: stall, afterChunks: 2, seconds: 0.05"))
    stream = await call(running, dialect, stream=True)
    assert (stream.status, content(stream), stream.ended) == (200, ["one", " two"], False)
    whole = await call(running, dialect)
    assert (whole.status, whole.ended) == (200, False)
    assert 0 < len(whole.body) < int(whole.headers["content-length"])


async def test_a_stall_ends_when_the_client_leaves(simulate: Simulate) -> None:
    running = await simulate(script("kind: stall, seconds: 600"))
    _, writer = await running.connect("/v1/chat/completions", {"model": "m", "messages": QUESTION})
    await running.simulator.received.wait_for(lambda record: record.rule == "rule-1")
    writer.close()
    record = await running.simulator.received.wait_for(lambda record: record.outcome != "running")
    assert (record.outcome, record.status) == ("left", 0)


@both
@ways
async def test_a_cut_before_the_headers(simulate: Simulate, dialect: str, stream: bool) -> None:
    running = await simulate(script("kind: cut"))
    assert (await call(running, dialect, stream=stream)).raw == b""


@both
async def test_a_cut_stream(simulate: Simulate, dialect: str) -> None:
    running = await simulate(script("kind: cut, afterChunks: 3"))
    response = await call(running, dialect, stream=True)
    assert (content(response), response.ended) == (["one", " two", " three"], False)


@both
async def test_a_stream_cut_cleanly_lacks_only_the_end_mark(simulate: Simulate, dialect: str) -> None:
    running = await simulate(script("kind: cut, afterChunks: 3, clean: true"))
    response = await call(running, dialect, stream=True)
    assert (content(response), response.ended) == (["one", " two", " three"], True)
    assert b"[DONE]" not in response.body
    assert b"message_stop" not in response.body


@both
@pytest.mark.parametrize("after", [0, 1, 137])
async def test_a_cut_at_a_byte(simulate: Simulate, dialect: str, after: int) -> None:
    running = await simulate(script(f"kind: cut, afterBytes: {after}"))
    for stream in (False, True):
        response = await call(running, dialect, stream=stream)
        assert (response.status, len(response.body), response.ended) == (200, after, False)
        assert running.simulator.received.last.sent_bytes == after


@both
async def test_a_whole_answer_cut_cleanly(simulate: Simulate, dialect: str) -> None:
    running = await simulate(script("kind: cut, afterBytes: 40, clean: true"))
    response = await call(running, dialect)
    assert (len(response.body), response.ended) == (40, True)


@both
async def test_a_cut_beyond_the_end_still_cuts(simulate: Simulate, dialect: str) -> None:
    running = await simulate(script("kind: cut, afterChunks: 1000"))
    assert content(await call(running, dialect, stream=True)) == WORDS.replace(" ", "- ").split("-")
    running = await simulate(script("kind: cut, afterBytes: 1000000"))
    assert not (await call(running, dialect, stream=True)).ended
    assert not (await call(running, dialect)).ended


@both
async def test_a_malformed_chunk(simulate: Simulate, dialect: str) -> None:
    running = await simulate(script("kind: malformed, afterChunks: 1, data: '{oops'"))
    stream = await call(running, dialect, stream=True)
    assert b"data: {oops\n\n" in stream.body
    assert stream.ended
    assert (await call(running, dialect)).body == b"{oops"


@both
@ways
async def test_a_wrong_content_type(simulate: Simulate, dialect: str, stream: bool) -> None:
    running = await simulate(script("kind: contentType, body: <p>hello</p>"))
    response = await call(running, dialect, stream=stream)
    assert (response.status, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert response.body == b"<p>hello</p>"


@both
@pytest.mark.parametrize(("then", "ended"), [("end", True), ("cut", False), ("goOn", True)])
async def test_an_error_inside_a_stream(simulate: Simulate, dialect: str, then: str, ended: bool) -> None:
    running = await simulate(script(f"kind: error, afterChunks: 2, status: 529, message: Busy, then: {then}"))
    response = await call(running, dialect, stream=True)
    assert (response.status, response.ended) == (200, ended)
    [error] = [event["error"] for event in events(response.body) if "error" in event]
    assert error["message"] == "Busy"
    assert error["type"] == {"openai": "server_error", "anthropic": "overloaded_error"}[dialect]
    assert len(content(response)) == (6 if then == "goOn" else 2)
    assert (b"event: error\n" in response.body) == (dialect == "anthropic")


@both
async def test_an_error_before_the_first_content(simulate: Simulate, dialect: str) -> None:
    running = await simulate(script("kind: error"))
    stream = await call(running, dialect, stream=True)
    assert (stream.status, content(stream)) == (200, [])
    assert "error" in events(stream.body)[-1]
    whole = await call(running, dialect)
    assert (whole.status, "error" in json.loads(whole.body)) == (200, True)


@both
@ways
async def test_text_that_is_not_utf_8(simulate: Simulate, dialect: str, stream: bool) -> None:
    running = await simulate(script("kind: cutUtf8, afterChunks: 2"))
    response = await call(running, dialect, stream=stream)
    with pytest.raises(UnicodeDecodeError):
        response.body.decode()
    text = response.body.decode(errors="replace")
    assert "three\ufffd" in text
    assert "six" in text
    assert response.ended


@both
async def test_a_fault_in_an_answer_without_content(simulate: Simulate, dialect: str) -> None:
    for fault in ("cutUtf8", "malformed", "error", "cut, afterChunks: 0"):
        running = await simulate(f"rules: [{{answer: {{fault: {{kind: {fault}}}}}}}]")
        for stream in (False, True):
            assert (await call(running, dialect, stream=stream)).status == 200


async def test_small_writes_split_frames_and_characters(simulate: Simulate) -> None:
    running = await simulate("rules: [{answer: {text: 你好，世界 🙂, pace: {writeBytes: 3}}}]")
    response = await running.chat(stream=True)
    assert max(map(len, response.chunks)) == 3
    assert "".join(content(response)) == "你好，世界 🙂"
    async with running.openai.chat.completions.stream(model="m", messages=QUESTION) as stream:
        async for _ in stream:
            pass
        assert (await stream.get_final_completion()).choices[0].message.content == "你好，世界 🙂"


async def test_the_sdks_notice(simulate: Simulate) -> None:
    running = await simulate(
        """
        rules:
        - when: {lastUser: cut}
          answer: {text: one two three, fault: {kind: cut, afterChunks: 1}}
        - when: {lastUser: error}
          answer: {text: one two three, fault: {kind: error, afterChunks: 1, message: Broken}}
        - when: {lastUser: silent}
          answer: {fault: {kind: cut}}
        """
    )

    async def chat(text: str) -> None:
        messages: list[Any] = [{"role": "user", "content": text}]
        async for _ in await running.openai.chat.completions.create(model="m", messages=messages, stream=True):
            pass

    async def messages(text: str) -> None:
        question: list[Any] = [{"role": "user", "content": text}]
        async with running.anthropic.messages.stream(model="m", max_tokens=99, messages=question) as stream:
            async for _ in stream:
                pass

    with pytest.raises(openai.APIConnectionError):
        await chat("cut")
    with pytest.raises(openai.APIError, match="Broken"):
        await chat("error")
    with pytest.raises(openai.APIConnectionError):
        await chat("silent")
    with pytest.raises(Exception, match=r"peer closed|incomplete"):
        await messages("cut")
    with pytest.raises(anthropic.APIStatusError, match="Broken"):
        await messages("error")
    with pytest.raises(anthropic.APIConnectionError):
        await messages("silent")


@both
async def test_the_pace_of_a_stream(simulate: Simulate, dialect: str) -> None:
    pace = ", pace: {headersMs: 40, firstTokenMs: 60, perTokenMs: 20, tokensPerChunk: 2}"
    running = await simulate(f"rules: [{{answer: {{text: {WORDS}{pace}}}}}]")
    begun = time.monotonic()
    body: dict[str, Any] = {"model": "m", "max_tokens": 99, "messages": QUESTION, "stream": True}
    path = "/v1/chat/completions" if dialect == "openai" else "/v1/messages"
    reader, writer = await running.connect(path, body, {"anthropic-version": "2023-06-01"})
    await reader.readuntil(b"\r\n\r\n")
    headers = time.monotonic() - begun
    await reader.readuntil(b"one two")
    first = time.monotonic() - begun
    await reader.readuntil(b"five six")
    last = time.monotonic() - begun
    writer.close()
    # Only lower bounds: a loaded machine may be slower, never faster than the script.
    assert headers >= 0.04
    assert first >= 0.1
    assert last >= 0.18


@both
async def test_the_pace_of_a_whole_answer(simulate: Simulate, dialect: str) -> None:
    running = await simulate(f"rules: [{{answer: {{text: {WORDS}, pace: {{firstTokenMs: 20, perTokenMs: 10}}}}}}]")
    begun = time.monotonic()
    await call(running, dialect)
    assert time.monotonic() - begun >= 0.07


async def test_a_client_that_leaves_a_stream_is_noticed(simulate: Simulate) -> None:
    running = await simulate(f"rules: [{{answer: {{text: {WORDS}, pace: {{perTokenMs: 60000}}}}}}]")
    reader, writer = await running.connect("/v1/chat/completions", {"model": "m", "messages": QUESTION, "stream": True})
    await reader.readuntil(b'"one"')
    writer.close()
    record = await running.simulator.received.wait_for(lambda record: record.outcome != "running")
    assert (record.outcome, record.status) == ("left", 200)


async def test_a_slow_reader_is_waited_for(simulate: Simulate) -> None:
    # About 18 MB of frames: more than the sockets' buffers take.
    text = "word " * 40_000
    running = await simulate(f"rules: [{{answer: {{text: {text!r}, pace: {{tokensPerChunk: 10}}}}}}]")
    body = {"model": "m", "messages": QUESTION, "stream": True, "n": 16}
    reader, writer = await running.connect("/v1/chat/completions", body)
    await reader.readuntil(b"word")
    assert running.simulator.received.last.outcome == "running"
    response = RawResponse(b"HTTP/1.1 200\r\n\r\n" + await reader.read())
    assert b"[DONE]" in response.raw
    writer.close()


async def test_many_at_once(simulate: Simulate) -> None:
    running = await simulate(f"rules: [{{answer: {{text: {WORDS}, pace: {{perTokenMs: 2}}}}}}]")
    responses = await asyncio.gather(*(running.chat(f"hi {n}", stream=True) for n in range(64)))
    assert all("".join(content(response)) == WORDS for response in responses)
    assert len(running.simulator.received) == 64
