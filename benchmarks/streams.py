"""Open N streams at once and time their chunks: the streaming load of benchmarks/gateway.py.

Plain sockets on one event loop, so that the client costs little beside what it measures. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import cast

import uvloop


class Stream(asyncio.Protocol):
    """One connection that asks for streams, one after the other, until the time is up."""

    def __init__(self, request: bytes, until: float, marker: bytes) -> None:
        self.request, self.until, self.marker = request, until, marker
        self.firsts: list[float] = []
        self.gaps: list[float] = []
        self.chunks = self.streams = self.bad = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.ask()

    def ask(self) -> None:
        self.asked, self.last, self.tail, self.headed = time.perf_counter(), 0.0, b"", False
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.headed and not data.startswith(b"HTTP/1.1 200"):
            self.bad += 1
            self.transport.close()
            return
        self.headed = True
        count = data.count(self.marker)
        if count:
            self.chunks += count
            if not self.last:
                self.firsts.append(now - self.asked)
            else:
                self.gaps.append(now - self.last)
            self.last = now
        self.tail = (self.tail + data)[-7:]
        if self.tail.endswith(b"0\r\n\r\n"):
            self.streams += 1
            if now < self.until:
                self.ask()
            else:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def quantile(values: list[float], q: float) -> float:
    """A quantile in milliseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1e3 if ordered else float("nan")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--headers", type=json.loads, required=True)
    parser.add_argument("--body", required=True)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    body = args.body.encode()
    lines = [f"POST {args.path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in args.headers.items()]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    protocols = []
    for _ in range(args.streams):
        _, protocol = await loop.create_connection(
            lambda: Stream(request, started + args.seconds, b"and a few"), "127.0.0.1", args.port
        )
        protocols.append(protocol)
    await asyncio.wait_for(asyncio.gather(*(p.done for p in protocols)), args.seconds + 60)
    elapsed = time.perf_counter() - started
    firsts = [f for p in protocols for f in p.firsts]
    gaps = [g for p in protocols for g in p.gaps]
    chunks = sum(p.chunks for p in protocols)
    print(
        json.dumps(
            {
                "chunks": chunks,
                "chunksPerSecond": chunks / elapsed,
                "streams": sum(p.streams for p in protocols),
                "bad": sum(p.bad for p in protocols),
                "firstMsP50": quantile(firsts, 0.5),
                "firstMsP99": quantile(firsts, 0.99),
                "gapMsP50": quantile(gaps, 0.5),
                "gapMsP99": quantile(gaps, 0.99),
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(main())
