"""No route around a limit: every way to call a model is refused by every sort of limit, and costs nothing then."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.gateway.town import Town, document
from tests.gateway.upstream import Exchange, answer, upstream

TURNS = [{"role": "user", "content": "Say hello."}]

BODY: dict[str, Any] = {
    "model": "fast",
    "messages": TURNS,
    "input": "Say hello.",
    "contents": [{"role": "user", "parts": [{"text": "Say hello."}]}],
    "max_tokens": 20,
}
"""Something for every dialect; each reads what is its own."""

OWN: dict[str, tuple[str, ...]] = {
    "/v1/chat/completions": ("model", "messages", "max_tokens"),
    "/v1/messages": ("model", "messages", "max_tokens"),
    "/v1/responses": ("model", "input"),
    "/v1/embeddings": ("model", "input"),
}
"""Members that a route's body has, where those of others would be wrong."""

LIMITS: dict[str, dict[str, Any]] = {
    "limits.requestsPerMinute": {"limits": {"requestsPerMinute": 1}},
    "limits.tokensPerMinute": {"limits": {"tokensPerMinute": 1}},
    "limits.concurrency": {"limits": {"concurrency": 1}},
    "perUser.requestsPerMinute": {"perUser": {"requestsPerMinute": 1}},
    "perSession.requestsPerMinute": {"perSession": {"requestsPerMinute": 1}},
    "budget.limit": {"budgets": ["none"]},
}


NO_CALL = {
    "/v1/responses/*": "estimates the input tokens itself",
}
"""Paths that take a POST and ask no provider, and what they do instead."""

UNPAID = ("/v1/messages/count_tokens",)
"""Paths whose calls are limited like any other and cost nothing, so that no budget is asked."""


def model_routes(city: Town) -> list[str]:
    """Every path by which a model can be called: what takes a POST, unless this file says why it is none."""
    return sorted({route.path for route in city.plane.routes if route.method == "POST"} - NO_CALL.keys())


METHODS = ("generateContent", "streamGenerateContent", "embedContent", "batchEmbedContents")
"""What Gemini's protocol can do to a model for money; its pattern stands for all of them."""


def targets(path: str) -> list[str]:
    """A path as clients would ask for it: a pattern names a model and its method, as in Gemini's protocol."""
    return [path.replace("*", f"fast:{method}") for method in METHODS] if path.endswith("*") else [path]


def body_of(path: str) -> bytes:
    if path.endswith(":embedContent"):
        return json.dumps({"content": {"parts": [{"text": "Say hello."}]}}).encode()
    if path.endswith(":batchEmbedContents"):
        content = {"parts": [{"text": "Say hello."}]}
        return json.dumps({"requests": [{"model": "models/fast", "content": content}]}).encode()
    own = OWN.get(path)
    return json.dumps({name: BODY[name] for name in own} if own else BODY).encode()


def rule_of(fault: dict[str, Any]) -> tuple[str, str]:
    return fault["code"], fault.get("rule", "")


@pytest.mark.parametrize("rule", LIMITS)
async def test_every_route_refuses_what_is_over_a_limit(city: Town, rule: str) -> None:
    gate = asyncio.Event()
    arrived = asyncio.Event()

    async def held(exchange: Exchange) -> None:
        arrived.set()
        await gate.wait()
        await answer(exchange)

    async with upstream(held) as provider:
        await city.provider("acme", provider.url)
        await city.price()
        await city.model("fast", "acme")
        await city.budget("none", "0")
        await city.key("bot", **LIMITS[rule])
        # One call has all the room there is, and keeps it. Money has none to begin with.
        first = None
        if rule != "budget.limit":
            first = asyncio.create_task(city.ask("bot", body_of("/v1/chat/completions")))
            await asyncio.wait_for(arrived.wait(), 30)
        paths = [path for path in model_routes(city) if rule != "budget.limit" or path not in UNPAID]
        assert {"/v1/chat/completions", "/v1/messages"} <= set(paths)
        for path in [target for pattern in paths for target in targets(pattern)]:
            reply = await city.ask("bot", body_of(path), path)
            assert reply.status in (402, 429), f"{path}: {reply.status} {reply.body[:300]!r}"
            assert rule_of(reply.fault)[1] == rule, path
        gate.set()
        if first is not None:
            assert (await first).status == 200
        assert len(provider.requests) == (first is not None), "what is refused is never asked for"
        assert await city.settled("none") == (0, 0)


async def test_every_route_refuses_under_a_team_that_is_missing(city: Town) -> None:
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.model("fast", "acme")
        await city.apply(document("Team", "red", {"organisation": "ghost"}))
        await city.key("bot", team="red")
        for path in [target for pattern in model_routes(city) for target in targets(pattern)]:
            reply = await city.ask("bot", body_of(path), path)
            assert reply.fault["code"] == "LEVEL_MISSING", path
        for path in NO_CALL.keys() & {route.path for route in city.plane.routes}:
            await city.ask("bot", body_of(path), path.replace("*", "input_tokens"))
        assert provider.requests == []
