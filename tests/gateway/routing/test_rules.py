"""Routing over real HTTP: rules, strategies, capabilities, conversations, and that the explanation is what happens."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.gateway.town import Town, chat, document, messages, town
from tests.gateway.upstream import Exchange, Upstream, answer, upstream

from pharos.core.fault import Fault
from pharos.gateway.models.dialects.registry import DIALECTS
from pharos.trust.kinds import KEY

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}, "additionalProperties": False}},
}


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[Town]:
    async with town(tmp_path) as running:
        yield running


@asynccontextmanager
async def providers(city: Town, *names: str, **spec: Any) -> AsyncIterator[list[Upstream]]:
    async with AsyncExitStack() as stack:
        found = []
        for name in names:
            running = await stack.enter_async_context(upstream(answer))
            await city.provider(name, running.url, **spec)
            found.append(running)
        yield found


def asked(*upstreams: Upstream) -> list[int]:
    return [len(each.requests) for each in upstreams]


def with_image(**extra: Any) -> dict[str, Any]:
    return chat(messages=[{"role": "user", "content": [{"type": "text", "text": "What is it?"}, IMAGE]}], **extra)


async def test_the_first_rule_that_holds_decides(city: Town) -> None:
    async with providers(city, "one", "two", "three") as (one, two, three):
        await city.model("large", "three")
        await city.model(
            "fast",
            "one",
            rules=[
                {"name": "gold", "when": "headers['x-tier'] == 'gold'", "model": "large"},
                {
                    "name": "team-a",
                    "when": "key.labels.team == 'a' && stream",
                    "targets": [{"provider": "two", "model": "small-2"}],
                },
            ],
        )
        await city.key("bot", models=["fast"], labels={"team": "a"})
        await city.key("other", models=["fast"])
        await city.ask("bot", chat(), x_tier="gold")
        assert asked(one, two, three) == [0, 0, 1]
        await city.ask("bot", chat(stream=True))
        assert asked(one, two, three) == [0, 1, 1]
        assert two.requests[0].json["model"] == "small-2"
        await city.ask("bot", chat())
        await city.ask("other", chat(stream=True))
        assert asked(one, two, three) == [2, 1, 1]
        routes = [called["route"] for called in await city.called(4)]
        assert [route["rule"] for route in routes] == ["gold", "team-a", "weighted", "weighted"]
        assert "skipped" not in routes[0]
        assert routes[1]["skipped"] == "gold: it names a member that is not there"
        assert routes[3]["skipped"].endswith("team-a: it names a member that is not there")


async def test_a_rule_on_what_is_said_never_puts_it_on_the_log(city: Town) -> None:
    async with providers(city, "one", "two") as (one, two):
        rule = {
            "name": "code",
            "when": "prompt.contains('def ') || metadata[prompt] == ''",
            "targets": [_target("two")],
        }
        await city.model("fast", "one", rules=[rule])
        await city.key("bot")
        await city.ask("bot", chat(messages=[{"role": "user", "content": "def f(): secret"}]))
        await city.ask("bot", chat(messages=[{"role": "user", "content": "a secret"}]))
        assert asked(one, two) == [1, 1]
        assert "secret" not in str([called["route"] for called in await city.called(2)])


def _target(provider: str, model: str = "small-1", **extra: Any) -> dict[str, Any]:
    return {"provider": provider, "model": model, **extra}


async def test_a_rules_calls_go_to_its_own_fallbacks_and_nowhere_else(city: Town) -> None:
    async def down(exchange: Exchange) -> None:
        await exchange.json({"error": {"message": "down"}}, 500)

    async with providers(city, "home", "spare") as (home, spare), upstream(down) as eu:
        await city.provider("eu", eu.url)
        await city.model("backup", "spare", fallbacks=["fast"])
        rule = {"name": "eu", "when": "headers['x-region'] == 'eu'", "targets": [_target("eu")]}
        await city.model("fast", "home", fallbacks=["backup"], rules=[{**rule, "fallbacks": []}])
        await city.key("bot")
        reply = await city.ask("bot", chat(), x_region="eu")
        assert reply.status == 502
        assert asked(home, spare) == [0, 0]
        await city.model("fast", "home", fallbacks=["backup"], rules=[rule])
        reply = await city.ask("bot", chat(), x_region="eu")
        assert reply.status == 200
        assert asked(home, spare) == [0, 1], "the model's fallbacks, but not its own targets"


async def test_conditions_and_rules_are_checked_when_they_are_applied(city: Town) -> None:
    await city.apply(document("Provider", "one", {"dialect": "openai-chat", "baseUrl": "http://127.0.0.1:9/v1"}))
    bad = {
        "/spec/rules/0/when": {"name": "a", "when": "strem", "model": "x"},
        "/spec/rules/0": {"name": "a", "when": "stream"},
        "/spec/rules/0/name": {"name": "cost", "when": "stream", "model": "x"},
        "/spec/rules/0/strategy": {"name": "a", "when": "stream", "model": "x", "strategy": "cost"},
        "/spec/rules/0/targets/1": {"name": "a", "when": "stream", "targets": [_target("one"), _target("one")]},
    }
    for pointer, rule in bad.items():
        with pytest.raises(Fault) as caught:
            await city.model("fast", "one", rules=[rule])
        assert any(problem.pointer.endswith(pointer) for problem in caught.value.document.problems), pointer


async def test_the_cheapest_for_this_call_is_asked(city: Town) -> None:
    async with providers(city, "one", "two") as (one, two):
        await city.model("fast", _target("one", "reads-cheap"), _target("two", "writes-cheap"), strategy="cost")
        await city.price("reads-cheap", inputPerMillion="1", outputPerMillion="100")
        await city.price("writes-cheap", inputPerMillion="10", outputPerMillion="1")
        await city.key("bot")
        await city.ask("bot", chat(messages=[{"role": "user", "content": "long " * 2000}], max_tokens=10))
        await city.ask("bot", chat(max_tokens=500))
        assert asked(one, two) == [1, 1]
        long, short = [called["route"] for called in await city.called(2)]
        assert (long["rule"], long["chosen"], short["chosen"]) == ("cost", "one/reads-cheap", "two/writes-cheap")
        assert "two/writes-cheap: 0.03" in long["scores"]


async def test_a_rule_holds_what_its_own_targets_cost(city: Town) -> None:
    """A call is not refused for what another route would cost, and none passes the cap."""
    async with providers(city, "one", "two") as (one, two):
        rule = {"name": "dear", "when": "stream", "targets": [_target("two", "dear")]}
        await city.model("fast", _target("one", "cheap"), rules=[rule])
        await city.price("cheap", inputPerMillion="1", outputPerMillion="1")
        await city.price("dear", inputPerMillion="1000", outputPerMillion="1000")
        await city.budget("b", "0.01")
        await city.key("bot", budgets=["b"])
        assert (await city.chat("bot", max_tokens=100)).status == 200
        reply = await city.chat("bot", stream=True, max_tokens=100)
        assert (reply.status, reply.fault["code"]) == (402, "BUDGET_EXCEEDED")
        await city.model("fast", _target("two", "dear"), rules=[{**rule, "targets": [_target("one", "cheap")]}])
        assert (await city.chat("bot", max_tokens=100)).status == 402
        assert (await city.chat("bot", stream=True, max_tokens=100)).status == 200
        assert asked(one, two) == [2, 0]
        assert await city.quiet("b") == 30_000


# Capabilities.


async def test_a_fallback_never_silently_loses_what_the_call_needs(city: Town) -> None:
    async with providers(city, "one", "two", "three") as (one, two, three):
        await city.model("fast", _target("one", capabilities={"vision": False}), fallbacks=["blind", "seeing"])
        await city.model("blind", _target("two", capabilities={"vision": False, "tools": False}))
        await city.model("seeing", _target("three"))
        await city.key("bot")
        assert (await city.ask("bot", with_image())).status == 200
        assert asked(one, two, three) == [0, 0, 1]
        (called,) = await city.called()
        assert called["route"]["rule"] == "fallback"
        assert called["route"]["passedOver"] == "one/small-1: cannot do vision; two/small-1: cannot do vision"
        assert (await city.chat("bot")).status == 200
        assert asked(one, two, three) == [1, 0, 1]


async def test_h41_a_schema_with_tools_where_the_target_cannot_is_refused_or_goes_to_one_that_can(city: Town) -> None:
    async with providers(city, "one", "two") as (one, two):
        await city.model("fast", _target("one", capabilities={"schemaWithTools": False}))
        await city.key("bot")
        body = chat(tools=[TOOL], response_format=SCHEMA)
        reply = await city.ask("bot", body)
        assert reply.status == 400
        assert reply.fault["code"] == "CAPABILITY_MISSING"
        assert reply.fault["facts"]["needs"] == ["tools", "schema", "schemaWithTools"]
        assert reply.headers["x-should-retry"] == "false"
        assert (await city.chat("bot", tools=[TOOL])).status == 200
        assert (await city.chat("bot", response_format=SCHEMA)).status == 200
        await city.model("fast", _target("one", capabilities={"schemaWithTools": False}), fallbacks=["both"])
        await city.model("both", "two")
        assert (await city.ask("bot", body)).status == 200
        assert asked(one, two) == [2, 1]


async def test_h42_an_output_limit_of_ours_is_never_more_than_the_model_allows(city: Town) -> None:
    async with providers(city, "one", dialect="anthropic") as (one,):
        target = _target("one", "claude-x", capabilities={"maxOutputTokens": 700})
        await city.model("fast", target)
        await city.key("bot")
        await city.chat("bot")
        assert one.requests[-1].json["max_tokens"] == 700, "Anthropic demands one: 4096 would be refused"
        await city.model("fast", target, maxOutputTokens=2000)
        reply = await city.chat("bot")
        assert one.requests[-1].json["max_tokens"] == 700
        assert reply.headers["x-pharos-max-output"] == "700"
        await city.ask("bot", {**messages(), "max_tokens": 300}, path="/v1/messages")
        assert one.requests[-1].json["max_tokens"] == 300, "the client's own limit stays"


async def test_h42_a_limit_that_a_target_does_not_allow_is_asked_of_another_one_first(city: Town) -> None:
    async with providers(city, "one", "two") as (one, two):
        await city.model("fast", _target("one", capabilities={"maxOutputTokens": 100}), fallbacks=["long"])
        await city.model("long", "two")
        await city.key("bot")
        await city.chat("bot", max_tokens=5000)
        await city.chat("bot", max_tokens=50)
        assert asked(one, two) == [1, 1]
        (called, _) = await city.called(2)
        assert called["route"]["later"] == "one/small-1: answers have at most 100 tokens"
        assert called["route"]["why"].startswith("the targets of fast may be too small; fallback long")


async def test_h45_an_image_by_url_goes_only_where_urls_are_taken_and_is_never_fetched(city: Town) -> None:
    def image(url: str) -> dict[str, Any]:
        part = {"type": "image_url", "image_url": {"url": url}}
        return chat(messages=[{"role": "user", "content": [part]}])

    async with providers(city, "one", capabilities={"imageUrls": False}) as (one,), upstream(answer) as elsewhere:
        await city.model("fast", "one")
        await city.key("bot")
        reply = await city.ask("bot", image(f"{elsewhere.url}/cat.png"))
        assert (reply.status, reply.fault["code"]) == (400, "CAPABILITY_MISSING")
        assert "imageUrls" in reply.fault["detail"]
        assert (await city.ask("bot", image("data:image/png;base64,AAAA"))).status == 200
        assert asked(one, elsewhere) == [1, 0]


async def test_a_long_prompt_is_asked_first_where_it_surely_fits(city: Town) -> None:
    async with providers(city, "one", "two") as (one, two):
        await city.model(
            "fast",
            _target("one", weight=1_000_000, capabilities={"contextTokens": 1000}),
            _target("two", capabilities={"contextTokens": 100_000}),
        )
        await city.key("bot")
        await city.chat("bot")
        await city.ask("bot", chat(messages=[{"role": "user", "content": "x" * 4500}]))
        await city.ask("bot", chat(messages=[{"role": "user", "content": "x" * 9000}]))
        assert asked(one, two) == [1, 2]
        _, maybe, never = [called["route"] for called in await city.called(3)]
        assert maybe["candidates"] == "two/small-1 one/small-1"
        assert never["passedOver"] == "one/small-1: has a context of 1000 tokens"


# Conversations.


def turns(count: int, first: str = "Hi.") -> list[dict[str, Any]]:
    said = [{"role": "user", "content": first}]
    for n in range(count - 1):
        said += [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": f"And {n}?"}]
    return said


async def test_h61_a_conversation_stays_with_its_target_or_is_switched_visibly(city: Town) -> None:
    async with providers(city, "one", "two") as (one, two):
        await city.model("fast", "one", "two", strategy="session")
        await city.key("bot")
        for _ in range(3):
            for n in range(8):
                await city.ask("bot", chat(), x_pharos_session=f"s{n}")
        counts = asked(one, two)
        assert sum(counts) == 24 and all(count % 3 == 0 and count for count in counts)
        # The alias changes: new conversations go to one, those of two stay with it until they end.
        await city.model("fast", _target("one"), _target("two", weight=0), strategy="session")
        for n in range(8):
            await city.ask("bot", chat(), x_pharos_session=f"s{n}")
        assert asked(one, two) == [count + count // 3 for count in counts]
        before = len(one.requests)
        for n in range(8, 12):
            await city.ask("bot", chat(), x_pharos_session=f"s{n}")
        assert len(one.requests) == before + 4
        # It is taken away: now they are switched, and both client and ledger are told.
        await city.model("fast", "one", strategy="session")
        heads = [(await city.ask("bot", chat(), x_pharos_session=f"s{n}")).headers for n in range(8)]
        switched = [head.get("x-pharos-switched") for head in heads]
        assert switched.count("two/small-1") == counts[1] // 3
        assert switched.count(None) == counts[0] // 3
        routes = [called["route"] for called in (await city.called(44))[-8:]]
        told = [route.get("switched") for route in routes]
        assert told.count("from two/small-1: is no target any more") == counts[1] // 3
        again = await city.ask("bot", chat(), x_pharos_session=f"s{switched.index('two/small-1')}")
        assert "x-pharos-switched" not in again.headers, "it is told once"


async def test_a_conversation_without_a_session_is_known_by_how_it_begins(city: Town) -> None:
    async with providers(city, "one", "two", "three") as found:
        await city.model("fast", "one", "two", "three", strategy="session")
        await city.key("bot")
        for opening in ("Hi.", "Hello there.", "Good morning.", "What is up?"):
            answered = set()
            for count in range(1, 5):
                reply = await city.ask("bot", chat(messages=turns(count, opening)))
                answered.add(reply.headers["x-pharos-provider"])
            assert len(answered) == 1
        assert sum(asked(*found)) == 16


async def test_prompts_that_begin_alike_share_a_target_and_a_failure_moves_the_conversation(city: Town) -> None:
    refusing = set()

    async def some(exchange: Exchange) -> None:
        if exchange.request.headers["host"] in refusing:
            await exchange.json({"error": {"message": "down"}}, 500)
        else:
            await answer(exchange)

    async with upstream(some) as one, upstream(some) as two:
        for name, running in (("one", one), ("two", two)):
            await city.provider(name, running.url, breaker={"consecutive": 100})
        await city.model("fast", "one", "two", strategy="prefix")
        await city.key("bot")
        system = {"role": "system", "content": "You are an agent. " * 400}
        for n in range(6):
            await city.ask("bot", chat(messages=[system, {"role": "user", "content": f"Task {n}"}]))
        assert sorted(asked(one, two)) == [0, 6]
        first, other = (one, two) if one.requests else (two, one)
        refusing.add(first.url.removeprefix("http://"))
        reply = await city.ask("bot", chat(messages=[system, *turns(2, "Task 0")]))
        names = {one.url: "one/small-1", two.url: "two/small-1"}
        assert (reply.status, reply.headers["x-pharos-switched"]) == (200, names[first.url])
        refusing.clear()
        reply = await city.ask("bot", chat(messages=[system, *turns(3, "Task 0")]))
        assert "x-pharos-switched" not in reply.headers, "its cache is with the other one now"
        assert len(other.requests) == 2
        assert (await city.called(8))[6]["route"]["switched"] == f"from {names[first.url]}: failed"


# The explanation.


async def test_explain_says_what_happens(city: Town) -> None:
    async with providers(city, "one", "two", "three"):
        await city.model("large", "three")
        await city.model(
            "fast",
            _target("one", weight=3, capabilities={"vision": False}),
            "two",
            "ghost",
            fallbacks=["large"],
            rules=[{"name": "gold", "when": "headers['x-tier'] == 'gold'", "model": "large"}],
        )
        await city.key("bot", models=["fast"], labels={"team": "a"})
        said = await city.invoke("models.explain", model="fast", key="bot", features=["vision"])
        assert (said["rule"], said["strategy"], said["chosen"]) == ("weighted", "weighted", "two/small-1")
        assert [each["target"] for each in said["candidates"]] == ["two/small-1", "three/small-1"]
        assert {"target": "one/small-1", "reason": "cannot do vision"} in said["passedOver"]
        assert {"target": "Provider/default/ghost", "reason": "does not exist"} in said["passedOver"]
        assert said["rules"] == [
            {
                "rule": "gold",
                "when": "headers['x-tier'] == 'gold'",
                "outcome": "skipped",
                "reason": "it names a member that is not there",
            }
        ]
        said = await city.invoke("models.explain", model="fast", headers={"X-Tier": "gold"})
        assert (said["rule"], said["chosen"], said["rules"][0]["outcome"]) == ("gold", "three/small-1", "holds")
        with pytest.raises(Fault, match="MODEL_NOT_FOUND"):
            await city.invoke("models.explain", model="large", key="bot")
        with pytest.raises(Fault, match="NOT_FOUND"):
            await city.invoke("models.explain", model="fast", key="nobody")
        assert await city._called() == [], "nothing was called"


async def test_explain_tells_the_refusal(city: Town) -> None:
    async with providers(city, "one"):
        await city.model("fast", _target("one", capabilities={"tools": False}))
        said = await city.invoke("models.explain", model="fast", body=chat(tools=[TOOL]))
        assert said["refusal"]["code"] == "CAPABILITY_MISSING"
        assert (said.get("chosen"), said["candidates"], said["route"]) == (None, [], {})
        await city.model("none", "ghost")
        said = await city.invoke("models.explain", model="none")
        assert said["refusal"]["code"] == "MODEL_UNAVAILABLE"


CALLS = [chat(), chat(stream=True), with_image(), chat(tools=[TOOL]), chat(max_tokens=900), chat(user="session-7")]
RULES = [
    [],
    [{"name": "seeing", "when": "'vision' in features", "model": "other"}],
    [
        {"name": "broken", "when": "metadata['x'] == 'y'", "model": "other"},
        {"name": "streams", "when": "stream", "targets": [_target("two", "s-9"), _target("one", "s-9")]},
    ],
]


async def test_explain_equals_live(tmp_path: Path) -> None:
    """The same numbers, the same call: the same route, whatever the model says."""
    draws: list[float] = [0.5]

    async with AsyncExitStack() as stack:
        city = await stack.enter_async_context(town(tmp_path, random=lambda: draws[0]))
        await stack.enter_async_context(providers(city, "one", "two"))
        await city.key("bot")
        key = city.index.get(KEY, "bot", "default")
        assert key is not None

        async def check(strategy: str, targets: Any, rules: Any, calls: Any, draw: float) -> None:
            draws[0] = draw
            await city.model("other", "two", _target("one", "s-7"), strategy=strategy)
            declared = [
                _target("one" if n % 2 else "two", f"m-{n}", weight=weight, **({"capabilities": able} if able else {}))
                for n, (weight, able) in enumerate(targets)
            ]
            await city.model("fast", *declared, strategy=strategy, rules=rules, fallbacks=["other"])
            for body in calls:
                said = await city.invoke("models.explain", model="fast", key="bot", body=body, draw=draw)
                before = len(await city._called())
                reply = await city.ask("bot", orjson.dumps(body))
                if said.get("refusal"):
                    assert reply.fault["code"] == said["refusal"]["code"]
                    continue
                assert reply.status == 200
                route = (await city.called(before + 1))[-1]["route"]
                assert route == said["route"]
                assert route["candidates"].split() == [each["target"] for each in said["candidates"]]

        cases = random.Random(11)
        options = ["weighted", "cost", "least-outstanding", "session", "prefix"]
        for number in range(24):
            await check(
                options[number % len(options)],
                [
                    (
                        cases.randrange(6),
                        cases.choice([None, {"vision": False}, {"tools": False}, {"contextTokens": 20}]),
                    )
                    for _ in range(cases.randrange(1, 5))
                ],
                cases.choice(RULES),
                cases.sample(CALLS, 2),
                cases.random(),
            )


async def test_explain_in_every_dialect(city: Town) -> None:
    text = "What is it?"
    bodies: dict[str, dict[str, Any]] = {
        "openai-chat": with_image(),
        "openai-responses": {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": text},
                        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
                    ],
                }
            ]
        },
        "anthropic": messages(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": text},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    ],
                }
            ]
        ),
        "gemini": {
            "contents": [
                {"role": "user", "parts": [{"text": text}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}
            ]
        },
    }
    async with providers(city, "one", "two"):
        rule = {"name": "seeing", "when": f"'vision' in features && prompt == '{text}'", "targets": [_target("two")]}
        await city.model("fast", "one", rules=[rule])
        for dialect in DIALECTS:
            said = await city.invoke("models.explain", model="fast", dialect=dialect, body=bodies[dialect])
            assert (said["rule"], said["needs"], said["chosen"]) == ("seeing", ["vision"], "two/small-1"), dialect
