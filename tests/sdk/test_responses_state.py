"""Conversations that are kept here: continued at any provider, found by nobody else, gone when they are to be gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
from tests.sdk.responding import gathered, with_west
from tests.sdk.town import Town, found_town, open_for_tests

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: list[Any] = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]
SCRIPT = """
rules:
- when: {toolResult: {contains: sunny}}
  answer: {text: "It is sunny."}
- when: {lastUser: {contains: weather}}
  answer: {thinking: "I must look.", toolCalls: [{name: weather, arguments: {city: Rome}}]}
- answer: "You said ${lastUser}."
"""


@pytest.fixture(params=["northern", "southern", "western"])
def model(request: pytest.FixtureRequest) -> str:
    """A model at each provider in turn."""
    return str(request.param)


@pytest_asyncio.fixture(loop_scope="session")
async def town(found: Any) -> AsyncIterator[Town]:
    """A town with three providers."""
    async with AsyncExitStack() as stack:
        town: Town = await found(SCRIPT)
        town.west = await stack.enter_async_context(with_west(town, SCRIPT))  # type: ignore[attr-defined]
        yield town


Ask = Callable[..., Awaitable[Any]]


def asking(town: Town, stream: bool) -> Ask:
    async def ask(model: str, given: Any, **more: Any) -> Any:
        sdk = town.openai()
        if stream:
            return await gathered(sdk, model=model, input=given, **more)
        return await sdk.responses.create(model=model, input=given, **more)

    return ask


def said(town: Any, model: str) -> str:
    """The conversation that the provider of a model got last."""
    provider = {"northern": town.north, "southern": town.south, "western": town.west}[model]
    body = provider.received.last.body
    return str(body.get("messages") or body["input"])


async def test_h50_a_conversation_goes_on(town: Town, model: str, stream: bool) -> None:
    ask = asking(town, stream)
    first = await ask(model, "one", instructions="Be brief.")
    second = await ask(model, [{"role": "user", "content": "two"}], previous_response_id=first.id)
    third = await ask(model, "three", previous_response_id=second.id)
    assert third.output_text == "You said three."
    conversation = said(town, model)
    places = [conversation.index(words) for words in ("one", "You said one.", "two", "You said two.", "three")]
    assert places == sorted(places)
    assert "Be brief." not in conversation  # instructions are not carried over
    if model != "western":
        assert (third.previous_response_id, third.store) == (second.id, True)
    # An earlier turn can be gone on with in another way.
    other = await ask(model, "other", previous_response_id=first.id)
    assert other.output_text == "You said other."
    assert "two" not in said(town, model)


async def test_h50_a_tool_loop_by_id_alone(town: Town, model: str, stream: bool) -> None:
    ask = asking(town, stream)
    more: dict[str, Any] = {"tools": TOOLS, "include": ["reasoning.encrypted_content"]}
    first = await ask(model, "How is the weather?", **more)
    [call] = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = await ask(model, [result], previous_response_id=first.id, **more)
    assert second.output_text == "It is sunny."


async def test_h50_a_conversation_moves_from_provider_to_provider(town: Town, stream: bool) -> None:
    """What one vendor encrypted or signed is left out elsewhere; the simulated ones refuse anything else."""
    ask = asking(town, stream)
    earlier: dict[str, Any] = {}
    for model in ("southern", "western", "northern", "southern"):
        more: dict[str, Any] = {"tools": TOOLS, "include": ["reasoning.encrypted_content"], **earlier}
        first = await ask(model, f"weather for {model}", **more)
        [call] = [item for item in first.output if item.type == "function_call"]
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        second = await ask(model, [result], **{**more, "previous_response_id": first.id})
        assert second.output_text == "It is sunny."
        earlier = {"previous_response_id": second.id}
    assert said(town, "southern").count("It is sunny.") == 3


async def test_h50_unknown_and_another_tenants_are_not_found(town: Town, model: str) -> None:
    first = await town.openai().responses.create(model=model, input="a secret")
    stranger = town.openai(await town.issue("stranger"))
    received = len(town.north.received.after(0, 99)) + len(town.south.received.after(0, 99))
    for sdk, id in ((stranger, first.id), (town.openai(), "resp_unknown"), (town.openai(), "../" + first.id)):
        with pytest.raises(openai.NotFoundError) as caught:
            await sdk.responses.create(model=model, input="go on", previous_response_id=id)
        assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
    for call in (stranger.responses.retrieve, stranger.responses.delete, stranger.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            await call(first.id)
    assert "a secret" not in str(caught.value.body)
    assert received == len(town.north.received.after(0, 99)) + len(town.south.received.after(0, 99))
    assert (await town.openai().responses.retrieve(first.id)).output_text == first.output_text


async def test_what_is_kept_can_be_fetched_listed_and_deleted(town: Town, model: str, stream: bool) -> None:
    sdk = town.openai()
    first = await asking(town, stream)(model, "one")
    items: list[Any] = [{"role": "user", "content": "two"}, {"role": "user", "content": "and a half"}]
    second = await asking(town, stream)(model, items, previous_response_id=first.id)
    fetched = await sdk.responses.retrieve(second.id)
    assert fetched.to_dict() == (second.to_dict() if not stream else fetched.to_dict())
    assert fetched.status == "completed"
    assert fetched.output_text.endswith("and a half.")
    page = await sdk.responses.input_items.list(second.id, limit=1, order="asc")
    listed = [item async for item in page]
    assert [item.content for item in listed] == ["two", "and a half"]  # type: ignore[union-attr]
    await sdk.responses.delete(first.id)
    for broken in (first.id, second.id):
        with pytest.raises(openai.NotFoundError):
            await sdk.responses.create(model=model, input="go on", previous_response_id=broken)
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve(first.id)
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.delete(first.id)
    counted = await sdk.responses.input_tokens.count(model=model, input="x" * 300)
    assert counted.input_tokens >= 100


async def test_h51_store_false_keeps_nothing_also_not_in_logs(
    town: Town, model: str, stream: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ask = asking(town, stream)
    marks = [f"{word}-{town.namespace}-{stream}" for word in ("Xylophon", "Quetzal")]
    first = await ask(model, f"{marks[0]}", store=False, metadata={"kept": "not"})
    assert first.output_text == f"You said {marks[0]}."
    for call in (town.openai().responses.retrieve, town.openai().responses.delete):
        with pytest.raises(openai.NotFoundError):
            await call(first.id)
    with pytest.raises(openai.NotFoundError):
        await ask(model, "go on", previous_response_id=first.id)
    kept = await ask(model, marks[1])
    # To continue what was kept keeps nothing of the continuation either.
    await ask(model, f"and {marks[0]}", store=False, previous_response_id=kept.id)
    await town.ledger()
    written = _written(tmp_path_factory.getbasetemp())
    assert marks[0].encode() not in written
    assert marks[1].encode() in written


def _written(place: Path) -> bytes:
    return b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file() and not path.is_symlink())


async def test_h25_an_answer_that_broke_is_not_kept(town: Town, model: str) -> None:
    broken = "rules: [{answer: {text: one two three, fault: {kind: cut, afterChunks: 2}}}]"
    async with with_west(town, broken):
        ids: list[str] = []
        with pytest.raises(openai.APIError):
            async with await town.openai().responses.create(model="western", input="hi", stream=True) as events:
                async for event in events:
                    if event.type == "response.created":
                        ids.append(event.response.id)
        with pytest.raises(openai.NotFoundError):
            await town.openai().responses.retrieve(ids[0])


async def test_h49_guards_see_the_whole_conversation_and_the_client_its_own_words(town: Town, stream: bool) -> None:
    """What is kept is what the client said and was told; a guard sees all of it again with every call."""
    await town.apply("""
apiVersion: pharos/v1
kind: Guard
metadata: {{namespace: {namespace}, name: privacy}}
spec: {{onError: closed, rules: [{{detectors: [pii], action: mask}}]}}
""")
    ask = asking(town, stream)
    previous: dict[str, Any] = {}
    for model in ("western", "southern", "northern"):
        answer = await ask(model, f"I am ada.{model}@example.org", **previous)
        assert f"ada.{model}@example.org" in answer.output_text
        assert "@example.org" not in said(town, model)
        kept = await town.openai().responses.retrieve(answer.id)
        assert kept.output_text == answer.output_text
        previous = {"previous_response_id": answer.id}


async def test_money_is_held_for_the_whole_conversation(town: Town) -> None:
    """What was said before is sent and billed again, so a budget must see it."""
    await town.apply("""
apiVersion: pharos/v1
kind: Budget
metadata: {{namespace: {namespace}, name: small}}
spec: {{limit: "0.02", currency: USD, window: total}}
---
apiVersion: pharos/v1
kind: Key
metadata: {{namespace: {namespace}, name: small}}
spec: {{models: [western], budgets: [small]}}
""")
    sdk = town.openai(await town.issue("small"))
    ask: dict[str, Any] = {"model": "western", "max_output_tokens": 100}
    last = await sdk.responses.create(input="x" * 1000, **ask)
    with pytest.raises(openai.APIStatusError) as caught:
        for _ in range(9):
            last = await sdk.responses.create(input="x" * 1000, previous_response_id=last.id, **ask)
    assert caught.value.status_code == 402
    assert (await sdk.responses.create(input="x" * 1000, **ask)).output_text


async def test_a_conversation_outlives_the_city(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with open_for_tests(home) as city, found_town(city, SCRIPT) as town:
        secret = town.secret
        first = await town.openai().responses.create(model="northern", input="one")
    async with open_for_tests(home) as city:
        sdk = city.openai.with_options(api_key=secret)
        assert (await sdk.responses.retrieve(first.id)).output_text == "You said one."
