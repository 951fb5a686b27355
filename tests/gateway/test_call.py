"""A call from end to end: both dialects, streamed and not; what is forwarded, answered, recorded and paid."""

from __future__ import annotations

import json

import pytest
from tests.gateway.town import Town, chat, messages
from tests.gateway.upstream import answer, upstream


async def prepare(city: Town, url: str) -> None:
    await city.provider("acme", url)
    await city.provider("claudette", url, dialect="anthropic", baseUrl=url)
    await city.price("small-1")
    await city.price("claude-x")
    await city.model("fast", "acme")
    await city.model("wise", {"provider": "claudette", "model": "claude-x"})
    await city.budget("team-a", "1.00")
    await city.key("bot", budgets=["team-a"], labels={"team": "a"})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["openai", "anthropic"])
@pytest.mark.parametrize("model", ["fast", "wise"])
async def test_every_pair_of_dialects(city: Town, client: str, model: str, stream: bool) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        if client == "openai":
            reply = await city.ask("bot", chat(model, stream))
        else:
            reply = await city.ask("bot", messages(model, stream), "/v1/messages")
        assert reply.status == 200, reply.body
        assert reply.complete
        if stream and client == "openai":
            *chunks, done = reply.events
            assert done == "[DONE]"
            assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]) == "Hello."
        elif stream:
            texts = [e["delta"]["text"] for e in reply.events if e["type"] == "content_block_delta"]
            assert "".join(texts) == "Hello."
            assert reply.events[-1]["type"] == "message_stop"
        elif client == "openai":
            assert reply.json["choices"][0]["message"]["content"] == "Hello."
        else:
            assert reply.json["content"][0]["text"] == "Hello."
        assert reply.headers["x-pharos-model"] == model
        assert reply.headers["x-pharos-provider"] == ("acme" if model == "fast" else "claudette")
        (called,) = await city.called()
        assert called["call"] == reply.headers["x-pharos-call"]
        assert called["outcome"] == "ok"
        assert called["team"] == "a"
        assert called["stream"] is stream
        (attempt,) = called["attempts"]
        assert attempt["usage"] == {"input": 10, "output": 5}
        assert attempt["cost"] == called["cost"] == "0.000020000"
        assert attempt["price"] == {"source": f"overlay/price-{attempt['asked']}", "version": "1"}
        assert await city.settled("team-a") == (20_000, 0)
        assert "hello" not in json.dumps(called).lower()
