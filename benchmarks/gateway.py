"""What governance costs: Pharos beside nginx (the limit), Portkey and LiteLLM (the peers), in one interleaved run.

Every gateway gets core 0 and does its own job in front of the same mock provider; the provider and the load client
share core 1. nginx only forwards. Portkey and LiteLLM rewrite key and model with everything else at their defaults and
no database. Pharos has keys, budgets, limits, ledger, durable events and journeys all on: it has no other mode.

The figure to trust is CPU time per request, from the scheduler's account of the gateway's processes. Rates and
latencies depend on the machine; their ratios within a run depend on it less.

    make bench                                  every lane that can be installed
    python benchmarks/gateway.py --quick        nginx and Pharos, short rounds
    python benchmarks/gateway.py --soak 200000  memory over that many requests, Pharos alone

Needs cc, nginx, wrk and taskset; a missing one is named. Peers are installed below --work (default .bench).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measure import Pinned, cpu_seconds, free_port, median, rss_mb, table, wait_until_ready

HERE = Path(__file__).resolve().parent
GATEWAY_CORE, OTHER_CORE = 0, 1
CONNECTIONS = (1, 8, 64)
LITELLM, PORTKEY = "1.106.2", "1.15.2"

PROMPT = "Name three things that a lighthouse keeper would notice first on a foggy morning, and say why. "
MESSAGES = [
    {"role": "system", "content": "You are a careful assistant. Answer in short sentences."},
    {"role": "user", "content": (PROMPT * 9)[:820]},
]


def body(model: str, stream: bool = False) -> str:
    """A chat request of about 1 KB."""
    call: dict[str, object] = {"model": model, "messages": MESSAGES, "max_tokens": 256}
    if stream:
        call["stream"] = True
    return json.dumps(call)


@dataclass
class Lane:
    """A running gateway: its process, and how a client asks it."""

    name: str
    process: Pinned
    port: int
    headers: dict[str, str]
    model: str
    path: str = "/v1/chat/completions"


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
        yield Lane("nginx (plain proxy)", process, port, {"authorization": "Bearer upstream-secret"}, "small-1")


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
spec: {{targets: [{{provider: mock, model: small-1}}]}}
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


@contextmanager
def pharos(upstream: int, work: Path) -> Iterator[Lane]:
    """Pharos with keys, budgets, limits, ledger, durable events and journeys."""
    port = free_port()
    home = Path(tempfile.mkdtemp(dir=work))
    manifest = home / "city.yaml"
    manifest.write_text(MANIFEST.format(upstream=upstream))
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
        yield Lane("Pharos", process, port, {"authorization": f"Bearer {secret}"}, "fast")


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
        yield Lane(f"Portkey {PORTKEY}", process, port, headers, "fast")


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
        yield Lane(f"LiteLLM {LITELLM} (Python path)", process, port, {"authorization": "Bearer sk-bench"}, "fast")


LANES: dict[str, Callable[[int, Path], object]] = {
    "nginx": nginx,
    "pharos": pharos,
    "portkey": portkey,
    "litellm": litellm,
}

REPORT = """
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"us":%d,"bad":%d,"p50":%f,"p99":%f}\\n', summary.requests, summary.duration,
    e.status + e.connect + e.read + e.write + e.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


def wrk(lane: Lane, connections: int, seconds: float, work: Path) -> dict[str, float]:
    """Load a lane and return rate, latency and CPU per request."""
    script = work / "load.lua"
    headers = {**lane.headers, "content-type": "application/json"}
    lines = ["wrk.method = 'POST'", f"wrk.body = [[{body(lane.model)}]]"]
    lines += [f"wrk.headers['{name}'] = [[{value}]]" for name, value in headers.items()]
    script.write_text("\n".join(lines) + REPORT)
    url = f"http://127.0.0.1:{lane.port}{lane.path}"
    command = [
        "taskset",
        "-c",
        str(OTHER_CORE),
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:.0f}s",
        "--timeout",
        "60s",
    ]
    before = cpu_seconds(lane.process.pid)
    output = subprocess.run([*command, "-s", str(script), url], check=True, capture_output=True, text=True).stdout
    cpu = cpu_seconds(lane.process.pid) - before
    result: dict[str, float] = json.loads(output.strip().splitlines()[-1])
    return {
        "rate": result["requests"] / (result["us"] / 1e6),
        "cpu": cpu * 1e6 / max(1, result["requests"]),
        "p50": result["p50"],
        "p99": result["p99"],
        "bad": result["bad"],
        "requests": result["requests"],
    }


def streams(lane: Lane, count: int, seconds: float) -> dict[str, float]:
    """Run streams through a lane and return chunk rate, latency and CPU per chunk."""
    headers = {**lane.headers, "content-type": "application/json"}
    command = ["taskset", "-c", str(OTHER_CORE), sys.executable, str(HERE / "streams.py"), "--port", str(lane.port)]
    command += ["--path", lane.path, "--headers", json.dumps(headers), "--body", body(lane.model, stream=True)]
    command += ["--streams", str(count), "--seconds", str(seconds)]
    before = cpu_seconds(lane.process.pid)
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    result["cpu"] = (cpu_seconds(lane.process.pid) - before) * 1e6 / max(1, result["chunks"])
    return result


@contextmanager
def provider(work: Path, chunks: int = 100) -> Iterator[int]:
    """Build and start the mock provider; yields its port."""
    binary = work / "upstream"
    source = HERE / "native/upstream.c"
    subprocess.run(["cc", "-O2", "-o", str(binary), str(source)], check=True)
    port = free_port()
    with Pinned([str(binary), str(port), str(chunks)], OTHER_CORE, port):
        yield port


def compare(names: list[str], rounds: int, seconds: float, work: Path) -> dict[str, dict[str, float]]:
    """Run all lanes in turn, round by round, and return medians by lane and figure."""
    samples: dict[str, dict[str, list[float]]] = {}
    dead: dict[str, str] = {}
    with provider(work) as upstream:
        for number in range(rounds):
            for name in names:
                if name in dead:
                    continue
                try:
                    with LANES[name](upstream, work) as lane:  # type: ignore[attr-defined]
                        print(f"round {number + 1}/{rounds}: {lane.name}", file=sys.stderr, flush=True)
                        kept = samples.setdefault(lane.name, {})

                        def keep(figure: str, value: float, kept: dict[str, list[float]] = kept) -> None:
                            kept.setdefault(figure, []).append(value)

                        wrk(lane, 8, min(2, seconds), work)  # warm
                        for connections in CONNECTIONS:
                            got = wrk(lane, connections, seconds, work)
                            for figure in ("rate", "cpu", "p50", "p99", "bad"):
                                keep(f"{figure}@{connections}", got[figure])
                        try:
                            got = streams(lane, 50, seconds)
                            for figure, value in got.items():
                                keep(f"stream:{figure}", value)
                        except subprocess.CalledProcessError as error:
                            print(f"  streams failed: {error.stderr[-300:]!r}", file=sys.stderr)
                        keep("rss", rss_mb(lane.process.pid))
                except (OSError, subprocess.SubprocessError, RuntimeError, TimeoutError) as error:
                    dead[name] = str(error)
                    print(f"lane {name} left out: {error}", file=sys.stderr, flush=True)
    return {lane: {figure: median(values) for figure, values in kept.items()} for lane, kept in samples.items()}


def report(results: dict[str, dict[str, float]]) -> str:
    """The results as Markdown: figures, then ratios to Pharos."""
    nan = float("nan")
    columns = ["cpu@64", "cpu@8", "cpu@1", "rate@64", "rate@8", "rate@1", "p50@64", "p99@64", "p50@1", "rss", "bad@64"]
    titles = [
        "CPU µs/req, 64",
        "8",
        "1",
        "req/s, 64",
        "8",
        "1",
        "p50 ms, 64",
        "p99 ms, 64",
        "p50 ms, 1",
        "RSS MB",
        "bad",
    ]
    whole = table(["", *titles], [[lane, *(r.get(c, nan) for c in columns)] for lane, r in results.items()])
    stream_columns = ["cpu", "chunksPerSecond", "firstMsP50", "firstMsP99", "gapMsP50", "gapMsP99", "bad"]
    stream_titles = ["CPU µs/chunk", "chunks/s", "first ms p50", "p99", "gap ms p50", "p99", "bad"]
    streamed = table(
        ["50 streams", *stream_titles],
        [[lane, *(r.get(f"stream:{c}", nan) for c in stream_columns)] for lane, r in results.items()],
    )
    text = f"Non-streamed, 1 KB request\n\n{whole}\n\nStreamed, a chunk each 10 ms\n\n{streamed}\n"
    mine = results.get("Pharos")
    if mine:
        ratios = [
            [
                lane,
                r["cpu@64"] / mine["cpu@64"],
                r["rate@64"] / mine["rate@64"],
                r.get("stream:cpu", nan) / mine["stream:cpu"],
            ]
            for lane, r in results.items()
        ]
        text += "\nRatios to Pharos\n\n" + table(["", "CPU/req, 64", "req/s, 64", "CPU/chunk"], ratios) + "\n"
    return text


def soak(requests: int, work: Path) -> str:
    """Memory of Pharos over many requests."""
    rows = []
    with provider(work) as upstream, pharos(upstream, work) as lane:
        wrk(lane, 64, 2, work)
        sent = 0
        rows.append([sent, rss_mb(lane.process.pid), float("nan")])
        while sent < requests:
            got = wrk(lane, 64, 10, work)
            sent += int(got["requests"])
            rows.append([sent, rss_mb(lane.process.pid), got["cpu"]])
            print(f"{sent:,} requests, {rows[-1][1]:.0f} MB, {got['bad']:.0f} bad", file=sys.stderr, flush=True)
    return table(["requests", "RSS MB", "CPU µs/req"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--lanes", default="nginx,pharos,portkey,litellm", help="comma-separated, in the order of a round"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="length of one measurement")
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="where peers and temporary homes go")
    parser.add_argument("--quick", action="store_true", help="nginx and Pharos, one short round")
    parser.add_argument("--soak", type=int, metavar="N", help="memory over N requests instead of the comparison")
    parser.add_argument("--json", type=Path, help="write the medians here too")
    args = parser.parse_args()
    missing = [tool for tool in ("cc", "nginx", "wrk", "taskset") if shutil.which(tool) is None]
    if missing:
        print(f"needed and not found: {', '.join(missing)} (Debian: gcc nginx-light wrk util-linux)", file=sys.stderr)
        return 2
    if (os.cpu_count() or 1) < 2:
        print("needs two cores: one for the gateway, one for the rest", file=sys.stderr)
        return 2
    args.work.mkdir(parents=True, exist_ok=True)
    work = args.work.resolve()
    print(f"Python {platform.python_version()}, Linux {platform.release()}, {os.cpu_count()} cores\n")
    if args.soak:
        print(soak(args.soak, work))
        return 0
    lanes = ["nginx", "pharos"] if args.quick else args.lanes.split(",")
    rounds, seconds = (1, 3.0) if args.quick else (args.rounds, args.seconds)
    results = compare(lanes, rounds, seconds, work)
    print(report(results))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
