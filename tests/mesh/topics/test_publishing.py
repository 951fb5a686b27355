"""Publishing and reading: once, in order, together, and not in anyone else's name."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mesh.topics.town import ADMIN, RIVAL, SHOP, Town, Wall, events, opened

from pharos.core.fault import Fault
from pharos.core.principal import Principal, PrincipalKind
from pharos.mesh.topics.names import Place
from pharos.mesh.topics.producer import Outgoing


async def test_messages_are_kept_in_order_with_their_attributes(town: Town) -> None:
    message = {
        "id": "7", "source": "/till/1", "type": "order.placed", "subject": "o-7", "time": "2026-11-21T12:00:00Z",
        "contentType": "application/json", "dataSchema": "https://example.org/order", "extensions": {"store": "north"},
        "data": {"n": 1},
    }  # fmt: skip
    answer = await town.call("topics.publish", SHOP, name="orders/eu", messages=[message, {"data": "plain"}])
    page = await town.call("topics.read", SHOP, name="orders/eu")
    first, second = page["items"]
    assert message.items() <= first.items()
    assert (first["topic"], first["namespace"], first["sequence"]) == ("orders/eu", "shop", 1)
    assert (second["type"], second["source"]) == ("message", "/key/shop/shop-bot")
    assert [item["position"] for item in answer["items"]] == [first["position"], second["position"]]
    assert first["causation"] == answer["operation"]


async def test_publishing_leaves_no_record_of_an_operation(town: Town) -> None:
    before = await town.store.log.head()
    await town.publish("orders", 1, 2, 3)
    added = await town.store.log.read_all(before)
    assert [recorded.event.type for recorded in added] == ["message.published"] * 3


async def test_a_plan_publishes_nothing(town: Town) -> None:
    arguments = {"name": "orders", "messages": [{"data": 1}, {"data": 2}]}
    plan = await town.invoker.invoke("topics.publish", arguments, ADMIN, dry_run=True)
    assert plan["events"] == ["message.published"] * 2
    assert await town.store.log.topic(Place("default", "orders").topic) is None


@pytest.mark.parametrize("named", [{"key": "k"}, {"id": "7", "source": "/till"}])
async def test_a_message_with_a_name_is_published_once(town: Town, named: dict[str, str]) -> None:
    first = await town.call("topics.publish", name="orders", messages=[{**named, "data": 1}])
    again = await town.call("topics.publish", name="orders", messages=[{"data": 0}, {**named, "data": 1}])
    assert [item["duplicate"] for item in again["items"]] == [False, True]
    assert again["items"][1]["position"] == first["items"][0]["position"]
    assert again["items"][1]["id"] == first["items"][0]["id"]
    assert await town.texts("orders") == [1, 0]
    assert not (await town.call("topics.publish", name="other", messages=[{**named, "data": 1}]))["items"][0][
        "duplicate"
    ]


async def test_keys_of_two_sorts_never_meet(town: Town) -> None:
    await town.call("topics.publish", name="t", messages=[{"key": "event /s 1", "data": 1}])
    await town.call("topics.publish", name="t", messages=[{"id": "1", "source": "/s", "data": 2}])
    assert await town.texts("t") == [1, 2]


async def test_mesh_6_a_call_repeated_under_its_key_publishes_once_also_after_a_restart(tmp_path: Path) -> None:
    batch = [{"data": 1}, {"data": 2}]
    async with opened(tmp_path / "home") as town:
        first = await town.call("topics.publish", _key="call-1", name="orders", messages=batch)
        again = await asyncio.gather(
            *(town.call("topics.publish", _key="call-1", name="orders", messages=batch) for _ in range(5))
        )
    async with opened(tmp_path / "home") as town:
        again.append(await town.call("topics.publish", _key="call-1", name="orders", messages=batch))
        for answer in again:
            assert [i["position"] for i in answer["items"]] == [i["position"] for i in first["items"]]
        assert await town.texts("orders") == [1, 2]


@pytest.mark.parametrize("other", [[{"data": 9}, {"data": 2}], [{"data": 1}], [{"data": n} for n in (1, 2, 3)]])
async def test_a_key_of_a_call_is_for_that_call_alone(tmp_path: Path, other: list[dict[str, int]]) -> None:
    """Another body under it is refused and publishes nothing, also where the first is only known from the disk."""
    batch = [{"data": 1}, {"data": 2}]
    async with opened(tmp_path / "home") as town:
        await town.call("topics.publish", _key="call-1", name="orders", messages=batch)
    async with opened(tmp_path / "home") as town:
        with pytest.raises(Fault) as refused:
            await town.call("topics.publish", _key="call-1", name="orders", messages=other)
        assert refused.value.code == "IDEMPOTENCY_MISMATCH"
        again = await town.call("topics.publish", _key="call-1", name="orders", messages=batch)
        assert [item["duplicate"] for item in again["items"]] == [True, True]
        assert await town.texts("orders") == [1, 2]


async def test_a_call_that_published_nothing_leaves_its_key_free(town: Town) -> None:
    wrong = {"name": "t", "messages": [{"data": 1}], "expectedSequence": 7}
    with pytest.raises(Fault):
        await town.call("topics.publish", _key="k", **wrong)
    await town.call("topics.publish", _key="k", name="t", messages=[{"data": 2}])
    assert await town.texts("t") == [2]


async def test_mesh_7_a_key_counts_as_long_as_its_message_is_kept(tmp_path: Path) -> None:
    """There is no window after which a repetition doubles: a month later it is still the same message."""
    wall = Wall()
    async with opened(tmp_path / "home", wall) as town:
        first = await town.call("topics.publish", name="t", messages=[{"key": "k", "data": 1}])
    wall.ahead = 31 * 24 * 3600
    async with opened(tmp_path / "home", wall) as town:
        again = await town.call("topics.publish", name="t", messages=[{"key": "k", "data": 1}])
        assert again["items"] == [{**first["items"][0], "duplicate": True}]
        assert await town.texts("t") == [1]


async def test_mesh_8_who_has_a_stale_idea_of_the_topic_publishes_nothing(town: Town) -> None:
    async def publish(expected: int, *data: int) -> Any:
        messages = [{"data": each} for each in data]
        return await town.call("topics.publish", name="t", messages=messages, expectedSequence=expected)

    await publish(0, 1, 2)
    with pytest.raises(Fault) as stale:
        await publish(1, 3)
    assert (stale.value.code, stale.value.document.facts["sequence"]) == ("POSITION_CONFLICT", 2)
    outcomes = await asyncio.gather(*(publish(2, number) for number in range(3, 8)), return_exceptions=True)
    assert sum(not isinstance(outcome, Fault) for outcome in outcomes) == 1
    assert len(await town.texts("t")) == 3


async def test_mesh_8_nor_does_who_repeats_a_part_of_what_was_published(town: Town) -> None:
    """The first message was there, so that nobody looked whether the second was expected."""

    async def publish(expected: int, *keys: str) -> Any:
        messages = [{"key": key, "data": key} for key in keys]
        return await town.call("topics.publish", name="t", messages=messages, expectedSequence=expected)

    first = await publish(0, "a", "b", "a")
    assert [item["sequence"] for item in first["items"]] == [1, 2, 1]
    assert [item["duplicate"] for item in (await publish(0, "a", "b", "a"))["items"]] == [True, True, True]
    with pytest.raises(Fault, match="POSITION_CONFLICT"):
        await publish(0, "a", "c")
    assert await town.texts("t") == ["a", "b"]
    await publish(2, "c", "c", "d")
    assert await town.texts("t") == ["a", "b", "c", "d"]


async def test_mesh_47_a_batch_is_about_one_topic_and_comes_whole_or_not_at_all(town: Town) -> None:
    across = await town.refused("topics.publish", name="a", messages=[{"data": 1}, {"data": 2, "topic": "b"}])
    assert across.code == "INVALID"
    assert across.document.problems[0].pointer == "/messages/1/topic"
    too_large = await town.refused("topics.publish", name="a", messages=[{"data": 1}, {"data": "x" * (1024 * 1024)}])
    assert too_large.code == "TOO_LARGE"
    assert await town.store.log.topic(Place("default", "a").topic) is None
    with pytest.raises(Exception, match="1001 messages"):
        await town.producer().publish_many("a", [1] * 1001)


async def test_a_message_is_never_taken_for_a_fact_of_the_city(town: Town) -> None:
    await town.call("topics.publish", name="t", messages=[{"type": "model.called", "data": {"cost": "1"}}])
    types = frozenset({"model.called", "resource.applied", "operation.completed"})
    assert await town.store.log.read_all(types=types) == []
    assert (await town.call("topics.read", name="t"))["items"][0]["type"] == "model.called"


NARROW = Principal(PrincipalKind.KEY, "narrow", "shop", frozenset({"catalog.*"}))


async def test_mesh_40_a_caller_never_touches_another_namespace(town: Town) -> None:
    await town.publish("orders", 1, _as=SHOP)
    await town.call("groups.subscribe", SHOP, group="g", topics="*")
    claimed = await town.call("groups.claim", SHOP, group="g")
    position = claimed["messages"][0]["position"]
    named: dict[str, Any] = {"name": "orders", "namespace": "shop"}
    lease = claimed["lease"]
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("topics.read", named), ("topics.read", {"log": "topics/shop/orders"}), ("topics.get", named),
        ("topics.list", {"namespace": "shop"}), ("topics.retire", named),
        ("topics.publish", {**named, "messages": [{"data": 2}]}),
        ("topics.reply", {"to": "replies/1", "namespace": "shop", "message": {}}),
        ("topics.request", {**named, "message": {}}),
        ("groups.subscribe", {"group": "spy", "namespace": "shop", "topics": "*"}),
        ("groups.claim", {"group": "g", "namespace": "shop"}), ("groups.list", {"namespace": "shop"}),
        ("groups.renew", {"lease": lease}), ("groups.release", {"lease": lease}),
        ("groups.acknowledge", {"lease": lease, "position": position}),
        ("groups.fail", {"lease": lease, "reason": "x"}),
        ("groups.suspend", {"group": "g", "namespace": "shop", "topic": "orders"}),
        ("groups.remove", {"group": "g", "namespace": "shop"}),
        ("deadletters.list", {"group": "g", "namespace": "shop"}),
        ("schedules.create", {"topic": "orders", "namespace": "shop", "message": {}, "delaySeconds": 0}),
        ("schedules.list", {"namespace": "shop"}),
    ]  # fmt: skip
    for operation, arguments in attempts:
        refused = await town.refused(operation, RIVAL, **arguments)
        assert (refused.code, refused.document.required_permission) == ("FORBIDDEN", "namespaces.cross"), operation
    streamed = town.invoker.stream("topics.tail", {**named, "after": ""}, RIVAL)
    with pytest.raises(Exception, match=r"namespaces\.cross"):
        await anext(streamed)
    # A wildcard of one's own reaches nobody else's topics.
    await town.call("groups.subscribe", RIVAL, group="all", topics="*")
    assert "lease" not in await town.call("groups.claim", RIVAL, group="all")
    assert await town.texts("orders", SHOP) == [1]
    await town.call("groups.acknowledge", SHOP, lease=lease, position=position)


async def test_mesh_40_topics_of_the_city_are_read_with_a_permission_and_written_by_nobody(town: Town) -> None:
    await town.declare("Topic", "orders")
    refused = await town.refused("topics.read", SHOP, log="catalog")
    assert refused.document.required_permission == "logs.read"
    assert (await town.call("topics.read", log="catalog"))["items"][0]["type"] == "resource.applied"
    await town.publish("catalog", 1)
    assert (await town.store.log.topic("catalog")).sequence == 1
    assert await town.texts("catalog") == [1]


async def test_mesh_40_a_schedule_publishes_only_where_its_author_may(town: Town) -> None:
    no_right = await town.refused(
        "catalog.apply", NARROW,
        documents=[{"apiVersion": "pharos/v1", "kind": "Schedule", "metadata": {"name": "s", "namespace": "shop"},
                    "spec": {"topic": "t", "cron": "* * * * *"}}],
    )  # fmt: skip
    assert no_right.document.required_permission == "topics.publish"
    await town.declare("Schedule", "s", SHOP, "shop", topic="t", cron="* * * * *")
    with pytest.raises(Fault) as refused:
        await town.declare("Schedule", "s", SHOP, "rival", topic="t", cron="* * * * *")
    assert refused.value.document.required_permission == "namespaces.cross"


@settings(max_examples=15)
@given(st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=4), min_size=1, max_size=8))
def test_the_first_message_of_a_key_counts_and_order_is_that_of_publishing(batches: list[list[str]]) -> None:
    import tempfile

    async def run(home: Path) -> None:
        async with opened(home, services=False) as town:
            producer = town.producer()
            for number, batch in enumerate(batches):
                await producer.publish_many("t", [Outgoing([number, key], key=key) for key in batch])
            seen: dict[str, list[Any]] = {}
            for number, batch in enumerate(batches):
                for key in batch:
                    seen.setdefault(key, [number, key])
            assert await town.texts("t") == list(seen.values())

    with tempfile.TemporaryDirectory() as home:
        asyncio.run(run(Path(home)))


async def test_mesh_16_of_two_readers_one_leaves(town: Town) -> None:
    async with aclosing(town.invoker.stream("topics.tail", {"name": "t", "after": ""}, ADMIN)) as stays:
        async with aclosing(town.invoker.stream("topics.tail", {"name": "t", "after": ""}, ADMIN)) as leaves:
            await town.publish("t", 1)
            assert (await anext(leaves))["data"] == (await anext(stays))["data"] == 1
        await town.publish("t", 2)
        assert (await anext(stays))["data"] == 2


async def test_a_tail_begins_now_at_the_start_or_after_a_message(town: Town) -> None:
    items = await town.publish("t", 1, 2)
    for after, expected in (("", [1, 2, 3]), (items[0]["position"], [2, 3]), (None, [3])):
        arguments: dict[str, Any] = {"name": "t"} if after is None else {"name": "t", "after": after}
        async with aclosing(town.invoker.stream("topics.tail", arguments, ADMIN)) as tail:
            first = asyncio.ensure_future(anext(tail))
            while after is None and not first.done():
                # A stream that begins now says nothing before its first message.
                await town.publish("t", 3)
                await asyncio.wait({first}, timeout=0.02)
            found = [(await first)["data"]]
            while len(found) < len(expected) - (after is not None):
                found.append((await anext(tail))["data"])
            assert found == expected[: len(found)]


async def test_every_position_continues_where_it_stood(town: Town) -> None:
    items = await town.publish("t", *range(50))
    for number in (0, 7, 48, 49):
        page = await town.call("topics.read", name="t", after=items[number]["position"])
        assert [item["data"] for item in page["items"]] == list(range(number + 1, 50))
    paged, after = [], ""
    while True:
        page = await town.call("topics.read", name="t", after=after, limit=7)
        paged += [item["data"] for item in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert paged == list(range(50))
    assert len(await events(town.store, "topics/default/t")) == 50
