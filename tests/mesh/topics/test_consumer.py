"""The consumer in the process: order, attempts, leases, and work that nobody told it of."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mesh.topics.town import Town, Wall, events, opened

from pharos.core.event import Event, Recorded
from pharos.core.fault import Fault
from pharos.mesh.topics.backoff import backoff
from pharos.mesh.topics.consumer import Consumer, Later, Refuse
from pharos.mesh.topics.kinds import DeadLetters
from pharos.mesh.topics.messages import payload
from pharos.mesh.topics.producer import Outgoing
from pharos.store.delivery import Claim, Deliveries, Unsubscribe
from pharos.store.ports import Append, Store

GROUP = "topics/default/g"


class Seen:
    """What a handler saw, and a way to wait for it."""

    def __init__(self) -> None:
        self.by_topic: dict[str, list[Any]] = defaultdict(list)
        self.count = 0
        self._more = asyncio.Event()

    def note(self, message: Recorded) -> None:
        self.by_topic[message.event.topic.rpartition("/")[2]].append(payload(message))
        self.count += 1
        self._more.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.count < count:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def settled(town: Town, consumer: Consumer) -> AsyncIterator[None]:
    """Run a consumer until its group has nothing left, then stop it."""
    async with consumer.service():
        yield
        async with asyncio.timeout(20):
            while True:
                head = await town.store.log.head()
                if not (await town.call("groups.deliveries", group="g"))["items"]:
                    break
                try:
                    async with asyncio.timeout(0.02):
                        await town.store.log.grown(head)
                except TimeoutError:
                    continue


@pytest.fixture
async def group(town: Town) -> Town:
    await town.call("groups.subscribe", group="g", topics="*")
    return town


async def test_messages_of_a_topic_are_handled_in_order_and_one_at_a_time(group: Town) -> None:
    seen, busy, most = Seen(), defaultdict(int), defaultdict(int)

    async def handle(message: Recorded) -> None:
        busy[message.event.topic] += 1
        most[message.event.topic] = max(most[message.event.topic], busy[message.event.topic])
        most["all"] = max(most["all"], sum(busy.values()))
        await asyncio.sleep(0)
        seen.note(message)
        busy[message.event.topic] -= 1

    producer = group.producer()
    async with settled(group, group.consumer("g", handle, workers=4, batch=7)):
        for number in range(30):
            await asyncio.gather(*(producer.publish(f"t{topic}", number) for topic in range(6)))
        await seen.until(180)
    assert dict(seen.by_topic) == {f"t{topic}": list(range(30)) for topic in range(6)}
    assert {most[topic] for topic in most if topic != "all"} == {1}
    assert 1 < most["all"] <= 4


async def test_mesh_45_what_two_connectors_say_of_one_document_is_done_in_the_order_it_was_published(
    group: Town,
) -> None:
    """Delete, then add: with one topic for each document no worker can overtake another."""
    index: dict[str, int] = {}
    done: dict[str, list[Any]] = defaultdict(list)

    async def handle(message: Recorded) -> None:
        document, (act, version) = message.event.topic.rpartition("/")[2], payload(message)
        await asyncio.sleep(0 if act == "delete" else 0.001)
        done[document].append([act, version])
        if act == "add":
            index[document] = version
        else:
            index.pop(document, None)

    one, other = group.producer(), group.producer()
    async with settled(group, group.consumer("g", handle, workers=8, batch=1)):
        for version in range(5):
            for document in range(10):
                await one.publish(f"docs/{document}", ["delete", version])
                await other.publish(f"docs/{document}", ["add", version])
    assert index == {str(document): 4 for document in range(10)}
    for document in range(10):
        published = [payload(recorded) for recorded in await events(group.store, f"topics/default/docs/{document}")]
        assert done[str(document)] == published


async def test_an_effect_that_is_returned_comes_about_once_with_its_acknowledgement(group: Town) -> None:
    failed: set[int] = set()

    async def handle(message: Recorded) -> list[Append]:
        number = payload(message)
        if number % 3 == 0 and number not in failed:
            failed.add(number)
            raise ValueError("once")
        return [Append(Event("effects", "done", {"value": number}))]

    await group.declare("Topic", "all", match="*", deadLetters={"backoffSeconds": 0})
    async with settled(group, group.consumer("g", handle)):
        await group.producer().publish_many("t", list(range(20)))
    assert [event.event.data["value"] for event in await events(group.store, "effects")] == list(range(20))


async def test_a_failing_message_is_tried_again_and_put_aside_and_the_rest_goes_on(group: Town) -> None:
    attempts: dict[Any, int] = defaultdict(int)

    async def handle(message: Recorded) -> None:
        attempts[payload(message)] += 1
        if payload(message) == "refused":
            raise Refuse("malformed", "no such field")
        if payload(message) == "bad":
            raise RuntimeError("no luck")
        if payload(message) == "later" and attempts["later"] < 8:
            raise Later(0)

    await group.declare("Topic", "all", match="*", deadLetters={"maxAttempts": 3, "backoffSeconds": 0})
    consumer = group.consumer("g", handle)
    async with settled(group, consumer):
        await group.producer().publish_many("t", ["a", "refused", "b", "bad", "later", "c"])
    assert attempts == {"a": 1, "refused": 1, "b": 1, "bad": 3, "later": 8, "c": 1}
    letters = (await group.call("deadletters.list", group="g"))["items"]
    assert [(letter["reason"], letter["detail"], letter["attempts"]) for letter in letters] == [
        ("malformed", "no such field", 1),
        ("attempts_exhausted", "RuntimeError: no luck", 3),
    ]
    assert (consumer.tally.buried, consumer.tally.lost) == (2, 0)


async def test_attempts_that_never_ended_count_and_only_for_the_message_they_were_about(tmp_path: Path) -> None:
    wall, handled = Wall(), Seen()
    async with opened(tmp_path / "home", wall) as town:
        await town.declare("Topic", "t", deadLetters={"maxAttempts": 2})
        await town.call("groups.subscribe", group="g", topics="*")
        await town.publish("t", "killer", "fine")
        for _ in range(2):
            await town.store.commit(Claim(GROUP, "dies", 1))
            wall.ahead += 2

        async def handle(message: Recorded) -> None:
            handled.note(message)

        async with settled(town, town.consumer("g", handle)):
            await handled.until(1)
        assert handled.by_topic == {"t": ["fine"]}
        (letter,) = (await town.call("deadletters.list", group="g"))["items"]
        assert (letter["reason"], letter["attempts"]) == ("worker_died", 3)


async def test_a_lease_is_renewed_while_its_message_is_worked_on(group: Town) -> None:
    seen = Seen()

    async def handle(message: Recorded) -> None:
        await asyncio.sleep(1.3)  # twice the lease: the time itself is what is tested
        seen.note(message)

    consumer = group.consumer("g", handle, seconds=0.6)
    rival = group.consumer("g", handle, seconds=0.6)
    async with rival.service(), settled(group, consumer):
        await group.publish("t", 1)
        await seen.until(1)
    assert seen.by_topic == {"t": [1]}
    assert consumer.tally.lost == rival.tally.lost == 0


async def test_work_under_a_lost_lease_is_ended_and_commits_nothing(group: Town) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handle(message: Recorded) -> list[Append]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return [Append(Event("effects", "done", {}))]

    consumer = group.consumer("g", handle, seconds=0.3)
    async with consumer.service():
        await group.publish("t", 1)
        await begun.wait()
        await group.store.commit(Unsubscribe(GROUP))
        async with asyncio.timeout(10):
            await ended.wait()
    assert consumer.tally.lost == 1
    assert await group.store.log.topic("effects") is None


async def test_stopping_ends_what_is_being_handled_and_gives_the_rest_back(group: Town) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    seen = Seen()

    async def handle(message: Recorded) -> None:
        begun.set()
        await go.wait()
        seen.note(message)

    async with group.consumer("g", handle).service():
        await group.publish("t", 1, 2, 3)
        await begun.wait()
        asyncio.get_running_loop().call_soon(go.set)
    assert seen.by_topic == {"t": [1]}
    (delivery,) = (await group.call("groups.deliveries", group="g"))["items"]
    assert (delivery["state"], delivery["behind"], delivery["attempts"]) == ("ready", 2, 0)


class Deaf:
    """Deliveries that never tell anyone that there is work: every wake-up is lost."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    def __getattr__(self, name: str) -> Any:
        return getattr(self._deliveries, name)

    async def claimable(self, group: str) -> None:
        await asyncio.Event().wait()


class Muffled:
    """A store whose deliveries are deaf."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.deliveries = Deaf(store.deliveries)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_mesh_1_work_is_found_although_nobody_told_of_it(group: Town) -> None:
    seen = Seen()

    async def handle(message: Recorded) -> None:
        seen.note(message)

    muffled: Any = Muffled(group.store)
    consumer = Consumer(muffled, group.mesh.policies, GROUP, handle, sweep=0.05)
    async with consumer.service():
        for number in range(3):
            await group.publish("t", number)
            await seen.until(number + 1)
    assert seen.by_topic == {"t": [0, 1, 2]}


async def test_many_topics_of_one_message_each_are_all_handled(group: Town) -> None:
    seen = Seen()

    async def handle(message: Recorded) -> None:
        seen.note(message)

    producer = group.producer()
    async with settled(group, group.consumer("g", handle, workers=64)):
        for start in range(0, 1000, 250):
            await asyncio.gather(*(producer.publish(f"s/{number}", number) for number in range(start, start + 250)))
        await seen.until(1000)
    assert seen.count == 1000


async def test_a_key_names_a_message_also_in_a_batch(group: Town) -> None:
    producer = group.producer()
    first = await producer.publish_many("t", [Outgoing(1, key="k"), Outgoing(2), Outgoing(3, key="k")])
    assert [recorded.sequence for recorded in first] == [1, 2, 1]


@given(
    rules=st.builds(
        DeadLetters,
        backoff_seconds=st.floats(0, 3600, allow_nan=False),
        most_backoff_seconds=st.floats(0, 86400, allow_nan=False),
    ),
    attempts=st.integers(1, 10_000),
    chance=st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=100)
def test_backoff_grows_up_to_its_most(rules: DeadLetters, attempts: int, chance: float) -> None:
    longest = backoff(rules, attempts, lambda: 0.0)
    assert longest <= rules.most_backoff_seconds
    assert longest <= backoff(rules, attempts + 1, lambda: 0.0)
    assert longest / 2 <= backoff(rules, attempts, lambda: chance) <= longest


@pytest.mark.parametrize("effects", [True, False])
async def test_an_attempt_is_counted_for_its_own_message_only(group: Town, effects: bool) -> None:
    seen, claims = Seen(), []
    store: Any = group.store

    async def handle(message: Recorded) -> list[Append]:
        delivery = await store.deliveries.get(GROUP, message.event.topic)
        claims.append(delivery.attempts)
        seen.note(message)
        return [Append(Event("effects", "done", {}))] if effects else []

    async with settled(group, group.consumer("g", handle, batch=2)):
        for number in range(4):
            await group.publish("t", number, -number)
            await seen.until(2 * number + 2)
    assert set(claims) == {1}
    delivery = await store.deliveries.get(GROUP, "topics/default/t")
    assert (delivery.state, delivery.attempts, delivery.behind) == ("idle", 0, 0)


async def test_who_leaves_while_publishing_to_a_topic_of_a_depth_leaves_the_count_right(group: Town) -> None:
    await group.declare("Topic", "t", depth=5)
    for _ in range(5):
        leaving = asyncio.ensure_future(group.producer().publish("t", 1))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    refused = 0
    for _ in range(10):
        try:
            await group.producer().publish("t", 2)
        except Fault as full:
            assert full.code == "TOPIC_FULL"
            refused += 1
    delivery = await group.store.deliveries.get(GROUP, "topics/default/t")
    assert delivery is not None and delivery.behind == 5
    assert refused >= 5


async def test_a_depth_that_is_lowered_counts_at_once(group: Town) -> None:
    await group.declare("Topic", "t", depth=100)
    await group.publish("t", 1, 2, 3)
    await group.declare("Topic", "t", depth=3)
    assert (await group.refused("topics.publish", name="t", messages=[{}])).code == "TOPIC_FULL"


async def test_a_handler_that_never_ends_is_a_failed_attempt(group: Town) -> None:
    seen = Seen()

    async def handle(message: Recorded) -> None:
        if payload(message) == "stuck":
            await asyncio.Event().wait()
        seen.note(message)

    await group.declare("Topic", "t", deadLetters={"maxAttempts": 2, "backoffSeconds": 0})
    async with settled(group, group.consumer("g", handle, longest=0.02)):
        await group.publish("t", "stuck", "fine")
        await seen.until(1)
    (letter,) = (await group.call("deadletters.list", group="g"))["items"]
    assert (letter["reason"], letter["attempts"]) == ("attempts_exhausted", 2)
