"""Large messages of a city in a process of its own: killed in the middle, and how much memory it takes."""

from __future__ import annotations

import asyncio
import hashlib
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.mesh.blobs.conftest import PIECE, TUS, Tenant
from tests.server.processes import Running, up

MB = 1024 * 1024
SIZE = 200 * MB
PART = bytes(range(256)) * (MB // 256)


def peak_of(city: Running) -> int:
    """The most memory the process ever had, in bytes (proc(5), VmHWM: Linux)."""
    status = Path(f"/proc/{city.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


async def parts(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PART


async def test_two_hundred_megabytes_pass_with_flat_memory(tmp_path: Path) -> None:
    digest = hashlib.sha256()
    for _ in range(SIZE // MB):
        digest.update(PART)
    async with up(tmp_path / "home") as city, city.client() as http:
        admin = Tenant("default", http)
        await admin.put(b"everything is loaded once")
        before = peak_of(city)
        place = await admin.begin(SIZE)
        headers = {**TUS, "content-type": PIECE, "upload-offset": "0", "content-length": str(SIZE)}
        sent = await http.patch(place, headers=headers, content=parts(SIZE // MB))
        assert sent.headers["pharos-blob"] == f"sha256:{digest.hexdigest()}"
        await admin.send("letters", f"/blobs/{sent.headers['pharos-blob']}")
        [message] = (await admin.call("topics.read", name="letters"))["items"]
        received, length = hashlib.sha256(), 0
        async with http.stream("GET", message["extensions"]["dataref"]) as answer:
            async for piece in answer.aiter_bytes():
                received.update(piece)
                length += len(piece)
        assert (length, received.digest()) == (SIZE, digest.digest())
        assert peak_of(city) - before < 24 * MB


@pytest.mark.timeout(300)  # four starts of a city, on a machine that may be busy
async def test_killed_at_any_moment_an_upload_goes_on_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """``kill -9`` in the middle of pieces, and between the last piece, the blob and its message."""
    chance = random.Random(20261121)
    total = 24
    digest = hashlib.sha256(PART * total).hexdigest()
    place, sent, rounds = "", False, 0
    while not sent:
        rounds += 1
        async with up(tmp_path / "home") as city, city.client() as http:
            admin = Tenant("default", http)
            if not place:
                place = await admin.begin(total * MB)
            offset = await admin.offset(place)

            async def work(admin: Tenant = admin, place: str = place, offset: int = offset) -> None:
                data = (PART * total)[offset:]
                for start in range(0, len(data), 2 * MB):
                    answer = await admin.piece(place, offset + start, data[start : start + 2 * MB])
                    assert answer.status_code == 204, answer.text
                await admin.send("letters", f"/blobs/sha256:{digest}")

            task = asyncio.create_task(work())
            if rounds < 3:
                await asyncio.wait({task}, timeout=chance.uniform(0.01, 0.12))
                city.signal(signal.SIGKILL)
                await asyncio.gather(task, return_exceptions=True)
                sent = task.done() and not task.cancelled() and task.exception() is None
                await city.exit_code()
            else:
                await task
                sent = True
    async with up(tmp_path / "home") as city, city.client() as http:
        admin = Tenant("default", http)
        messages = (await admin.call("topics.read", name="letters"))["items"]
        assert messages, "what was acknowledged is there"
        for message in messages:
            answer = await http.get(message["extensions"]["dataref"])
            assert hashlib.sha256(answer.content).hexdigest() == digest
        assert (await admin.call("blobs.collect", graceMinutes=0))["blobs"] == 0
        stored = [path for path in (tmp_path / "home" / "blobs").rglob("*") if path.is_file()]
        assert [path.name for path in stored if path.parent.name not in ("uploads",)] == [digest]
