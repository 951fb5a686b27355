"""A stream that fails after its first content (H28): the model's policy decides, and it is never a clean finish."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from google.genai.types import GenerateContentResponse
from tests.gateway.dialects.gemini_wire import chunk, gemini_stream
from tests.gateway.dialects.responses_wire import added, deltas, message_item, reasoning_item, response_stream
from tests.gateway.dialects.responses_wire import begun as beginning
from tests.gateway.resilience.breaking import (
    ask,
    breaks,
    is_broken,
    is_whole,
    last_turn,
    limit_of,
    mark_of,
    objects,
    output_of,
    pair,
    says,
    text_of,
)
from tests.gateway.town import Town
from tests.gateway.upstream import (
    Exchange,
    anthropic_event,
    anthropic_start,
    anthropic_text,
    openai_delta,
    upstream,
)

from pharos.core.fault import Fault

CLIENTS = ("openai", "anthropic")
DIALECTS = ("openai-chat", "anthropic")
TRIPLES = [
    *[(client, one, two) for client in CLIENTS for one in DIALECTS for two in DIALECTS],
    ("responses", "openai-responses", "openai-responses"),
    ("responses", "openai-responses", "gemini"),
    ("responses", "openai-chat", "anthropic"),
    ("gemini", "gemini", "gemini"),
    ("gemini", "gemini", "anthropic"),
    ("gemini", "openai-chat", "openai-responses"),
    ("openai", "gemini", "openai-responses"),
    ("anthropic", "openai-responses", "gemini"),
]
"""Client, provider that breaks, provider that goes on: each dialect in every part."""


@pytest.mark.parametrize(
    ("client", "one", "two", "how"),
    [
        *[(*triple, "cut") for triple in TRIPLES],
        *[(*TRIPLES[n], how) for how in ("end", "error") for n in (0, 3, 8, 11)],
    ],
)
async def test_h28_resume_by_prefill(city: Town, client: str, one: str, two: str, how: str) -> None:
    """The text so far goes to the next target, is not repeated, has one id, and both halves are paid for."""
    async with AsyncExitStack() as stack:
        first, second = await pair(
            city,
            stack,
            (one, breaks(one, "Once upon", " a time", how=how)),
            (two, says(two, " there was", " a cat.")),
            "resume",
        )
        reply = await ask(city, client, max_tokens=100)
        assert text_of(reply, client) == "Once upon a time there was a cat."
        is_whole(reply, client)
        assert len(first.requests) == len(second.requests) == 1
        sent = second.requests[0].json
        role, text = last_turn(two, sent)
        assert (role, text) == ("model" if two == "gemini" else "assistant", "Once upon a time")
        assert 80 < limit_of(sent) < 100, "the rest of the limit"
        (called,) = await city.called()
        assert called["outcome"] == "ok" and called["fault"] == ""
        broken, served = called["attempts"]
        assert (broken["outcome"], served["outcome"]) == ("incomplete", "ok")
        assert broken["usage"]["estimated"] is True
        assert (served["usage"]["input"], served["usage"]["output"]) == (10, 5)
        assert called["route"]["resume"].startswith("p1/")
        assert output_of(reply, client) == broken["usage"]["output"] + 5
        assert await city.quiet("b") == round(float(called["cost"]) * 1e9)
        assert float(called["cost"]) == pytest.approx(float(broken["cost"]) + float(served["cost"]), abs=1e-12)


@pytest.mark.parametrize(("client", "one", "two"), TRIPLES)
async def test_h28_restart_is_marked(city: Town, client: str, one: str, two: str) -> None:
    async with AsyncExitStack() as stack:
        _, second = await pair(
            city, stack, (one, breaks(one, "Once")), (two, says(two, "A new", " story.")), "restart", None
        )
        reply = await ask(city, client, max_tokens=100)
        is_whole(reply, client, restarted=True)
        assert text_of(reply, client) == "OnceA new story."
        mark, begun = mark_of(reply), {"restart": 2}
        match client:
            case "openai":
                assert mark["pharos"] == begun
                assert mark["choices"][0]["delta"]["content"] == "A new"
            case "responses":
                assert mark["pharos"] == begun
                assert (mark["type"], mark["output_index"]) == ("response.output_item.added", 1)
            case "gemini":
                assert mark["pharos"] == begun
                assert mark["candidates"][0]["content"]["parts"] == [{"text": "A new"}]
            case _:
                assert mark["content_block"] == {"type": "text", "text": "", "pharos": begun}
                assert mark["index"] == 1
        assert last_turn(two, second.requests[0].json)[0] == "user"
        (called,) = await city.called()
        assert [a["outcome"] for a in called["attempts"]] == ["incomplete", "ok"]
        assert called["outcome"] == "ok"


async def test_h28_googles_sdk_sees_where_a_new_answer_begins(city: Town) -> None:
    """It passes over a member it does not know, but not over the name of the answer."""
    async with AsyncExitStack() as stack:
        await pair(city, stack, ("gemini", breaks("gemini", "Once")), ("gemini", says("gemini", "Anew.")), "restart")
        reply = await ask(city, "gemini")
        chunks = [GenerateContentResponse._from_response(response=each, kwargs={}) for each in objects(reply)]
        names = [each.response_id for each in chunks]
        assert [each.text for each in chunks if each.text] == ["Once", "Anew."]
        assert names[0] != names[1] and len(set(names[1:])) == 1


async def test_h28_a_response_that_was_gone_on_with_is_kept_as_one(city: Town) -> None:
    one = "openai-responses"
    async with AsyncExitStack() as stack:
        await pair(city, stack, (one, breaks(one, "Hel")), (one, says(one, "lo.")), "resume")
        reply = await ask(city, "responses")
        id = objects(reply)[-1]["response"]["id"]
        kept = await city.ask("bot", b"", f"/v1/responses/{id}", "GET")
        assert kept.json["output"][0]["content"][0]["text"] == "Hello."
        assert kept.json["output"] == objects(reply)[-1]["response"]["output"]


TEXT = message_item("")
REASON = reasoning_item("")
SUMMARY = {"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "output_index": 0}
UNJOINABLE = {
    "a search": [added(0, {"type": "web_search_call", "id": "ws_1", "status": "in_progress"})],
    "a refusal": [added(0, TEXT), *deltas("refusal", 0, "I will not", content_index=0)],
    "a source": [
        added(0, TEXT),
        *deltas("output_text", 0, "As is known", content_index=0),
        {"type": "response.output_text.annotation.added", "output_index": 0, "content_index": 0, "annotation": {}},
    ],
    "two parts": [added(0, TEXT), *deltas("output_text", 0, "One", content_index=1)],
    "two items": [added(0, TEXT), *deltas("output_text", 0, "One", content_index=0), added(1, TEXT)],
    "parts of a summary": [added(0, REASON), *deltas("reasoning_summary_text", 0, "Hm", summary_index=1)],
}


@pytest.mark.parametrize("policy", ["resume", "restart"])
@pytest.mark.parametrize("what", UNJOINABLE)
async def test_h28_a_response_that_nothing_can_join_ends_with_its_error(city: Town, what: str, policy: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(response_stream(beginning(), *UNJOINABLE[what]))
        exchange.cut()

    one = "openai-responses"
    async with AsyncExitStack() as stack:
        _, second = await pair(city, stack, (one, script), (one, says(one, "No.")), policy)
        is_broken(await ask(city, "responses"), "responses")
        assert not second.requests


async def test_h28_reasoning_of_a_response_is_ended_where_another_begins(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        said = [added(0, REASON), {**SUMMARY, "summary_index": 0, "part": {"type": "summary_text", "text": ""}}]
        said += deltas("reasoning_summary_text", 0, "Hm", "!", summary_index=0)
        await exchange.chunk(response_stream(beginning(), *({**each, "item_id": "rs_1"} for each in said)))
        exchange.cut()

    async with AsyncExitStack() as stack:
        await pair(city, stack, ("openai-responses", script), ("anthropic", says("anthropic", "Hi.")), "restart")
        reply = await ask(city, "responses")
        is_whole(reply, "responses")
        thought, said = objects(reply)[-1]["response"]["output"]
        assert thought["summary"] == [{"type": "summary_text", "text": "Hm!"}]
        assert said["content"][0]["text"] == "Hi."


@pytest.mark.parametrize("policy", ["resume", "restart"])
@pytest.mark.parametrize(
    "more",
    [
        {"functionCall": {"name": "f", "args": {}}},
        {"executableCode": {"code": "1", "language": "PYTHON"}},
        {"inlineData": {"mimeType": "image/png"}},
    ],
)
async def test_h28_what_is_no_text_is_not_gone_on_with(city: Town, more: dict[str, object], policy: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(gemini_stream(chunk("See:"), chunk(more)))
        exchange.cut()

    async with AsyncExitStack() as stack:
        _, second = await pair(city, stack, ("gemini", script), ("gemini", says("gemini", "No.")), policy)
        is_broken(await ask(city, "gemini"), "gemini")
        assert not second.requests


@pytest.mark.parametrize("policy", ["resume", "restart"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_h28_an_error_where_nobody_can_go_on(city: Town, client: str, policy: str) -> None:
    """Every further target fails as well: the dialect's error ends the stream, and all attempts are on record."""
    async with AsyncExitStack() as stack:

        async def down(exchange: Exchange) -> None:
            await exchange.json({"error": {"message": "down"}}, 500)

        first, second = await pair(
            city, stack, ("openai-chat", breaks("openai-chat", "Once")), ("openai-chat", down), policy
        )
        reply = await ask(city, client)
        assert text_of(reply, client).startswith("Once")
        is_broken(reply, client)
        (called,) = await city.called()
        assert called["outcome"] == "incomplete"
        assert called["fault"].startswith("UPSTREAM_")
        # The target that failed is asked last: it may just have dropped a connection. Each mend breaks in turn.
        assert [a["outcome"] for a in called["attempts"]].count("error") >= 1
        assert len(first.requests) + len(second.requests) == len(called["attempts"])
        assert await city.quiet("b") == round(float(called["cost"]) * 1e9)


async def test_h28_resume_with_the_same_target_where_there_is_no_other(city: Town) -> None:
    served = 0

    async def script(exchange: Exchange) -> None:
        nonlocal served
        served += 1
        await (breaks("openai-chat", "Hel") if served == 1 else says("openai-chat", "lo."))(exchange)

    async with AsyncExitStack() as stack:
        (only,) = await pair(city, stack, ("openai-chat", script), None, "resume", "prefix")
        reply = await ask(city, "openai")
        assert text_of(reply, "openai") == "Hello."
        is_whole(reply, "openai")
        assert only.requests[1].json["messages"][-1] == {"role": "assistant", "content": "Hel", "prefix": True}


async def test_h28_forms_of_a_prefill(city: Town) -> None:
    async with AsyncExitStack() as stack:
        _, second = await pair(
            city,
            stack,
            ("openai-chat", breaks("openai-chat", "Hel")),
            ("openai-chat", says("openai-chat", "lo.")),
            "resume",
            "continue",
        )
        assert text_of(await ask(city, "openai"), "openai") == "Hello."
        sent = second.requests[0].json
        assert sent["continue_final_message"] is True and sent["add_generation_prompt"] is False


async def test_h28_a_target_that_cannot_go_on_is_not_asked_to(city: Town) -> None:
    async with AsyncExitStack() as stack:
        first, second = await pair(
            city,
            stack,
            ("openai-chat", breaks("openai-chat", "Hel")),
            ("openai-chat", says("openai-chat", "Hello again.")),
            "resume",
            None,
        )
        reply = await ask(city, "openai")
        is_broken(reply, "openai")
        assert (len(first.requests), len(second.requests)) == (1, 0)


@pytest.mark.parametrize(
    ("texts", "more", "whole"),
    [
        (("Hello ",), ("world",), "Hello world"),
        (("Hello ",), (" world",), "Hello world"),
        (("Hello\n\n",), ("\n", "\nworld"), "Hello\n\nworld"),
        (("Hello",), (" world",), "Hello world"),
        (
            ("Once upon a time there",),
            (
                "Once upon a ",
                "time there was one",
            ),
            "Once upon a time there was one",
        ),
        (
            ("Once upon a time there",),
            (
                "Once upon ",
                "another",
            ),
            "Once upon a time thereOnce upon another",
        ),
        (("ha",), ("ha",), "haha"),
        (("日本語 🗼",), ("を学ぶ",), "日本語 🗼を学ぶ"),
    ],
)
async def test_h28_nothing_is_said_twice(city: Town, texts: tuple[str, ...], more: tuple[str, ...], whole: str) -> None:
    """White space at the seam, and servers that send the beginning again."""
    async with AsyncExitStack() as stack:
        _, second = await pair(
            city, stack, ("anthropic", breaks("anthropic", *texts)), ("anthropic", says("anthropic", *more)), "resume"
        )
        reply = await ask(city, "anthropic")
        assert text_of(reply, "anthropic") == whole
        is_whole(reply, "anthropic")
        given = second.requests[0].json["messages"][-1]["content"][0]["text"]
        assert given == "".join(texts).rstrip()


TOOL = anthropic_event(
    "content_block_start", index=1, content_block={"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
)


@pytest.mark.parametrize("policy", ["resume", "restart"])
@pytest.mark.parametrize("client", [*CLIENTS, "responses"])
async def test_h28_a_tool_call_that_has_begun_is_never_gone_on_with(city: Town, client: str, policy: str) -> None:
    """The client may be acting on it already."""

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for frame in (anthropic_start(), *anthropic_text("Let me see."), TOOL):
            await exchange.chunk(frame)
        await exchange.chunk(
            anthropic_event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"a'})
        )
        exchange.cut()

    async with AsyncExitStack() as stack:
        _, second = await pair(city, stack, ("anthropic", script), ("anthropic", says("anthropic", "No.")), policy)
        reply = await ask(city, client)
        is_broken(reply, client)
        assert not second.requests


@pytest.mark.parametrize("policy", ["resume", "restart"])
async def test_h28_a_stream_that_told_why_it_stopped_is_not_gone_on_with(city: Town, policy: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for frame in (openai_delta("Hello."), openai_delta(finish="stop")):
            await exchange.chunk(frame)
        exchange.cut()

    async with AsyncExitStack() as stack:
        _, second = await pair(city, stack, ("openai-chat", script), ("openai-chat", says("openai-chat", "x")), policy)
        is_broken(await ask(city, "openai"), "openai")
        assert not second.requests


async def test_h28_thinking_is_restarted_and_not_resumed(city: Town) -> None:
    thinking = [
        anthropic_start(),
        anthropic_event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
        anthropic_event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Hm."}),
    ]

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for frame in thinking:
            await exchange.chunk(frame)
        exchange.cut()

    async with AsyncExitStack() as stack:
        _, second = await pair(city, stack, ("anthropic", script), ("anthropic", says("anthropic", "Hi.")), "resume")
        is_broken(await ask(city, "anthropic"), "anthropic")
        assert not second.requests
        await city.model(
            "fast",
            *[{"provider": p, "model": "claude-x", "weight": int(p == "p0")} for p in ("p0", "p1")],
            onStreamFailure="restart",
        )
        reply = await ask(city, "anthropic")
        is_whole(reply, "anthropic")
        assert text_of(reply, "anthropic") == "Hi."


async def test_h28_a_model_that_can_resume_nothing_is_told_so_when_it_is_applied(city: Town) -> None:
    targets = [{"provider": name, "model": "m", "prefill": "none"} for name in ("a", "b")]
    with pytest.raises(Fault) as caught:
        await city.model("fast", *targets, onStreamFailure="resume")
    assert caught.value.document.pointer == "/spec/onStreamFailure"
    await city.model("fast", *targets, onStreamFailure="restart")
    await city.model("fast", *targets, onStreamFailure="resume", fallbacks=["slow"])
    await city.model("fast", targets[0], {**targets[1], "prefill": "message"}, onStreamFailure="resume")


async def test_h28_more_than_one_target_goes_on_in_turn(city: Town) -> None:
    async with AsyncExitStack() as stack:
        a, b, c = [
            await stack.enter_async_context(upstream(script))
            for script in (
                breaks("openai-chat", "One"),
                breaks("openai-chat", " two"),
                says("openai-chat", " three."),
            )
        ]
        targets = []
        for number, one in enumerate((a, b, c)):
            await city.provider(f"p{number}", one.url)
            weight = (9, 0, 0)[number]
            targets.append({"provider": f"p{number}", "model": "small-1", "weight": weight, "prefill": "message"})
        await city.price("small-1")
        await city.model("fast", *targets, onStreamFailure="resume")
        await city.key("bot")
        reply = await ask(city, "openai")
        assert text_of(reply, "openai") == "One two three."
        is_whole(reply, "openai")
        assert c.requests[0].json["messages"][-1]["content"] == "One two"
        (called,) = await city.called()
        assert [x["outcome"] for x in called["attempts"]] == ["incomplete", "incomplete", "ok"]
        assert output_of(reply, "openai") == sum(x["usage"]["output"] for x in called["attempts"])
