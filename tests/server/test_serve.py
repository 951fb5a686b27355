"""``pharos up`` as a process: start, signals, sudden death."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path

import httpx2
import pytest
from tests.server.processes import Running, up

from pharos.core.fault import Fault
from pharos.server import serve
from pharos.server.http.surfaces import Surface
from pharos.server.serve import is_loopback
from pharos.server.terminal import Opened, greeting


async def stopped(city: Running, number: signal.Signals = signal.SIGTERM) -> None:
    city.signal(number)
    assert await city.exit_code() == 0, city.said


async def test_the_first_start_writes_a_key_that_is_never_shown_and_applies_manifests(tmp_path: Path) -> None:
    home = tmp_path / "city"
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(
        "apiVersion: pharos/v1\nkind: Key\nmetadata: {name: bot}\nspec: {scopes: [ledger.read]}\n---\n"
        "apiVersion: pharos/v1\nkind: Agent\nmetadata: {name: helper}\nspec: {model: small, key: bot}\n"
    )
    async with up(home, "-f", str(manifest)) as city:
        secret = city.admin
        assert stat.S_IMODE((home / "admin.key").stat().st_mode) == 0o600
        assert str(home / "admin.key") in "".join(city.out)
        async with city.client() as client:
            assert (await client.get("/api/system.version")).json()["apiVersion"] == "pharos/v1"
            assert (await client.get("/readyz")).json() == {"status": "ready"}
            report = (await client.get("/api/system.doctor")).json()
            assert report["healthy"], report
            bot = await client.get("/api/catalog.get?kind=Key&name=bot")
            assert bot.json()["spec"]["scopes"] == ["ledger.read"]
            # The city knows its port before anybody has come by it.
            card = (await client.get("/api/cards.get?agent=helper")).json()["card"]
            assert card["supportedInterfaces"][0]["url"] == f"{city.url}/a2a/default/helper"
        await stopped(city)
        assert secret not in city.said
    async with up(home) as city:
        assert city.admin == secret
        async with city.client() as client:
            assert (await client.get("/api/system.version")).status_code == 200
        await stopped(city, signal.SIGINT)
        assert secret not in city.said
        assert city.out[-2:] == ["Stopping: nothing is under way.\n", f"Stopped. Everything is kept in {home}.\n"]
        for line in city.err:
            json.loads(line)


async def test_one_process_owns_a_home(tmp_path: Path) -> None:
    async with up(tmp_path / "city") as city:
        async with up(tmp_path / "city", opens=False) as second:
            assert await second.exit_code() == 1
            assert second.out == []
            assert f"HOME_IN_USE: The home {tmp_path / 'city'} is open in process {city.process.pid}" in second.said
        async with city.client() as client:
            assert (await client.get("/api/system.version")).status_code == 200
        await stopped(city)


def test_an_address_that_cannot_be_had(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for host, number in (("127.0.0.1", port), ("192.0.2.1", 0), ("no.such.host.invalid", 0)):
            with pytest.raises(Fault, match=f"ADDRESS_UNAVAILABLE: Cannot listen on {host}:{number}") as caught:
                serve.up(tmp_path / "city", host, number)
            assert caught.value.fixes
    assert not (tmp_path / "city").exists()


async def test_a_start_that_fails_says_why_and_ends_with_one(tmp_path: Path) -> None:
    for form, said in ((), "MANIFEST_UNREADABLE: Cannot read"), (("--json",), '"code": "MANIFEST_UNREADABLE"'):
        async with up(tmp_path / "city", "-f", str(tmp_path / "none.yaml"), *form, opens=False) as city:
            assert await city.exit_code() == 1
            assert said in "".join(city.err)
            assert city.out == []
    assert not (tmp_path / "city").exists()


def test_a_manifest_that_does_not_apply(tmp_path: Path) -> None:
    key = "apiVersion: pharos/v1\nkind: Key\nmetadata: {name: bot}\nspec: {scopes: [ledger.read]}\n"
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(key)
    bad.write_text(key.replace("bot", "one") + "---\n" + key.replace("bot", "two").replace("scopes", "scopse"))
    with pytest.raises(Fault) as caught:
        serve.up(tmp_path / "city", port=0, files=[good, bad])
    [problem] = caught.value.document.problems
    assert (problem.pointer, problem.suggestion) == (f"{bad}#2: /spec/scopse", "scopes")


def test_a_home_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Fault, match="STORAGE_FAILED: "):
        serve.up(tmp_path / "file", port=0)
    (tmp_path / "city" / "admin.key").mkdir(parents=True)
    with pytest.raises(Fault, match="STORAGE_FAILED: "):
        serve.up(tmp_path / "city", port=0)


async def test_what_resources_lack_is_told_at_the_start(tmp_path: Path) -> None:
    """Files may come in any order: what one of them names and another declares is not missing."""
    (tmp_path / "a.yaml").write_text(
        "apiVersion: pharos/v1\nkind: Model\nmetadata: {name: fast}\n"
        "spec: {targets: [{provider: acme, model: m}], fallbacks: [backup]}\n"
    )
    (tmp_path / "b.yaml").write_text(
        "apiVersion: pharos/v1\nkind: Provider\nmetadata: {name: acme}\n"
        "spec: {dialect: openai-chat, baseUrl: 'http://127.0.0.1:1', apiKey: {env: PHAROS_TEST_NOT_SET}}\n"
    )
    (tmp_path / "c.yaml").write_text("")
    files = [word for name in "abc" for word in ("-f", str(tmp_path / f"{name}.yaml"))]
    async with up(tmp_path / "city", *files) as city:
        await stopped(city)
    warnings = [line.strip() for line in city.out if "warning" in line]
    assert warnings == [
        "warning    Provider/default/acme needs the environment variable PHAROS_TEST_NOT_SET.",
        "warning    Model/default/backup does not exist, but is referred to by Model/default/fast.",
    ]


async def test_a_program_is_told_the_address_in_json(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pharos", "up", "--home", str(tmp_path / "city"), "--port", "0", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        opened = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        assert opened["adminKey"] == str(tmp_path / "city" / "admin.key")
        assert opened["warnings"] == []
        async with httpx2.AsyncClient(timeout=60, trust_env=False, verify=False) as http:
            assert (await http.get(f"{opened['url']}/readyz")).status_code == 200
    finally:
        process.terminate()
        rest, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
    assert [json.loads(line) for line in rest.splitlines()] == [
        {"stopping": {"calls": 0, "drainSeconds": 10.0}},
        {"stopped": True},
    ]


async def test_a_city_that_nobody_listens_to_ends_in_order(tmp_path: Path) -> None:
    listening, spoken = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pharos", "up", "--home", str(tmp_path / "city"), "--port", "0", "--json"),
        stdout=spoken,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(spoken)
    with open(listening) as said:  # a program that wants the address, and then hears no more
        assert "url" in json.loads(await asyncio.to_thread(said.readline))
    process.terminate()
    _, complaints = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, complaints) == (0, b"")


async def half_sent(city: Running, body: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A call under way: its head and half of its body are sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", city.port)
    head = f"POST /api/system.version HTTP/1.1\r\nHost: x\r\nx-api-key: {city.admin}\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Expect: 100-continue\r\n\r\n" + body[:1])
    async with asyncio.timeout(20):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    return reader, writer


async def test_calls_under_way_end_before_the_city_does(tmp_path: Path) -> None:
    async with up(tmp_path / "city") as city, city.client() as client:
        async with client.stream("GET", "/api/catalog.watch") as watch:
            lines = watch.aiter_lines()
            assert await anext(lines) == ": open"
            reader, writer = await half_sent(city, b"{}")
            city.signal(signal.SIGTERM)
            # What would never end by itself ends at once …
            async with asyncio.timeout(20):
                assert [line async for line in lines if line.startswith("event: ")] == []
        # … new connections are refused …
        await refused(city)
        # … and what is under way is answered.
        writer.write(b"}")
        async with asyncio.timeout(20):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200"), answer
        writer.close()
        assert await city.exit_code() == 0


@pytest.mark.parametrize("again", [False, True], ids=["the drain limit", "a second signal"])
async def test_what_does_not_end_is_cut_off(tmp_path: Path, again: bool) -> None:
    async with up(tmp_path / "city", "--drain", "60" if again else "0.3") as city:
        reader, writer = await half_sent(city, b"{}")
        city.signal(signal.SIGTERM)
        if again:
            await refused(city)
            city.signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503"), answer
        assert b"SHUTTING_DOWN" in answer
        writer.close()
        assert await city.exit_code() == 0
        assert f"Stopping: 1 call under way has {60 if again else 0.3:g} s to end." in "".join(city.out)
        assert "the drain limit is over: 1 calls are cut off" in "".join(city.err)


async def refused(city: Running) -> None:
    """Wait until the city takes no more connections."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", city.port)
        except ConnectionRefusedError:
            return
        writer.close()
        await asyncio.sleep(0.02)


async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    home = tmp_path / "city"
    acknowledged: set[str] = set()
    asked = 0

    async def write(client: httpx2.AsyncClient, worker: int) -> None:
        nonlocal asked
        for number in range(10_000):
            name = f"key-{worker}-{number}"
            document = {"apiVersion": "pharos/v1", "kind": "Key", "metadata": {"name": name}, "spec": {}}
            asked += 1
            try:
                answer = await client.post("/api/catalog.apply", json={"documents": [document]})
            except httpx2.TransportError:
                return
            assert answer.status_code == 200, answer.text
            acknowledged.add(name)

    async with up(home) as city:
        async with city.client() as client:
            writers = [asyncio.create_task(write(client, worker)) for worker in range(8)]
            async with asyncio.timeout(60):
                while len(acknowledged) < 100:
                    await asyncio.sleep(0.005)
            city.signal(signal.SIGKILL)
            await asyncio.gather(*writers)
        assert await city.exit_code() == -signal.SIGKILL
    async with up(home) as city:
        async with city.client() as client:
            kept: set[str] = set()
            cursor = None
            while True:
                query = {"kind": "Key", "limit": "500", **({"cursor": cursor} if cursor else {})}
                page = (await client.get("/api/catalog.list", params=query)).json()
                kept |= {item["metadata"]["name"] for item in page["items"]}
                cursor = page["next"]
                if cursor is None:
                    break
            assert acknowledged <= kept
            assert len(kept) - 1 <= asked
            report = (await client.get("/api/system.doctor")).json()
            assert report["healthy"], report
        await stopped(city)


def test_a_city_beyond_loopback_warns() -> None:
    assert "without TLS" in greeting(Opened(Path("/h"), "0.0.0.0", 7700, loopback=False))
    assert "without TLS" not in greeting(Opened(Path("/h"), "127.0.0.1", 7700, loopback=True))
    assert "http://[::1]:7700" in greeting(Opened(Path("/h"), "::1", 7700, loopback=True))
    hosts = ("127.0.0.1", "::1", "localhost", "127.8.8.8", "0.0.0.0", "::", "example.org", "")
    assert [is_loopback(host) for host in hosts] == [True] * 4 + [False] * 4


@pytest.mark.parametrize(
    ("host", "reached"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")],
)
def test_a_city_knows_where_it_is_reached(host: str, reached: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        door = serve._Door(Surface.WHOLE, host, [listening])
        assert serve._own_url(door, None) == f"http://{reached}:{door.port}"
