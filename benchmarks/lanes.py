"""The lanes of benchmarks/gateway.py: gateways in front of one mock provider, and the mock provider.

Portkey and LiteLLM are installed below the work directory on first use. Every Pharos lane has keys, budgets, limits,
ledger, durable events and journeys on; what a lane adds stands in its manifest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from measure import Pinned, free_port, wait_until_ready

HERE = Path(__file__).resolve().parent
GATEWAY_CORE, OTHER_CORE = 0, 1
LITELLM, PORTKEY = "1.106.2", "1.15.2"

PROMPT = "Name three things that a lighthouse keeper would notice first on a foggy morning, and say why. "
MESSAGES = [
    {"role": "system", "content": "You are a careful assistant. Answer in short sentences."},
    {"role": "user", "content": (PROMPT * 9)[:820]},
]

KILOBYTES = (PROMPT * 90)[:8192]
"""8 KB of clean text, for what costs by the byte."""


def chat(model: str, text: str = MESSAGES[1]["content"]) -> dict[str, object]:
    """A chat completions request of about 1 KB."""
    return {"model": model, "messages": [MESSAGES[0], {"role": "user", "content": text}], "max_tokens": 256}


def messages(model: str) -> dict[str, object]:
    """The same in Anthropic's dialect."""
    return {"model": model, "system": MESSAGES[0]["content"], "messages": [MESSAGES[1]], "max_tokens": 256}


@dataclass
class Lane:
    """A running gateway: its process, and how a client asks it."""

    name: str
    process: Pinned
    port: int
    headers: dict[str, str]
    request: dict[str, object] = field(default_factory=lambda: chat("fast"))
    path: str = "/v1/chat/completions"

    def body(self, *, stream: bool = False) -> str:
        """The request's text."""
        return json.dumps({**self.request, "stream": True} if stream else self.request)


@contextmanager
def provider(work: Path, chunks: int = 100) -> Iterator[int]:
    """Build and start the mock provider; yields its port."""
    binary = work / "upstream"
    source = HERE / "native/upstream.c"
    subprocess.run(["cc", "-O2", "-o", str(binary), str(source)], check=True)
    port = free_port()
    with Pinned([str(binary), str(port), str(chunks)], OTHER_CORE, port):
        yield port


@contextmanager
def direct(upstream: int, work: Path) -> Iterator[Lane]:
    """No gateway at all: what a client measures of the provider itself."""
    with Pinned(["sleep", "infinity"], GATEWAY_CORE, upstream) as process:
        yield Lane("(no gateway)", process, upstream, {"authorization": "Bearer upstream-secret"}, chat("small-1"))


@contextmanager
def nginx(upstream: int, work: Path) -> Iterator[Lane]:
    """nginx as a plain reverse proxy: no parsing, no rewriting."""
    port = free_port()
    home = Path(tempfile.mkdtemp(dir=work))
    (home / "nginx.conf").write_text(f"""
worker_processes 1; daemon off; error_log {home}/error.log; pid {home}/pid;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {home}; proxy_temp_path {home};
  fastcgi_temp_path {home}; uwsgi_temp_path {home}; scgi_temp_path {home};
  client_body_buffer_size 256k; keepalive_requests 1000000000;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} backlog=1024;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    location / {{ proxy_pass http://mock; }} }}
}}""")
    with Pinned(["nginx", "-p", str(home), "-c", str(home / "nginx.conf")], GATEWAY_CORE, port) as process:
        yield Lane("nginx (plain proxy)", process, port, {"authorization": "Bearer upstream-secret"}, chat("small-1"))


@contextmanager
def bare(upstream: int, work: Path) -> Iterator[Lane]:
    """The floor for a gateway in Python (``bare.py``)."""
    port = free_port()
    command = [sys.executable, str(HERE / "bare.py"), str(port), str(upstream)]
    with Pinned(command, GATEWAY_CORE, port) as process:
        yield Lane("bare Python proxy", process, port, {"authorization": "Bearer unused"})


MANIFEST = """
apiVersion: pharos/v1
kind: Provider
metadata: {{name: mock}}
spec: {{dialect: openai-chat, baseUrl: "http://127.0.0.1:{upstream}/v1", apiKey: {{env: MOCK_API_KEY}}}}
---
apiVersion: pharos/v1
kind: Price
metadata: {{name: mock}}
spec: {{provider: mock, model: small-1, currency: USD, inputPerMillion: "0.15", outputPerMillion: "0.60"}}
---
apiVersion: pharos/v1
kind: Model
metadata: {{name: fast}}
spec: {{targets: [{{provider: mock, model: small-1}}]{model}}}
---
apiVersion: pharos/v1
kind: Budget
metadata: {{name: bench}}
spec: {{limit: "1000000.00", currency: USD, window: month}}
---
apiVersion: pharos/v1
kind: Key
metadata: {{name: bench, labels: {{team: bench}}}}
spec:
  models: [fast]
  budgets: [bench]
  limits: {{requestsPerMinute: 100000000, tokensPerMinute: 1000000000000, concurrency: 4096}}
"""

GUARD = """
---
apiVersion: pharos/v1
kind: Guard
metadata: {name: careful}
spec:
  onError: closed
  rules: [{detectors: [pii, credentials], action: mask}, {detectors: [injection], action: flag}]
"""


def pharos(
    name: str, request: dict[str, object], path: str = "/v1/chat/completions", *, model: str = "", more: str = ""
) -> Callable[[int, Path], AbstractContextManager[Lane]]:
    """A Pharos lane. ``model`` is added to the model's spec, ``more`` to the manifest."""

    @contextmanager
    def lane(upstream: int, work: Path) -> Iterator[Lane]:
        port = free_port()
        home = Path(tempfile.mkdtemp(dir=work))
        manifest = home / "city.yaml"
        manifest.write_text(MANIFEST.format(upstream=upstream, model=model) + more)
        command = [sys.executable, "-m", "pharos", "up", "--home", str(home / "city"), "--port", str(port), "-f"]
        environment = {"MOCK_API_KEY": "upstream-secret"}
        with Pinned([*command, str(manifest)], GATEWAY_CORE, port, environment, home / "log") as process:
            wait_until_ready(f"http://127.0.0.1:{port}/readyz")
            key = (home / "city" / "admin.key").read_text().strip()
            issue = [sys.executable, "-m", "pharos", "keys", "issue", "bench", "--json"]
            issued = subprocess.run(
                issue,
                check=True,
                capture_output=True,
                env={**os.environ, "PHAROS_URL": f"http://127.0.0.1:{port}", "PHAROS_KEY": key},
            )
            secret = json.loads(issued.stdout)["secret"]
            yield Lane(name, process, port, {"authorization": f"Bearer {secret}"}, request, path)

    return lane


@contextmanager
def portkey(upstream: int, work: Path) -> Iterator[Lane]:
    """Portkey's open gateway with one target and an overridden model."""
    home = work / "portkey"
    start = home / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if not start.exists():
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", home, f"@portkey-ai/gateway@{PORTKEY}"], check=True)
    port = free_port()
    config = {
        "provider": "openai",
        "api_key": "upstream-secret",
        "custom_host": f"http://127.0.0.1:{upstream}/v1",
        "override_params": {"model": "small-1"},
    }
    environment = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost", "NODE_ENV": "production"}
    command = ["node", str(start), f"--port={port}", "--headless"]
    with Pinned(command, GATEWAY_CORE, port, environment, work / "portkey.log") as process:
        headers = {"x-portkey-config": json.dumps(config), "authorization": "Bearer unused"}
        yield Lane(f"Portkey {PORTKEY}", process, port, headers)


@contextmanager
def litellm(upstream: int, work: Path) -> Iterator[Lane]:
    """LiteLLM's proxy, Python path, one worker, no database, prices set, a master key."""
    home = work / "litellm"
    if not (home / "bin/litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([home / "bin/pip", "install", "--quiet", f"litellm[proxy]=={LITELLM}"], check=True)
    port = free_port()
    config = home / "config.yaml"
    config.write_text(f"""
model_list:
  - model_name: fast
    litellm_params:
      model: openai/small-1
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: upstream-secret
      input_cost_per_token: 0.00000015
      output_cost_per_token: 0.0000006
general_settings: {{master_key: sk-bench}}
""")
    command = [str(home / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    environment = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}
    with Pinned(command, GATEWAY_CORE, port, environment, work / "litellm.log", ready_seconds=180) as process:
        yield Lane(f"LiteLLM {LITELLM} (Python path)", process, port, {"authorization": "Bearer sk-bench"})


LANES: dict[str, Callable[[int, Path], AbstractContextManager[Lane]]] = {
    "direct": direct,
    "nginx": nginx,
    "bare": bare,
    "pharos": pharos("Pharos", chat("fast")),
    "portkey": portkey,
    "litellm": litellm,
    "cross": pharos("Pharos, messages to chat", messages("fast"), "/v1/messages"),
    "cache": pharos("Pharos, exact cache hit", chat("fast"), model=", cache: {exact: true}"),
    "8k": pharos("Pharos, 8 KB", chat("fast", KILOBYTES)),
    "guard": pharos("Pharos, 8 KB, guarded", chat("fast", KILOBYTES), more=GUARD),
}
