"""``pharos`` as a process: start, signals, pipes, exit codes, completion."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.running import RunningCity, clean_environment, pharos, running_city

import pharos as package


def test_version_is_quick_and_offline(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = pharos("version", directory=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (ran.code, ran.out) == (0, f"pharos {package.__version__}\n")
    # A guard against an import that crept in, not a measurement: it was 0.05 s when this was written.
    assert after.ru_utime - before.ru_utime < 0.5


def test_version_imports_neither_the_city_nor_the_client(tmp_path: Path) -> None:
    program = "import sys; from pharos.server.cli.app import run; run(['version', '--json']); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    output, modules = ran.stdout.rsplit("\n", 2)[0], ran.stdout.splitlines()[-1].split()
    assert json.loads(output)["version"] == package.__version__
    assert not {"pydantic", "httpx2", "rich", "uvicorn", "apsw", "mcp"} & set(modules)


def test_importing_the_package_imports_nothing_of_it() -> None:
    program = "import sys, pharos; print([m for m in sys.modules if m.startswith('pharos.')])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_no_city_is_an_exit_code_of_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for words in (("keys",), ("doctor",)):
        ran = pharos(*words, directory=tmp_path, env={"PHAROS_URL": url, "PHAROS_KEY": "x"})
        assert ran.code == 3
        assert "pharos up" in ran.out + ran.err


def test_a_wrong_address_says_what_one_looks_like(tmp_path: Path) -> None:
    ran = pharos("keys", directory=tmp_path, env={"PHAROS_URL": "city"})
    assert ran.code == 2  # nothing was sent
    assert "http://127.0.0.1:7700" in ran.err


def test_the_key_file_of_the_directory_is_found(city: RunningCity) -> None:
    assert city.pharos("keys", "--json").code == 0
    assert stat.S_IMODE((city.directory / ".pharos" / "admin.key").stat().st_mode) == 0o600


def test_a_reader_that_leaves_is_no_error(city: RunningCity) -> None:
    command = f"{sys.executable} -m pharos faults --json | head -c 10; exit ${{PIPESTATUS[0]}}"
    env = {**clean_environment(), "PHAROS_URL": city.url}
    ran = subprocess.run(
        ["bash", "-c", command], cwd=city.directory, env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""


def test_watch_prints_a_line_per_item_and_ends_at_ctrl_c(city: RunningCity) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pharos", "catalog", "watch", "--kind", "Key", "--json"],
        cwd=city.directory,
        env={**clean_environment(), "PHAROS_URL": city.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As in a terminal, also where the tests run in the background and Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["type"] == "synced":
            break
    manifest = {"apiVersion": "pharos/v1", "kind": "Key", "metadata": {"name": "watched"}, "spec": {}}
    assert city.pharos("apply", "-f", "-", input=json.dumps(manifest)).code == 0
    item = json.loads(process.stdout.readline())
    assert (item["type"], item["resource"]) == ("applied", "Key/default/watched")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err.strip()) == (130, "")


def test_up_ends_with_zero_when_told_to_stop(tmp_path: Path) -> None:
    with running_city(tmp_path) as city:
        assert city.pharos("doctor", "--wait", "10").code in (0, 1)
        city.process.send_signal(signal.SIGTERM)
        assert city.process.wait(20) == 0


def test_doctor_waits_for_a_city_that_is_starting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    env = {**clean_environment(), "PHAROS_PORT": port, "PHAROS_URL": f"http://127.0.0.1:{port}"}
    words = [sys.executable, "-m", "pharos", "up"]
    up = subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ran = pharos("doctor", "--wait", "30", "--json", directory=tmp_path, env=env)
        checks = {check["check"]: check["state"] for check in ran.json["checks"]}
        assert (checks["address"], checks["key"]) == ("ok", "ok")
    finally:
        up.terminate()
        up.wait(20)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(tmp_path: Path, shell: str) -> None:
    ran = pharos("completion", shell, directory=tmp_path)
    assert ran.code == 0
    assert "_PHAROS_COMPLETE" in ran.out
    assert pharos("completion", shell, "--json", directory=tmp_path).json["shell"] == shell
    if shell == "bash" and shutil.which("bash"):
        subprocess.run(["bash", "-n", "-c", ran.out], check=True)


def _complete(city: RunningCity, line: str) -> list[str]:
    words = line.split(" ")
    env = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_PHAROS_COMPLETE": "bash_complete"}
    ran = city.pharos(env=env)
    return [entry.partition(",")[2] for entry in ran.out.splitlines()]


def test_completion_offers_commands_verbs_kinds_and_names(city: RunningCity) -> None:
    manifest = {"apiVersion": "pharos/v1", "kind": "Key", "metadata": {"name": "complete-me"}, "spec": {}}
    assert city.pharos("apply", "-f", "-", input=json.dumps(manifest)).code == 0
    assert "simulate" in _complete(city, "pharos s")
    assert _complete(city, "pharos keys is") == ["issue"]
    assert "Key" in _complete(city, "pharos get K")
    assert _complete(city, "pharos get Key comp") == ["complete-me"]
    assert _complete(city, "pharos keys issue comp") == ["complete-me"]
    assert _complete(city, "pharos ledger --li") == ["--limit"]
    assert _complete(city, "pharos ledger --key comp") == ["complete-me"]
    assert city.pharos("topics", "publish", "complete/1", "--messages", '{"data": 1}').code == 0
    assert _complete(city, "pharos topics read comp") == ["complete/1"]
    assert _complete(city, "pharos views rebuild led") == ["ledger"]


def test_completion_is_silent_without_a_city(tmp_path: Path) -> None:
    env = {
        "COMP_WORDS": "pharos keys issue a",
        "COMP_CWORD": "3",
        "_PHAROS_COMPLETE": "bash_complete",
        "PHAROS_URL": "http://127.0.0.1:1",
        "PATH": os.environ["PATH"],
    }
    ran = pharos(directory=tmp_path, env=env)
    assert (ran.out.strip(), ran.err) == ("", "")
