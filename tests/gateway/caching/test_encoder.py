"""The semantic cache's own embedding calls: real ones, paid by whoever asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.caching.test_semantic import SEMANTIC, TOPICS, WAYS, ask, state
from tests.gateway.town import Town, chat, document, town
from tests.gateway.upstream import Exchange, Upstream, openai_answer, upstream
from tests.insight.audited import audited


async def vendor(exchange: Exchange) -> None:
    """Answers chats, and turns texts into vectors by their topic."""
    if not exchange.request.path.endswith("/embeddings"):
        await exchange.json(openai_answer())
        return
    text = exchange.request.json["input"]
    vector = [1.0 if topic in text.lower() else 0.1 for topic in TOPICS]
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    await exchange.json({"object": "list", "data": data, "model": "vector-1", "usage": usage})


async def prepare(city: Town, provider: Upstream) -> None:
    await city.provider("acme", provider.url)
    await city.price("small-1")
    await city.price("vector-1")
    await city.model("vectors", {"provider": "acme", "model": "vector-1"})
    await city.model("fast", "acme", cache={"exact": False, "semantic": {**SEMANTIC, "mode": "shadow"}})
    await city.budget("team-a", "1.00")
    await city.key("bot", models=["fast"], budgets=["team-a"])


async def test_vectors_come_from_the_model_that_is_named_and_are_paid_by_the_caller(tmp_path: Path) -> None:
    async with town(tmp_path) as city, upstream(vendor) as provider:
        await prepare(city, provider)
        for text in WAYS[2:4]:
            await ask(city, text)
        called = await city.called(4)
        embedding = [each for each in called if each["model"] == "default/vectors"]
        assert len(embedding) == 2
        for each in embedding:
            assert each["key"] == "bot" and each["outcome"] == "ok"
            assert each["attempts"][0]["usage"]["input"] == 7
            assert float(each["cost"]) > 0
        # What was settled is what the ledger will show: both kinds of calls.
        settled = await city.quiet("team-a")
        assert settled == sum(round(float(each["cost"]) * 1e9) for each in called)
        assert (await state(city))["looks"] == 2
        assert (await state(city))["near"] == 1, await state(city)


async def test_a_key_with_one_place_has_a_semantic_look_within_its_own_call(tmp_path: Path) -> None:
    """The vector is made while the caller waits, in the place of its call; afterwards that place is free again."""
    async with town(tmp_path) as city, upstream(vendor) as provider:
        await prepare(city, provider)
        await city.key(
            "one", models=["fast"], limits={"concurrency": 1, "requestsPerMinute": 5, "tokensPerMinute": 9_999}
        )
        for text in WAYS[2:4]:
            await ask(city, text, "one")
        seen = await state(city)
        assert (seen["looks"], seen["failures"], seen["near"]) == (2, 0, 1)
        # What it uses counts all the same: two questions and their vectors are four requests of five.
        assert (await city.ask("one", chat())).status == 200
        assert (await city.ask("one", chat())).status == 429


async def test_only_what_guards_let_pass_is_made_into_vectors(tmp_path: Path) -> None:
    """Questions go out as they left the guards; answers are compared as the caller is told them, or not at all."""
    said = iter(["Write to bob@example.com.", 'Write to ann@example.com, say "hi".', "No: KRAKEN.", "Ask us."])

    async def script(exchange: Exchange) -> None:
        if exchange.request.path.endswith("/embeddings"):
            await vendor(exchange)
        else:
            await exchange.json(openai_answer(next(said)))

    async with town(tmp_path) as city, upstream(script) as provider:
        await prepare(city, provider)
        rules = [
            {"detectors": ["email"], "action": "mask", "directions": ["answer"]},
            {"words": [{"name": "secret", "words": ["kraken"]}], "action": "block", "directions": ["answer"]},
        ]
        applies = {"models": ["fast"]}
        await city.apply(document("Guard", "g", {"rules": rules, "onError": "closed", "appliesTo": applies}))
        await ask(city, WAYS[2])
        await ask(city, WAYS[3])
        assert (await state(city))["samples"] == 1
        assert (await city.ask("bot", chat(messages=[{"role": "user", "content": WAYS[4]}]))).status == 400
        await ask(city, WAYS[5])
        # An answer that nobody was told is compared with none; the next question is nearest to one that was told.
        vectors = [request.body for request in provider.requests if request.path.endswith("/embeddings")]
        assert any(b"Write to" in body for body in vectors)
        assert not [body for body in vectors if b"example.com" in body or b"KRAKEN" in body]


async def test_a_guard_of_the_embeddings_model_sees_what_it_is_sent(tmp_path: Path) -> None:
    async with town(tmp_path) as city, upstream(vendor) as provider:
        await prepare(city, provider)
        rule = {"detectors": ["email"], "action": "mask"}
        applies = {"models": ["vectors"]}
        await city.apply(document("Guard", "g", {"rules": [rule], "onError": "closed", "appliesTo": applies}))
        await ask(city, "password of bob@example.com lost")
        sent = {request.path.rsplit("/", 1)[1]: request.body for request in provider.requests}
        assert b"bob@example.com" in sent["completions"]
        assert b"password of" in sent["embeddings"] and b"bob@example.com" not in sent["embeddings"]
        assert (await state(city))["failures"] == 0


async def test_what_is_sent_to_the_embeddings_model_is_audited_as_the_guards_let_it_pass(tmp_path: Path) -> None:
    async with audited(tmp_path, vendor) as world, upstream(vendor) as provider:
        city = world.town
        await prepare(city, provider)
        rule = {"detectors": ["email"], "action": "mask"}
        await city.apply(document("Guard", "g", {"rules": [rule], "onError": "closed"}))
        await world.policy(models=["vectors"])
        await ask(city, "password of bob@example.com lost")
        (called,) = [each for each in await city.called(2) if each["model"] == "default/vectors"]
        (record,) = [recorded.event for recorded in await city.store.log.read("audit/default", limit=10)]
        assert record.data["call"] == called["call"] and record.data["key"] == "bot"
        exported = await world.export()
        assert "password of" in exported and "bob@example.com" not in exported
        assert (await world.sealed())["ok"]


async def test_a_client_that_leaves_while_its_vector_is_audited_leaves_nothing_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storing, go = asyncio.Event(), asyncio.Event()
    async with audited(tmp_path, vendor) as world, upstream(vendor) as provider:
        city = world.town
        await prepare(city, provider)
        await city.price("vector-1", inputPerMillion="1000")
        await city.apply(document("Budget", "watched", {"limit": "0.5", "window": "total", "alerts": [1]}))
        await city.key("bot", models=["fast"], budgets=["team-a", "watched"])
        await world.policy(models=["vectors"])
        put = type(city.store.blobs).put

        async def slow(*arguments: Any) -> Any:
            storing.set()
            await go.wait()
            return await put(*arguments)

        monkeypatch.setattr(type(city.store.blobs), "put", slow)
        async with city.client("bot", chat(messages=[{"role": "user", "content": WAYS[2]}])):
            await asyncio.wait_for(storing.wait(), 30)
        await city.deserted()
        go.set()
        called = {each["model"]: each for each in await city.called(2)}
        assert called["default/vectors"]["outcome"] == "ok" and called["default/vectors"]["audit"]
        assert called["fast"]["outcome"] == "cancelled"
        assert await city.quiet("team-a") == round(float(called["default/vectors"]["cost"]) * 1e9) > 0
        async with asyncio.timeout(30):
            while not (told := (await city.invoke("budgets.alerts"))["items"]):
                await city.growth()
        assert [each["budget"] for each in told] == ["Budget/default/watched"], "though its call was cancelled"


async def test_a_caller_without_money_for_vectors_is_answered_without_the_cache(tmp_path: Path) -> None:
    async with town(tmp_path) as city, upstream(vendor) as provider:
        await prepare(city, provider)
        await city.price("vector-1", inputPerMillion="1000000")
        await ask(city, "password lost")
        assert (await state(city))["failures"] == 1


async def test_a_key_cannot_ask_the_embeddings_model_itself(tmp_path: Path) -> None:
    async with town(tmp_path) as city, upstream(vendor) as provider:
        await prepare(city, provider)
        reply = await city.ask("bot", {"model": "vectors", "input": "x"}, path="/v1/embeddings")
        assert reply.status == 404


async def test_a_key_cannot_ask_the_embeddings_model_itself_after_it_was_asked_for_it(tmp_path: Path) -> None:
    async with town(tmp_path) as city, upstream(vendor) as provider:
        await prepare(city, provider)
        await ask(city, WAYS[0])
        assert len(provider.requests) == 2
        reply = await city.ask("bot", {"model": "default/vectors", "input": "x"}, path="/v1/embeddings")
        assert reply.status == 404
