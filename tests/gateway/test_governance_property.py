"""Governance against everything at once: thousands of concurrent calls over a whole hierarchy, clients that leave,
providers that fail, a clock that jumps, cities that are killed between reserve and settle and started again.

Whatever happens: what is settled and reserved is never above a hard cap; in the end nothing is reserved; what was
refused has consumed nothing; and the ledger adds up to the counters, at every level.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gateway.town import Town, document, town

from pharos.gateway.models.spending.limits import Meters
from pharos.gateway.models.upstream.transport import TransportError, UpstreamRequest
from pharos.insight.plane import projections
from pharos.mesh.money import NANOS
from pharos.store.faults import STORAGE_FAILED

START = datetime(2026, 11, 30, 23, 59, 50, tzinfo=UTC)
"""Ten seconds before everything that the calendar can end, ends."""

KEYS = {"a": "red", "b": "red", "c": "blue", "d": None}
"""Keys and their teams, of one organisation; ``d`` has none."""
AGENTS = {"a": "scout", "b": "scout", "c": "scout", "d": None}
USERS = ("", "ada", "bob", "x" * 200)

BUDGETS: dict[str, tuple[str, str, str | None]] = {
    "org": ("0.0300", "month", None),
    "red": ("0.0150", "day", None),
    "blue": ("0.0120", "hour", None),
    "own": ("0.0080", "total", None),
    "scouts": ("0.0200", "week", "agent"),
    "each": ("0.0060", "hour", "user"),
    "chats": ("0.0040", "total", "session"),
}
CHARGED = {
    "a": ("org", "scouts", "red", "each"),
    "b": ("org", "scouts", "red", "each"),
    "c": ("org", "scouts", "blue", "chats"),
    "d": ("own", "each"),
}
"""Which budgets each key is charged to, over all of its levels."""

CONCURRENCY = {"red": 25, "b": 10, "c": 15}
REQUESTS = {"a": 90, "d": 60}
"""Limits of teams and keys. A life of the city takes less than a minute."""

MANIFEST = [
    document("Provider", "acme", {
        "dialect": "openai-chat", "baseUrl": "http://acme.test/v1", "retries": {"attempts": 2, "backoffMs": 1},
        "breaker": {"consecutive": 1_000_000, "minimum": 1_000_000},
    }),
    document("Price", "price", {"model": "small-1", "inputPerMillion": "1", "outputPerMillion": "2"}),
    document("Model", "fast", {"targets": [{"provider": "acme", "model": "small-1"}]}),
    *[
        document("Budget", name, {"limit": limit, "window": window, "alerts": [50], **({"per": per} if per else {})})
        for name, (limit, window, per) in BUDGETS.items()
    ],
    document("Organisation", "acme", {"budgets": ["org", "scouts"], "perUser": {"concurrency": 30}}),
    document("Team", "red", {"organisation": "acme", "budgets": ["red", "each"], "limits": {"concurrency": 25},
                             "perAgent": {"tokensPerMinute": 10_000_000}}),
    document("Team", "blue", {"organisation": "acme", "budgets": ["blue"], "perSession": {"concurrency": 20}}),
]  # fmt: skip


@dataclass
class World:
    """What the test knows, whatever the city does."""

    seed: int
    now: datetime = START
    random: random.Random = field(init=False)
    asked: int = 0
    """Requests that reached the provider in this life."""
    kill_at: int = 0
    killed: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: Counter[str] = field(default_factory=Counter)
    life: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    meters: list[Meters] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)


class Provider:
    """A transport whose provider uses at most what it was allowed to, and often fails."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def send(self, request: UpstreamRequest) -> Answered:
        world = self.world
        body = json.loads(request.body)
        key = body["messages"][0]["content"].split()[0]
        holders = [name for name in (key, KEYS[key]) if name]
        world.asked += 1
        world.life[key] += 1
        if world.kill_at and world.asked == world.kill_at:
            world.killed.set()
        for name in holders:
            world.under_way[name] += 1
            # Not asserted here: the gateway would take it for a defect of its own.
            if world.under_way[name] > CONCURRENCY.get(name, 10**9):
                world.wrong.append(f"{name} has {world.under_way[name]} calls under way")
        try:
            for _ in range(world.random.randint(0, 30)):
                await asyncio.sleep(0)
            fate = world.random.random()
            if fate < 0.03:
                raise TransportError("read", "the provider's line broke")
            if fate < 0.08:
                return Answered(500, {"error": {"message": "no"}})
            if fate < 0.10:
                return Answered(400, {"error": {"message": "never"}})
            # Never more tokens than bytes, never more output than allowed: often the very most there can be.
            most = world.random.random() < 0.5
            usage = {
                "prompt_tokens": len(request.body) - 30 if most else world.random.randint(1, 60),
                "completion_tokens": body["max_tokens"] if most else world.random.randint(0, body["max_tokens"]),
            }
            message = {"role": "assistant", "content": "Hello"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return Answered(200, {
                "id": "x", "object": "chat.completion", "created": 1, "model": "small-1", "choices": [choice],
                "usage": {**usage, "total_tokens": sum(usage.values())},
            })  # fmt: skip
        finally:
            for name in holders:
                world.under_way[name] -= 1

    async def aclose(self) -> None:
        pass


class Answered:
    """A whole answer."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.headers = [("content-type", "application/json")]
        self._left = [json.dumps(body).encode()]

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")

    async def read(self) -> bytes:
        return self._left.pop() if self._left else b""

    def rest(self) -> bytes | None:
        """What comes is told by ``read``."""
        return None

    async def relay(self, sink: Any) -> None:
        """Nothing is passed on here: it is all read."""

    async def aclose(self) -> None:
        self._left.clear()


async def call(city: Town, world: World, leave: bool) -> None:
    """One call, as the server would make it. ``leave``: its client goes away somewhere in the middle."""
    chance = world.random
    key = chance.choice(list(KEYS))
    body: dict[str, Any] = {
        "model": "fast",
        "max_tokens": chance.choice((1, 50, 400)),
        "messages": [{"role": "user", "content": f"{key} {'x' * chance.randint(0, 100)}"}],
    }
    if user := chance.choice(USERS):
        body["user"] = user
    headers = [(b"authorization", f"Bearer {city.secrets[key]}".encode())]
    if session := chance.choice(("", "s1", "s2")):
        headers.append((b"x-pharos-session", session.encode()))
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    incoming.put_nowait({"type": "http.request", "body": json.dumps(body).encode(), "more_body": False})
    status = 0

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    (route,) = [route for route in city.plane.routes if route.path == "/v1/chat/completions"]
    scope = {"type": "http", "method": "POST", "path": route.path, "headers": headers}
    task = asyncio.ensure_future(route.app(scope, incoming.get, send))
    try:
        if leave:
            for _ in range(chance.randint(0, 40)):
                await asyncio.sleep(0)
            incoming.put_nowait({"type": "http.disconnect"})
        await task
    except asyncio.CancelledError:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        raise
    finally:
        incoming.put_nowait({"type": "http.disconnect"})  # as a server says it after the answer
    world.statuses[status] += 1


async def counters(city: Town) -> dict[tuple[str, str], tuple[int, int]]:
    """Every counter there is: what is settled, and what is reserved, all at one moment."""
    pairs = {(each.counter, each.window) for each in (await city.store.counters.list(limit=10_000))[0]}
    for reservation in await city.store.counters.open_reservations(limit=100_000):
        pairs |= {(hold.counter, hold.window) for hold in reservation.holds}
    counts = await city.store.counters.read(sorted(pairs))
    return {(count.counter, count.window): (count.settled, count.reserved) for count in counts}


def limit_of(counter: str) -> int:
    return int(Decimal(BUDGETS[counter.split("/")[2]][0]) * NANOS)


async def under_the_caps(city: Town) -> None:
    for (counter, window), (settled, reserved) in (await counters(city)).items():
        assert settled + reserved <= limit_of(counter), f"{counter} in {window}: {settled} + {reserved}"


async def watch(city: Town) -> None:
    while True:
        await under_the_caps(city)
        await asyncio.sleep(0.005)


async def balanced(city: Town) -> None:
    """Nothing is reserved, and the books agree."""
    assert await city.store.counters.open_reservations() == []
    await under_the_caps(city)
    settled: Counter[str] = Counter()
    for (counter, _), amounts in (await counters(city)).items():
        settled[counter] += amounts[0]
    expected: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    for called in await city.called(0):
        cost = int(Decimal(called["cost"]) * NANOS)
        key = called["key"]
        spent[key] += cost
        if called["outcome"] == "refused":
            assert cost == 0 and called["attempts"] == []
        for budget in CHARGED[key]:
            name = f"budget/default/{budget}"
            if per := BUDGETS[budget][2]:
                names = {"agent": called["labels"].get("agent"), "user": called.get("user"),
                         "session": called["conversation"]["id"]}  # fmt: skip
                name = f"{name}/{per}/{names[per] or ''}"
            expected[name] += cost
    assert +settled == +expected, "the counters are what the calls say"
    (ledger,) = [projection for projection in projections() if projection.name == "ledger"]
    await city.store.views.register(ledger)
    while await city.store.views.advance(ledger.name, 10_000):
        pass
    rows = await city.store.views.query("SELECT key_name, sum(coalesce(cost, 0)) FROM ledger GROUP BY key_name")
    assert {row[0]: row[1] for row in rows if row[1]} == dict(+spent), "the ledger is what the calls say"


@dataclass(frozen=True)
class Life:
    """One life of the city: how many calls, after which jump of the clock, and how it ends."""

    calls: int
    jump: timedelta
    end: str
    at: int
    leaving: float


LIVES = st.lists(
    st.builds(
        Life,
        calls=st.integers(60, 220),
        jump=st.sampled_from([timedelta(0), timedelta(seconds=15), timedelta(hours=1), timedelta(hours=-2),
                              timedelta(days=1), timedelta(days=-40), timedelta(days=31)]),
        end=st.sampled_from(["quiet", "kill", "kill", "restart"]),
        at=st.integers(1, 80),
        leaving=st.sampled_from([0.0, 0.1]),
    ),
    min_size=2,
    max_size=4,
)  # fmt: skip


async def live(home: Path, world: World, life: Life, first: bool) -> None:
    world.now += life.jump
    world.asked, world.killed, world.kill_at = 0, asyncio.Event(), life.at if life.end != "quiet" else 0
    world.life.clear()
    async with town(home, transport=lambda spec: Provider(world)) as city:
        if first:
            await city.apply(*MANIFEST)
            for name, team in KEYS.items():
                await city.apply(document("Key", name, key_spec(name, team)))
        for name in KEYS:
            city.secrets[name] = (await city.invoke("keys.issue", key=name))["secret"]
        # What the life before left open was settled before the first call.
        await balanced(city)
        watching = asyncio.create_task(watch(city))
        calls = [
            asyncio.create_task(call(city, world, world.random.random() < life.leaving)) for _ in range(life.calls)
        ]
        everything = asyncio.gather(*calls, return_exceptions=True)
        if life.end == "quiet":
            await everything
        else:
            waiting = asyncio.create_task(world.killed.wait())
            await asyncio.wait([waiting, everything], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if life.end == "kill":
                # From this moment on nothing of this process reaches the disk.
                city.store.commit = dead  # type: ignore[method-assign]
            for each in calls:
                each.cancel()
            await everything
        assert world.wrong == []
        watching.cancel()
        (outcome,) = await asyncio.gather(watching, return_exceptions=True)
        assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome
        for result in await everything:
            assert result is None or isinstance(result, asyncio.CancelledError), result
        for key, most in REQUESTS.items():
            # An attempt that is made again is the same request.
            assert world.life[key] <= 2 * most
        assert not any(usage.active for usage in world.meters[-1]._usage.values()), "a place is held by nobody"
        if life.end != "kill":
            await balanced(city)


def key_spec(name: str, team: str | None) -> dict[str, Any]:
    spec: dict[str, Any] = {"models": ["*"]}
    if team:
        spec |= {"team": team, "agent": AGENTS[name]}
    inherited = {"a": {"org", "scouts", "red", "each"}, "b": {"org", "scouts", "red", "each"},
                 "c": {"org", "scouts", "blue"}, "d": set()}[name]  # fmt: skip
    spec["budgets"] = [budget for budget in CHARGED[name] if budget not in inherited]
    limits = {}
    if name in CONCURRENCY:
        limits["concurrency"] = CONCURRENCY[name]
    if name in REQUESTS:
        limits["requestsPerMinute"] = REQUESTS[name]
    return {**spec, "limits": limits}


async def dead(*commands: Any, **more: Any) -> Any:
    raise STORAGE_FAILED("The process is dead.")


def clock(world: World) -> type[datetime]:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            world.now += timedelta(milliseconds=100)
            return world.now

    return Clock


def watched(world: World) -> Callable[[], Meters]:
    def make() -> Meters:
        world.meters.append(Meters())
        return world.meters[-1]

    return make


async def run(home: Path, world: World, lives: list[Life]) -> None:
    for number, life in enumerate([*lives, Life(40, timedelta(0), "quiet", 0, 0.0)]):
        await live(home, world, life, number == 0)


@pytest.mark.timeout(110)
@given(lives=LIVES, seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_that_happens_passes_a_cap_or_leaves_the_books_open(lives: list[Life], seed: int) -> None:
    world = World(seed)
    fake = clock(world)
    with (
        tempfile.TemporaryDirectory() as home,
        patch("pharos.gateway.models.call.datetime", fake),
        patch("pharos.gateway.models.layers.attempt.datetime", fake),
        patch("pharos.gateway.models.plane.Meters", watched(world)),
    ):
        asyncio.run(run(Path(home), world, lives))
    assert set(world.statuses) <= {0, 200, 400, 402, 408, 429, 500, 502, 503}
    assert world.statuses[200] > 0
