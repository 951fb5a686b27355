"""The main job of Pharos on real HTTP traffic, without a question asked and with nothing left running.

A city and its providers start on loopback; the official OpenAI and Anthropic SDKs, changed only in their base URL,
drive it; an agent's refused call is repaired through MCP; a planner and its scholars do research while the city is
killed with SIGKILL, and finish it when the city is back. The providers are simulated (``pharos simulate``); with
``OPENAI_API_KEY`` or ``ANTHROPIC_API_KEY`` in the environment the provider of that dialect is the real one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import string
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client

import pharos

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # it is run by its path

from scripts import research  # noqa: E402
from scripts.children import PHAROS, free_port, running  # noqa: E402

DEMO = ROOT / "examples" / "demo"

WEATHER = {
    "name": "get_weather",
    "description": "The weather at a place now.",
    "schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
QUESTION = "What is the weather in Alexandria? Use the tool."


def say(text: str) -> None:
    """A step of the demo."""
    print(f"\n\033[1m── {text}\033[0m" if sys.stdout.isatty() else f"\n── {text}", flush=True)


def streamed_call(url: str, secret: str) -> None:
    """A streamed call with the OpenAI SDK."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0)
    stream = client.chat.completions.create(
        model="fast", messages=[{"role": "user", "content": "Say hello to the harbour."}], stream=True
    )
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            print(chunk.choices[0].delta.content, end="", flush=True)
    print()


def tool_call_across_dialects(url: str, secret: str) -> None:
    """The Anthropic SDK uses a tool with a model whose provider speaks OpenAI; then the other way round."""
    claude = anthropic.Anthropic(base_url=url, api_key=secret, max_retries=0)
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    tools: list[Any] = [
        {"name": WEATHER["name"], "description": WEATHER["description"], "input_schema": WEATHER["schema"]}
    ]
    first = claude.messages.create(model="fast", max_tokens=300, messages=messages, tools=tools)
    use = next(block for block in first.content if block.type == "tool_use")
    print(f"anthropic SDK → openai-chat provider: {use.name}({json.dumps(use.input)})")
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "Sunny, 24 °C"}]},
    ]
    second = claude.messages.create(model="fast", max_tokens=300, messages=messages, tools=tools)
    print("  answer:", "".join(block.text for block in second.content if block.type == "text"))

    gpt = openai.OpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0)
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    functions: list[Any] = [
        {
            "type": "function",
            "function": {
                "name": WEATHER["name"],
                "description": WEATHER["description"],
                "parameters": WEATHER["schema"],
            },
        }
    ]
    reply = gpt.chat.completions.create(model="careful", messages=history, tools=functions).choices[0].message
    call = (reply.tool_calls or [])[0]
    assert call.type == "function"
    print(f"openai SDK → anthropic provider: {call.function.name}({call.function.arguments})")
    history += [
        reply.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 24 °C"},
    ]
    final = gpt.chat.completions.create(model="careful", messages=history, tools=functions)
    print("  answer:", final.choices[0].message.content)


def failover(url: str, secret: str, doomed: subprocess.Popen[bytes]) -> None:
    """A provider is killed; the next call is served by the fallback, and says so."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0)
    for _ in range(2):
        raw = client.chat.completions.with_raw_response.create(
            model="steady", messages=[{"role": "user", "content": "Are you there?"}]
        )
        print(f"served by provider {raw.headers['x-pharos-provider']}: {raw.parse().choices[0].message.content}")
        if doomed.poll() is None:
            doomed.kill()
            doomed.wait()
            print("provider 'doomed' was killed with SIGKILL")


async def run_fix(url: str, secret: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Execute a fix as an MCP tool call."""
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {secret}"}, timeout=30) as http,
        McpClient(streamable_http_client(f"{url}/mcp", http_client=http)) as session,
    ):
        result = await session.call_tool(tool, arguments)
        if result.is_error or result.structured_content is None:
            raise SystemExit(f"the fix failed: {result.content}")
        return dict(result.structured_content)


def refused_and_repaired(url: str, secret: str, approver: str) -> str:
    """A budget refuses; an approver's MCP client runs the returned fix; the same call succeeds."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0)

    def ask() -> Any:
        return client.chat.completions.create(
            model="careful", max_tokens=200, messages=[{"role": "user", "content": "May I sail today?"}]
        )

    try:
        ask()
    except openai.APIStatusError as refusal:
        fault = refusal.response.json()["pharos"]
    else:
        raise SystemExit("the budget did not refuse")
    print(f"{fault['status']} {fault['code']}: {fault['detail']}")
    fix = next(fix for fix in fault["fixes"] if fix["applicability"] == "certain")
    call = fix["call"]
    print(f"fix ({fix['applicability']}, {fix['permitted']}): {call['operation']} {json.dumps(call['arguments'])}")
    tool = call["operation"].replace(".", "_")
    done = asyncio.run(run_fix(url, approver, tool, call["arguments"]))
    print(f"the approver's MCP client called {tool}: operation {done['operation']}")
    print("the same call again:", ask().choices[0].message.content)
    return str(done["operation"])


def cli(url: str, key: str, *arguments: str) -> None:
    """Run a command of the CLI and show what it prints."""
    print(f"$ pharos {' '.join(arguments)}", flush=True)
    env = {**os.environ, "PHAROS_URL": url, "PHAROS_KEY": key, "COLUMNS": "150"}
    subprocess.run([*PHAROS, *arguments], check=True, env=env)


def main() -> int:
    started = time.monotonic()
    ports = {name: free_port() for name in ("north", "south", "doomed", "scholars", "city")}
    words = {
        "SCHOLARS_URL": f"http://127.0.0.1:{ports['scholars']}/v1",
        "NORTH_URL": f"http://127.0.0.1:{ports['north']}/v1",
        "SOUTH_URL": f"http://127.0.0.1:{ports['south']}/v1",
        "DOOMED_URL": f"http://127.0.0.1:{ports['doomed']}/v1",
        "NORTH_MODEL": "sim-small",
        "SOUTH_MODEL": "sim-large",
    }
    keys = {f"DEMO_{name}_KEY": "simulated" for name in ("NORTH", "SOUTH", "DOOMED")}
    if real := os.environ.get("OPENAI_API_KEY"):
        keys["DEMO_NORTH_KEY"] = real
        words |= {"NORTH_URL": "https://api.openai.com/v1", "NORTH_MODEL": "gpt-5-mini"}
    if real := os.environ.get("ANTHROPIC_API_KEY"):
        keys["DEMO_SOUTH_KEY"] = real
        words |= {"SOUTH_URL": "https://api.anthropic.com/v1", "SOUTH_MODEL": "claude-haiku-4-5"}
    url = f"http://127.0.0.1:{ports['city']}"

    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pharos-demo-")))
        library = home / "library"
        library.mkdir()
        keys["DEMO_LIBRARY"] = str(library)
        say("Start simulated providers, one of which will die, and the city")
        children = {}
        for name in ("north", "south", "doomed", "scholars"):
            command = [*PHAROS, "simulate", "--script", str(DEMO / f"{name}.yaml"), "--port", str(ports[name])]
            models = f"http://127.0.0.1:{ports[name]}/v1/models"
            children[name] = stack.enter_context(running(command, models, home / f"{name}.log", {}))
        manifest = home / "city.yaml"
        manifest.write_text(string.Template((DEMO / "city.yaml").read_text()).substitute(words))
        command = [*PHAROS, "up", "--home", str(home / "city"), "--port", str(ports["city"]), "-f", str(manifest)]
        command += ["-f", str(DEMO / "research.py")]
        city = stack.enter_context(running(command, f"{url}/readyz", home / "city.log", keys))
        print(f"the city listens on {url}")

        admin = (home / "city" / "admin.key").read_text().strip()
        control = stack.enter_context(pharos.Client(url, admin))
        secrets = {name: control.keys.issue(key=name).secret for name in ("harbour-bot", "apprentice", "approver")}

        say("A streamed call: the OpenAI SDK with another base URL")
        streamed_call(url, secrets["harbour-bot"])
        say("A tool call across dialects, both ways")
        tool_call_across_dialects(url, secrets["harbour-bot"])
        say("A provider dies in the middle of the day")
        failover(url, secrets["harbour-bot"], children["doomed"])
        say("A budget refuses, the fix is executed as returned, the call succeeds")
        operation = refused_and_repaired(url, secrets["apprentice"], secrets["approver"])
        say("Undo")
        cli(url, admin, "undo", operation)
        say("A planner and three scholars at work: the city is killed with SIGKILL in the middle")
        research.begin(control, library)
        city.kill()
        city.wait()
        print("the city is dead")
        say("The city is started again: the research goes on where it was")
        city = stack.enter_context(running(command, f"{url}/readyz", home / "city-again.log", keys))
        research.show(control)
        research.finish(control, library)
        say("What happened: journeys and ledger, two views of one log")
        cli(url, admin, "journeys")
        cli(url, admin, "ledger")
        say("What is: the graph of the city, with its broken part")
        cli(url, admin, "graph")

        control.close()
        city.send_signal(signal.SIGTERM)
        code = city.wait(15)
        say(f"The city drained and ended with exit code {code}; {time.monotonic() - started:.0f} s in all")
    return code


if __name__ == "__main__":
    sys.exit(main())
