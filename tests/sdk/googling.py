"""The Gemini side of the SDK tests: a fourth provider, ``east``, and the ``google-genai`` package as a client."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from google import genai
from google.genai import types
from tests.sdk.clients import Answer, Call, Counted, Json, Question, Results, Tool, Turn
from tests.sdk.town import Town

from pharos.release.simulator import Simulator, parse_script, serve

EAST_KEY = "AIza-east-0123456789"

MANIFEST = """
apiVersion: pharos/v1
kind: Provider
metadata: {{namespace: {namespace}, name: east}}
spec:
  dialect: gemini
  baseUrl: "{east}/v1beta"
  apiKey: {{env: SDK_TEST_EAST}}
  retries: {{attempts: 1}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{namespace: {namespace}, name: eastern}}
spec: {{targets: [{{provider: east, model: gemini-3.5-sim}}]}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{namespace: {namespace}, name: east-then-south}}
spec: {{targets: [{{provider: east, model: gemini-3.5-sim}}], fallbacks: [southern]}}
---
apiVersion: pharos/v1
kind: Price
metadata: {{namespace: {namespace}, name: gemini-sim}}
spec:
  model: gemini-3.5-sim
  inputPerMillion: "2.00"
  cacheReadPerMillion: "0.20"
  outputPerMillion: "12.00"
---
apiVersion: pharos/v1
kind: Key
metadata: {{namespace: {namespace}, name: four, labels: {{team: sdk}}}}
spec: {{models: [northern, southern, eastern, east-then-south], budgets: [purse]}}
---
apiVersion: pharos/v1
kind: Key
metadata: {{namespace: {namespace}, name: stranger}}
spec: {{models: [northern, southern, eastern]}}
"""


@asynccontextmanager
async def with_east(town: Town, script: str) -> AsyncIterator[Simulator]:
    """Adds ``east`` to a town; its key becomes one that may use its models too."""
    os.environ["SDK_TEST_EAST"] = EAST_KEY
    strict = {"keys": [EAST_KEY], "models": ["gemini-3.5-sim"], "refuse_unknown": True}
    east = Simulator(parse_script(script, "east").model_copy(update=strict))
    async with serve(east) as url:
        town.urls["east"] = url
        await town.apply(MANIFEST)
        town.secret = await town.issue("four")
        town.googles = []  # type: ignore[attr-defined]
        try:
            yield east
        finally:
            for client in town.googles:  # type: ignore[attr-defined]
                await client.aio.aclose()
                client.close()


def google(town: Any, secret: str | None = None) -> genai.Client:
    """The official client. What a user changes: the base URL, and the key."""
    options = types.HttpOptions(base_url=town.url, retry_options=types.HttpRetryOptions(attempts=1))
    client = genai.Client(api_key=secret or town.secret, http_options=options)
    town.googles.append(client)
    return client


class GeminiClient:
    """The ``google-genai`` package."""

    def __init__(self, sdk: genai.Client) -> None:
        self.sdk = sdk

    async def ask(
        self, model: str, turns: Sequence[Turn], *, stream: bool, tools: Sequence[Tool] = (), limit: int = 1000
    ) -> Answer:
        config = types.GenerateContentConfig(
            max_output_tokens=limit,
            tools=[
                types.Tool(
                    function_declarations=[
                        types.FunctionDeclaration(name=tool.name, parameters_json_schema=tool.schema) for tool in tools
                    ]
                )
            ]
            if tools
            else None,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        arguments: Any = {"model": model, "contents": _contents(turns), "config": config}
        if not stream:
            return self.read([await self.sdk.aio.models.generate_content(**arguments)])
        return self.read([chunk async for chunk in await self.sdk.aio.models.generate_content_stream(**arguments)])

    @staticmethod
    def read(chunks: list[Any]) -> Answer:
        parts = [
            part
            for chunk in chunks
            for candidate in chunk.candidates or ()
            if candidate.content is not None
            for part in candidate.content.parts or ()
        ]
        last = chunks[-1]
        usage = last.usage_metadata
        calls = tuple(
            Call(part.function_call.id, part.function_call.name, part.function_call.args or {})
            for part in parts
            if part.function_call
        )
        reason = last.candidates[0].finish_reason.value if last.candidates else "BLOCKED"
        return Answer(
            id=last.response_id,
            model=last.model_version,
            text="".join(part.text for part in parts if part.text and not part.thought),
            thinking="".join(part.text for part in parts if part.text and part.thought),
            calls=calls,
            finish={"STOP": "tool" if calls else "stop", "MAX_TOKENS": "length"}.get(reason, reason),
            usage=None
            if usage is None
            else Counted(
                input=usage.prompt_token_count - (usage.cached_content_token_count or 0),
                cache_read=usage.cached_content_token_count or 0,
                cache_write=0,
                output=usage.candidates_token_count + (usage.thoughts_token_count or 0),
                reasoning=usage.thoughts_token_count or 0,
            ),
            native=types.Content(role="model", parts=parts),
        )


def _contents(turns: Sequence[Turn]) -> list[Any]:
    contents: list[Any] = []
    names: dict[str, str] = {}
    for turn in turns:
        match turn:
            case Question(text):
                contents.append(types.Content(role="user", parts=[types.Part(text=text)]))
            case Results(results):
                parts = [
                    types.Part(
                        function_response=types.FunctionResponse(id=id, name=names[id], response={"output": text})
                    )
                    for id, text in results
                ]
                contents.append(types.Content(role="user", parts=parts))
            case Answer(native=native):
                contents.append(native)
                names.update({call.id: call.name for call in turn.calls})
    return contents


def without_ids(answer: Answer) -> Answer:
    """The answer as an older client keeps it: without the ids of its calls."""
    parts: list[Json] = answer.native.model_dump(exclude_none=True)["parts"]
    for part in parts:
        part.get("function_call", {}).pop("id", None)
    native = types.Content.model_validate({"role": "model", "parts": parts})
    return Answer(**{**answer.__dict__, "native": native})
