"""Model calls through a city in a process of its own: drained, killed, and searched for what it must not keep."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import openai
import pytest
from tests.server.processes import Running, up

from pharos.release.simulator import Simulator, parse_script, serve

SCRIPT = """
rules:
  - when: {lastUser: slow}
    answer:
      text: one two three four five six seven eight nine ten eleven twelve
      pace: {perTokenMs: 60}
  - when: {lastUser: endless}
    answer:
      text: "a b c d e f g h i j k l m n o p q r s t u v w x y z"
      pace: {perTokenMs: 5000}
  - answer: Hello from the script.
"""

MANIFEST = """
apiVersion: pharos/v1
kind: Provider
metadata: {{name: sim}}
spec: {{dialect: openai-chat, baseUrl: "{url}/v1", apiKey: {{env: SIM_KEY}}}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{name: fast}}
spec: {{targets: [{{provider: sim, model: sim-small}}]}}
---
apiVersion: pharos/v1
kind: Price
metadata: {{name: sim-small}}
spec: {{model: sim-small, inputPerMillion: "0.40", outputPerMillion: "1.60"}}
---
apiVersion: pharos/v1
kind: Budget
metadata: {{name: team}}
spec: {{limit: "1000.00", window: total}}
---
apiVersion: pharos/v1
kind: Key
metadata: {{name: bot}}
spec: {{models: [fast], budgets: [team]}}
"""

PROVIDER_SECRET = "sk-canary-provider-0123456789abcdef"


@pytest.fixture
async def manifest(tmp_path: Path) -> AsyncIterator[Path]:
    """The manifest of a city whose one provider is simulated."""
    async with serve(Simulator(parse_script(SCRIPT))) as url:
        path = tmp_path / "city.yaml"
        path.write_text(MANIFEST.format(url=url))
        yield path


@contextlib.asynccontextmanager
async def city_of(home: Path, manifest: Path, *arguments: str) -> AsyncIterator[Running]:
    async with up(home, "-f", str(manifest), *arguments, environment={"SIM_KEY": PROVIDER_SECRET}) as city:
        yield city


async def issue(city: Running) -> str:
    async with city.client() as client:
        return str((await client.post("/api/keys.issue", json={"key": "bot"})).json()["secret"])


@contextlib.asynccontextmanager
async def sdk(city: Running, secret: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with httpx2.AsyncClient(timeout=60, trust_env=False, verify=False) as http:
        base = f"{city.url}/v1"
        yield openai.AsyncOpenAI(api_key=secret, base_url=base, http_client=http, max_retries=0, timeout=60)


def ask(words: str) -> dict:
    return {"model": "fast", "messages": [{"role": "user", "content": words}]}


async def counters(city: Running) -> tuple[dict, list[dict]]:
    """The team's budget and the ledger."""
    async with city.client() as client:
        (budget,) = [b for b in (await client.get("/api/budgets.list")).json()["items"] if b["name"] == "team"]
        rows = (await client.get("/api/ledger.list?limit=1000")).json()["items"]
    return budget, rows


async def test_a_live_stream_is_drained(tmp_path: Path, manifest: Path) -> None:
    async with city_of(tmp_path / "home", manifest, "--drain", "30") as city:
        secret = await issue(city)
        async with sdk(city, secret) as client:
            stream = await client.chat.completions.create(**ask("slow"), stream=True)
            words = [(await anext(stream)).choices[0].delta.content or ""]
            city.signal(signal.SIGTERM)
            words += [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        assert "".join(words).split()[-1] == "twelve"
        assert await city.exit_code() == 0
        assert "cut off" not in city.said
    async with city_of(tmp_path / "home", manifest) as city:
        _, (row,) = await counters(city)
        assert row["outcome"] == "ok"


async def test_a_stream_beyond_the_drain_limit_is_cut_off_and_settled(tmp_path: Path, manifest: Path) -> None:
    async with city_of(tmp_path / "home", manifest, "--drain", "0.2") as city:
        secret = await issue(city)
        async with sdk(city, secret) as client:
            stream = await client.chat.completions.create(**ask("endless"), stream=True)
            await anext(stream)
            city.signal(signal.SIGTERM)
            with pytest.raises((openai.APIError, httpx2.TransportError)):
                async for _ in stream:
                    pass
        assert await city.exit_code() == 0
    async with city_of(tmp_path / "home", manifest) as city:
        budget, (row,) = await counters(city)
        assert row["outcome"] != "ok"
        assert float(budget["reserved"]) == 0
        async with city.client() as client:
            assert (await client.get("/api/system.doctor")).json()["healthy"]


async def test_a_city_killed_under_load_opens_clean(tmp_path: Path, manifest: Path) -> None:
    answered = 0
    asked = 0

    async def call(client: openai.AsyncOpenAI) -> None:
        nonlocal answered, asked
        while True:
            asked += 1
            try:
                await client.chat.completions.create(**ask("hello"))
            except openai.APIError:
                return
            answered += 1

    async with city_of(tmp_path / "home", manifest) as city:
        secret = await issue(city)
        async with sdk(city, secret) as client:
            callers = [asyncio.create_task(call(client)) for _ in range(16)]
            async with asyncio.timeout(60):
                while answered < 100:
                    await asyncio.sleep(0.005)
            city.signal(signal.SIGKILL)
            await asyncio.gather(*callers)
        await city.exit_code()
    async with city_of(tmp_path / "home", manifest) as city:
        async with sdk(city, secret) as client:
            await client.chat.completions.create(**ask("hello again"))
        budget, rows = await counters(city)
        calls = [row for row in rows if row["outcome"] == "ok"]
        assert answered + 1 <= len(calls) <= asked + 1
        assert float(budget["reserved"]) == 0, budget
        total = sum(float(row["cost"]) for row in rows if row["cost"])
        assert float(budget["settled"]) == pytest.approx(total)
        async with city.client() as client:
            report = (await client.get("/api/system.doctor")).json()
            assert report["healthy"], report


async def test_secrets_and_prompts_are_kept_nowhere(tmp_path: Path, manifest: Path) -> None:
    prompt = "the-patient-has-a-rare-illness-4711"
    wrong = "ph_aaaaaaaaaaaa_" + "Zq7" * 14 + "Z"
    inline = "sk-inline-0123456789-canary-in-a-manifest"
    arguments = ("--log-level", "debug", "--access-log")
    async with city_of(tmp_path / "home", manifest, *arguments) as city:
        admin, secret = city.admin, await issue(city)
        async with sdk(city, secret) as client:
            await client.chat.completions.create(**ask(prompt))
            stream = await client.chat.completions.create(**ask(prompt), stream=True)
            _ = [chunk async for chunk in stream]
            with pytest.raises(openai.NotFoundError):
                await client.chat.completions.create(**{**ask(prompt), "model": "none"})
            with pytest.raises(openai.BadRequestError):
                await client.chat.completions.create(model="fast", messages=[{"role": prompt, "content": prompt}])
        async with sdk(city, wrong) as client:
            with pytest.raises(openai.AuthenticationError):
                await client.chat.completions.create(**ask(prompt))
        said = ""
        async with city.client(wrong) as client:
            said += (await client.get(f"/api/ledger.list?api_key={wrong}")).text
        async with city.client() as client:
            document = {
                "apiVersion": "pharos/v1",
                "kind": "Provider",
                "metadata": {"name": "bad"},
                "spec": {"dialect": "openai-chat", "baseUrl": "http://127.0.0.1:1", "apiKey": inline},
            }
            refused = await client.post("/api/catalog.apply", json={"documents": [document]})
            assert refused.status_code == 400
            manifest_text = json.dumps(document)
            said += refused.text
            said += (await client.post("/api/catalog.apply", json={"manifest": manifest_text})).text
            for path in (
                "system.doctor",
                "keys.list",
                "operations.list",
                "ledger.list",
                "journeys.list",
                "system.graph",
            ):
                said += (await client.get(f"/api/{path}")).text
            said += (await client.get("/api/catalog.get?kind=Key&name=bot")).text
            said += (await client.get("/metrics")).text
            broken = await client.post("/v1/chat/completions", content=b'{"model": "' + inline.encode())
            assert broken.status_code in (400, 401)
            said += broken.text
        city.signal(signal.SIGTERM)
        assert await city.exit_code() == 0
        said += city.said
    assert said.count("pharos") > 3  # there is something to search in
    canaries = {
        "the admin's key": admin,
        "an issued key": secret,
        "a wrong key": wrong,
        "the provider's key": PROVIDER_SECRET,
        "a key in a manifest": inline,
        "a prompt": prompt,
    }
    for name, canary in canaries.items():
        for form in (canary, canary[:24]):
            assert form not in said, f"{name} was said: {said[said.index(form) - 300 :][:400]}"
    for path in (tmp_path / "home").rglob("*"):
        if path.is_file() and path.name != "admin.key":
            content = path.read_bytes()
            for name, canary in canaries.items():
                assert canary.encode() not in content, f"{name} is in {path.name}"
