"""Responses given again: each caller's is its own, with an id that can be continued, read and deleted."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.gateway.caching.test_coalescing import Gated, begun, joined, rest
from tests.gateway.caching.test_keys import request
from tests.gateway.dialects.responses_wire import added, deltas, done, ended, message_item, response_stream, told
from tests.gateway.dialects.responses_wire import begun as beginning
from tests.gateway.dialects.responses_wire import body as response_body
from tests.gateway.town import Answer, Town
from tests.gateway.upstream import Exchange, Upstream, answer, upstream

from pharos.gateway.models.caching.renewal import Renewal

PATH = "/v1/responses"
USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


async def provider(exchange: Exchange) -> None:
    """A provider of chat completions, or of responses, of which it gives every one the same id."""
    if not exchange.request.path.endswith("/responses"):
        await answer(exchange)
        return
    asked = exchange.request.json
    item = message_item("Hello.")
    more = {"metadata": asked.get("metadata") or {}, "user": asked.get("user"), "usage": USAGE}
    if not asked.get("stream"):
        await exchange.json(response_body(item, **more))
        return
    await exchange.start()
    events = [beginning(**more), added(0, item), *deltas("output_text", 0, "Hel", "lo."), done(0, item)]
    await exchange.chunk(response_stream(*events, ended(item, **more)))
    await exchange.finish()


@pytest.fixture
async def running() -> AsyncIterator[Upstream]:
    async with upstream(provider) as started:
        yield started


async def prepare(city: Town, running: Upstream, dialect: str = "openai-chat", **cache: Any) -> None:
    await city.provider("acme", running.url, dialect=dialect)
    await city.price("small-1")
    await city.model("fast", "acme", cache=cache)
    await city.budget("b", "1.00")
    for name in ("one", "two"):
        await city.key(name, budgets=["b"])


async def ask(city: Town, key: str = "one", text: str = "Say hello.", **extra: Any) -> Answer:
    headers = extra.pop("headers", {})
    reply = await city.ask(key, {"model": "fast", "input": text, **extra}, PATH, **headers)
    assert reply.status == 200, reply.body
    return reply


def of(reply: Answer) -> dict[str, Any]:
    """The response, whole or streamed."""
    if "stream" not in reply.headers["content-type"]:
        return reply.json
    last = reply.events[-1]
    assert isinstance(last, dict)
    return dict(last["response"])


def result(reply: Answer) -> str:
    return reply.headers.get("x-pharos-cache", "none")


def nameless(reply: Answer) -> bytes:
    """An answer without its id."""
    return re.sub(rb'"id":"resp_[^"]*"', b'"id":""', reply.body.replace(b": ", b":"))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses"])
async def test_a_hit_is_the_callers_own_response_and_equal_in_all_else(
    city: Town, running: Upstream, dialect: str, stream: bool
) -> None:
    await prepare(city, running, dialect)
    first, second, third = [await ask(city, key, stream=stream) for key in ("one", "one", "two")]
    assert [result(reply) for reply in (first, second, third)] == ["miss", "hit", "hit"]
    assert len(running.requests) == 1
    ids = [of(reply)["id"] for reply in (first, second, third)]
    assert len(set(ids)) == 3
    assert nameless(first) == nameless(second) == nameless(third)
    if stream and dialect == "openai-chat":
        assert {event.response.id for event in told(second.body) if hasattr(event, "response")} == {ids[1]}
    _, hit, _ = await city.called(3)
    assert hit["attempts"] == [] and hit["cache"]["result"] == "hit"

    # Each is gone on with by who was given it, and only by them; what one deletes is still the other's.
    assert (await city.ask("one", b"", f"{PATH}/{ids[0]}", "DELETE")).status == 200
    assert (await city.ask("two", b"", f"{PATH}/{ids[1]}", "GET")).status == 404
    kept = await city.ask("one", b"", f"{PATH}/{ids[1]}", "GET")
    assert kept.json["id"] == ids[1] and kept.json["output"] == of(first)["output"]
    further = await ask(city, "one", "And again.", previous_response_id=ids[1], stream=stream)
    assert result(further) == "miss"
    assert b"Hello." in running.requests[-1].body and b"resp_" not in running.requests[-1].body
    # The same conversation under another id is the same question; what it repeats of its call is its own.
    other = await ask(city, "two", "And again.", previous_response_id=ids[2], stream=stream)
    assert result(other) == "hit"
    assert of(other).get("previous_response_id") == (ids[2] if dialect == "openai-chat" else None)
    refused = await city.ask("one", {"model": "fast", "input": "x", "previous_response_id": ids[0]}, PATH)
    assert refused.status == 404


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses"])
async def test_what_a_call_says_of_itself_is_told_to_no_other(
    city: Town, running: Upstream, dialect: str, stream: bool
) -> None:
    await prepare(city, running, dialect)
    replies = [
        await ask(city, key, stream=stream, user=user, metadata={"who": user})
        for key, user in (("one", "alice"), ("two", "bob"))
    ]
    assert list(map(result, replies)) == ["miss", "hit"]
    assert [of(reply)["metadata"] for reply in replies] == [{"who": "alice"}, {"who": "bob"}]
    assert [of(reply)["user"] for reply in replies] == ["alice", "bob"]
    assert b"alice" not in replies[1].body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses"])
async def test_what_another_call_says_of_itself_is_not_told_to_one_that_says_null(
    city: Town, running: Upstream, dialect: str, stream: bool
) -> None:
    await prepare(city, running, dialect)
    first = await ask(city, "one", stream=stream, user="alice", metadata={"who": "alice"})
    second = await ask(city, "two", stream=stream, user=None, metadata=None)
    assert [result(first), result(second)] == ["miss", "hit"]
    assert b"alice" in first.body and b"alice" not in second.body


async def test_what_was_continued_is_not_told_to_one_that_says_all_of_it(city: Town, running: Upstream) -> None:
    await prepare(city, running)

    async def say(key: str, told: Any, previous: str | None) -> Answer:
        body = {"model": "fast", "input": told, "previous_response_id": previous}
        return await city.ask(key, json.dumps(body, separators=(",", ":")).encode(), PATH)

    texts = ("Say hello.", "And again.")
    begun = of(await say("one", texts[0], None))
    continued = await say("one", texts[1], begun["id"])
    assert of(continued)["previous_response_id"] == begun["id"]
    first, last = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]} for text in texts
    ]
    other = await say("two", [first, *begun["output"], last], None)
    assert result(other) == "hit" and of(other)["previous_response_id"] is None


async def test_what_forbids_to_keep_is_kept_nowhere(city: Town, running: Upstream) -> None:
    await prepare(city, running)
    replies = [await ask(city, store=False) for _ in range(2)]
    assert list(map(result, replies)) == ["miss", "miss"]
    assert (await city.ask("one", b"", f"{PATH}/{of(replies[1])['id']}", "GET")).status == 404
    # Unless the same call asks for it: a hit is not to be continued either.
    replies = [await ask(city, store=False, headers={"x_pharos_cache": "on"}) for _ in range(2)]
    assert list(map(result, replies)) == ["miss", "hit"]
    assert (await city.ask("one", b"", f"{PATH}/{of(replies[1])['id']}", "GET")).status == 404
    # That the city keeps it, as it does by default, is no reason to ask anew.
    assert [result(await ask(city, store=True)) for _ in range(2)] == ["miss", "hit"]


async def test_what_is_kept_elsewhere_is_left_alone(city: Town, running: Upstream) -> None:
    await prepare(city, running, "openai-responses")
    await city.key("free")
    for extra in ({"prompt": {"id": "pmpt_1"}}, {"tools": [{"type": "web_search"}]}):
        assert result(await ask(city, "free", **extra)) == "none"


async def test_cut_answers_are_not_kept(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.json(response_body(message_item("Hel"), status="incomplete",
                            incomplete_details={"reason": "max_output_tokens"}, usage=USAGE))  # fmt: skip

    async with upstream(script) as running:
        await prepare(city, running, "openai-responses")
        assert [result(await ask(city)) for _ in range(2)] == ["miss", "miss"]


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_that_share_a_request_have_responses_of_their_own(city: Town, stream: bool) -> None:
    gate = Gated()
    async with upstream(gate) as running:
        await prepare(city, running, exact=False, coalesce={})
        said = {"model": "fast", "input": "x", "stream": stream}
        if stream:
            async with city.client("one", said, PATH) as leading, city.client("two", said, PATH) as following:
                firsts = [await begun(client) for client in (leading, following)]
                gate.go.set()
                clients = zip((leading, following), firsts, strict=True)
                replies = await asyncio.gather(*(rest(client, first) for client, first in clients))
        else:
            calls = [asyncio.ensure_future(city.ask(key, said, PATH)) for key in ("one", "two", "one")]
            await joined(city, 3)
            gate.go.set()
            replies = await asyncio.gather(*calls)
        assert sorted(map(result, replies)) == ["coalesced"] * (len(replies) - 1) + ["miss"]
        assert len({of(reply)["id"] for reply in replies}) == len(replies)
        assert len(set(map(nameless, replies))) == 1
        assert all(reply.complete for reply in replies)
        for key, reply in zip(("one", "two"), replies, strict=False):
            kept = await city.ask(key, b"", f"{PATH}/{of(reply)['id']}", "GET")
            assert kept.status == 200 and kept.json["output"] == of(reply)["output"]
        assert len(running.requests) == 1


def test_many_spellings_of_one_id() -> None:
    """The id is found by parsing, not by its looks."""
    raw = json.dumps({"model": "m", "input": "x", "metadata": {"id": "me"}}).encode()
    renewal = Renewal(request(raw, "openai-responses"))
    whole = b'{"output":[{"id":"msg_1","response":{"id":"no"}}],"metadata":{"id":"you"},"\\u0069d":"resp_1","n":1e400}'
    new = renewal.whole(whole)
    assert b'"msg_1"' in new and b'"no"' in new and b"1e400" in new
    assert b"resp_1" not in new and b"you" not in new and b'{"id":"me"}' in new
