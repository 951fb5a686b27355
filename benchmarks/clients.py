"""What a request to a provider costs through three HTTP clients: Pharos's own transport, pyreqwest and aiohttp.

The decision behind ``gateway/models/upstream/pool.py`` (docs/decisions/0007-own-transport.md) rests on this script.
Each client runs alone in a process on core 0, 64 requests under way, against the mock provider on core 1; the figure
is CPU time per request. The last column says whether a request that is cancelled before the first byte of its answer
is stopped at the provider (its connection closed within a second), because a provider bills what it goes on to
generate.

    python benchmarks/clients.py [--requests 20000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from measure import median, table

from gateway import GATEWAY_CORE, body, provider

PEERS = ("pyreqwest==0.15.1", "aiohttp==3.14.5")
PAYLOAD = body("small-1").encode()
HEADERS = [("authorization", "Bearer upstream-secret"), ("content-type", "application/json")]
PATH = "/v1/chat/completions"

Post = Callable[[], Awaitable[bytes]]


async def own(port: int) -> Post:
    """Pharos's transport."""
    from pharos.gateway.models.upstream.pool import PooledTransport
    from pharos.gateway.models.upstream.transport import UpstreamRequest

    transport = PooledTransport(f"http://127.0.0.1:{port}", connect_seconds=5, user_agent="bench")
    request = UpstreamRequest(PATH, HEADERS, PAYLOAD)

    async def post() -> bytes:
        response = await transport.send(request)
        try:
            pieces = []
            while piece := await response.read():
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            await response.aclose()

    return post


async def pyreqwest(port: int) -> Post:
    """pyreqwest, streamed, without read-ahead."""
    from pyreqwest.client import ClientBuilder

    client = ClientBuilder().build()
    url = f"http://127.0.0.1:{port}{PATH}"

    async def post() -> bytes:
        request = client.post(url).headers(HEADERS).body_bytes(PAYLOAD).streamed_read_buffer_limit(0)
        async with request.build_streamed() as response:
            pieces = []
            while (piece := await response.body_reader.read_chunk()) is not None:
                pieces.append(bytes(piece))
            return b"".join(pieces)

    return post


async def aiohttp(port: int) -> Post:
    """aiohttp with one session."""
    from aiohttp import ClientSession, TCPConnector

    session = ClientSession(connector=TCPConnector(limit=0))
    url = f"http://127.0.0.1:{port}{PATH}"

    async def post() -> bytes:
        async with session.post(url, data=PAYLOAD, headers=HEADERS) as response:
            return await response.read()

    return post


CLIENTS: dict[str, Callable[[int], Awaitable[Post]]] = {"own": own, "pyreqwest": pyreqwest, "aiohttp": aiohttp}


async def load(client: str, port: int, requests: int) -> float:
    """CPU microseconds per request."""
    post = await CLIENTS[client](port)
    if b"chat.completion" not in await post():
        raise RuntimeError(f"{client} got a wrong answer")
    left = requests

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await post()

    await asyncio.gather(*(work() for _ in range(64)))
    left = requests
    started = time.process_time()
    await asyncio.gather(*(work() for _ in range(64)))
    return (time.process_time() - started) * 1e6 / requests


async def cancelled(client: str) -> bool:
    """Whether a request cancelled before its first byte is stopped at the provider."""
    arrived, left = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        while await reader.read(65536):
            pass
        left.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    post = await CLIENTS[client](server.sockets[0].getsockname()[1])
    request = asyncio.ensure_future(post())
    await asyncio.wait_for(arrived.wait(), 5)
    request.cancel()
    await asyncio.wait([request], timeout=5)
    try:
        await asyncio.wait_for(left.wait(), 1)
    except TimeoutError:
        return False
    return True


def environment(work: Path) -> Path:
    """An interpreter with this project and the peers."""
    python = work / "clients/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", work / "clients"], check=True)
        install = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *PEERS, "-e", Path(__file__).resolve().parent.parent], check=True)
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path(".bench"))
    parser.add_argument("--measure", nargs=2, metavar=("CLIENT", "PORT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        import uvloop

        client, port = args.measure
        cpu = uvloop.run(load(client, int(port), args.requests))
        print(json.dumps({"cpu": cpu, "cancelled": uvloop.run(cancelled(client))}))
        return 0
    args.work.mkdir(parents=True, exist_ok=True)
    work = args.work.resolve()
    python = environment(work)
    samples: dict[str, list[dict[str, float]]] = {client: [] for client in CLIENTS}
    with provider(work) as port:
        for _ in range(args.rounds):
            for client, kept in samples.items():
                command = ["taskset", "-c", str(GATEWAY_CORE), str(python), __file__, "--requests", str(args.requests)]
                output = subprocess.run([*command, "--measure", client, str(port)], check=True, capture_output=True)
                kept.append(json.loads(output.stdout))
    rows = [
        [client, median(k["cpu"] for k in kept), "yes" if all(k["cancelled"] for k in kept) else "no"]
        for client, kept in samples.items()
    ]
    print(table(["client", "CPU µs/request", "cancel reaches the provider"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
