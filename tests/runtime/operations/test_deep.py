"""What a model writes may be nested deeper than anything can be kept: it is told so, and asked no more than others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.gateway.upstream import Exchange, upstream
from tests.runtime.operations.town import MANIFEST, Harbour

from pharos.core.wire import DEEPEST, JsonObject, is_deep
from pharos.runtime.schemas import misfits
from pharos.runtime.session.deciding import ending
from pharos.server.city import open_city

AGENT = """
---
apiVersion: pharos/v1
kind: Agent
metadata: {name: mate}
spec: {model: fast, key: crew, instructions: You do what you are told., tools: ["*"], output: {type: object}}
"""
DEEP = '{"a":' + "[" * 300 + "]" * 300 + "}"


def call(arguments: str) -> dict[str, Any]:
    function = {"name": "catalog_list", "arguments": arguments}
    return {"content": None, "tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}


async def test_what_is_nested_too_deeply_is_given_back_to_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging: set[threading.Thread] = set()

    def judge(schema: JsonObject, value: JsonObject) -> Sequence[str]:
        judging.add(threading.current_thread())
        return misfits(schema, value)

    monkeypatch.setattr(ending, "misfits", judge)
    answers: list[dict[str, Any]] = [call(DEEP), {"content": DEEP}, {"content": '{"well": "met"}'}]

    async def script(exchange: Exchange) -> None:
        said = answers.pop(0)
        end = "tool_calls" if said["content"] is None else "stop"
        choices = [{"index": 0, "delta": {"role": "assistant", **said}, "finish_reason": end}]
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        await exchange.start()
        for chunk in ({"choices": choices}, {"choices": [], "usage": usage}):
            await exchange.chunk(b"data: " + orjson.dumps({"id": "x", "model": "m", **chunk}) + b"\n\n")
        await exchange.chunk(b"data: [DONE]\n\n")
        await exchange.finish()

    async with upstream(script) as running:
        manifest = tmp_path / "city.yaml"
        manifest.write_text(MANIFEST.format(url=running.url) + AGENT)
        async with open_city(tmp_path / "home", files=[manifest]) as city:
            town = Harbour(city)
            session = await town.begin("go")
            found = await town.until(session, "completed", "failed")
            assert (found["status"], found["result"]) == ("completed", {"well": "met"})
            given = [b"nested too deeply" in request.body for request in running.requests]
            assert given == [False, True, True]
            # By whoever decides it anew and closes it, an answer is judged beside the event loop as well.
            judging.clear()
            assert "divergence" not in await town("replay", session=session, rerun=True)
            assert judging and threading.main_thread() not in judging
            answers.append({"content": '{"well": "met"}'})
            session = await town.begin("go", interactive=True)
            await town.until(session, "waiting")
            judging.clear()
            await town("close", session=session)
            assert judging and threading.main_thread() not in judging


def test_how_deep_is_deep() -> None:
    value: Any = 1
    for _ in range(DEEPEST):
        value = [value, {"a": value}][:1]
    assert not is_deep(value)
    assert is_deep({"a": value})
    assert not is_deep(["x"] * 1_000)
