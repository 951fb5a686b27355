"""The example scripts and those of the how-to page are scripts, and the examples do what their comments say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import yaml
from tests.release.simulated import Running, Simulate

from pharos.release.simulator import Script, load_script

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "scripts").glob("*.yaml"))
PAGE = (ROOT / "docs" / "how-to" / "simulate.md").read_text("utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_script(path: Path) -> None:
    script = load_script(path)
    assert script.name == path.stem
    assert all(rule.name for rule in script.rules)


def test_the_scripts_of_the_page_are_scripts() -> None:
    scripts = [block for block in BLOCKS if "apiVersion" not in block]
    assert len(scripts) == 3
    for block in scripts:
        Script.model_validate(yaml.safe_load(block))


def test_the_page_names_every_finish_word_and_every_fault() -> None:
    schema = Script.model_json_schema()["$defs"]
    words = {word for option in schema["Answer"]["properties"]["finish"]["anyOf"] for word in option.get("enum", ())}
    kinds = {part["properties"]["kind"]["const"] for part in schema.values() if "kind" in part.get("properties", {})}
    assert len(words) == 8
    assert len(kinds) == 7
    for word in words:
        assert f"| `{word}`" in PAGE
    for kind in kinds:
        assert f"| `{{kind: {kind}" in PAGE


async def example(simulate: Simulate, name: str) -> Running:
    return await simulate((ROOT / "examples" / "scripts" / f"{name}.yaml").read_text("utf-8"))


async def test_the_tools_example(simulate: Simulate) -> None:
    running = await example(simulate, "tools")
    tools: list[Any] = [{"name": "get_weather", "input_schema": {"type": "object"}}]
    messages: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    ask = {"model": "sim-small", "max_tokens": 500, "tools": tools}
    async with running.anthropic.messages.stream(messages=messages, **ask) as stream:
        first = await stream.get_final_message()
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sun"} for call in calls]
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = await running.anthropic.messages.create(messages=messages, **ask)
    assert second.content[0].text == "Here is what I found: sun\nsun"


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("limit", openai.RateLimitError),
        ("crash", openai.InternalServerError),
        ("busy", openai.InternalServerError),
        ("proxy", openai.InternalServerError),
        ("stall", openai.APITimeoutError),
        ("freeze", openai.APITimeoutError),
        ("cut", openai.APIConnectionError),
        ("garbage", ValueError),
        ("regret", openai.APIError),
        ("mojibake", UnicodeDecodeError),
    ],
)
async def test_the_failures_example(simulate: Simulate, word: str, error: type[Exception]) -> None:
    running = await example(simulate, "failures")
    client = running.openai.with_options(timeout=0.5 if error is openai.APITimeoutError else 60)
    messages: list[Any] = [{"role": "user", "content": f"Please: {word}"}]
    with pytest.raises(error):
        async for _ in await client.chat.completions.create(model="m", messages=messages, stream=True):
            pass


async def test_the_pace_example(simulate: Simulate) -> None:
    running = await example(simulate, "pace")
    usages = []
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    for _ in range(2):
        answer = await running.anthropic.messages.create(model="m", max_tokens=500, messages=messages)
        usages.append(answer.usage)
        messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": "and?"}]
    assert [usage.cache_creation_input_tokens for usage in usages] == [4000, 0]
    assert [usage.cache_read_input_tokens for usage in usages] == [0, 4000]
    assert isinstance(running.anthropic, anthropic.AsyncAnthropic)
