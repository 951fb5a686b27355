"""Caches before the simulator: the official SDKs read what was kept, and many who come and go share and pay once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
from tests.gateway.town import Town, chat

from pharos.release.simulator import Simulator, parse_script, serve

SCRIPT = """
otherwise:
  text: "A lighthouse keeper sees the fog before the fog sees the lighthouse, and counts the ships that do not come."
  pace: {firstTokenMs: 40, perTokenMs: 4, tokensPerChunk: 1}
"""


@pytest.fixture
async def simulator(city: Town) -> AsyncIterator[Simulator]:
    simulated = Simulator(parse_script(SCRIPT))
    async with serve(simulated) as url:
        await city.provider("sim", url)
        await city.price("small-1")
        await city.budget("b", "1.00")
        for name in ("one", "two", "three"):
            await city.key(name, budgets=["b"])
        yield simulated


async def test_official_clients_read_what_was_kept(city: Town, simulator: Simulator) -> None:
    await city.model("fast", "sim", cache={})
    said = [{"role": "user", "content": "Hello?"}]
    async with openai.AsyncOpenAI(base_url=f"{city.url}/v1", api_key=city.secrets["one"], max_retries=0) as client:
        whole = [
            (await client.chat.completions.create(model="fast", messages=said)).model_dump()  # type: ignore[arg-type]
            for _ in range(2)
        ]
        assert whole[0] == whole[1]
        streams = []
        for _ in range(2):
            stream = await client.chat.completions.create(model="fast", messages=said, stream=True)  # type: ignore[call-overload]
            streams.append([chunk.model_dump() async for chunk in stream])
        assert streams[0] == streams[1]
        assert streams[0][-1]["choices"][0]["finish_reason"] == "stop"
    async with anthropic.AsyncAnthropic(base_url=city.url, api_key=city.secrets["two"], max_retries=0) as claude:
        messages = []
        for _ in range(2):
            async with claude.messages.stream(model="fast", max_tokens=90, messages=said) as events:  # type: ignore[arg-type]
                messages.append((await events.get_final_message()).model_dump())
        assert messages[0] == messages[1]
        assert messages[0]["stop_reason"] == "end_turn"
    results = [call.get("cache", {}).get("result") for call in await city.called(6)]
    assert results == [None, "hit"] * 3


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("stream", [True, False])
async def test_many_come_and_go_and_it_is_paid_once(city: Town, simulator: Simulator, seed: int, stream: bool) -> None:
    """Whoever stays gets the whole answer; what is settled is what the events say; nothing stays reserved."""
    await city.model("fast", "sim", cache={"exact": False, "coalesce": {}})
    draw = random.Random(seed)
    whole: list[bytes] = []

    async def one(number: int, patience: int) -> None:
        await asyncio.sleep(draw.random() * 0.05)  # they come one after the other, as people do
        async with city.client(draw.choice(("one", "two", "three")), chat(stream=stream, max_tokens=200)) as client:
            if patience < 0:
                answer = await client.answer()
                assert answer.status == 200
                assert answer.complete
                whole.append(answer.body)
            elif stream and patience:
                await client.head()
                for _ in range(patience):
                    await client.chunk()
            else:
                await asyncio.sleep(draw.random() * 0.1)

    patience = [draw.choice((-1, -1, 0, 1, 3, 6)) for _ in range(24)]
    await asyncio.gather(*(one(number, each) for number, each in enumerate(patience)))
    called = await city.called(24)
    assert len(called) == 24
    settled = await city.quiet("b")
    assert settled == sum(round(float(call["cost"]) * 1e9) for call in called)
    paid = [call for call in called if call["attempts"]]
    assert len(paid) == len(simulator.received)
    for call in called:
        if "cache" in call:
            assert call["attempts"] == []
            assert float(call["cost"]) == 0
    if whole:
        assert any(call["outcome"] == "ok" for call in paid)
    # One request at a time: each but the last was given up by all, or came to its end before the next began.
    ended = [call for call in paid if call["outcome"] == "ok"]
    assert len({body.split(b'"id"')[0] for body in whole}) <= 1 if stream else len(set(whole)) <= len(ended)
