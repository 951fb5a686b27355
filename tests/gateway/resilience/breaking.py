"""Streams that break, in the four dialects: what providers send, how clients ask, and what they make of it."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

from tests.gateway.dialects import gemini_wire, responses_wire
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

MODELS = {"openai-chat": "small-1", "openai-responses": "gpt-x", "anthropic": "claude-x", "gemini": "gemini-x"}


def frames_of(dialect: str, *texts: str, input: int = 10, output: int = 5) -> list[bytes]:
    """A whole streamed answer."""
    match dialect:
        case "anthropic":
            return [anthropic_start(input), *anthropic_text(*texts), *anthropic_end(output)]
        case "openai-responses":
            item = responses_wire.message_item("".join(texts))
            usage = {"input_tokens": input, "output_tokens": output, "total_tokens": input + output}
            end = [responses_wire.done(0, item), responses_wire.ended(item, usage=usage)]
            return _numbered(*_response(*texts), *end)
        case "gemini":
            usage = {"promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": input + output}
            said = [gemini_wire.chunk(text, responseId="r2") for text in texts]
            said.append(gemini_wire.chunk("", finish="STOP", usage=usage, responseId="r2"))
            return [gemini_wire.gemini_stream(chunk) for chunk in said]
    end = [openai_delta(finish="stop"), openai_usage(input, output), DONE]
    return [openai_delta(role="assistant", content=""), *map(openai_delta, texts), *end]


def begun(dialect: str, *texts: str) -> list[bytes]:
    """A stream that is not over."""
    match dialect:
        case "anthropic":
            return [anthropic_start(), *anthropic_text(*texts)[:-1]]
        case "openai-responses":
            return _numbered(*_response(*texts))
        case "gemini":
            return [gemini_wire.gemini_stream(gemini_wire.chunk(text)) for text in texts]
    return [openai_delta(role="assistant", content=""), *map(openai_delta, texts)]


def _response(*texts: str) -> list[dict[str, Any]]:
    item = responses_wire.message_item("")
    part = {"type": "response.content_part.added", "item_id": item["id"], "output_index": 0, "content_index": 0}
    said = responses_wire.deltas("output_text", 0, *texts, content_index=0, logprobs=[])
    part["part"] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    return [responses_wire.begun(), responses_wire.added(0, item), part, *({**d, "item_id": item["id"]} for d in said)]


def _numbered(*events: dict[str, Any]) -> list[bytes]:
    whole = responses_wire.response_stream(*events)
    return [frame + b"\n\n" for frame in whole.split(b"\n\n") if frame]


_ERRORS = {
    "anthropic": anthropic_event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
    "openai-chat": b'data: {"error": {"message": "Overloaded", "type": "server_error"}}\n\n',
    "openai-responses": b'event: error\ndata: {"type": "error", "code": "server_error", "message": "Overloaded"}\n\n',
    "gemini": b'data: {"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}\n\n',
}


def says(dialect: str, *texts: str, **usage: int) -> Any:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for frame in frames_of(dialect, *texts, **usage):
            await exchange.chunk(frame)
        await exchange.finish()

    return script


def breaks(dialect: str, *texts: str, how: str = "cut") -> Any:
    """A stream that fails after these texts."""

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for frame in begun(dialect, *texts):
            await exchange.chunk(frame)
        if how == "error":
            await exchange.chunk(_ERRORS[dialect])
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
        base = {} if dialect.startswith("openai") else {"baseUrl": one.url}
        await city.provider(f"p{number}", one.url, dialect=dialect, **base, **spec.pop("provider", {}))
        target = {"provider": f"p{number}", "model": MODELS[dialect], "weight": int(not number)}
        targets.append(target | ({"prefill": prefill} if prefill else {}))
        running.append(one)
    for model in MODELS.values():
        await city.price(model)
    await city.model("fast", *targets, onStreamFailure=policy, **spec)
    await city.budget("b", "1.00")
    await city.key("bot", budgets=["b"])
    return running


async def ask(city: Town, client: str, **extra: Any) -> Answer:
    limit = extra.pop("max_tokens", None)
    match client:
        case "openai":
            more = {} if limit is None else {"max_tokens": limit}
            return await city.ask("bot", chat(stream=True, stream_options={"include_usage": True}, **more, **extra))
        case "responses":
            more = {} if limit is None else {"max_output_tokens": limit}
            body = {"model": "fast", "input": "Say hello.", "stream": True, **more, **extra}
            return await city.ask("bot", body, "/v1/responses")
        case "gemini":
            config = {} if limit is None else {"generationConfig": {"maxOutputTokens": limit}}
            body = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}], **config, **extra}
            return await city.ask("bot", body, "/v1beta/models/fast:streamGenerateContent?alt=sse")
    more = {} if limit is None else {"max_tokens": limit}
    return await city.ask("bot", messages(stream=True, **more, **extra), "/v1/messages")


def objects(reply: Answer) -> list[dict[str, Any]]:
    return [event for event in reply.events if isinstance(event, dict)]


def text_of(reply: Answer, client: str) -> str:
    match client:
        case "openai":
            said = [e["choices"][0]["delta"].get("content") or "" for e in objects(reply) if e.get("choices")]
        case "responses":
            said = [e["delta"] for e in objects(reply) if e["type"] == "response.output_text.delta"]
        case "gemini":
            said = [p["text"] for e in objects(reply) for c in e.get("candidates", ()) for p in c["content"]["parts"]]
        case _:
            said = [e["delta"].get("text", "") for e in objects(reply) if e["type"] == "content_block_delta"]
    return "".join(said)


def is_whole(reply: Answer, client: str, *, restarted: bool = False) -> None:
    """One legal stream of the dialect: one beginning, one end, one id, blocks in order."""
    assert reply.status == 200 and reply.complete
    events, found = reply.events, objects(reply)
    match client:
        case "openai":
            assert events[-1] == "[DONE]" and events.count("[DONE]") == 1
            assert len({c["id"] for c in found}) == 1
            assert sum(bool(c["choices"] and c["choices"][0]["delta"].get("role")) for c in found) <= 1
            assert [c["choices"][0]["finish_reason"] for c in found if c["choices"]].count("stop") == 1
        case "responses":
            # The official SDK puts it together, and every item, part and number is where it belongs.
            responses_wire.response(reply.body)
            assert len({e["response"]["id"] for e in found if "response" in e}) == 1
        case "gemini":
            assert len({e["responseId"] for e in found}) == 1 + restarted
            assert [c.get("finishReason") for e in found for c in e["candidates"]].count("STOP") == 1
            assert found[-1]["candidates"][0]["finishReason"] == "STOP"
        case _:
            _is_message([e["type"] for e in found], found)


def _is_message(kinds: list[str], found: list[dict[str, Any]]) -> None:
    assert kinds[0] == "message_start" and kinds.count("message_start") == 1
    assert kinds[-2:] == ["message_delta", "message_stop"] and kinds.count("message_stop") == 1
    open, seen = None, []
    for event in found:
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


def output_of(reply: Answer, client: str) -> int:
    """The tokens of output that the client is told."""
    found = objects(reply)
    match client:
        case "openai":
            return int(next(e["usage"] for e in reversed(found) if e.get("usage"))["completion_tokens"])
        case "responses":
            return int(found[-1]["response"]["usage"]["output_tokens"])
        case "gemini":
            return int(found[-1]["usageMetadata"]["candidatesTokenCount"])
    return int(next(e["usage"] for e in found if e["type"] == "message_delta")["output_tokens"])


def mark_of(reply: Answer) -> dict[str, Any]:
    """The one frame that bears the mark of a new answer."""
    (mark,) = [event for event in objects(reply) if '"restart"' in json.dumps(event)]
    return mark


def is_broken(reply: Answer, client: str) -> None:
    assert reply.status == 200 and reply.complete
    last = objects(reply)[-1]
    if client == "responses":
        assert last["type"] == "response.failed" and last["response"]["status"] == "failed"
        last = objects(reply)[-2]
        assert last["type"] == "error"
        last = last["error"] | last
    assert last["error"] and last["pharos"]["code"].startswith("UPSTREAM_")
    for end in (b"[DONE]", b"message_stop", b"response.completed", b"finishReason"):
        assert end not in reply.body


def last_turn(dialect: str, sent: dict[str, Any]) -> tuple[str, str]:
    """Who said the last thing in a request, and what."""
    match dialect:
        case "openai-responses":
            given = sent["input"]
            turn = given[-1] if isinstance(given, list) else {"role": "user", "content": given}
        case "gemini":
            turn = {**sent["contents"][-1], "content": sent["contents"][-1]["parts"]}
        case _:
            turn = sent["messages"][-1]
    content = turn["content"]
    return turn["role"], content if isinstance(content, str) else content[0]["text"]


def limit_of(sent: dict[str, Any]) -> int:
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    limit = next((sent[name] for name in names if sent.get(name)), None)
    return int(limit or sent["generationConfig"]["maxOutputTokens"])
