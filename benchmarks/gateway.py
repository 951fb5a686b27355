"""What governance costs: Pharos beside nginx (the limit), Portkey and LiteLLM (the peers), in one interleaved run.

Every gateway gets core 0 and does its own job in front of the same mock provider; the provider and the load client
share core 1. nginx only forwards. The bare Python proxy replaces key and model and does nothing else: it says what the
machine and the interpreter take from whatever is written in Python. Portkey and LiteLLM rewrite key and model with
everything else at their defaults and no database. Pharos has keys, budgets, limits, ledger, durable events and
journeys all on: it has no other mode.

The figure to trust is CPU time per request, from the scheduler's account of the gateway's processes. Rates and
latencies depend on the machine; their ratios within a run depend on it less.

    make bench                                      every gateway that can be installed
    python benchmarks/gateway.py --quick            nginx, a bare Python proxy and Pharos, short rounds
    python benchmarks/gateway.py --features         Pharos by what a call goes through: dialects, cache, guard
    python benchmarks/gateway.py --soak 200000      memory over that many requests, Pharos alone

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
from pathlib import Path

from lanes import LANES, provider
from load import streams, wrk
from measure import median, rss_mb, table

CONNECTIONS = (1, 8, 64)
STREAMS = (50, 200)
GATEWAYS = "nginx,bare,pharos,portkey,litellm"
FEATURES = "nginx,direct,pharos,cross,cache,8k,guard"
FEW = 16
"""Clients at which the time to the first token is compared."""


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
                    with LANES[name](upstream, work) as lane:
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
                            for count in (FEW, *STREAMS):
                                for figure, value in streams(lane, count, seconds).items():
                                    keep(f"stream{count}:{figure}", value)
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
    stream_columns = ["cpu", "chunksPerSecond", "gapMsP50", "gapMsP99", "bad"]
    stream_titles = ["CPU µs/chunk", "chunks/s", "gap ms p50", "p99", "bad"]
    text = f"Whole answers\n\n{whole}\n"
    for count in STREAMS:
        rows = [[lane, *(r.get(f"stream{count}:{c}", nan) for c in stream_columns)] for lane, r in results.items()]
        text += f"\n{count} streams, a chunk each 10 ms\n\n{table(['', *stream_titles], rows)}\n"
    first = [f"stream{FEW}:firstMsP50", f"stream{FEW}:firstMsP99"]
    alone = results.get("(no gateway)", {})
    rows = [
        [lane, *(r.get(c, nan) for c in first), *(r.get(c, nan) - alone.get(c, nan) for c in first)]
        for lane, r in results.items()
    ]
    text += f"\nFirst token, {FEW} clients\n\n{table(['', 'ms p50', 'p99', 'added p50', 'added p99'], rows)}\n"
    mine = results.get("Pharos")
    if mine:
        ratios = [
            [
                lane,
                r["cpu@64"] / mine["cpu@64"],
                r["rate@64"] / mine["rate@64"],
                *(r.get(f"stream{count}:cpu", nan) / mine.get(f"stream{count}:cpu", nan) for count in STREAMS),
            ]
            for lane, r in results.items()
        ]
        text += (
            "\nRatios to Pharos\n\n"
            + table(["", "CPU/req, 64", "req/s, 64", *(f"CPU/chunk, {count}" for count in STREAMS)], ratios)
            + "\n"
        )
    return text


def soak(requests: int, work: Path) -> str:
    """Memory of Pharos over many requests."""
    rows = []
    with provider(work) as upstream, LANES["pharos"](upstream, work) as lane:
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
        "--lanes", default=GATEWAYS, help="comma-separated, in the order of a round: " + ", ".join(LANES)
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="length of one measurement")
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="where peers and temporary homes go")
    parser.add_argument("--quick", action="store_true", help="nginx, bare Python and Pharos, one short round")
    parser.add_argument("--features", action="store_true", help=f"the lanes {FEATURES}")
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
    lanes = ["nginx", "bare", "pharos"] if args.quick else (FEATURES if args.features else args.lanes).split(",")
    rounds, seconds = (1, 3.0) if args.quick else (args.rounds, args.seconds)
    results = compare(lanes, rounds, seconds, work)
    print(report(results))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
