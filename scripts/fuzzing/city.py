"""A city of its own for a run: a model in each dialect, all served by one simulated provider that never fails."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pharos
from scripts.children import PHAROS, free_port, running

MODELS = ("chat", "responses", "messages", "gemini")
"""One for each dialect of a provider."""

_PROVIDERS = {
    "chat": ("openai-chat", "/v1"),
    "responses": ("openai-responses", "/v1"),
    "messages": ("anthropic", ""),
    "gemini": ("gemini", ""),
}

_SCRIPT = """\
rules:
  - answers:
      - "You said: ${lastUser}"
      - {thinking: Let me see., text: "Seen."}
      - {json: {seen: true}}
      - {text: "", finish: stop}
      - {toolCalls: [{name: look, arguments: {at: "it"}}]}
      - {text: A long one., finish: length}
      - {text: "", finish: filter}
    afterwards: cycle
"""


@contextmanager
def city(home: Path, report: list[str]) -> Iterator[tuple[str, str]]:
    """URL of a city's ``/v1`` and a key. What its log says of defects goes to ``report`` once it has ended."""
    script, manifest = home / "script.yaml", home / "city.yaml"
    script.write_text(_SCRIPT)
    ports = free_port(), free_port()
    manifest.write_text(_manifest(f"http://127.0.0.1:{ports[0]}"))
    url = f"http://127.0.0.1:{ports[1]}"
    with ExitStack() as stack:
        simulate = [*PHAROS, "simulate", "--quiet", "--script", str(script), "--port", str(ports[0])]
        stack.enter_context(running(simulate, f"http://127.0.0.1:{ports[0]}/v1/models", home / "simulator.log", {}))
        up = [*PHAROS, "up", "--home", str(home / "city"), "--port", str(ports[1]), "-f", str(manifest)]
        child = stack.enter_context(running(up, f"{url}/readyz", home / "city.log", {}))
        with pharos.Client(url, (home / "city" / "admin.key").read_text().strip()) as control:
            secret = control.keys.issue(key="fuzz").secret
        yield f"{url}/v1", secret
        child.send_signal(signal.SIGTERM)
        if (code := child.wait(30)) != 0:
            report.append(f"the city ended with exit code {code}")
    for name in ("city", "simulator"):
        log = (home / f"{name}.log").read_text(errors="replace")
        report += [f"{name}: {defect}" for defect in re.findall(r"(?:defect in call|Traceback)[\s\S]{0,1500}", log)[:5]]


def _manifest(simulator: str) -> str:
    documents: list[dict[str, Any]] = []
    for name, (dialect, path) in _PROVIDERS.items():
        documents += (
            _document("Provider", name, dialect=dialect, baseUrl=simulator + path, retries={"attempts": 1}),
            _document("Model", name, targets=[{"provider": name, "model": "sim-small"}]),
        )
    documents.append(_document("Key", "fuzz", models=list(_PROVIDERS)))
    return "---\n".join(json.dumps(document) + "\n" for document in documents)  # JSON is YAML


def _document(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "pharos/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
