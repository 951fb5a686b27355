"""Which target is asked: weights, fallbacks, what is passed over, and the explanation of it."""

from __future__ import annotations

import random
from collections import Counter

from tests.gateway.town import Town, chat, document
from tests.gateway.upstream import Exchange, answer, upstream

from pharos.gateway.models.routing.choosers import weighted


class Weighted:
    def __init__(self, name: str, weight: int) -> None:
        self.name = name
        self.weight = weight


def test_weights_are_kept_and_the_choice_depends_on_the_numbers_only() -> None:
    targets = [Weighted("a", 3), Weighted("b", 1), Weighted("c", 0)]
    source = random.Random(7)
    orders = [[t.name for t in weighted(targets, source.random)] for _ in range(4000)]  # type: ignore[arg-type]
    first = Counter(order[0] for order in orders)
    assert 2850 < first["a"] < 3150
    assert first["c"] == 0
    assert all(order[2] == "c" and sorted(order) == ["a", "b", "c"] for order in orders)
    again = random.Random(7)
    assert orders == [[t.name for t in weighted(targets, again.random)] for _ in range(4000)]  # type: ignore[arg-type]


async def test_calls_are_shared_by_weight_and_say_why(city: Town) -> None:
    async with upstream(answer) as one, upstream(answer) as two:
        await city.provider("one", one.url)
        await city.provider("two", two.url)
        await city.model(
            "fast",
            {"provider": "one", "model": "small-1", "weight": 3},
            {"provider": "two", "model": "small-2", "weight": 1},
        )
        await city.key("bot")
        for _ in range(40):
            assert (await city.chat("bot")).status == 200
        assert 20 <= len(one.requests) < 40
        assert len(one.requests) + len(two.requests) == 40
        assert {r.json["model"] for r in two.requests} == {"small-2"}
        route = (await city.called(40))[0]["route"]
        assert route["rule"] == "weighted"
        assert sorted(route["candidates"].split()) == ["one/small-1", "two/small-2"]
        assert route["chosen"] == route["candidates"].split()[0]
        assert route["why"] == "by weight: one/small-1 3, two/small-2 1"


async def test_fallbacks_in_order_also_in_a_circle(city: Town) -> None:
    async def down(exchange: Exchange) -> None:
        await exchange.json({"error": {"message": "down"}}, 500)

    async with upstream(down) as one, upstream(down) as two, upstream(answer) as three:
        for name, url in (("one", one.url), ("two", two.url), ("three", three.url)):
            await city.provider(name, url)
        await city.model("a", "one", fallbacks=["b", "c"])
        await city.model("b", "two", fallbacks=["a"])
        await city.model("c", "three", fallbacks=["a"])
        await city.key("bot", models=["a"])
        reply = await city.chat("bot", "a")
        assert reply.status == 200
        assert reply.headers["x-pharos-model"] == "a"
        assert reply.headers["x-pharos-provider"] == "three"
        (called,) = await city.called()
        assert [attempt["provider"] for attempt in called["attempts"]] == ["one", "two", "three"]


async def test_what_is_passed_over_is_named(city: Town) -> None:
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.model("fast", "ghost", "acme")
        await city.key("bot")
        assert (await city.chat("bot")).status == 200
        (called,) = await city.called()
        assert called["route"]["passedOver"] == "Provider/default/ghost: does not exist"
        await city.model("gone", "ghost", fallbacks=["nowhere"])
        reply = await city.chat("bot", "gone")
        assert reply.status == 503
        assert reply.fault["code"] == "MODEL_UNAVAILABLE"
        assert "Provider/default/ghost: does not exist" in str(reply.fault["causes"])
        assert reply.headers["x-should-retry"] == "false"


async def test_a_fallback_is_used_where_the_model_has_no_price(city: Town) -> None:
    async with upstream(answer) as one, upstream(answer) as two:
        await city.provider("one", one.url)
        await city.provider("two", two.url)
        await city.model("fast", {"provider": "one", "model": "unheard-of"}, fallbacks=["priced"])
        await city.model("priced", "two")
        await city.price("small-1")
        await city.budget("b", "1.00")
        await city.key("bot", budgets=["b"])
        assert (await city.chat("bot")).status == 200
        assert (len(one.requests), len(two.requests)) == (0, 1)
        (called,) = await city.called()
        assert called["route"]["rule"] == "fallback"
        assert called["route"]["passedOver"] == "one/unheard-of: price unknown"
        assert await city.quiet("b") == 20_000


async def test_h61_a_model_that_changes_under_a_conversation_is_switched_visibly(city: Town) -> None:
    async with upstream(answer) as one, upstream(answer) as two:
        await city.provider("one", one.url)
        await city.provider("two", two.url)
        await city.model("fast", "one")
        await city.key("bot")
        turns = [{"role": "user", "content": "Hi."}]
        first = await city.ask("bot", {"model": "fast", "messages": turns})
        await city.model("fast", {"provider": "two", "model": "small-9"})
        turns += [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "And?"}]
        second = await city.ask("bot", {"model": "fast", "messages": turns})
        assert (first.headers["x-pharos-provider"], second.headers["x-pharos-provider"]) == ("one", "two")
        before, after = await city.called(2)
        assert [c["attempts"][0]["asked"] for c in (before, after)] == ["small-1", "small-9"]
        assert before["conversation"]["marks"][-1] in after["conversation"]["marks"], "it is one conversation"


async def test_a_change_takes_effect_at_once_and_streams_go_on(city: Town) -> None:
    import asyncio

    held = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        from tests.gateway.upstream import DONE, openai_delta

        await exchange.start()
        await exchange.chunk(openai_delta("one "))
        await asyncio.wait_for(held.wait(), 30)
        await exchange.chunk(openai_delta("two"))
        await exchange.chunk(openai_delta(finish="stop"))
        await exchange.chunk(DONE)
        await exchange.finish()

    async with upstream(slow) as one, upstream(answer) as two:
        await city.provider("acme", one.url)
        await city.model("fast", "acme")
        await city.key("bot")
        async with city.client("bot", chat(stream=True)) as client:
            await client.head()
            await client.chunk()
            await city.provider("acme", two.url)
            assert (await city.chat("bot")).status == 200
            assert len(two.requests) == 1
            held.set()
            rest = b""
            while piece := await client.chunk():
                rest += piece
            assert b"two" in rest and b"[DONE]" in rest


async def test_the_contract_manifest_applies_and_serves(city: Town, monkeypatch: object) -> None:
    """The manifest of the contract, with its exact spelling."""
    import os

    manifest = """
apiVersion: pharos/v1
kind: Provider
metadata: {name: acme}
spec: {dialect: openai-chat, baseUrl: "URL/v1", apiKey: {env: ACME_API_KEY}}
---
apiVersion: pharos/v1
kind: Model
metadata: {name: fast}
spec:
  targets: [{provider: acme, model: small-1, weight: 3}, {provider: acme2, model: small-2, weight: 1}]
  fallbacks: [backup]
---
apiVersion: pharos/v1
kind: Budget
metadata: {name: team-a}
spec: {limit: "25.00", currency: USD, window: month}
---
apiVersion: pharos/v1
kind: Key
metadata: {name: ci-bot, labels: {team: a}}
spec: {models: [fast], budgets: [team-a], limits: {requestsPerMinute: 600, tokensPerMinute: 100000, concurrency: 32}}
"""
    os.environ["ACME_API_KEY"] = "sk-acme"
    try:
        async with upstream(answer) as provider:
            await city.invoke("catalog.apply", manifest=manifest.replace("URL", provider.url))
            await city.price("small-1")
            issued = await city.invoke("keys.issue", key="ci-bot")
            reply = await city.ask(issued["secret"], chat())
            assert reply.status == 200
            sent = provider.requests[0]
            assert sent.headers["authorization"] == "Bearer sk-acme"
            assert sent.path == "/v1/chat/completions"
    finally:
        del os.environ["ACME_API_KEY"]


async def test_specs_are_checked(city: Town) -> None:
    import pytest

    bad = {
        "/baseUrl": {"dialect": "openai-chat", "baseUrl": "ftp://x"},
        "/dialect": {"dialect": "openai", "baseUrl": "http://x"},
        "/apiKey": {"dialect": "anthropic", "baseUrl": "http://x", "apiKey": {"env": "A", "file": "b"}},
        "/timeouts/idleMs": {"dialect": "anthropic", "baseUrl": "http://x", "timeouts": {"idleMs": 0}},
    }
    for pointer, spec in bad.items():
        with pytest.raises(Exception, match="INVALID") as caught:
            await city.apply(document("Provider", "bad", spec))
        assert any(pointer in problem.pointer for problem in caught.value.document.problems), caught.value.document
    for kind, spec in (
        ("Budget", {"limit": "-1"}),
        ("Budget", {"limit": "1.0000000001"}),
        ("Budget", {"limit": "NaN"}),
        ("Model", {"targets": []}),
        ("Model", {"targets": [{"provider": "a", "model": "m"}, {"provider": "a", "model": "m"}]}),
        ("Price", {"model": "m", "inputPerMillion": "1"}),
    ):
        with pytest.raises(Exception, match="INVALID"):
            await city.apply(document(kind, "bad", spec))
