"""The responses side of the SDK tests: a third provider, ``west``, and ``client.responses`` as a third client."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import openai
from tests.sdk.clients import Answer, Call, Counted, Json, Question, Results, Tool, Turn
from tests.sdk.town import Town

from pharos.release.simulator import Simulator, parse_script, serve

WEST_KEY = "sk-west-0123456789"

MANIFEST = """
apiVersion: pharos/v1
kind: Provider
metadata: {{namespace: {namespace}, name: west}}
spec:
  dialect: openai-responses
  baseUrl: "{west}/v1"
  apiKey: {{env: SDK_TEST_WEST}}
  retries: {{attempts: 1}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{namespace: {namespace}, name: western}}
spec: {{targets: [{{provider: west, model: gpt-5-sim}}]}}
---
apiVersion: pharos/v1
kind: Price
metadata: {{namespace: {namespace}, name: gpt-5-sim}}
spec:
  model: gpt-5-sim
  inputPerMillion: "2.00"
  cacheReadPerMillion: "0.20"
  cacheWrite5mPerMillion: "2.50"
  outputPerMillion: "12.00"
---
apiVersion: pharos/v1
kind: Key
metadata: {{namespace: {namespace}, name: three, labels: {{team: sdk}}}}
spec: {{models: [northern, southern, western], budgets: [purse]}}
---
apiVersion: pharos/v1
kind: Key
metadata: {{namespace: {namespace}, name: stranger}}
spec: {{models: [northern, southern, western]}}
"""


@asynccontextmanager
async def with_west(town: Town, script: str) -> AsyncIterator[Simulator]:
    """Adds ``west`` to a town; its key becomes one that may use all three models."""
    os.environ["SDK_TEST_WEST"] = WEST_KEY
    strict = {"keys": [WEST_KEY], "models": ["gpt-5-sim"], "refuse_unknown": True}
    west = Simulator(parse_script(script, "west").model_copy(update=strict))
    async with serve(west) as url:
        town.urls["west"] = url
        await town.apply(MANIFEST)
        town.secret = await town.issue("three")
        yield west


class ResponsesClient:
    """The ``openai`` package, through its responses."""

    def __init__(self, sdk: openai.AsyncOpenAI) -> None:
        self.sdk = sdk

    async def ask(
        self, model: str, turns: Sequence[Turn], *, stream: bool, tools: Sequence[Tool] = (), limit: int = 1000
    ) -> Answer:
        arguments: Json = {
            "model": model, "input": list(_items(turns)), "max_output_tokens": limit, "store": False,
            "include": ["reasoning.encrypted_content"],
        }  # fmt: skip
        if tools:
            arguments["tools"] = [
                {"type": "function", "name": tool.name, "parameters": tool.schema, "strict": False} for tool in tools
            ]
        if not stream:
            return self.read(await self.sdk.responses.create(**arguments))
        return self.read(await gathered(self.sdk, **arguments))

    @staticmethod
    def read(response: Any) -> Answer:
        text = "".join(
            part.text
            for item in response.output
            if item.type == "message"
            for part in item.content
            if part.type == "output_text"
        )
        calls = tuple(
            Call(item.call_id, item.name, json.loads(item.arguments))
            for item in response.output
            if item.type == "function_call"
        )
        usage = response.usage
        finish = "tool" if calls else "stop" if response.status == "completed" else "length"
        return Answer(
            id=response.id,
            model=response.model,
            text=text,
            thinking="".join(
                part.text for item in response.output if item.type == "reasoning" for part in item.summary
            ),
            calls=calls,
            finish=finish,
            usage=None
            if usage is None
            else Counted(
                input=usage.input_tokens
                - usage.input_tokens_details.cached_tokens
                - usage.input_tokens_details.cache_write_tokens,
                cache_read=usage.input_tokens_details.cached_tokens,
                cache_write=usage.input_tokens_details.cache_write_tokens,
                output=usage.output_tokens,
                reasoning=usage.output_tokens_details.reasoning_tokens,
            ),
            native=response,
        )


async def gathered(sdk: openai.AsyncOpenAI, **arguments: Any) -> Any:
    """A stream through the SDK's own helper. The numbers of its events rise by one, and its last event carries exactly
    what was streamed."""
    numbers: list[int] = []
    done: list[Any] = []
    last: Any = None
    async with sdk.responses.stream(**arguments) as events:
        async for event in events:
            numbers.append(event.sequence_number)
            if event.type == "response.output_item.done":
                done.append(event.item)
            if event.type in ("response.completed", "response.incomplete"):
                last = event.response
    assert numbers == list(range(len(numbers)))
    assert [item.model_dump(exclude={"parsed", "parsed_arguments"}) for item in done] == [
        item.model_dump(
            exclude={"parsed": True, "parsed_arguments": True, "content": {"__all__": {"parsed"}}}
            if item.type == "message"
            else {"parsed_arguments"}
        )
        for item in last.output
    ]
    return last


def _items(turns: Sequence[Turn]) -> list[Json]:
    items: list[Json] = []
    for turn in turns:
        match turn:
            case Question(text):
                items.append({"role": "user", "content": text})
            case Results(results):
                items += [{"type": "function_call_output", "call_id": id, "output": text} for id, text in results]
            case Answer(native=native):
                items += [plain(item) for item in native.output]
    return items


def plain(item: Any) -> Json:
    """An output item, as it goes back in the next input."""
    bare: Json = item.model_dump(exclude_none=True, exclude={"parsed_arguments"})
    for part in bare.get("content", ()):
        part.pop("parsed", None)
    return bare
