"""A real ``pharos up`` in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2


@dataclass
class Running:
    """A city that runs. ``out`` and ``err`` grow while it does."""

    home: Path
    process: asyncio.subprocess.Process
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def admin(self) -> str:
        return (self.home / "admin.key").read_text().strip()

    def client(self, secret: str | None = None, **headers: str) -> httpx2.AsyncClient:
        bearer = {"authorization": f"Bearer {secret or self.admin}"}
        return httpx2.AsyncClient(
            base_url=self.url, headers={**bearer, **headers}, timeout=30, trust_env=False, verify=False
        )

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def exit_code(self, timeout: float = 40) -> int:
        async with asyncio.timeout(timeout):
            return await self.process.wait()

    @property
    def said(self) -> str:
        return "".join(self.out) + "".join(self.err)


async def _collect(stream: asyncio.StreamReader, lines: list[str], opened: asyncio.Event | None = None) -> None:
    while line := await stream.readline():
        lines.append(line.decode())
        if opened is not None and "is open at" in lines[-1]:
            opened.set()


@contextlib.asynccontextmanager
async def up(
    home: Path, *arguments: str, environment: Mapping[str, str] | None = None, opens: bool = True
) -> AsyncIterator[Running]:
    """Start a city on a free port and wait until it is open; ``opens=False``: until it has given up."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pharos", "up", "--home", str(home), "--port", "0", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    running = Running(home, process)
    opened = asyncio.Event()
    readers = [
        asyncio.create_task(_collect(process.stdout, running.out, opened)),
        asyncio.create_task(_collect(process.stderr, running.err)),
    ]
    try:
        waiting = [asyncio.create_task(opened.wait()), asyncio.create_task(process.wait())]
        done, _ = await asyncio.wait(waiting, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        assert done, f"neither open nor ended after a minute: {running.said}"
        if opens:
            assert opened.is_set(), running.said
            found = re.search(r"https?://\S+", running.out[0])
            assert found, running.out
            running.url = found[0]
        else:
            await asyncio.gather(*readers)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(*readers)
