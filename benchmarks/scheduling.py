"""CPU time of the scheduler for each grant and its settlement, by the number of flows that wait.

    python benchmarks/scheduling.py [--grants N]

There is no peer: what is compared is 10,000 flows with one.
"""

from __future__ import annotations

import argparse
import time
from collections import deque

from pharos.mesh.scheduling.gates import Used
from pharos.mesh.scheduling.kinds import PoolSpec
from pharos.mesh.scheduling.lanes import lane
from pharos.mesh.scheduling.rules import Rules
from pharos.mesh.scheduling.scheduler import Scheduler
from pharos.mesh.scheduling.tickets import Ticket

PLAIN = PoolSpec(slots=64)
FULL = PoolSpec.model_validate(
    {
        "slots": 64,
        "measure": "tokens",
        "rates": [
            {"requests": 10**9, "seconds": 1},
            {"tokens": 10**9, "seconds": 1, "hold": 100, "match": {"model": "m1"}},
            {"requests": 10**6, "seconds": 1, "per": "tenant"},
        ],
    }
)


def measure(spec: PoolSpec, flows: int, grants: int) -> float:
    """Microseconds of CPU for each grant, with 64 under way."""
    scheduler = Scheduler(Rules.of(spec), 0)
    for number in range(flows):
        scheduler.offer(lane(tenant=f"t{number % 100}", agent=f"a{number}", model=f"m{number % 5}"), 10**6, 0)
    under_way: deque[Ticket] = deque()
    began = time.process_time()
    for number in range(grants):
        now = number * 1000
        if len(under_way) == 64:
            scheduler.settle(under_way.popleft(), Used(tokens=number % 97, cost=5), now)
        ticket = scheduler.choose(now)
        assert ticket is not None
        under_way.append(ticket)
    return (time.process_time() - began) / grants * 1e6


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grants", type=int, default=20_000)
    grants = parser.parse_args().grants
    for name, spec in (("grants, no rates", PLAIN), ("tokens, three rates", FULL)):
        one = measure(spec, 1, grants)
        for flows in (1, 100, 10_000):
            took = measure(spec, flows, grants)
            print(f"{name}: {flows} flows: {took:.1f} µs, {took / one:.2f} times one flow")


if __name__ == "__main__":
    main()
