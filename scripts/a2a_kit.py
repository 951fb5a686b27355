"""Run A2A's official test kit against a city: ``python scripts/a2a_kit.py /path/to/a2a-tck [options of run_tck.py]``.

The kit is a clone of https://github.com/a2aproject/a2a-tck (branch 1.0-dev), with a virtual environment of its own in
``.venv`` (another interpreter: ``A2A_KIT_PYTHON``). It is run as it is; what its requests lack is added on their way by
``a2a_subject/bearer.py``, which says what that is. Reports are in the kit's folder ``reports``. What passes and what
does not, and why, is in ``docs/decisions/0027-agents-beyond-the-wall.md``.

The agent is the one of ``a2a_subject/agent.py``; ``A2A_KIT_AGENT=subject-of-data`` and ``-- -k TestDataArtifact`` try
the scenario that asks for an object. The kit registers webhooks under example.com: where that name cannot be resolved,
the tests of push configurations do not pass.
"""

from __future__ import annotations

import os
import string
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # it is run by its path

import pharos  # noqa: E402
from scripts.children import PHAROS, free_port, running  # noqa: E402

SUBJECT = ROOT / "scripts" / "a2a_subject"


def main(kit: Path, options: list[str]) -> int:
    """Open a city, run the kit against it, close the city; the kit's exit code."""
    if not (kit / "run_tck.py").is_file():
        raise SystemExit(f"{kit} is no clone of a2a-tck")
    agent = os.environ.get("A2A_KIT_AGENT", "subject")
    interpreter = os.environ.get("A2A_KIT_PYTHON", str(kit / ".venv" / "bin" / "python"))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        provider, port, grpc = free_port(), free_port(), free_port()
        manifest = home / "city.yaml"
        places = {"PROVIDER_PORT": str(provider), "GRPC_PORT": str(grpc), "AGENT": agent}
        manifest.write_text(string.Template((SUBJECT / "city.yaml").read_text()).substitute(places))
        command = [*PHAROS, "simulate", "--script", str(SUBJECT / "script.yaml"), "--port", str(provider)]
        stack.enter_context(running(command, f"http://127.0.0.1:{provider}/v1/models", home / "provider.log", {}))

        url, city = f"http://127.0.0.1:{port}", home / "city"
        files = ["-f", str(manifest), "-f", str(SUBJECT / "agent.py")]
        command = [*PHAROS, "up", "--home", str(city), "--port", str(port), *files]
        # The agent looks up ids of messages as an operator would; its key is there as soon as the city is.
        names = {"SUBJECT_URL": url, "SUBJECT_KEY_FILE": str(city / "admin.key")}
        stack.enter_context(running(command, f"{url}/readyz", home / "city.log", names))
        with pharos.Client(url, (city / "admin.key").read_text().strip()) as client:
            secret = client.keys.issue(key="kit").secret
        names |= {"KIT_SECRET": secret, "PYTHONPATH": str(SUBJECT)}
        command = [interpreter, "run_tck.py", "--sut-host", f"{url}/a2a/default/{agent}", *options]
        command += [*([] if "--" in options else ["--"]), "-p", "bearer", "-p", "no:cacheprovider"]
        return subprocess.run(command, cwd=kit, env={**os.environ, **names}, check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    raise SystemExit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
