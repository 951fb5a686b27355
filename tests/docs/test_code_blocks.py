"""What the documentation says to type works: the README, the tutorial and the how-to pages are run as they stand.

A page is one script. It runs in an empty directory, in one shell, so that directory, variables and background processes
last from block to block. Conventions, so that a page reads as if it were only for people:

``bash``     is run. A command that fails ends the page (``set -e``). Background processes (``&``) are ended after the
             last block; wait for what they must do (``pharos doctor --wait 30``), never for a time.
``python``   is run as a program of its own in the directory of the page; it sees files and exported variables.
``yaml``     is saved under the file name in backticks that the paragraph before it names last ("Say it in
             `city.yaml`:"). Without such a name it is only parsed. A ``python`` block may be named in the same way.
``json``     must parse. ``text``, or no language, is output or a diagram. Any other language is an error, so that
             nothing runnable stands untested.
Ports        are written as a reader would type them. 7700 and 9000 to 9099 are replaced by free ones, and
             ``PHAROS_PORT`` and ``PHAROS_URL`` are set so that ``pharos up`` and the clients find each other.
Key          the admin key of a city started by the page is at ``.pharos/admin.key``; clients find it by themselves.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.docs.page import RUN, SHOWN, blocks, ports_in, script

ROOT = Path(__file__).parents[2]
PAGES = [
    page for page in (ROOT / "README.md", ROOT / "docs" / "tutorial.md", *sorted((ROOT / "docs/how-to").glob("*.md")))
    if page.exists()
]  # fmt: skip

SECONDS = 90


def _free_ports(names: set[str]) -> dict[str, int]:
    """Ports that nothing listens on, outside the range from which the system gives out ephemeral ones."""
    found: list[int] = []
    candidate = 20_000 + os.getpid() * 37 % 8_000
    while len(found) < len(names):
        candidate += 1
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            found.append(candidate)
    return dict(zip(sorted(names), found, strict=True))


@pytest.mark.timeout(SECONDS + 30)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_runs(page: Path, tmp_path: Path) -> None:
    text = page.read_text("utf-8")
    if not any(block.language in ("bash", "python") for block in blocks(text)):
        return
    ports = _free_ports(ports_in(text))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PHAROS_")},
        "PATH": _path(),
        "PHAROS_PORT": str(ports["7700"]),
        "PHAROS_URL": f"http://127.0.0.1:{ports['7700']}",
    }
    output = tmp_path.parent / f"{tmp_path.name}.log"
    with output.open("wb") as log:
        shell = subprocess.Popen(
            ["bash", "-c", script(page, text, ports)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            _end(shell)
    assert code == 0, (
        f"{page.name} {'took too long' if code == -1 else 'failed'}:\n{output.read_text('utf-8', 'replace')}"
    )


def _end(shell: subprocess.Popen[bytes]) -> None:
    """End the shell and what it left in the background: one session, one process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(shell.pid, number)
        except ProcessLookupError:
            return
        try:
            shell.wait(5)
        except subprocess.TimeoutExpired:
            continue


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_are_of_known_languages_and_parse(page: Path) -> None:
    for block in blocks(page.read_text("utf-8")):
        where = f"{page.name}:{block.line}"
        assert "$PHAROS_URL" not in block.body, (
            f"{where}: no reader has PHAROS_URL; it is set here for other ports only"
        )
        assert 'environ["PHAROS_URL"]' not in block.body, f"{where}: no reader has PHAROS_URL: give its default"
        assert block.language in RUN | SHOWN, f"{where}: language {block.language!r}; see this file's head"
        if block.language == "json":
            json.loads(block.body)
        elif block.language == "yaml":
            list(yaml.safe_load_all(block.body))


def _path() -> str:
    """Where commands are looked for: those of this environment first."""
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def _bash(made: str, directory: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": _path()}
    return subprocess.run(["bash", "-c", made], cwd=directory, env=env, capture_output=True, text=True, check=False)


def test_a_page_becomes_a_script(tmp_path: Path) -> None:
    text = (
        "Say it in `a/b.yaml`:\n\n```yaml\nport: 7700\n```\n\n```bash\nexport WORD=hello\nsleep 60 &\n```\n\n"
        "```text\nnot run\n```\n\nThen:\n\n```python\nimport os\nassert os.environ['WORD'] == 'hello'\n"
        "assert open('a/b.yaml').read() == 'port: 1234\\n'\n```\n"
    )
    made = script(Path("page.md"), text, {"7700": 1234})
    ran = _bash(made + "kill %1\n", tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_a_failing_block_is_named(tmp_path: Path) -> None:
    made = script(Path("page.md"), "One\n\n```bash\nfalse\n```\n", {"7700": 1})
    ran = _bash(made, tmp_path)
    assert ran.returncode == 1
    assert "page.md:3: this block failed" in ran.stderr
