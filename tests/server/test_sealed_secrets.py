"""A provider's credential that the city keeps: used for calls, shown when broken, and nowhere in clear."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from tests.server.processes import Running, up

from pharos.release.simulator import Simulator, parse_script, serve

CANARY = "sk-canary-sealed-0123456789abcdef"

MANIFEST = """
apiVersion: pharos/v1
kind: Secret
metadata: {{name: acme}}
spec: {{purpose: our account}}
---
apiVersion: pharos/v1
kind: Provider
metadata: {{name: acme}}
spec: {{dialect: openai-chat, baseUrl: "{url}/v1", apiKey: {{secret: acme}}, retries: {{attempts: 1}}}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{name: fast}}
spec: {{targets: [{{provider: acme, model: small}}]}}
"""

CALL = {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}


async def checks(city: Running, name: str) -> list[dict]:
    async with city.client() as http:
        return [c for c in (await http.get("/api/system.doctor")).json()["checks"] if c["check"] == name]


async def ended(city: Running) -> None:
    city.signal(signal.SIGTERM)
    assert await city.exit_code() == 0, city.said
    assert CANARY not in city.said


async def test_a_sealed_credential_serves_calls_and_shows_when_it_is_broken(tmp_path: Path) -> None:
    home = tmp_path / "home"
    simulator = Simulator(parse_script("rules: [{answer: Hello.}]"))
    async with serve(simulator) as url:
        manifest = tmp_path / "city.yaml"
        manifest.write_text(MANIFEST.format(url=url))
        async with up(home, "-f", str(manifest), "--access-log", "--log-level", "debug") as city:
            async with city.client() as http:
                refused = await http.post("/v1/chat/completions", json=CALL)
                assert refused.status_code >= 500
                assert "Secret/default/acme cannot be used: it was never set" in refused.text
                assert [c["state"] for c in await checks(city, "secrets")] == ["error"]
                answer = await http.post(
                    "/api/secrets.set", json={"name": "acme", "value": CANARY}, headers={"idempotency-key": "once"}
                )
                assert answer.status_code == 200, answer.text
                assert (await http.post("/v1/chat/completions", json=CALL)).status_code == 200
                assert simulator.received.last.key == CANARY
                assert [c["state"] for c in await checks(city, "secrets")] == ["ok"]
                for path in (
                    "/api/secrets.list",
                    "/api/catalog.list?kind=Secret",
                    "/api/catalog.get?kind=Secret&name=acme",
                    "/api/catalog.history?kind=Secret&name=acme",
                    "/api/operations.list",
                    "/api/system.graph",
                    "/api/journeys.list",
                ):
                    shown = await http.get(path)
                    assert shown.status_code == 200, path
                    assert CANARY not in shown.text, path
                    assert '"sealed"' not in shown.text, path
                # The master key is changed while calls go on.
                calls = [asyncio.create_task(http.post("/v1/chat/completions", json=CALL)) for _ in range(20)]
                rotated = (await http.post("/api/secrets.rotate", json={})).json()
                assert (rotated["rewrapped"], rotated["broken"]) == (1, [])
                assert {(await call).status_code for call in calls} == {200}
                graph = (await http.get("/api/system.graph")).json()
                assert "Secret/default/acme" in str(graph)
            await ended(city)
        found = [path for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
        assert found == []
        (home / "master.keys").unlink()
        async with up(home) as city:
            assert any("cannot be used" in line for line in city.out)
            async with city.client() as http:
                refused = await http.post("/v1/chat/completions", json=CALL)
                assert refused.status_code >= 500
                assert "its master key is not in master.keys" in refused.text
                assert [c["state"] for c in await checks(city, "secrets")] == ["error"]
                async with asyncio.timeout(20):
                    while "'Readable'" not in str(
                        condition := (await http.get("/api/catalog.get?kind=Secret&name=acme")).json()["status"]
                    ):
                        await asyncio.sleep(0.02)
                assert "'status': 'False'" in str(condition)
            await ended(city)
