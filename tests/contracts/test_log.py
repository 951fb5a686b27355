"""Log: order, places, paging, expectations, idempotent appends."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.contracts.conftest import Open
from tests.contracts.samples import append, event, numbers, recorded, refused

from pharos.core.event import START, Event
from pharos.core.fault import INVALID
from pharos.store.faults import POSITION_CONFLICT
from pharos.store.ports import Append, Store


async def test_an_event_comes_back_as_it_went_in(store: Store) -> None:
    given = Event(
        topic="sessions/α β/\U0001f3db",
        type="model.called",
        data={"text": "naïve \u0000 \U0001f600", "list": [1, 2.5, None, True, {"deep": []}], "big": 2**63 - 1},
        principal="key/default/ci-bot",
        subject="Model/default/fast",
        causation="c",
        correlation="k",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        source="pharos/test",
        time=datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=8))),
    )
    (first,) = await append(store, given)
    (read,) = await store.log.read(given.topic)
    assert read == first
    assert read.event == given
    assert read.event.time == datetime(2026, 11, 20, 17, 2, 3, 456789, tzinfo=UTC)
    assert read.cloudevent() == first.cloudevent()


async def test_places(store: Store) -> None:
    a1, b1, a2 = await append(store, event("a", n=1), event("b", n=2), event("a", n=3))
    assert (a1.sequence, b1.sequence, a2.sequence) == (1, 1, 2)
    assert START < a1.position < b1.position < a2.position
    assert await store.log.head() == a2.position
    assert numbers(await store.log.read("a")) == [1, 3]
    assert numbers(await store.log.read_all()) == [1, 2, 3]


async def test_positions_sort_as_text_beyond_every_power(store: Store) -> None:
    events = [event(n=n) for n in range(300)]
    positions = [r.position for r in await append(store, *events)]
    assert positions == sorted(positions)
    assert len(set(positions)) == 300


async def test_an_empty_log(store: Store) -> None:
    assert await store.log.head() == START
    assert await store.log.read("nothing") == []
    assert await store.log.read_all() == []
    assert await store.log.topic("nothing") is None
    assert await store.log.topics() == ([], None)


async def test_reading_continues_after_any_position(store: Store) -> None:
    for n in range(10):
        await append(store, event("a" if n % 2 else "b", n=n))
    for reader in (lambda after: store.log.read("a", after, 2), lambda after: store.log.read_all(after, 3)):
        seen, after = [], START
        while page := await reader(after):
            seen += numbers(page)
            after = page[-1].position
        assert seen in ([1, 3, 5, 7, 9], list(range(10)))
    everything = await store.log.read_all()
    # A position of another topic's event is a place in this topic too.
    assert numbers(await store.log.read("a", everything[4].position)) == [5, 7, 9]
    assert await store.log.read("a", everything[-1].position) == []
    assert await store.log.read("a", limit=0) == []


async def test_types(store: Store) -> None:
    await append(store, event(n=1), event(type="lamp.out", n=2), event(n=3), event(type="lamp.sold", n=4))
    assert numbers(await store.log.read_all(types=frozenset({"lamp.lit"}))) == [1, 3]
    assert numbers(await store.log.read_all(types=frozenset({"lamp.out", "lamp.sold"}), limit=1)) == [2]
    assert await store.log.read_all(types=frozenset()) == []


async def test_topics_are_listed_by_prefix_in_order(store: Store) -> None:
    names = ["a", "a/1", "a/2", "a/\U0010ffff", "a0", "b", "é", "\ud7ff", "\ue000"]
    await append(store, *(event(name) for name in names), event("a/1"))
    assert [t.name for t in (await store.log.topics())[0]] == sorted(names)
    assert [t.name for t in (await store.log.topics("a/"))[0]] == ["a/1", "a/2", "a/\U0010ffff"]
    assert [t.name for t in (await store.log.topics("\ud7ff"))[0]] == ["\ud7ff"]
    assert [t.name for t in (await store.log.topics("a/\U0010ffff"))[0]] == ["a/\U0010ffff"]
    seen, after = [], None
    while True:
        page, after = await store.log.topics("a", after, 2)
        seen += [t.name for t in page]
        if after is None:
            break
    assert seen == ["a", "a/1", "a/2", "a/\U0010ffff", "a0"]
    assert await store.log.topics("zz") == ([], None)


async def test_a_topic_knows_its_end(store: Store) -> None:
    first, _, last = await append(store, event("a"), event("b"), event("a"))
    topic = await store.log.topic("a")
    assert topic is not None
    assert (topic.name, topic.sequence, topic.last) == ("a", 2, last.position)
    assert (await store.log.topics("a"))[0] == [topic]
    assert first.position < topic.last


async def test_expected_sequence(store: Store) -> None:
    await store.commit(Append(event("a", n=1), expected_sequence=0))
    await store.commit(Append(event("a", n=2), expected_sequence=1))
    with refused(POSITION_CONFLICT) as fault:
        await store.commit(Append(event("a", n=3), expected_sequence=1))
    assert fault.value.document.facts == {"topic": "a", "expected": 1, "sequence": 2}
    with refused(POSITION_CONFLICT):
        await store.commit(Append(event("new", n=3), expected_sequence=7))
    assert await store.log.topic("new") is None
    assert numbers(await store.log.read("a")) == [1, 2]


async def test_of_many_writers_with_one_expectation_one_wins(store: Store) -> None:
    attempts = [store.commit(Append(event("a", n=n), expected_sequence=0)) for n in range(50)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert len(await store.log.read("a")) == 1


async def test_an_expectation_sees_what_the_same_commit_appended(store: Store) -> None:
    await store.commit(Append(event("a"), expected_sequence=0), Append(event("a"), expected_sequence=1))
    topic = await store.log.topic("a")
    assert topic is not None and topic.sequence == 2


async def test_a_repeated_append_returns_the_first(open_engine: Open) -> None:
    store = await open_engine()
    first = recorded((await store.commit(Append(event("a", n=1), idempotency_key="k")))[0])
    again = recorded((await store.commit(Append(event("a", n=2), idempotency_key="k")))[0])
    assert again == first
    # Also where the expectation no longer holds: it was met by the first.
    again = recorded((await store.commit(Append(event("a", n=2), expected_sequence=0, idempotency_key="k")))[0])
    assert again == first
    elsewhere = recorded((await store.commit(Append(event("b", n=3), idempotency_key="k")))[0])
    assert elsewhere.sequence == 1
    await store.close()
    store = await open_engine()
    assert recorded((await store.commit(Append(event("a", n=4), idempotency_key="k")))[0]) == first
    assert numbers(await store.log.read_all()) == [1, 3]


async def test_repeated_appends_at_the_same_time_append_once(store: Store) -> None:
    commits = [store.commit(Append(event("a", n=n), idempotency_key="k")) for n in range(50)]
    outcomes = [recorded(results[0]) for results in await asyncio.gather(*commits)]
    assert len({o.position for o in outcomes}) == 1
    assert len(await store.log.read("a")) == 1


async def test_a_repeated_append_within_one_commit(store: Store) -> None:
    one, two, three = await store.commit(
        Append(event("a", n=1), idempotency_key="k"),
        Append(event("a", n=2), idempotency_key="k"),
        Append(event("a", n=3), idempotency_key="l"),
    )
    assert one == two != three
    assert numbers(await store.log.read("a")) == [1, 3]


async def test_a_key_whose_commit_was_refused_is_free(store: Store) -> None:
    with refused(POSITION_CONFLICT):
        await store.commit(Append(event("a", n=1), idempotency_key="k"), Append(event("b"), expected_sequence=9))
    await store.commit(Append(event("a", n=2), idempotency_key="k"))
    assert numbers(await store.log.read("a")) == [2]


async def test_the_log_survives_a_restart(open_engine: Open) -> None:
    store = await open_engine()
    before = await append(store, *(event(f"t{n % 3}", n=n) for n in range(20)))
    topics = await store.log.topics()
    await store.close()
    store = await open_engine()
    assert await store.log.read_all() == before
    assert await store.log.topics() == topics
    assert await store.log.head() == before[-1].position
    (after,) = await append(store, event("t0", n=20))
    assert after.position > before[-1].position
    assert after.sequence == 8


@pytest.mark.parametrize("position", ["x", "0", "zzzzzzzzzzzzzzzz", "ffffffffffffffff", "-000000000000001", "٠" * 16])
async def test_text_that_never_was_a_position_is_refused(store: Store, position: str) -> None:
    with refused(INVALID):
        await store.log.read("a", position)
    with refused(INVALID):
        await store.log.read_all(position)
    with refused(INVALID):
        await anext(aiter(store.log.tail(after=position)))


@pytest.mark.parametrize(
    "bad",
    [
        Event("a", "t", {"x": 2**64}),
        Event("a", "t", {"x": "\ud800"}),
        Event("a\ud800", "t", {}),
        Event("a", "t\ud800", {}),
        Event("a", "t", {}, principal="\udfff"),
        Event("a", "t", {"x": object()}),  # type: ignore[dict-item]
    ],
    ids=["integer", "data", "topic", "type", "principal", "object"],
)
async def test_what_has_no_json_form_is_refused_and_disturbs_nobody(store: Store, bad: Event) -> None:
    good = [store.commit(Append(event("good", n=n))) for n in range(5)]
    outcomes = await asyncio.gather(store.commit(Append(bad)), *good, return_exceptions=True)
    with refused(INVALID):
        raise outcomes[0]  # type: ignore[misc]
    assert len(await store.log.read("good")) == 5
    assert (await store.log.topics())[0][0].name == "good"


async def test_one_event_is_found_by_where_it_stands(store: Store) -> None:
    first, other = await append(store, event("a", n=1), event("b", n=2))
    assert await store.log.at("a", first.position) == first
    assert await store.log.at("a", other.position) is None
    assert await store.log.at("a", START) is None
    with refused(INVALID):
        await store.log.at("a", "nowhere")
