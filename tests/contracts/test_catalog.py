"""Catalog: revisions, their numbers, expectations, history, lists, status."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from tests.contracts.conftest import Open
from tests.contracts.samples import Glow, append, event, lamp, lamp_id, put, refused

from pharos.core.fault import CONFLICT, INVALID, NOT_FOUND
from pharos.core.operation import Delete, Put, SetStatus
from pharos.core.resource import Condition, Metadata, ResourceId, Status
from pharos.store.ports import Append, Store, StoredResource


async def get(store: Store, name: str) -> StoredResource:
    found = await store.catalog.get(lamp_id(name))
    assert found is not None
    return found


async def test_create_replace_delete(store: Store) -> None:
    assert await store.catalog.get(lamp_id("one")) is None
    assert await put(store, lamp("one", "red", room="hall")) == 1
    found = await get(store, "one")
    assert (found.id, found.revision) == (lamp_id("one"), 1)
    assert found.document["spec"] == {"colour": "red"}
    assert found.document["kind"] == "Lamp"
    assert found.document["metadata"] == {
        "name": "one", "namespace": "default", "labels": {"room": "hall"}, "annotations": {}, "uid": "", "revision": 1,
    }  # fmt: skip
    assert await put(store, lamp("one", "blue"), 1) == 2
    assert (await get(store, "one")).document["spec"] == {"colour": "blue"}
    assert await store.commit(Delete(lamp_id("one"), 2)) == [3]
    assert await store.catalog.get(lamp_id("one")) is None


async def test_the_engine_numbers_revisions(store: Store) -> None:
    """What the given resource says of its revision does not matter."""
    strange = lamp("one").model_copy(update={"metadata": Metadata(name="one", revision=77)})
    assert await put(store, strange) == 1
    metadata = (await get(store, "one")).document["metadata"]
    assert isinstance(metadata, dict) and metadata["revision"] == 1


async def test_numbers_never_repeat_in_a_history(open_engine: Open) -> None:
    store = await open_engine()
    assert await put(store, lamp("one", "red")) == 1
    await store.commit(Delete(lamp_id("one"), 1))
    assert await put(store, lamp("one", "green")) == 3
    assert (await get(store, "one")).revision == 3
    await store.close()
    store = await open_engine()
    assert await put(store, lamp("one", "blue"), 3) == 4
    await store.commit(Delete(lamp_id("one"), 4), Put(lamp("one", "gold"), 0))
    history, _ = await store.catalog.history(lamp_id("one"))
    assert [r.revision for r in history] == [6, 5, 4, 3, 2, 1]
    assert [r.document and r.document["spec"] for r in history] == [
        {"colour": "gold"}, None, {"colour": "blue"}, {"colour": "green"}, None, {"colour": "red"},
    ]  # fmt: skip


async def test_expected_revision(store: Store) -> None:
    await put(store, lamp("one"))
    await put(store, lamp("one"), 1)
    cases = [
        (Put(lamp("one"), 0), 2),
        (Put(lamp("one"), 1), 2),
        (Delete(lamp_id("one"), 1), 2),
        (Put(lamp("two"), 1), 0),
        (Delete(lamp_id("two"), 1), 0),
    ]
    for command, present in cases:
        with refused(CONFLICT) as fault:
            await store.commit(command)
        assert fault.value.document.facts["revision"] == present
        assert fault.value.document.subject in {"Lamp/default/one", "Lamp/default/two"}
    with refused(NOT_FOUND):
        await store.commit(Delete(lamp_id("two"), 0))
    assert len((await store.catalog.history(lamp_id("one")))[0]) == 2


async def test_of_many_with_one_expectation_one_wins(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(store.commit(Put(lamp("one", f"c{n}"), 0), Append(event("won", n=n))) for n in range(40)),
        return_exceptions=True,
    )
    (won,) = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
    assert (await get(store, "one")).document["spec"] == {"colour": f"c{won}"}
    assert [r.event.data["n"] for r in await store.log.read("won")] == [won]


async def test_changes_of_one_commit_see_each_other(store: Store) -> None:
    outcomes = await store.commit(
        Put(lamp("one", "red"), 0),
        Put(lamp("one", "blue"), 1),
        SetStatus(lamp_id("one"), Glow(watts=5)),
        Delete(lamp_id("one"), 2),
        Put(lamp("one", "gold", room="hall"), 0),
        Put(lamp("two"), 0),
    )
    assert outcomes == [1, 2, None, 3, 4, 1]
    found = await get(store, "one")
    assert found.revision == 4
    # A resource that was created again is a new one: the status went with the old.
    assert found.document["status"] == {"conditions": []}
    assert [r.id.name for r in (await store.catalog.list(labels={"room": "hall"}))[0]] == ["one"]


async def test_a_commit_is_all_or_nothing(store: Store) -> None:
    await put(store, lamp("one", "red"))
    with refused(CONFLICT):
        await store.commit(Put(lamp("one", "blue"), 1), Put(lamp("three"), 0), Delete(lamp_id("two"), 5))
    assert (await get(store, "one")).document["spec"] == {"colour": "red"}
    assert await store.catalog.get(lamp_id("three")) is None
    assert len((await store.catalog.history(lamp_id("one")))[0]) == 1


async def test_status(store: Store) -> None:
    await put(store, lamp("one"))
    lit = Condition(type="Lit", status="True", last_transition_time=datetime(2026, 11, 21, tzinfo=UTC))
    assert await store.commit(SetStatus(lamp_id("one"), Glow(conditions=[lit], watts=7))) == [None]
    found = await get(store, "one")
    assert found.revision == 1
    assert Glow.model_validate(found.document["status"]) == Glow(conditions=[lit], watts=7)
    history, _ = await store.catalog.history(lamp_id("one"))
    assert len(history) == 1 and history[0].document is not None and "status" not in history[0].document
    with refused(NOT_FOUND):
        await store.commit(SetStatus(lamp_id("none"), Status()))


async def test_replacing_keeps_the_status(store: Store) -> None:
    """A change decided on an old reading must not bring an old status back (a revoked credential, say)."""
    first = lamp("one").model_copy(update={"status": Glow(watts=1)})
    await put(store, first)
    assert (await get(store, "one")).document["status"] == {"conditions": [], "watts": 1, "history": []}
    await store.commit(SetStatus(lamp_id("one"), Glow(watts=2)))
    await put(store, first, 1)
    assert Glow.model_validate((await get(store, "one")).document["status"]).watts == 2


async def test_expected_status(store: Store) -> None:
    await put(store, lamp("one"))
    # The type's defaults are not in the stored document; that is no difference.
    await store.commit(SetStatus(lamp_id("one"), Glow(watts=1), expected=Glow()))
    with refused(CONFLICT):
        await store.commit(SetStatus(lamp_id("one"), Glow(watts=9), expected=Glow()))
    await store.commit(SetStatus(lamp_id("one"), Glow(watts=2), expected=Glow(watts=1)))
    outcomes = await asyncio.gather(
        *(store.commit(SetStatus(lamp_id("one"), Glow(watts=n), expected=Glow(watts=2))) for n in range(10, 20)),
        return_exceptions=True,
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1


async def test_history(store: Store) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    for n in range(5):
        await store.commit(Put(lamp("one", f"c{n}"), n), operation_id=f"op{n}", principal=f"user/default/u{n}")
    await store.commit(Delete(lamp_id("one"), 5), operation_id="op5", principal="p")
    page, more = await store.catalog.history(lamp_id("one"), limit=2)
    assert [(r.revision, r.operation_id, r.document is None) for r in page] == [(6, "op5", True), (5, "op4", False)]
    assert more == 5
    page, more = await store.catalog.history(lamp_id("one"), before=more, limit=3)
    assert [r.revision for r in page] == [4, 3, 2]
    page, more = await store.catalog.history(lamp_id("one"), before=more, limit=3)
    assert [r.revision for r in page] == [1] and more is None
    assert page[0].principal == "user/default/u0"
    assert before < page[0].time <= datetime.now(UTC)
    third = await store.catalog.revision(lamp_id("one"), 3)
    assert third is not None and third.document is not None and third.document["spec"] == {"colour": "c2"}
    assert await store.catalog.revision(lamp_id("one"), 9) is None
    assert await store.catalog.revision(lamp_id("two"), 1) is None
    assert await store.catalog.history(lamp_id("two")) == ([], None)


async def names(store: Store, **filters: object) -> list[str]:
    """Every name of a list, page by page."""
    found, after = [], None
    while True:
        page, after = await store.catalog.list(after=after, limit=2, **filters)  # type: ignore[arg-type]
        found += [str(r.id) for r in page]
        assert len(page) <= 2
        if after is None:
            return found


async def test_lists(store: Store) -> None:
    await store.commit(
        Put(lamp("b", room="hall", floor="1"), 0),
        Put(lamp("a", room="hall", floor="2"), 0),
        Put(lamp("c", room="bath", floor="1"), 0),
        Put(lamp("a", namespace="other", room="hall", floor="1"), 0),
        Put(lamp("z", kind="Fan", room="hall"), 0),
    )
    everything = ["Fan/default/z", "Lamp/default/a", "Lamp/default/b", "Lamp/default/c", "Lamp/other/a"]
    assert await names(store) == everything
    assert await names(store, kind="Lamp") == everything[1:]
    assert await names(store, kind="Lamp", namespace="default") == everything[1:4]
    assert await names(store, namespace="other") == ["Lamp/other/a"]
    assert await names(store, labels={"room": "hall"}) == [n for n in everything if n != "Lamp/default/c"]
    assert await names(store, labels={"room": "hall", "floor": "1"}) == ["Lamp/default/b", "Lamp/other/a"]
    assert await names(store, kind="Lamp", namespace="default", labels={"floor": "1"}) == everything[2:4]
    assert await names(store, kind="Fan", labels={"floor": "1"}) == []
    assert await names(store, kind="None") == []
    page, more = await store.catalog.list(limit=5)
    assert len(page) == 5 and more is None


async def test_labels_follow_the_resource(store: Store) -> None:
    await put(store, lamp("a", room="hall"))
    await put(store, lamp("a", room="bath"), 1)
    assert await names(store, labels={"room": "hall"}) == []
    assert await names(store, labels={"room": "bath"}) == ["Lamp/default/a"]
    await store.commit(Delete(lamp_id("a"), 2))
    assert await names(store, labels={"room": "bath"}) == []


async def test_what_is_no_cursor_is_refused(store: Store) -> None:
    with refused(INVALID):
        await store.catalog.list(after="nonsense")


async def test_a_deletion_can_be_explained_in_the_same_commit(store: Store) -> None:
    await put(store, lamp("a"))
    await append(store, event("catalog"))
    revision, recorded = await store.commit(Delete(lamp_id("a"), 1), Append(event("catalog")), operation_id="op")
    assert revision == 2
    (last, _), _ = await store.catalog.history(ResourceId("Lamp", "default", "a"))
    assert (last.operation_id, last.document) == ("op", None)
    assert recorded is not None


async def test_numbers_that_no_revision_can_have(store: Store) -> None:
    await put(store, lamp("a"))
    for number in (2**63, 2**64 - 1, 2**70):
        assert await store.catalog.revision(lamp_id("a"), number) is None
        assert len((await store.catalog.history(lamp_id("a"), before=number))[0]) == 1
