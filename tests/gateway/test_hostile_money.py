"""Money under attack: whatever providers, clients and clocks do, no cap is passed and the books agree."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.town import Town, chat, document, messages, town
from tests.gateway.upstream import (
    DONE,
    Exchange,
    answer,
    anthropic_answer,
    openai_answer,
    openai_delta,
    upstream,
)

from pharos.gateway.models.spending.settlement import Settlements
from pharos.mesh.money import NANOS
from pharos.store.ports import Append, Hold, Reserve, Settle
from pharos.store.sqlite.engine import SqliteStore, open_store


async def balanced(city: Town, *budgets: str, window: str = "total") -> int:
    """Check the books: nothing is reserved, and each budget has settled exactly what the log says was spent."""
    spent = sum(int(Decimal(called["cost"]) * NANOS) for called in await city.called(0))
    for budget in budgets:
        assert await city.quiet(budget, window) == spent, budget
    return spent


async def prepare(city: Town, url: str, limit: str = "1.00", window: str = "total", **key: Any) -> None:
    await city.provider("acme", url)
    await city.price()
    await city.model("fast", "acme")
    await city.budget("b", limit, window)
    await city.key("bot", **{"budgets": ["b"], **key})


async def test_a_budget_under_two_names_is_charged_once(city: Town) -> None:
    """``b`` and ``default/b`` are one budget."""
    held: list[int] = []

    async def script(exchange: Exchange) -> None:
        held.append((await city.settled("b"))[1])
        await answer(exchange)

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        await city.chat("bot", max_tokens=100)
        await city.key("twice", budgets=["b", "default/b"])
        assert (await city.chat("twice", max_tokens=100)).status == 200
        assert held[0] == held[1]
        assert await balanced(city, "b") == 2 * 20_000


async def test_each_window_pays_for_what_it_held(city: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failover in the next window: what the second attempt costs is not charged to the first one's, whose room it
    never had."""
    moment = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    monkeypatch.setattr("pharos.gateway.models.layers.attempt.datetime", _clock(moment + timedelta(seconds=2)))
    body = chat(max_tokens=100)
    bound = len(json.dumps(body)) * 1000 + 100 * 2000

    async def dear(exchange: Exchange) -> None:
        await exchange.json(openai_answer(input=len(json.dumps(body)), output=100))

    async def cut(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{")
        exchange.cut()

    async with upstream(cut) as first, upstream(dear) as second:
        await city.provider("one", first.url)
        await city.provider("two", second.url)
        await city.price()
        await city.model("fast", "one", {"provider": "two", "model": "small-1", "weight": 0})
        # Room for one call in each month, not for two.
        await city.budget("b", f"{(bound + bound // 10) / NANOS:.9f}", "month")
        await city.key("bot", budgets=["b"])
        monkeypatch.setattr("pharos.gateway.models.call.datetime", _clock(moment))
        reply = await city.ask("bot", body)
        assert reply.status == 200
        november, december = await city.quiet("b", "2026-11"), await city.quiet("b", "2026-12")
        (called,) = await city.called()
        assert november + december == int(Decimal(called["cost"]) * NANOS)
        assert 0 < november <= bound + bound // 10
        assert 0 < december <= bound + bound // 10


def _clock(moment: datetime) -> type[datetime]:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return moment

    return Clock


@pytest.mark.parametrize("tokens", [2**63, 2**60, 10**15])
@pytest.mark.parametrize("stream", [False, True])
async def test_absurd_token_counts_are_not_believed(city: Town, tokens: int, stream: bool) -> None:
    """No answer has a quadrillion tokens. One that says so must not keep its reservation, nor those of others."""

    async def script(exchange: Exchange) -> None:
        if exchange.request.json["max_tokens"] == 1:
            await answer(exchange)
        elif not stream:
            await exchange.json(openai_answer(input=tokens, output=tokens))
        else:
            usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
            await exchange.start()
            await exchange.chunk(openai_delta("Hello"))
            await exchange.chunk(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n" + DONE)
            await exchange.finish()

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        reply = await city.chat("bot", stream=stream, max_tokens=10)
        assert reply.status == 200
        assert b"pharos" not in reply.body
        (called,) = await city.called()
        assert called["attempts"][0]["usage"]["estimated"] is True
        assert (await city.chat("bot", max_tokens=1)).status == 200
        assert await balanced(city, "b") < NANOS


async def test_an_estimate_stays_within_the_bounds(city: Town) -> None:
    """A cut answer costs at most what it could have cost whole: the provider kept to its own limit."""
    body = chat(stream=True, max_tokens=10)
    bound = len(json.dumps(body)) * 1000 + 10 * 2000

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(openai_delta("Donaudampfschifffahrtsgesellschaft " * 10))
        exchange.cut()

    async with upstream(script) as provider:
        await prepare(city, provider.url, f"{bound / NANOS:.9f}")
        await city.ask("bot", body)
        assert await balanced(city, "b") <= bound


@pytest.mark.parametrize("limit", [2**62, 2**63, 2**64 - 1])
async def test_an_absurd_limit_is_refused_for_want_of_money(city: Town, limit: int) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        for body, path in (
            (chat(max_tokens=limit), "/v1/chat/completions"),
            (chat(max_tokens=5, n=limit), "/v1/chat/completions"),
            (messages(max_tokens=limit), "/v1/messages"),
        ):
            reply = await city.ask("bot", body, path)
            assert reply.status == 402, reply.body
            assert reply.fault["code"] == "BUDGET_EXCEEDED"
        assert provider.requests == []
        assert await balanced(city, "b") == 0


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "n"])
@pytest.mark.parametrize("value", [-1, 0, 1.5, 1e3, "7", True, [5], {}, 1e300])
async def test_limits_that_are_no_counts_are_refused(city: Town, field: str, value: Any) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        reply = await city.chat("bot", **{field: value})
        assert reply.status == 400
        assert provider.requests == []
        assert await balanced(city, "b") == 0


@pytest.mark.parametrize(
    "extra",
    [
        b'"max_tokens": 1000000, "max_tokens": 5',
        b'"max_tokens": 5, "max_completion_tokens": 1000000, "max_completion_tokens": 5',
        b'"max_tokens": 5, "n": 100, "n": 1',
        b'"max_tokens": 5, "n": 100, "\\u006e": 1',
        b'"max_tokens": 5, "service_tier": "priority", "service_tier": "default"',
    ],
)
async def test_a_repeated_key_cannot_say_one_thing_here_and_another_there(city: Town, extra: bytes) -> None:
    """Of two equal keys we count the last; a provider may count the first. So no more than one value leaves."""
    raw = b'{"model": "fast", "messages": [{"role": "user", "content": "x"}], ' + extra + b"}"
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        reply = await city.ask("bot", raw)
        if reply.status == 400:
            assert provider.requests == []
            return
        for request in provider.requests:
            pairs: list[tuple[str, Any]] = json.loads(request.body, object_pairs_hook=list)
            values: dict[str, set[str]] = {}
            for name, value in pairs:
                values.setdefault(name, set()).add(json.dumps(value))
            for name in ("max_tokens", "max_completion_tokens", "n", "service_tier"):
                assert len(values.get(name, ())) <= 1, (name, request.body)


async def test_the_fast_mode_of_a_provider_is_priced_as_such(city: Town) -> None:
    """``speed: fast`` costs a multiple. What is held for it must be that, or the call is refused."""
    spec = {"dialect": "anthropic", "priceList": "anthropic", "retries": {"attempts": 1}}
    held: list[int] = []

    async def script(exchange: Exchange) -> None:
        held.append((await city.settled("b"))[1])
        await exchange.json({**anthropic_answer(), "model": "claude-opus-4-8"})

    async with upstream(script) as provider:
        await city.apply(document("Provider", "ant", {**spec, "baseUrl": provider.url}))
        await city.model("fast", {"provider": "ant", "model": "claude-opus-4-8"})
        await city.budget("b", "10.00")
        await city.key("bot", budgets=["b"])
        assert (await city.ask("bot", messages(), "/v1/messages")).status == 200
        slow = held.pop()
        reply = await city.ask("bot", messages(speed="fast"), "/v1/messages")
        if reply.status == 200:
            assert held.pop() > slow * 1.5
        else:
            assert reply.fault["code"] == "MODEL_UNPRICED"


async def test_a_call_that_ends_while_the_abandoned_are_sought_is_recorded_once(tmp_path: Path) -> None:
    """The sweep reads open reservations; a long call ends before it looks at what it read."""
    store = open_store(tmp_path)
    try:
        settlements = Settlements(store)
        settlements.begin("call-1")
        await store.commit(Reserve("call-1", (Hold("budget/default/b", "total", 500, 1000),), {"call": "call-1"}))

        class Late:
            """Counters whose answer arrives after the call has ended."""

            def __getattr__(self, name: str) -> Any:
                return getattr(store.counters, name)

            async def open_reservations(self, **arguments: Any) -> Any:
                found = await store.counters.open_reservations(**arguments)
                await settlements.commit("call-1", [Settle("call-1", {"budget/default/b": 20}), _called("call-1")])
                settlements.end("call-1")
                return found

        class Slow:
            counters = Late()

            def __getattr__(self, name: str) -> Any:
                return getattr(store, name)

        settlements._store = Slow()  # type: ignore[assignment]
        assert await settlements.settle_abandoned(datetime.now(UTC) + timedelta(seconds=1)) == 0
        types = Counter(recorded.event.type for recorded in await store.log.read_all())
        assert types == {"model.called": 1}
    finally:
        await store.close()


def _called(call: str) -> Append:
    from pharos.core.event import Event

    return Append(Event(topic="calls/default/bot", type="model.called", data={"call": call}))


async def test_what_a_dead_process_left_is_settled_also_when_the_clock_was_set_back(tmp_path: Path) -> None:
    ahead = datetime.now(UTC) + timedelta(days=1)
    store: SqliteStore = open_store(tmp_path, wall=lambda: int(ahead.timestamp() * 1_000_000))
    await store.commit(Reserve("call-1", (Hold("budget/default/b", "total", 500, 1000),), {"call": "call-1"}))
    await store.close()
    async with town(tmp_path) as city:
        assert await city.settled("b") == (500, 0)


async def test_one_settlement_that_cannot_be_made_holds_no_other_up(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    try:
        settlements = Settlements(store)
        counter = "budget/default/b"
        for number in (1, 2):
            await store.commit(Reserve(f"c{number}", (Hold(counter, "total", 10, 1000),), {"call": f"c{number}"}))
        settlements._pending["c1"] = [Settle("c1", {"another": 1})]
        settlements._pending["c2"] = [Settle("c2", {counter: 7})]
        await settlements.settle_abandoned(datetime.now(UTC) + timedelta(seconds=1))
        (count,) = await store.counters.read([(counter, "total")])
        # The one that is refused for ever is settled at what was held.
        assert (count.settled, count.reserved) == (17, 0)
    finally:
        await store.close()


async def test_deep_messages_are_recorded_or_refused(city: Town) -> None:
    """JSON may be nested deeper than what digests it can go."""
    for depth in (100, 250, 300, 600, 1000, 1020):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        raw = b'{"model":"fast","max_tokens":5,"messages":[{"role":"user","content":"x","deep":' + deep + b"}]}"
        async with upstream(answer) as provider:
            if depth == 100:
                await prepare(city, provider.url)
            else:
                await city.provider("acme", provider.url)
            reply = await city.ask("bot", raw)
            assert reply.status in (200, 400), (depth, reply.body)
            if reply.status == 400:
                assert provider.requests == []
    await balanced(city, "b")


async def test_long_tool_names_do_not_fill_the_log(city: Town) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        tools = [{"type": "function", "function": {"name": "x" * 100_000, "parameters": {}}} for _ in range(20)]
        await city.chat("bot", tools=tools, max_tokens=1)
        (called,) = await city.called()
        assert len(json.dumps(called)) < 64_000


async def test_concurrent_keys_budgets_and_failovers_balance(city: Town) -> None:
    """Several keys on overlapping budgets, targets that fail in every way, clients that leave: the books agree."""
    turn = 0

    async def flaky(exchange: Exchange) -> None:
        nonlocal turn
        turn += 1
        match turn % 6:
            case 0:
                await exchange.json({"error": {"message": "no"}}, 500)
            case 1:
                await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{")
                exchange.cut()
            case 2:
                exchange.cut()
            case 3:
                await exchange.json({"choices": "none"})
            case _:
                await answer(exchange)

    async with upstream(flaky) as first, upstream(answer) as second:
        loose = {"breaker": {"consecutive": 1_000_000, "ratio": 1, "minimum": 1_000_000}}
        await city.provider("one", first.url, **loose, retries={"attempts": 2, "backoffMs": 1, "maxBackoffMs": 1})
        await city.provider("two", second.url, **loose)
        await city.price()
        await city.model("fast", "one", {"provider": "two", "model": "small-1", "weight": 0})
        await city.budget("b", "0.02")
        await city.budget("c", "0.02")
        for key in ("k1", "k2", "k3"):
            await city.key(key, budgets=["b", "c"])
        gate = asyncio.Semaphore(60)

        async def call(number: int) -> int:
            async with gate:
                body = chat(stream=number % 2 == 0, max_tokens=50)
                async with city.client(f"k{number % 3 + 1}", body) as client:
                    if number % 7 == 0:
                        await asyncio.sleep(number % 11 / 1000)
                        return 0
                    return (await client.answer()).status

        statuses = await asyncio.gather(*(call(number) for number in range(400)))
        assert set(statuses) <= {0, 200, 402, 502, 503}
        spent = await balanced(city, "b", "c")
        assert spent <= 20_000_000
