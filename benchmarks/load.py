"""The loads of benchmarks/gateway.py: wrk for whole answers, streams.py for streams. Both run on the other core."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lanes import HERE, OTHER_CORE, Lane
from measure import cpu_seconds

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
    lines = ["wrk.method = 'POST'", f"wrk.body = [[{lane.body()}]]"]
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
    command += ["--path", lane.path, "--headers", json.dumps(headers), "--body", lane.body(stream=True)]
    command += ["--streams", str(count), "--seconds", str(seconds)]
    before = cpu_seconds(lane.process.pid)
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    result["cpu"] = (cpu_seconds(lane.process.pid) - before) * 1e6 / max(1, result["chunks"])
    return result
