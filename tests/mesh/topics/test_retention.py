"""What is removed, what never is, and what readers are told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mesh.topics.town import ADMIN, Town, Wall, events, opened

from pharos.core.event import Event
from pharos.core.fault import Fault
from pharos.mesh.topics.firing import SKIPPED
from pharos.mesh.topics.names import SCHEDULES, STREAMS, Place
from pharos.mesh.topics.reading import TopicReads
from pharos.runtime.session.address import STREAMS as SESSION_STREAMS
from pharos.store.delivery import Trim
from pharos.store.ports import Append


async def done(town: Town, count: int, group: str = "g") -> None:
    """Have the group handle so many messages of one topic."""
    claimed = await town.call("groups.claim", group=group, limit=count)
    await town.call("groups.acknowledge", lease=claimed["lease"], position=claimed["messages"][-1]["position"])


async def test_mesh_12_a_reader_of_what_was_trimmed_is_told_and_led_to_the_earliest(town: Town) -> None:
    items = await town.publish("t", *range(10))
    await town.declare("Topic", "t", retention={"count": 4})
    await town.mesh.keeping.trimming.trim()
    gone = await town.refused("topics.read", name="t", after=items[2]["position"])
    assert (gone.code, gone.status) == ("GONE", 410)
    assert gone.document.facts["earliest"] == items[6]["position"]
    assert [item["data"] for item in (await town.run(gone))["items"]] == [6, 7, 8, 9]
    stream = town.invoker.stream("topics.tail", {"name": "t", "after": items[2]["position"]}, ADMIN)
    with pytest.raises(Fault) as told:
        await anext(stream)
    assert told.value.code == "GONE"
    # The last one that was removed has everything that is left after it: nothing would be passed over.
    page = await town.call("topics.read", name="t", after=items[5]["position"])
    assert [item["sequence"] for item in page["items"]] == [7, 8, 9, 10]
    detail = await town.call("topics.get", name="t")
    assert (detail["sequence"], detail["earliest"]) == (10, items[6]["position"])


async def test_mesh_12_a_position_of_another_log_is_gone(town: Town) -> None:
    await town.publish("t", 1)
    gone = await town.refused("topics.read", name="t", after="7fffffffffffffff")
    assert gone.code == "GONE"
    assert [item["data"] for item in (await town.run(gone))["items"]] == [1]
    assert (await town.refused("topics.read", name="t", after="no position")).code == "INVALID"


async def test_mesh_9_removal_leaves_no_marks_that_readers_see_or_count(town: Town) -> None:
    await town.publish("t", *range(5))
    await town.declare("Topic", "t", retention={"count": 1})
    await town.mesh.keeping.trimming.trim()
    await town.call("groups.subscribe", group="g", topics="t")
    await town.publish("t", 5)
    assert await town.texts("t") == [4, 5]
    claimed = await town.call("groups.claim", group="g")
    assert [message["data"] for message in claimed["messages"]] == [4, 5]
    (reader,) = (await town.call("topics.get", name="t"))["readers"]
    assert reader["behind"] == 2


async def test_mesh_10_a_topic_of_the_same_name_is_a_new_one(town: Town) -> None:
    items = await town.publish("t", "old", "older")
    await town.call("topics.retire", name="t", reason="tidied")
    assert (await town.refused("topics.get", name="t")).detail.endswith("It was retired: tidied.")
    await town.publish("t", "new")
    gone = await town.refused("topics.read", name="t", after=items[0]["position"])
    assert (gone.code, gone.document.facts["generation"]) == ("GONE", 2)
    assert gone.document.facts["retired"] == "tidied"
    assert [item["data"] for item in (await town.run(gone))["items"]] == ["new"]
    detail = await town.call("topics.get", name="t")
    assert (detail["generation"], detail["sequence"], detail["before"]["reason"]) == (2, 1, "tidied")


async def test_mesh_11_nothing_that_is_worked_on_or_unread_is_idle(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.declare("Topic", "jobs", match="jobs/*", idleSeconds=60)
        await town.call("groups.subscribe", group="g", topics="jobs/*")
        await town.publish("jobs/long", 1)
        claimed = await town.call("groups.claim", group="g", leaseSeconds=7200)
        wall.ahead = 3600  # a tool call of an hour, without a message
        await town.mesh.keeping.retire_idle()
        assert await town.texts("jobs/long") == [1]
        refused = await town.refused("topics.retire", name="jobs/long")
        assert refused.code == "TOPIC_BUSY"
        assert (await town.run(refused))["readers"][0]["state"] == "leased"
        await town.call("groups.fail", lease=claimed["lease"], reason="bad", retry=False)
        await town.mesh.keeping.retire_idle()
        assert await town.texts("jobs/long") == [1]  # among the dead letters
        before = await town.store.log.head()
        assert (await town.refused("topics.retire", name="jobs/long")).code == "TOPIC_BUSY"
        assert await town.store.log.head() == before  # what was refused is not recorded
        await town.call("deadletters.discard", group="g")
        await town.publish("jobs/unread", 1)
        wall.ahead = 7200
        await town.mesh.keeping.retire_idle()
        assert await town.store.log.topic("topics/default/jobs/long") is None
        assert await town.texts("jobs/unread") == [1]
        await done(town, 1)
        await town.mesh.keeping.retire_idle()
        assert await town.store.log.topic("topics/default/jobs/unread") is None
        gone = await town.refused("topics.read", name="jobs/unread", after=claimed["messages"][0]["position"])
        assert (gone.code, gone.document.facts["retired"]) == ("GONE", "idle")


async def test_a_busy_topic_is_retired_only_if_that_is_said(town: Town) -> None:
    await town.call("groups.subscribe", group="g", topics="*")
    await town.publish("t", 1)
    busy = await town.refused("topics.retire", name="t")
    assert busy.code == "TOPIC_BUSY"
    assert (await town.run(busy, 1))["name"] == "t"
    assert (await town.refused("topics.retire", name="t")).code == "NOT_FOUND"


async def test_a_topic_that_became_busy_after_the_look_is_not_said_to_be_retired(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the commit somebody claims: nothing is recorded, and the fault is the same."""
    await town.call("groups.subscribe", group="g", topics="*")
    await town.publish("t", 1)
    look = TopicReads._needed
    looks: list[str] = []

    async def too_early(self: TopicReads, place: Place) -> bool:
        looks.append(place.name)
        return len(looks) > 1 and await look(self, place)

    monkeypatch.setattr(TopicReads, "_needed", too_early)
    before = await town.store.log.head()
    assert (await town.refused("topics.retire", name="t")).code == "TOPIC_BUSY"
    assert await town.store.log.head() == before and len(looks) == 2
    assert await town.texts("t") == [1]


async def test_the_service_waits_for_the_next_topic_that_will_be_idle(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.declare("Topic", "t", match="*", idleSeconds=1000)
        keeping = town.mesh.keeping
        assert 998 < await keeping.retire_idle() <= 1000
        await town.publish("a", 1)
        wall.ahead = 400
        await town.publish("b", 1)
        assert 590 < await keeping.retire_idle() <= 601
        wall.ahead = 1001
        assert 390 < await keeping.retire_idle() <= 401
        assert [item["name"] for item in (await town.call("topics.list"))["items"]] == ["b"]


async def test_an_idle_topic_of_another_rule_or_one_that_is_needed_wakes_nobody(tmp_path: Path) -> None:
    """The service asked once a second, of all topics, where a closer rule kept one for longer."""
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.declare("Topic", "all", match="*", idleSeconds=1000)
        await town.declare("Topic", "kept", match="kept/*")
        await town.publish("kept/a", 1)
        wall.ahead = 2000
        await town.publish("b", 1)
        assert 998 < await town.mesh.keeping.retire_idle() <= 1000
        await town.call("groups.subscribe", group="g", topics="c")
        await town.publish("c", 1)
        wall.ahead = 3100
        await town.publish("d", 1)
        assert 299 < await town.mesh.keeping.retire_idle() <= 300
        assert [item["name"] for item in (await town.call("topics.list"))["items"]] == ["c", "d", "kept/a"]


async def test_idle_topics_go_by_themselves(town: Town) -> None:
    await town.publish("brief", 1)
    before = await town.store.log.topic("topics/default/brief")
    assert before is not None
    await town.declare("Topic", "brief", idleSeconds=1)
    async with asyncio.timeout(20):
        while await town.store.log.topic("topics/default/brief") is not None:
            await asyncio.sleep(0.05)  # the time that passes is what is tested
    assert town.mesh.keeping.retired == 1


async def test_topics_that_are_still_needed_do_not_hide_those_that_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pharos.mesh.topics.keeping._IDLE", 4)
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.declare("Topic", "all", match="*", idleSeconds=60)
        await town.call("groups.subscribe", group="g", topics="kept/*")
        for number in range(9):
            await town.publish(f"kept/{number}", 1)
        for number in range(3):
            await town.publish(f"idle/{number}", 1)
        wall.ahead = 100
        await town.mesh.keeping.retire_idle()
        names = [item["name"] for item in (await town.call("topics.list"))["items"]]
        assert names == [f"kept/{number}" for number in range(9)]


async def test_age_and_size_trim_too(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.declare("Topic", "old", retention={"ageSeconds": 100})
        await town.declare("Topic", "big", retention={"bytes": 1000})
        await town.publish("big", *["x" * 190] * 3)
        await town.mesh.keeping.trimming.trim()
        assert len(await town.texts("big")) == 3
        await town.publish("big", *["y" * 190] * 3)
        await town.publish("old", 1)
        wall.ahead = 60
        await town.mesh.keeping.trimming.trim()
        assert "".join(text[0] for text in await town.texts("big")) in ("xyyy", "xxyyy")
        assert await town.texts("old") == [1]
        wall.ahead = 120
        await town.publish("old", 2)
        await town.mesh.keeping.trimming.trim()
        assert await town.texts("old") == [2]


@settings(max_examples=15)
@given(
    published=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    handled=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    count=st.integers(1, 6),
)
def test_no_rule_removes_what_a_group_has_yet_to_handle(published: list[int], handled: list[int], count: int) -> None:
    import tempfile

    async def run(home: Path) -> None:
        async with opened(home, services=False) as town:
            await town.declare("Topic", "t", retention={"count": count})
            await town.call("groups.subscribe", group="g", topics="t")
            total, seen = 0, 0
            for number, many in enumerate(published):
                await town.publish("t", *range(total, total + many))
                total += many
                if (step := handled[number % len(handled)]) and seen < total:
                    await done(town, step)
                    seen = min(seen + step, total)
                await town.mesh.keeping.trimming.trim()
                kept: list[Any] = await town.texts("t")
                assert kept == list(range(total - len(kept), total))
                assert len(kept) == min(max(count, total - seen), total)

    with tempfile.TemporaryDirectory() as home:
        asyncio.run(run(Path(home)))


async def test_a_round_over_many_topics_goes_on_where_the_last_one_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pharos.mesh.topics.trimming._PAGE", 2)
    async with opened(tmp_path / "home", services=False) as town:
        for number in range(7):
            await town.publish(f"t/{number}", 1, 2)
        await town.declare("Topic", "t", match="t/*", retention={"count": 1})
        trimmed = []
        for _ in range(5):
            await town.mesh.keeping.trimming.trim(most=2)
            trimmed.append(town.mesh.keeping.trimming.trimmed)
        assert trimmed == [2, 4, 6, 7, 7]
        assert [await town.texts(f"t/{number}") for number in range(7)] == [[2]] * 7


async def test_answers_that_nobody_reads_are_kept_for_a_day(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.call("groups.subscribe", group="g", topics="sums")
        late = await town.refused("topics.request", name="sums", message={}, timeoutSeconds=0.01)
        reply_to = str(late.document.facts["replyTo"])
        await town.call("topics.reply", to=reply_to, message={"data": 1})
        for hours, kept in ((23, True), (25, False)):
            wall.ahead = hours * 3600
            await town.mesh.keeping.retire_idle()
            assert bool((await town.call("topics.read", name=reply_to))["items"]) is kept
        assert (await town.refused("topics.reply", to=reply_to, message={})).code == "NOT_FOUND"
        assert await town.texts("sums") == [None]  # the request itself is a message like any other


async def test_a_round_over_many_topics_is_slices_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand slices a minute apart took a day; they follow each other at once, and others pass between."""
    monkeypatch.setattr("pharos.mesh.topics.trimming._PAGE", 2)
    monkeypatch.setattr("pharos.mesh.topics.keeping.SLICE", 2)
    async with opened(tmp_path / "home", services=False) as town:
        for number in range(12):
            await town.publish(f"t/{number:02}", 1, 2)
        await town.declare("Topic", "t", match="t/*", retention={"count": 1})
        keeping = town.mesh.keeping
        assert keeping._round >= 60
        async with keeping.service(), asyncio.timeout(20):
            while keeping.trimming.trimmed < 12:
                # Somebody else's commit: between two of them no more than a slice or so was trimmed.
                before = keeping.trimming.trimmed
                await town.publish("other", 1)
                assert keeping.trimming.trimmed - before <= 4


async def test_a_long_topic_is_trimmed_a_page_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No single transaction is kept busy by all of it, and what a group needs ends it."""
    monkeypatch.setattr("pharos.mesh.topics.trimming._PAGE", 3)
    async with opened(tmp_path / "home", services=False) as town:
        items = await town.publish("t", *range(20))
        await town.call("groups.subscribe", group="g", topics="t")
        await done(town, 10)
        await town.declare("Topic", "t", retention={"count": 2})
        removed: list[object] = []
        commit = town.store.commit

        async def noted(*commands: Any, **more: Any) -> Any:
            results = await commit(*commands, **more)
            removed.extend(result for command, result in zip(commands, results, strict=True) if type(command) is Trim)
            return results

        monkeypatch.setattr(town.store, "commit", noted)
        await town.mesh.keeping.trimming.trim()
        assert removed == [3, 3, 3, 1, 0]
        await done(town, 10)
        removed.clear()
        await town.mesh.keeping.trimming.trim()
        assert removed == [3, 3, 2]
        assert (await town.call("topics.get", name="t"))["earliest"] == items[18]["position"]


async def test_what_was_not_written_to_is_not_weighed_again(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.declare("Topic", "t", match="t/*", retention={"count": 2, "bytes": 10_000, "ageSeconds": 100})
        await town.call("groups.subscribe", group="g", topics="t/slow")
        for name in ("t/fast", "t/slow"):
            await town.publish(name, 1, 2, 3)
        trim = town.mesh.keeping.trimming.trim
        await trim()
        assert (await town.texts("t/fast"), await town.texts("t/slow")) == ([2, 3], [1, 2, 3])
        # What a group needed is looked at again although nobody wrote to it, and so is the age.
        await done(town, 3)
        await trim()
        assert await town.texts("t/slow") == [2, 3]
        await trim()
        await town.publish("t/fast", 4)
        await trim()
        assert await town.texts("t/fast") == [3, 4]
        wall.ahead = 101
        await trim()
        assert (await town.texts("t/fast"), await town.texts("t/slow")) == ([], [])


async def test_pieces_of_answers_are_kept_for_a_day_and_sessions_for_ever(tmp_path: Path) -> None:
    assert STREAMS == SESSION_STREAMS
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        for topic in ("streams/default/a", "sessions/default/a"):
            await town.store.commit(Append(Event(topic, "stream.delta", {"text": "x"})))
        for hours, kept in ((23, 1), (25, 0)):
            wall.ahead = hours * 3600
            await town.mesh.keeping.trimming.trim()
            assert len(await events(town.store, "streams/default/a")) == kept
        assert len(await events(town.store, "sessions/default/a")) == 1


async def test_that_a_run_was_left_out_is_kept_for_thirty_days(tmp_path: Path) -> None:
    """By the day where it goes on to happen, and with its topic where the schedule runs again or is gone."""
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:

        async def skip(name: str, day: float) -> None:
            wall.ahead = day * 86_400
            skipped = Event(f"{SCHEDULES}default/{name}", SKIPPED, {}, time=town.store.deliveries.now())
            await town.store.commit(Append(skipped))

        await skip("often", 0)
        await skip("once", 0)
        await skip("often", 20)
        for day, often, once in ((29, 2, 1), (31, 1, None), (51, None, None)):
            wall.ahead = day * 86_400
            await town.mesh.keeping.trimming.trim()
            await town.mesh.keeping.retire_idle()
            for name, kept in (("often", often), ("once", once)):
                topic = f"{SCHEDULES}default/{name}"
                assert len(await events(town.store, topic)) == (kept or 0)
                assert (await town.store.log.topic(topic) is None) is (kept is None)


async def test_a_tombstone_is_kept_for_thirty_days(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        (item,) = await town.publish("t", 1)
        await town.call("topics.retire", name="t", reason="tidied")
        for days, known in ((29, True), (31, False)):
            wall.ahead = days * 86_400
            await town.mesh.keeping.prune()
            detail = (await town.refused("topics.get", name="t")).detail
            assert detail.endswith("It was retired: tidied.") is known
        assert (await town.call("topics.read", name="t", after=item["position"]))["items"] == []
