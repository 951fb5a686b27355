"""The city that the examples are written for, with the simulator in it, and a way to run a script against it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.server.serving import serving

from pharos.core.principal import SYSTEM
from pharos.release.simulator import Simulator, parse_script, serve
from pharos.server.city import City, open_city

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SIMULATOR = "http://127.0.0.1:9000"
"""Where the examples' manifests expect it."""


@dataclass
class Example:
    """A city that serves."""

    city: City
    url: str
    simulator: Simulator

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return await self.city.invoker.invoke(operation, arguments, replace(SYSTEM, namespace="default"))

    async def run(self, script: Path, key: str) -> str:
        """Run a script as a user would, with a secret of ``key``; what it printed."""
        secret = (await self.call("keys.issue", key=key))["secret"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "PHAROS"))}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(script),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**kept, "PHAROS_URL": self.url, "PHAROS_KEY": secret},
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), 120)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, err.decode()
        return out.decode()


@asynccontextmanager
async def open_example(home: Path, folder: Path, files: Sequence[str] = ("city.yaml",)) -> AsyncIterator[Example]:
    """The city of ``folder``: its manifests, and the simulator with its ``script.yaml``."""
    simulator = Simulator(parse_script((folder / "script.yaml").read_text(), "example"))
    async with serve(simulator) as provider:
        placed = []
        for name in files:
            file = home.with_name(f"{home.name}-{name}")
            file.write_text((folder / name).read_text().replace(SIMULATOR, provider))
            placed.append(file)
        async with open_city(home, files=placed) as city, serving(city.app) as served:
            yield Example(city, served.url, simulator)
