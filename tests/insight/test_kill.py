"""Every event counts exactly once, wherever the process is killed."""

from __future__ import annotations

import asyncio
import random
import sys
from decimal import Decimal
from pathlib import Path

from tests.insight.city import city
from tests.insight.test_views import snapshot

from pharos.core.event import START, Recorded


async def kill_somewhere(home: Path, chance: random.Random) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.insight.churn", str(home), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        for _ in range(chance.randint(40, 130)):  # lines: batches that were acknowledged
            assert await process.stdout.readline()
        await asyncio.sleep(chance.random() * 0.005)  # anywhere within the next commits and folds
        process.kill()
        await process.wait()


async def test_kill_9_anywhere_leaves_every_event_counted_once(tmp_path: Path) -> None:
    chance = random.Random(20270115)
    for _ in range(3):
        await kill_somewhere(tmp_path, chance)
        async with city(tmp_path) as town:
            live = await snapshot(town)
            log: list[Recorded] = []
            position = START
            while page := await town.store.log.read_all(position, 1000, frozenset({"model.called"})):
                log += page
                position = page[-1].position
            costs = [Decimal(a["cost"]) for r in log for a in r.event.data["attempts"]]  # type: ignore[union-attr,index,call-overload,arg-type]
            summary = await town.call("ledger.summary", by=[])
            assert Decimal(summary["totals"][0]["cost"]) == sum(costs)
            assert summary["totals"][0]["attempts"] == len(costs) == len(live["ledger"])
            assert sorted(row[0] for row in live["journey_steps"]) == [recorded.position for recorded in log]
            for name in ("ledger", "journeys"):
                await town.runner.rebuild(name)
            assert await snapshot(town) == live
