"""A stream that fails after its first content (H28): the model's policy decides, and it is never a clean finish."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.gateway.town import Answer, Town, chat, messages
from tests.gateway.upstream import (
    DONE,
    Exchange,
    Upstream,
    anthropic_end,
    anthropic_event,
    anthropic_start,
    anthropic_text,
    openai_delta,
    openai_usage,
    upstream,
)

CLIENTS = ("openai", "anthropic")
DIALECTS = ("openai-chat", "anthropic")


def frames_of(dialect: str, *texts: str, input: int = 10, output: int = 5, role: bool = True) -> list[bytes]:
    """A whole streamed answer."""
    if dialect == "anthropic":
        return [anthropic_start(input), *anthropic_text(*texts), *anthropic_end(output)]
    first = [openai_delta(role="assistant", content="")] if role else []
    return [*first, *map(openai_delta, texts), openai_delta(finish="stop"), openai_usage(input, output), DONE]


def says(dialect: str, *texts: str, **usage: int) -> Any:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for frame in frames_of(dialect, *texts, **usage):
            await exchange.chunk(frame)
        await exchange.finish()

    return script


def breaks(dialect: str, *texts: str, how: str = "cut", after: int = 0) -> Any:
    """A stream that fails after these texts."""

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        if dialect == "anthropic":
            frames = [anthropic_start(), *anthropic_text(*texts)[:-1]]
            error = anthropic_event("error", error={"type": "overloaded_error", "message": "Overloaded"})
        else:
            frames = [openai_delta(role="assistant", content=""), *map(openai_delta, texts)]
            error = b'data: {"error": {"message": "Overloaded", "type": "server_error"}}\n\n'
        for frame in frames:
            await exchange.chunk(frame)
        if how == "error":
            await exchange.chunk(error)
            await exchange.finish()
        elif how == "cut":
            exchange.cut()
        elif how == "end":
            await exchange.finish()
        else:
            await exchange.until_left()

    return script


async def pair(
    city: Town,
    stack: AsyncExitStack,
    first: tuple[str, Any],
    second: tuple[str, Any] | None,
    policy: str,
    prefill: str | None = "message",
    **spec: Any,
) -> list[Upstream]:
    """A model whose second target takes no call but what the first one leaves."""
    running, targets = [], []
    for number, (dialect, script) in enumerate(filter(None, (first, second))):
        one = await stack.enter_async_context(upstream(script))
        base = {} if dialect == "openai-chat" else {"baseUrl": one.url}
        await city.provider(f"p{number}", one.url, dialect=dialect, **base, **spec.pop("provider", {}))
        model = "small-1" if dialect == "openai-chat" else "claude-x"
        target = {"provider": f"p{number}", "model": model, "weight": int(not number)}
        targets.append(target | ({"prefill": prefill} if prefill else {}))
        running.append(one)
    for model in ("small-1", "claude-x"):
        await city.price(model)
    await city.model("fast", *targets, onStreamFailure=policy, **spec)
    await city.budget("b", "1.00")
    await city.key("bot", budgets=["b"])
    return running


async def ask(city: Town, client: str, **extra: Any) -> Answer:
    if client == "openai":
        return await city.ask("bot", chat(stream=True, stream_options={"include_usage": True}, **extra))
    return await city.ask("bot", messages(stream=True, **extra), "/v1/messages")


def text_of(reply: Answer, client: str) -> str:
    if client == "openai":
        return "".join(
            e["choices"][0]["delta"].get("content") or ""
            for e in reply.events
            if isinstance(e, dict) and e.get("choices")
        )
    return "".join(
        e["delta"].get("text", "") for e in reply.events if isinstance(e, dict) and e["type"] == "content_block_delta"
    )


def is_whole(reply: Answer, client: str) -> None:
    """One legal stream of the dialect: one beginning, one end, one id, blocks in order."""
    assert reply.status == 200 and reply.complete
    events = reply.events
    if client == "openai":
        assert events[-1] == "[DONE]" and events.count("[DONE]") == 1
        chunks = [e for e in events if isinstance(e, dict)]
        assert len({c["id"] for c in chunks}) == 1
        assert sum(bool(c["choices"] and c["choices"][0]["delta"].get("role")) for c in chunks) <= 1
        assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]].count("stop") == 1
        return
    kinds = [e["type"] for e in events if isinstance(e, dict)]
    assert kinds[0] == "message_start" and kinds.count("message_start") == 1
    assert kinds[-2:] == ["message_delta", "message_stop"] and kinds.count("message_stop") == 1
    open, seen = None, []
    for event in events:
        assert isinstance(event, dict)
        if event["type"] == "content_block_start":
            assert open is None
            open = event["index"]
            seen.append(open)
        elif event["type"] == "content_block_delta":
            assert event["index"] == open
        elif event["type"] == "content_block_stop":
            assert event["index"] == open
            open = None
    assert open is None and seen == list(range(len(seen)))


def usage_of(reply: Answer, client: str) -> dict[str, Any]:
    if client == "openai":
        return next(e["usage"] for e in reversed(reply.events) if isinstance(e, dict) and e.get("usage"))
    return next(e["usage"] for e in reply.events if isinstance(e, dict) and e["type"] == "message_delta")


@pytest.mark.parametrize("how", ["cut", "end", "error"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("one", DIALECTS)
@pytest.mark.parametrize("two", DIALECTS)
async def test_h28_resume_by_prefill(city: Town, one: str, two: str, client: str, how: str) -> None:
    """The text so far goes to the next target, is not repeated, has one id, and both halves are paid for."""
    async with AsyncExitStack() as stack:
        first, second = await pair(
            city,
            stack,
            (one, breaks(one, "Once upon", " a time", how=how)),
            (two, says(two, " there was", " a cat.")),
            "resume",
        )
        reply = await ask(city, client, max_tokens=100)
        assert text_of(reply, client) == "Once upon a time there was a cat."
        is_whole(reply, client)
        assert len(first.requests) == len(second.requests) == 1
        sent = second.requests[0].json
        content = sent["messages"][-1]["content"]
        assert sent["messages"][-1]["role"] == "assistant"
        assert (content if isinstance(content, str) else content[0]["text"]) == "Once upon a time"
        assert sent["messages"][:-1] == first.requests[0].json["messages"] or one != two
        assert 80 < (sent.get("max_tokens") or sent["max_completion_tokens"]) < 100, "the rest of the limit"
        (called,) = await city.called()
        assert called["outcome"] == "ok" and called["fault"] == ""
        broken, served = called["attempts"]
        assert (broken["outcome"], served["outcome"]) == ("incomplete", "ok")
        assert broken["usage"]["estimated"] is True
        assert served["usage"] == {"input": 10, "output": 5}
        assert called["route"]["resume"].startswith("p1/")
        shown = usage_of(reply, client)
        output = broken["usage"]["output"] + 5
        assert shown["completion_tokens" if client == "openai" else "output_tokens"] == output
        assert await city.quiet("b") == round(float(called["cost"]) * 1e9)
        assert float(called["cost"]) == pytest.approx(float(broken["cost"]) + float(served["cost"]), abs=1e-12)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("one", DIALECTS)
@pytest.mark.parametrize("two", DIALECTS)
async def test_h28_restart_is_marked(city: Town, one: str, two: str, client: str) -> None:
    async with AsyncExitStack() as stack:
        _, second = await pair(
            city, stack, (one, breaks(one, "Once")), (two, says(two, "A new", " story.")), "restart", None
        )
        reply = await ask(city, client, max_tokens=100)
        is_whole(reply, client)
        assert text_of(reply, client) == "OnceA new story."
        marked = [e for e in reply.events if isinstance(e, dict) and "pharos" in json.dumps(e)]
        (mark,) = marked
        if client == "openai":
            assert mark["pharos"] == {"restart": 2}
            assert mark["choices"][0]["delta"]["content"] == "A new"
        else:
            assert mark["content_block"] == {"type": "text", "text": "", "pharos": {"restart": 2}}
            assert mark["index"] == 1
        assert second.requests[0].json["messages"][-1]["role"] == "user"
        (called,) = await city.called()
        assert [a["outcome"] for a in called["attempts"]] == ["incomplete", "ok"]
        assert called["outcome"] == "ok"


def is_broken(reply: Answer, client: str) -> None:
    assert reply.status == 200 and reply.complete
    last = reply.events[-1]
    assert isinstance(last, dict) and last["error"] and last["pharos"]["code"].startswith("UPSTREAM_")
    assert b"[DONE]" not in reply.body and b"message_stop" not in reply.body


@pytest.mark.parametrize("policy", ["resume", "restart"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_h28_an_error_where_nobody_can_go_on(city: Town, client: str, policy: str) -> None:
    """Every further target fails as well: the dialect's error ends the stream, and all attempts are on record."""
    async with AsyncExitStack() as stack:

        async def down(exchange: Exchange) -> None:
            await exchange.json({"error": {"message": "down"}}, 500)

        first, second = await pair(
            city, stack, ("openai-chat", breaks("openai-chat", "Once")), ("openai-chat", down), policy
        )
        reply = await ask(city, client)
        assert text_of(reply, client).startswith("Once")
        is_broken(reply, client)
        (called,) = await city.called()
        assert called["outcome"] == "incomplete"
        assert called["fault"].startswith("UPSTREAM_")
        # The target that failed is asked last: it may just have dropped a connection. Each mend breaks in turn.
        assert [a["outcome"] for a in called["attempts"]].count("error") >= 1
        assert len(first.requests) + len(second.requests) == len(called["attempts"])
        assert await city.quiet("b") == round(float(called["cost"]) * 1e9)


async def test_h28_resume_with_the_same_target_where_there_is_no_other(city: Town) -> None:
    served = 0

    async def script(exchange: Exchange) -> None:
        nonlocal served
        served += 1
        await (breaks("openai-chat", "Hel") if served == 1 else says("openai-chat", "lo."))(exchange)

    async with AsyncExitStack() as stack:
        (only,) = await pair(city, stack, ("openai-chat", script), None, "resume", "prefix")
        reply = await ask(city, "openai")
        assert text_of(reply, "openai") == "Hello."
        is_whole(reply, "openai")
        assert only.requests[1].json["messages"][-1] == {"role": "assistant", "content": "Hel", "prefix": True}


async def test_h28_forms_of_a_prefill(city: Town) -> None:
    async with AsyncExitStack() as stack:
        _, second = await pair(
            city,
            stack,
            ("openai-chat", breaks("openai-chat", "Hel")),
            ("openai-chat", says("openai-chat", "lo.")),
            "resume",
            "continue",
        )
        assert text_of(await ask(city, "openai"), "openai") == "Hello."
        sent = second.requests[0].json
        assert sent["continue_final_message"] is True and sent["add_generation_prompt"] is False


async def test_h28_a_target_that_cannot_go_on_is_not_asked_to(city: Town) -> None:
    async with AsyncExitStack() as stack:
        first, second = await pair(
            city,
            stack,
            ("openai-chat", breaks("openai-chat", "Hel")),
            ("openai-chat", says("openai-chat", "Hello again.")),
            "resume",
            None,
        )
        reply = await ask(city, "openai")
        is_broken(reply, "openai")
        assert (len(first.requests), len(second.requests)) == (1, 0)


@pytest.mark.parametrize(
    ("texts", "more", "whole"),
    [
        (("Hello ",), ("world",), "Hello world"),
        (("Hello ",), (" world",), "Hello world"),
        (("Hello\n\n",), ("\n", "\nworld"), "Hello\n\nworld"),
        (("Hello",), (" world",), "Hello world"),
        (
            ("Once upon a time there",),
            (
                "Once upon a ",
                "time there was one",
            ),
            "Once upon a time there was one",
        ),
        (
            ("Once upon a time there",),
            (
                "Once upon ",
                "another",
            ),
            "Once upon a time thereOnce upon another",
        ),
        (("ha",), ("ha",), "haha"),
        (("日本語 🗼",), ("を学ぶ",), "日本語 🗼を学ぶ"),
    ],
)
async def test_h28_nothing_is_said_twice(city: Town, texts: tuple[str, ...], more: tuple[str, ...], whole: str) -> None:
    """White space at the seam, and servers that send the beginning again."""
    async with AsyncExitStack() as stack:
        _, second = await pair(
            city, stack, ("anthropic", breaks("anthropic", *texts)), ("anthropic", says("anthropic", *more)), "resume"
        )
        reply = await ask(city, "anthropic")
        assert text_of(reply, "anthropic") == whole
        is_whole(reply, "anthropic")
        given = second.requests[0].json["messages"][-1]["content"][0]["text"]
        assert given == "".join(texts).rstrip()


TOOL = anthropic_event(
    "content_block_start", index=1, content_block={"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
)


@pytest.mark.parametrize("policy", ["resume", "restart"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_h28_a_tool_call_that_has_begun_is_never_gone_on_with(city: Town, client: str, policy: str) -> None:
    """The client may be acting on it already."""

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for frame in (anthropic_start(), *anthropic_text("Let me see."), TOOL):
            await exchange.chunk(frame)
        await exchange.chunk(
            anthropic_event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"a'})
        )
        exchange.cut()

    async with AsyncExitStack() as stack:
        _, second = await pair(city, stack, ("anthropic", script), ("anthropic", says("anthropic", "No.")), policy)
        reply = await ask(city, client)
        is_broken(reply, client)
        assert not second.requests


@pytest.mark.parametrize("policy", ["resume", "restart"])
async def test_h28_a_stream_that_told_why_it_stopped_is_not_gone_on_with(city: Town, policy: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for frame in (openai_delta("Hello."), openai_delta(finish="stop")):
            await exchange.chunk(frame)
        exchange.cut()

    async with AsyncExitStack() as stack:
        _, second = await pair(city, stack, ("openai-chat", script), ("openai-chat", says("openai-chat", "x")), policy)
        is_broken(await ask(city, "openai"), "openai")
        assert not second.requests


async def test_h28_thinking_is_restarted_and_not_resumed(city: Town) -> None:
    thinking = [
        anthropic_start(),
        anthropic_event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
        anthropic_event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Hm."}),
    ]

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for frame in thinking:
            await exchange.chunk(frame)
        exchange.cut()

    async with AsyncExitStack() as stack:
        _, second = await pair(city, stack, ("anthropic", script), ("anthropic", says("anthropic", "Hi.")), "resume")
        is_broken(await ask(city, "anthropic"), "anthropic")
        assert not second.requests
        await city.model(
            "fast",
            *[{"provider": p, "model": "claude-x", "weight": int(p == "p0")} for p in ("p0", "p1")],
            onStreamFailure="restart",
        )
        reply = await ask(city, "anthropic")
        is_whole(reply, "anthropic")
        assert text_of(reply, "anthropic") == "Hi."


async def test_h28_more_than_one_target_goes_on_in_turn(city: Town) -> None:
    async with AsyncExitStack() as stack:
        a, b, c = [
            await stack.enter_async_context(upstream(script))
            for script in (
                breaks("openai-chat", "One"),
                breaks("openai-chat", " two"),
                says("openai-chat", " three."),
            )
        ]
        targets = []
        for number, one in enumerate((a, b, c)):
            await city.provider(f"p{number}", one.url)
            weight = (9, 0, 0)[number]
            targets.append({"provider": f"p{number}", "model": "small-1", "weight": weight, "prefill": "message"})
        await city.price("small-1")
        await city.model("fast", *targets, onStreamFailure="resume")
        await city.key("bot")
        reply = await ask(city, "openai")
        assert text_of(reply, "openai") == "One two three."
        is_whole(reply, "openai")
        assert c.requests[0].json["messages"][-1]["content"] == "One two"
        (called,) = await city.called()
        assert [x["outcome"] for x in called["attempts"]] == ["incomplete", "incomplete", "ok"]
        total = sum(x["usage"]["output"] for x in called["attempts"])
        assert usage_of(reply, "openai")["completion_tokens"] == total
