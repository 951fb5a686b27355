"""kill -9 with calls under way at every level: the next city settles every share and says whose it was."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

from tests.gateway.town import town

from pharos.mesh.money import NANOS

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.gateway.town import town, chat, document
from tests.gateway.upstream import answer, upstream

async def main(home: Path) -> None:
    asked = asyncio.Semaphore(0)
    async def script(exchange):
        if exchange.request.json["max_tokens"] == 11:
            await answer(exchange)
            return
        asked.release()
        await exchange.until_left()
    async with town(home) as city, upstream(script) as provider:
        await city.provider("acme", provider.url)
        await city.price()
        await city.model("fast", "acme")
        await city.budget("all", "1")
        for per in ("user", "session", "agent"):
            await city.apply(document("Budget", per, {"limit": "1", "window": "total", "per": per}))
        await city.apply(document("Organisation", "acme", {"budgets": ["all", "user"]}))
        await city.apply(document("Team", "red", {"organisation": "acme", "budgets": ["agent", "session"]}))
        await city.key("bot", team="red", agent="scout")
        def ask(number, tokens):
            user = "ab"[number % 2]
            return city.ask("bot", chat(max_tokens=tokens), x_pharos_user=user, x_pharos_session=f"s-{number % 3}")
        for number in range(4):
            assert (await ask(number, 11)).status == 200
        calls = [asyncio.create_task(ask(number, 100)) for number in range(12)]
        for _ in calls:
            await asyncio.wait_for(asked.acquire(), 20)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_killed_city_settles_every_share(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(tmp_path), env=dict(os.environ))
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    async with town(tmp_path) as city:
        called = await city.called(16)
        assert Counter(each["outcome"] for each in called) == {"ok": 4, "unknown": 12}
        expected: Counter[str] = Counter()
        for each in called:
            assert (each["team"], each["labels"]) == ("red", {"agent": "scout", "organisation": "acme"})
            cost = int(Decimal(each["cost"]) * NANOS)
            shares = ("all", f"user/user/{each['user']}", f"session/session/{each['conversation']['id']}")
            for name in (*shares, "agent/agent/scout"):
                expected[f"budget/default/{name}"] += cost
        settled, _ = await city.store.counters.list("budget/")
        assert {each.counter: each.settled for each in settled} == expected
        assert {each.window for each in settled} == {"total"}
        assert len(expected) == 1 + 2 + 3 + 1
        assert await city.store.counters.open_reservations() == []
