"""What a city and the command load: packages that many never need come with their first use, not with the start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("mcp", "mcp_types", "cel", "joserfc", "a2a", "ag_ui", "google.protobuf", "grpc", "httpx")
"""Packages that take longer to import than all the city's own modules together."""

OPEN = """
import asyncio, json, sys
from pathlib import Path
import pharos.server.serve
from pharos.server.city import open_city

async def main():
    async with open_city(Path(sys.argv[1])):
        print(json.dumps(sorted(sys.modules)))

asyncio.run(main())
"""

SERVE = """
import json, os, signal, sys, threading
from pharos.server import serve
from pharos.server.cli.app import run

imported, import_later = threading.Event(), serve._import_later

def until_imported():
    imported.wait(50)
    os.kill(os.getpid(), signal.SIGTERM)

def spied():
    import_later()
    imported.set()

serve._import_later = spied
threading.Thread(target=until_imported).start()
run(["up", "--home", sys.argv[1], "--port", "0"])
print(json.dumps(sorted(sys.modules)))
"""

RUN = """
import json, sys
from pharos.server.cli.app import run

run(sys.argv[1:])
print("\\n" + json.dumps(sorted(sys.modules)))
"""


def loaded(program: str, *arguments: str) -> set[str]:
    """The modules that a program has loaded in the end."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_an_open_city_has_not_loaded_what_nobody_has_asked_for(tmp_path: Path) -> None:
    assert not loaded(OPEN, str(tmp_path / "home")) & {*HEAVY}


def test_what_applying_needs_is_imported_once_the_port_is_open(tmp_path: Path) -> None:
    assert {"cel", "joserfc.jwk"} <= loaded(SERVE, str(tmp_path / "home"))


@pytest.mark.parametrize(
    "arguments",
    [("version",), ("--help",), ("keys", "issue", "--help"), ("--url", "http://127.0.0.1:1", "get", "Agent", "none")],
)
def test_commands_do_not_load_the_server(arguments: tuple[str, ...]) -> None:
    modules = loaded(RUN, *arguments)
    assert not modules & {"pharos.server.city", "pharos.server.serve", "pharos.control.invoker", "uvicorn", *HEAVY}
