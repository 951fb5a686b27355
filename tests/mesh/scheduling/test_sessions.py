"""What sessions tell their pool, and what follows for others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.mesh.scheduling.city import GROUP, Declared, dispatching, post
from tests.mesh.scheduling.test_dispatcher import SOON, done, drain

from pharos.mesh.scheduling.lanes import lane
from pharos.runtime.session.commands import ModelAnswered, ModelFailed
from pharos.runtime.worker.usage import tell_pool

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def test_tokens_and_cost_of_model_calls_are_settled_with_the_pool(tmp_path: Path) -> None:
    """800 tokens an hour: two calls of 300 and 500 use them up, and the next session of the pool waits."""
    declared = Declared(pool={"slots": 8, "rates": [{"tokens": 800, "seconds": 3600, "hold": 1}]})
    async with dispatching(tmp_path, declared) as (store, dispatcher, pools):
        await post(store, "a", lane("default/pool", tenant="t", model="fast"))
        async with asyncio.timeout(SOON), dispatcher.grant("w") as grant:
            for tokens in (300, 500):
                usage = {"input": tokens - 100, "output": 90, "reasoning": 10}
                tell_pool(grant, [ModelAnswered(NOW, "m", {}, "stop", usage, 5, "call", "fast", ())])
            await done(store, grant)
        await post(store, "b", lane("default/pool", tenant="t", model="fast"))
        waiting = asyncio.create_task(drain(store, dispatcher, 1))
        scheduler = pools.scheduler(GROUP, "default/pool")
        while scheduler.waiting()[1] == 0:
            await asyncio.sleep(0)
        assert scheduler.choose(pools.clock()) is None
        wake = scheduler.wake_at(pools.clock())
        assert wake is not None and wake - pools.clock() == pytest.approx(4.5e6, abs=1e6), "until one token is there"
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize(("code", "paused"), [("UPSTREAM_RATE_LIMITED", True), ("RATE_LIMITED", False)])
async def test_mesh_22_only_what_a_provider_said_holds_others_up(tmp_path: Path, code: str, paused: bool) -> None:
    """What an account has used up is about that account; another tenant's model of the same name is another model."""
    async with dispatching(tmp_path, Declared()) as (store, dispatcher, pools):
        await post(store, "a", lane(tenant="t", model="fast"))
        async with asyncio.timeout(SOON), dispatcher.grant("w") as grant:
            tell_pool(grant, [ModelFailed(NOW, "m", code, "later", True, 40.0)])
            await done(store, grant)
        scheduler = pools.scheduler(GROUP, "default/default")
        matches = [dict(match) for match, _, _ in scheduler.gating.pauses(pools.clock())]
        assert matches == ([{"tenant": "t", "model": "fast"}] if paused else [])
        await post(store, "other", lane(tenant="u", model="fast"))
        assert await drain(store, dispatcher, 1) == ["other"]
