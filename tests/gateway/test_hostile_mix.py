"""Everything at once: every dialect and task, caches, shared requests, hedges, streams that are mended, guards and
audit, over an unreliable provider, with clients that leave.

Whatever happens, in the end nothing is reserved or under way, the ledger adds up to the counters, what a guard masks
has reached no provider, record or cache, and nobody was told what another one said.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any
from unittest.mock import patch

import pytest
from tests.gateway.town import Town, document
from tests.gateway.upstream import DONE, Exchange, openai_answer, openai_delta, openai_usage, upstream
from tests.insight.audited import Audited, audited

from pharos.gateway.models.spending.limits import Meters
from pharos.mesh.money import NANOS

TOPICS = ("weather", "tides", "winds")
KEYS = ("ada", "bob", "eve")
MODELS = ("plain", "cached", "shared", "mended", "hedged", "ruled", "similar")
CALLS = 260


class Unreliable:
    """A provider that repeats what it hears, and often fails at it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.heard: list[bytes] = []

    async def __call__(self, exchange: Exchange) -> None:
        chance, body = self.random, exchange.request.json
        self.heard.append(exchange.request.body)
        if exchange.request.path.endswith("/embeddings"):
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            data = [
                {"object": "embedding", "index": at, "embedding": [1.0 if topic in text else 0.1 for topic in TOPICS]}
                for at, text in enumerate(texts)
            ]
            usage = {"prompt_tokens": 3, "total_tokens": 3}
            await exchange.json({"object": "list", "data": data, "model": body["model"], "usage": usage})
            return
        fate = chance.random()
        await asyncio.sleep(chance.choice((0, 0.002, 0.03)))
        if fate < 0.06:
            await exchange.json({"error": {"message": "no"}}, chance.choice((400, 429, 500, 503)))
            return
        if fate < 0.10:
            exchange.cut()
            return
        content = body["messages"][-1]["content"]
        said = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        tokens = {"input": chance.randint(1, 20), "output": chance.randint(1, 20)}
        if not body.get("stream"):
            await exchange.json(openai_answer(f"You said {said}", **tokens))
            return
        await exchange.start()
        words = f"You said {said}".split(" ")
        for at, word in enumerate(words):
            await exchange.chunk(openai_delta(f"{word} "))
            await asyncio.sleep(chance.choice((0, 0, 0.001)))
            if fate < 0.22 and at == len(words) // 2:
                exchange.cut()
                return
        await exchange.chunk(openai_delta(finish="stop") + openai_usage(**tokens) + DONE)
        await exchange.finish()


async def prepare(city: Town, url: str) -> None:
    target = {"provider": "acme", "model": "small-1"}
    breaker = {"consecutive": 1_000_000, "minimum": 1_000_000}
    await city.provider("acme", url, breaker=breaker, retries={"attempts": 2, "backoffMs": 1})
    await city.provider("other", url, breaker=breaker, onDisconnect="drain")
    await city.price("small-1")
    await city.price("dear-1", inputPerMillion="5", outputPerMillion="9")
    dear = {"provider": "other", "model": "dear-1"}
    await city.model("dear", dear)
    await city.model("vectors", target)
    await city.model("plain", target, fallbacks=["dear"])
    await city.model("cached", target, cache={"coalesce": {}})
    await city.model("shared", target, fallbacks=["dear"], cache={"exact": False, "coalesce": {}})
    await city.model("mended", target, dear, onStreamFailure="restart", cache={"coalesce": {}})
    await city.model("hedged", target, dear, hedge={"afterMs": 5}, cache={"exact": False, "coalesce": {}})
    rule = {"name": "streams", "when": "stream", "targets": [dear]}
    await city.model("ruled", target, rules=[rule], cache={"coalesce": {}})
    semantic = {"embeddings": "vectors", "samples": 10, "maxFalseHits": 0.5, "audit": 0.1, "mode": "answer"}
    await city.model("similar", target, cache={"exact": False, "semantic": semantic, "coalesce": {}})
    await city.budget("all", "0.04")
    await city.apply(document("Budget", "each", {"limit": "0.02", "window": "total", "per": "user"}))
    for key in KEYS:
        limits = {"concurrency": 24, "requestsPerMinute": 100_000}
        await city.key(key, budgets=["all", "each"], limits=limits, perUser={"concurrency": 30})
    mask = {"detectors": ["pii"], "action": "mask"}
    await city.apply(document("Guard", "g", {"rules": [mask], "onError": "closed"}))


def mail(key: str) -> str:
    return f"{key}.secret@example.com"


def request(chance: random.Random, key: str, kept: list[str]) -> tuple[str, dict[str, Any]]:
    """Path and body of some call of a key."""
    model = chance.choice(MODELS)
    text = f"What of the {chance.choice(TOPICS)} for {mail(key)} then?"
    stream = chance.random() < 0.5
    turns = [{"role": "user", "content": text}]
    contents = [{"role": "user", "parts": [{"text": text}]}]
    match chance.randrange(9):
        case 0 | 1 | 2:
            return "/v1/chat/completions", {"model": model, "messages": turns, "stream": stream, "max_tokens": 50}
        case 3 | 4:
            return "/v1/messages", {"model": model, "messages": turns, "stream": stream, "max_tokens": 50}
        case 5:
            body: dict[str, Any] = {"model": model, "input": text, "stream": stream, "user": key}
            if kept and chance.random() < 0.5:
                body["previous_response_id"] = chance.choice(kept)
            return "/v1/responses", body
        case 6:
            return "/v1/embeddings", {"model": "vectors", "input": text}
        case 7:
            return "/v1/messages/count_tokens", {"model": model, "messages": turns}
        case _:
            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return f"/v1beta/models/{model}:{method}", {
                "contents": contents,
                "generationConfig": {"maxOutputTokens": 50},
            }


class Clients:
    """The callers, and what they were told."""

    def __init__(self, city: Town, seed: int) -> None:
        self.city = city
        self.random = random.Random(seed)
        self.statuses: Counter[int] = Counter()
        self.kept: dict[str, list[str]] = {key: [] for key in KEYS}
        self.wrong: list[str] = []

    async def call(self) -> None:
        chance, key = self.random, self.random.choice(KEYS)
        path, body = request(chance, key, self.kept[key])
        leaves = chance.choice((None, None, None, None, None, 0.001, 0.01, 0.03))
        async with self.city.client(key, body, path) as client:
            if leaves is not None:
                await asyncio.sleep(leaves)
                return
            answer = await client.answer()
        self.statuses[answer.status] += 1
        if answer.status >= 500 and answer.status not in (502, 503, 529):
            self.wrong.append(f"{answer.status} {path} {answer.body!r}")
        for other in KEYS:
            if other != key and mail(other).encode() in answer.body:
                self.wrong.append(f"{key} was told of {other}: {path} {body}")
        if path == "/v1/responses" and answer.status == 200 and not body["stream"]:
            self.kept[key].append(answer.json["id"])


async def balanced(world: Audited, meters: Meters) -> None:
    city = world.town
    async with asyncio.timeout(30):
        while await city.store.counters.open_reservations():
            await asyncio.sleep(0.01)
        while any(usage.active for usage in meters._usage.values()):
            await asyncio.sleep(0.01)
    counted: Counter[str] = Counter()
    for count in (await city.store.counters.list(limit=1000))[0]:
        if count.counter.startswith("budget/"):
            counted[count.counter] += count.settled
    spent: Counter[str] = Counter()
    for called in await city.called(0):
        cost = round(float(called["cost"]) * NANOS)
        spent["budget/default/all"] += cost
        spent[f"budget/default/each/user/{called.get('user', '')}"] += cost
    assert +counted == +spent
    assert counted["budget/default/all"] <= 0.04 * NANOS
    summary = await world.call("ledger.summary", by=["key"])
    total = sum(round(float(item["cost"]) * NANOS) for item in summary["items"])
    assert total == counted["budget/default/all"]


async def never_said(world: Audited, heard: list[bytes]) -> None:
    """What is masked is nowhere but with its owner."""
    secrets = [mail(key) for key in KEYS]
    for body in heard:
        assert not any(secret.encode() in body for secret in secrets), body
    for recorded in await world.town.store.log.read_all("", 100_000):
        said = json.dumps(recorded.event.data)
        assert not any(secret in said for secret in secrets), said
    exported = await world.export()
    assert not any(secret in exported for secret in secrets)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("seed", [1, 2])
async def test_everything_at_once_leaves_the_books_closed_and_secrets_kept(
    seed: int, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[Meters] = []

    def watched() -> Meters:
        made.append(Meters())
        return made[-1]

    provider = Unreliable(seed)
    with patch("pharos.gateway.models.plane.Meters", watched):
        async with upstream(provider) as running, audited(tmp_path) as world:
            city = world.town
            await prepare(city, running.url)
            await world.policy()
            clients = Clients(city, seed)
            for _ in range(CALLS // 20):
                await asyncio.gather(*(clients.call() for _ in range(20)))
            assert clients.wrong == []
            assert clients.statuses[200] > CALLS / 5, clients.statuses
            await balanced(world, made[-1])
            await never_said(world, provider.heard)
            assert (await world.sealed())["ok"]
    assert not [record.getMessage() for record in caplog.records if "defect" in record.getMessage()]
