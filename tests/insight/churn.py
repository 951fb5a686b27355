"""A process that is there to be killed: records calls, folds them, rebuilds now and then. ``python -m … HOME``."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from pathlib import Path

from tests.insight.calls import attempt, call, event

from pharos.insight.plane import projections
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Append
from pharos.store.sqlite.engine import open_store


async def churn(home: Path) -> None:
    store = open_store(home)
    runner = ProjectionRunner(store, projections(), linger=0.0005)
    async with runner.service():
        for number in itertools.count():
            batch = []
            for _ in range(random.randint(1, 8)):
                attempts = [attempt(n, cost=f"0.{random.randrange(10**9):09d}") for n in range(1, random.randint(2, 4))]
                data = call(
                    [f"{random.randrange(20)}-{turn}" for turn in range(random.randint(0, 4))], attempts=attempts
                )
                batch.append(Append(event(data | {"call": random.randbytes(8).hex()})))
            await store.commit(*batch)
            if number % 100 == 99:
                await runner.rebuild(random.choice(["ledger", "journeys"]))
            print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(churn(Path(sys.argv[1])))
