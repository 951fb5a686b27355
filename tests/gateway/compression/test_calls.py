"""Compression on the way of real calls: what reaches the provider, what is reported, what can be had back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.compression.test_requests import CHAT, GEMINI, LOG, MESSAGES, RESPONSES, WORDY
from tests.gateway.town import Town, chat, document
from tests.gateway.upstream import Exchange, Upstream, anthropic_answer, openai_answer, upstream
from tests.insight.audited import audited

from pharos.core.fault import Fault
from pharos.core.principal import Principal, PrincipalKind
from pharos.gateway.models.compression.reference import expand


async def answering(exchange: Exchange) -> None:
    await exchange.json(openai_answer() if "/chat/" in exchange.request.path else anthropic_answer())


def caller(name: str) -> Principal:
    return Principal(kind=PrincipalKind.KEY, name=name)


@asynccontextmanager
async def compressing(city: Town, **spec: Any) -> AsyncIterator[tuple[str, Upstream]]:
    """A key, and the provider of a model that is compressed."""
    async with upstream(answering) as running:
        await city.provider("p", running.url)
        await city.model("fast", "p", compression=spec)
        yield await city.key("k"), running


def asked(body: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {**body, "model": "fast", "max_tokens": 10, **extra}


async def test_a_call_is_compressed_reported_and_can_be_expanded(city: Town) -> None:
    async with compressing(city) as (key, provider):
        answer = await city.ask(key, asked(CHAT))
        assert answer.status == 200, answer.body
        sent = provider.requests[-1].json["messages"]
        [called] = await city.called()
        told = called["compressed"]
        assert told["mode"] == "apply"
        assert [text["place"] for text in told["texts"]] == [f"/messages/{n}/content" for n in (1, 3, 7)]
        assert told["savedBytes"] == sum(text["before"] - text["after"] for text in told["texts"]) > 1000
        assert told["savedTokens"] > 300
        assert told["left"]["lastTurn"] == 2
        assert called["route"]["compressed"] == answer.headers["x-pharos-compressed"]
        assert f"mode=apply, saved={told['savedBytes']}, " in answer.headers["x-pharos-compressed"]
        for index in (0, 2, 5, 8, 9):
            assert sent[index] == CHAT["messages"][index]
        refs: dict[str, str] = {}
        for text in told["texts"]:
            for ref in text["refs"]:
                refs[ref] = (await city.invoke("compression.expand", caller("k"), ref=ref))["text"]
        assert expand(sent[1]["content"], refs.get) == WORDY
        assert expand(sent[3]["content"], refs.get) == LOG
        with pytest.raises(Fault, match="Nothing of yours"):
            await city.invoke("compression.expand", caller("other"), ref=next(iter(refs)))
        kept_until = await city.invoke("compression.expand", caller("k"), ref=next(iter(refs)))
        assert kept_until["keptUntil"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", MESSAGES),
        ("/v1/responses", {**RESPONSES, "store": False}),
        ("/v1beta/models/fast:generateContent", GEMINI),
    ],
)
async def test_every_dialect_is_compressed_also_across(city: Town, path: str, body: dict[str, Any]) -> None:
    async with compressing(city) as (key, provider):
        answer = await city.ask(
            key, {**body, "max_tokens": 10, "model": "fast"} if "v1beta" not in path else body, path
        )
        assert answer.status == 200, answer.body
        raw = provider.requests[-1].body.decode()
        assert raw.count("lines left out that are like those around]") == 1
        [called] = await city.called()
        assert len(called["compressed"]["texts"]) == 2


async def test_shadow_measures_and_changes_nothing(city: Town) -> None:
    async with compressing(city, mode="shadow") as (key, provider):
        answer = await city.ask(key, asked(CHAT))
        assert answer.headers["x-pharos-compressed"].startswith("mode=shadow, saved=")
        assert provider.requests[-1].json["messages"] == CHAT["messages"]
        [called] = await city.called()
        assert called["compressed"]["savedBytes"] > 1000
        ref = called["compressed"]["texts"][0]["refs"][0]
        with pytest.raises(Fault):
            await city.invoke("compression.expand", caller("k"), ref=ref)


async def test_a_call_may_decide_for_itself(city: Town) -> None:
    async with compressing(city) as (key, provider):
        answer = await city.ask(key, asked(CHAT), x_pharos_compress="off")
        assert "x-pharos-compressed" not in answer.headers
        assert provider.requests[-1].json["messages"] == CHAT["messages"]
        refused = await city.ask(key, asked(CHAT), x_pharos_compress="maybe")
        assert (refused.status, refused.fault["rule"]) == (400, "compression/header")
        await city.model("fast", "p", compression={"when": "asked"})
        assert "x-pharos-compressed" not in (await city.ask(key, asked(CHAT))).headers
        answer = await city.ask(key, asked(CHAT), x_pharos_compress="on")
        assert "mode=apply" in answer.headers["x-pharos-compressed"]


async def test_a_model_without_compression_is_left(city: Town) -> None:
    async with upstream(answering) as running:
        await city.provider("p", running.url)
        await city.model("fast", "p")
        key = await city.key("k")
        answer = await city.ask(key, asked(CHAT), x_pharos_compress="on")
        assert "x-pharos-compressed" not in answer.headers
        assert running.requests[-1].json["messages"] == CHAT["messages"]
        [called] = await city.called()
        assert "compressed" not in called


async def test_nothing_is_left_out_for_which_there_is_no_room(city: Town) -> None:
    noise = "\n".join(f"{n * 2654435761 % 2**32:08x}{n * 40503 % 65521:04x} is line {n}" for n in range(9_000))
    body = asked({"messages": [{"role": "user", "content": noise}] * 2 + [{"role": "assistant", "content": "."}] + [
        {"role": "user", "content": "And?"}]})  # fmt: skip
    async with compressing(city, maxBytes=65_536, methods=["repeats"]) as (key, provider):
        answer = await city.ask(key, body)
        assert 'left="' in answer.headers["x-pharos-compressed"]
        assert "noRoom=1" in answer.headers["x-pharos-compressed"]
        assert provider.requests[-1].json["messages"] == body["messages"]


async def test_what_guards_mask_is_what_is_kept(city: Town) -> None:
    secret = "bob@example.com"
    log = LOG.replace("/items/30 ", f"/items/30/{secret} ")
    folded = "\n".join(line.replace("GET", f"GET {secret}") for line in log.split("\n"))
    earlier = [{"role": "user", "content": folded}, {"role": "assistant", "content": "ok"}]
    body = asked({"messages": [*earlier, *chat()["messages"]]})
    rules = [{"detectors": ["pii"], "action": "mask"}]
    async with compressing(city) as (key, provider):
        await city.apply(document("Guard", "g", {"rules": rules, "onError": "closed"}))
        answer = await city.ask(key, body)
        assert answer.status == 200, answer.body
        assert secret not in provider.requests[-1].body.decode()
        [called] = await city.called()
        refs = [ref for text in called["compressed"]["texts"] for ref in text["refs"]]
        assert refs
        for ref in refs:
            text = (await city.invoke("compression.expand", caller("k"), ref=ref))["text"]
            assert secret not in text
            assert "GET" in text


async def test_a_key_that_is_deleted_takes_its_texts_with_it(city: Town) -> None:
    async with compressing(city) as (key, _):
        await city.ask(key, asked(CHAT))
        [called] = await city.called()
        ref = called["compressed"]["texts"][0]["refs"][0]
        await city.invoke("compression.expand", caller("k"), ref=ref)
        await city.invoke("catalog.delete", kind="Key", name="k")
        with pytest.raises(Fault):
            await city.invoke("compression.expand", caller("k"), ref=ref)


async def test_a_large_request_does_not_hold_up_the_others(city: Town) -> None:
    body = asked(CHAT)
    body["messages"] = [{"role": "user", "content": LOG * 200}, *CHAT["messages"]]
    async with compressing(city) as (key, provider):
        answers = await asyncio.gather(*(city.ask(key, body) for _ in range(3)), city.ask(key, asked(CHAT)))
        assert [answer.status for answer in answers] == [200] * 4
        assert len({request.body for request in provider.requests}) == 2
        assert len(provider.requests[0].body) < len(json.dumps(body)) / 4


async def test_the_audit_keeps_what_was_said(tmp_path: Path) -> None:
    async with audited(tmp_path) as city:
        await city.policy()
        await city.town.model("fast", "acme", compression={})
        answer = await city.town.ask("bot", asked(CHAT))
        assert "mode=apply" in answer.headers["x-pharos-compressed"]
        [record] = await city.town.called()
        assert (await city.call("audit.get", call=record["call"]))["prompt"] == asked(CHAT)


async def test_a_call_with_the_same_words_is_answered_from_the_cache(city: Town) -> None:
    async with compressing(city) as (key, provider):
        await city.model("fast", "p", compression={}, cache={})
        first, again = [await city.ask(key, asked(CHAT)) for _ in range(2)]
        assert [answer.headers["x-pharos-cache"] for answer in (first, again)] == ["miss", "hit"]
        assert first.headers["x-pharos-compressed"] == again.headers["x-pharos-compressed"]
        assert len(provider.requests) == 1
