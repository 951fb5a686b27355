"""Answers to questions that mean the same: what is measured, what is never answered, and for whom."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.town import Answer, Town, chat, town
from tests.gateway.upstream import Exchange, Upstream, answer, openai_answer, upstream

from pharos.core.resource import ResourceId
from pharos.gateway.models.caching.calibration import Calibration, upper_bound
from pharos.gateway.models.caching.guards import features, veto
from pharos.gateway.models.caching.room import Caching
from pharos.gateway.models.caching.vectors import SHORTLIST, Vector, nearest
from pharos.gateway.models.faults import UPSTREAM_UNREACHABLE
from pharos.trust.authenticator import Identity

TOPICS = ("password", "login", "refund", "weather")


class Encoder:
    """Stands in for a model of an embeddings dialect: texts on one topic are near each other."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ResourceId, str]] = []
        self.broken = False

    async def __call__(self, text: str, *, model: ResourceId, caller: Identity) -> Sequence[float]:
        self.asked.append((text, model, caller.principal.name))
        if self.broken:
            raise UPSTREAM_UNREACHABLE()
        noise = random.Random(text)
        found = [1.0 if topic in text.lower() else 0.0 for topic in TOPICS]
        return [*(found if any(found) else [0.1] * 4), *(noise.gauss(0, 0.01) for _ in range(60))]


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
async def city(tmp_path: Path, encoder: Encoder) -> AsyncIterator[Town]:
    async with town(tmp_path, embed=encoder) as running:
        yield running


SEMANTIC = {"embeddings": "vectors", "samples": 10, "maxFalseHits": 0.3, "audit": 0}


async def prepare(city: Town, provider: Upstream, **semantic: Any) -> None:
    await city.provider("acme", provider.url)
    await city.price("small-1")
    await city.model("vectors", "acme")
    cache = {"exact": False, "partition": "team", "semantic": {**SEMANTIC, **semantic}}
    await city.model("fast", "acme", cache=cache)
    await city.key("bot")


def caching(city: Town) -> Caching:
    owners = [getattr(service, "__self__", None) for service in city.plane.services]
    return next(owner for owner in owners if isinstance(owner, Caching))


async def ask(city: Town, text: str, key: str = "bot", **extra: Any) -> Answer:
    body = {**chat(), "messages": [{"role": "user", "content": text}], **extra}
    reply = await city.ask(key, body)
    assert reply.status == 200, reply.body
    for cache in caching(city).similar.values():
        await cache.settled()
    return reply


async def state(city: Town) -> dict[str, Any]:
    states = (await city.invoke("cache.stats", model="fast"))["items"]
    return dict(states[0]["semantic"])


# The same question in words of which none but its topic recurs.
WAYS = [
    "password trouble", "Forgotten password, assistance required", "recover lost password", "password unlock guidance",
    "resetting account password properly", "changing old password safely", "password renewal steps",
    "my password stopped working today", "password problem during sign-up", "steps towards another password",
    "cannot remember password" , "broken password form", "password mail arrives late", "where lies password menu",
]  # fmt: skip


async def trained(city: Town) -> None:
    """Ask until enough was compared."""
    for way in WAYS:
        await ask(city, way)


async def test_it_answers_only_when_it_was_measured_to_be_right(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider, mode="answer")
        results = []
        for _ in range(3):
            results += [(await ask(city, way)).headers["x-pharos-cache"] for way in WAYS]
        first = results.index("similar")
        assert first >= 11  # ten comparisons, and one question before any of them
        assert "miss" not in results[len(WAYS) * 2 :]
        seen = await state(city)
        assert seen["state"] == "answering"
        assert seen["samples"] >= 10
        assert seen["wrong"] == 0
        assert seen["threshold"] >= 0.93
        assert seen["falseHits"] <= 0.3

        hit = await ask(city, WAYS[0])
        assert hit.headers["x-pharos-cache"] == "similar"
        assert float(hit.headers["x-pharos-cache-similarity"]) >= 0.93
        assert hit.json == openai_answer()
        called = (await city.called(len(results) + 1))[-1]
        assert called["attempts"] == []
        assert called["cache"]["result"] == "similar"
        assert float(called["cache"]["saved"]) > 0
        assert called["route"]["similarity"] == hit.headers["x-pharos-cache-similarity"]
        assert len(provider.requests) < len(results)


async def test_shadow_measures_and_never_answers(city: Town, encoder: Encoder) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider)
        await trained(city)
        await trained(city)
        assert len(provider.requests) == 2 * len(WAYS)
        seen = await state(city)
        assert (seen["mode"], seen["state"]) == ("shadow", "shadow")
        assert seen["samples"] > 10
        assert seen["wrong"] == 0
        assert seen["threshold"] is not None
        assert encoder.asked[0] == (WAYS[0], ResourceId("Model", "default", "vectors"), "bot")


async def test_false_hits_are_found_and_keep_it_from_answering(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        number = len(provider.requests)
        await exchange.json(openai_answer(f"Weather answer {number}."))

    async with upstream(script) as provider:
        await prepare(city, provider, mode="answer")
        await trained(city)
        await trained(city)
        assert len(provider.requests) == 2 * len(WAYS)
        seen = await state(city)
        assert seen["samples"] > 10
        assert seen["wrong"] == seen["samples"]
        assert "threshold" not in seen
        assert seen["falseHits"] > 0.9
        assert seen["state"] == "shadow"


@pytest.mark.parametrize(
    "other, guard",
    [
        ("password trouble 2", "numbers"),
        ("no password trouble", "negation"),
        ("password trouble with Okta", "names"),
        ("login trouble password", "words"),
    ],
)
async def test_guards_strike_out_what_is_near_and_differs(city: Town, other: str, guard: str) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider, mode="answer", threshold=0.5)
        await ask(city, "password trouble")
        before = await state(city)
        assert (await ask(city, other)).headers["x-pharos-cache"] == "miss"
        seen = await state(city)
        assert seen["vetoes"] == {guard: 1}
        assert seen["samples"] == before["samples"] == 0


async def test_another_tenant_conversation_or_request_is_another_world(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider, mode="answer")
        await city.key("blue", labels={"team": "blue"})
        await trained(city)
        await trained(city)
        assert (await ask(city, WAYS[0])).headers["x-pharos-cache"] == "similar"
        near = (await state(city))["near"]

        tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
        earlier = [{"role": "user", "content": "I use Linux."}, {"role": "assistant", "content": "Good."}]
        turn = {"role": "user", "content": WAYS[0]}
        for key, extra in (
            ("blue", {}),
            ("bot", {"temperature": 0.5}),
            ("bot", {"tools": [tool]}),
            ("bot", {"stream": True}),
            ("bot", {"messages": [*earlier, turn]}),
            ("bot", {"messages": [{"role": "system", "content": "Be rude."}, turn]}),
            ("bot", {"messages": [{"role": "user", "content": WAYS[0], "name": "eve"}]}),
        ):
            assert (await ask(city, WAYS[0], key, **extra)).headers["x-pharos-cache"] == "miss"
        assert (await state(city))["near"] == near
        # Who asks, inside the tenant, does not matter.
        results = [(await ask(city, WAYS[0], user=user)).headers["x-pharos-cache"] for user in ("u-8", "u-9")]
        assert results == ["miss", "similar"]


@pytest.mark.parametrize("form", ["text", "items"])
async def test_questions_of_the_responses_dialect_are_compared_too(city: Town, form: str) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider)
        for way in WAYS[:3]:
            said = way if form == "text" else [{"role": "user", "content": [{"type": "input_text", "text": way}]}]
            reply = await city.ask("bot", {"model": "fast", "input": said}, "/v1/responses")
            assert reply.headers["x-pharos-cache"] == "miss"
            for cache in caching(city).similar.values():
                await cache.settled()
        seen = await state(city)
        assert (seen["looks"], seen["near"], seen["samples"], seen["wrong"]) == (3, 2, 2, 0)


async def test_some_hits_are_measured_for_ever(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider, mode="answer", audit=1)
        for _ in range(3):
            await trained(city)
        assert len(provider.requests) == 3 * len(WAYS)
        assert (await state(city))["state"] == "answering"


async def test_without_a_vector_the_call_goes_on(city: Town, encoder: Encoder) -> None:
    encoder.broken = True
    async with upstream(answer) as provider:
        await prepare(city, provider, mode="answer")
        assert (await ask(city, WAYS[0])).headers["x-pharos-cache"] == "miss"
        assert (await state(city))["failures"] == 1


async def test_what_is_purged_is_forgotten(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider)
        await ask(city, WAYS[0])
        assert (await state(city))["entries"] == 1
        await city.invoke("cache.purge", model="fast")
        assert (await state(city))["entries"] == 0


async def test_answers_that_call_tools_are_not_remembered(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        body = openai_answer()
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        body["choices"][0] |= {"finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": [call]}}
        await exchange.json(body)

    async with upstream(script) as provider:
        await prepare(city, provider)
        await ask(city, WAYS[0])
        assert (await state(city))["entries"] == 0


async def condition(city: Town) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            status = (await city.invoke("catalog.get", kind="Model", name="fast")).get("status", {})
            for found in status.get("conditions", []):
                if found["type"] == "SemanticCacheReady":
                    return dict(found)
            await asyncio.sleep(0.01)


async def test_a_model_that_gives_no_vectors_answers_calls_all_the_same(tmp_path: Path) -> None:
    async with town(tmp_path) as city, upstream(answer) as provider:
        await prepare(city, provider, mode="answer")
        for _ in range(2):
            assert (await ask(city, WAYS[0])).headers["x-pharos-cache"] == "miss"
        assert (await state(city))["failures"] == 2


async def test_a_missing_model_of_embeddings_is_named(city: Town) -> None:
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.model("fast", "acme", cache={"semantic": {"embeddings": "nowhere"}})
        found = await condition(city)
        assert (found["status"], found["reason"]) == ("False", "ModelMissing")
        assert "nowhere" in found["message"]
        await city.model("nowhere", "acme")
        async with asyncio.timeout(30):
            while (await condition(city))["status"] != "True":
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "one, other, guard",
    [
        ("How do I reset my password?", "how can i reset my password", ""),
        ("How do I reset my password?", "Credentials forgotten, what now", ""),
        ("Refund after 30 days?", "Refund after 60 days?", "numbers"),
        ("Refund after two days?", "Refund after three days?", "numbers"),
        ("It costs $5", "It costs €5", "numbers"),
        ("三天后退款", "五天后退款", "numbers"),
        ("Is aspirin safe?", "Is aspirin not safe?", "negation"),
        ("Does it work?", "Doesn't it work?", "negation"),
        ("Mit Zucker?", "Ohne Zucker?", "negation"),
        ("我能退款吗", "我不能退款吗", "negation"),
        ("Who is Ada Lovelace?", "Who is Alan Turing?", "names"),
        ("Explain GPT-4o", "Explain GPT-5o", "numbers"),
        ("Open src/a.py", "Open src/b.py", "names"),
        ('Translate "cat"', 'Translate "dog"', "names"),
        ("what is the capital of france", "what is the capital of germany", "words"),
        ("北京天气怎么样", "上海天气怎么样", "words"),
        ("enable dark mode", "disable dark mode", "words"),
        ("list users", "list deleted users", "words"),
    ],
)
def test_guards(one: str, other: str, guard: str) -> None:
    assert veto(features(one), features(other)) == guard
    assert veto(features(other), features(one)) == guard


@given(st.text(max_size=60))
def test_a_text_is_no_other_than_itself(text: str) -> None:
    assert veto(features(text), features(text)) == ""


@given(st.text(max_size=40), st.integers(0, 9), st.integers(0, 9))
def test_another_number_is_another_question(text: str, one: int, other: int) -> None:
    first, second = (features(f"{text} {number} pieces") for number in (one, other))
    assert (veto(first, second) == "numbers") is (one != other)


def test_nearest_is_what_brute_force_finds() -> None:
    draw = random.Random(7)
    vectors = [Vector.of([draw.gauss(0, 1) for _ in range(256)]) for _ in range(500)]
    for target in vectors[:20]:
        near = [value + draw.gauss(0, 0.2 / 16) for value in target.components]
        found = nearest(Vector.of(near), vectors, lambda vector: vector, 0.5)
        best = max(vectors, key=Vector.of(near).cosine)
        assert found[0].item is best is target
        assert len(found) <= SHORTLIST
    for bad in ([], [0.0, 0.0], [float("nan")], [float("inf"), 1.0]):
        with pytest.raises(ValueError, match="vector"):
            Vector.of(bad)
    assert Vector.of([1.0]).cosine(Vector.of([1.0, 0.0])) == -1


def test_calibration_raises_the_threshold_to_where_it_is_right() -> None:
    calibration = Calibration(0.9, samples=50, max_false_hits=0.1)
    for _ in range(60):
        calibration.add(0.91, False)
    assert calibration.threshold is None
    assert calibration.false_hits > 0.9
    for _ in range(60):
        calibration.add(0.97, True)
    assert calibration.threshold == 0.97
    assert calibration.false_hits == upper_bound(0, 60) < 0.1
    calibration = Calibration(0.9, samples=50, max_false_hits=0.1)
    for _ in range(60):
        calibration.add(0.95, True)
    assert calibration.threshold == 0.9


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_bound_is_above_the_share(wrong: int, right: int) -> None:
    count = wrong + right
    bound = upper_bound(wrong, count)
    assert 0 <= bound <= 1
    assert not count or bound >= wrong / count - 1e-9
    if right:
        assert upper_bound(wrong, count + 1) < bound or bound == 1
