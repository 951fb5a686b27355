"""Who has which blobs: what events cite stays as long as they do, and what nobody has is collected."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tests.contracts.conftest import Open
from tests.contracts.samples import recorded, refused

from pharos.core.event import BlobRef, Event
from pharos.core.fault import Fault
from pharos.store.blobs import Collect, GiveUp, Keep, Uncite
from pharos.store.delivery import Bury, Claim, Fire, Lease, Redrive, Retire, Schedule, Subscribe, Trim, Unschedule
from pharos.store.faults import BLOB_CITED, BLOB_MISSING
from pharos.store.ports import Append, Store

NONE = "sha256:" + "0" * 64


async def kept(store: Store, data: bytes, namespace: str = "acme") -> BlobRef:
    digest = await store.blobs.put(data)
    await store.commit(Keep(digest, namespace, len(data)))
    return BlobRef(digest, len(data), namespace)


def citing(*refs: BlobRef, topic: str = "letters") -> Append:
    return Append(Event(topic=topic, type="letter.sent", data={}, refs=refs))


def later(hours: float = 1) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


async def collect(store: Store, *refs: BlobRef) -> int:
    """Collect as if an hour had passed."""
    [count] = await store.commit(Collect(tuple(ref.digest for ref in refs), later()))
    assert isinstance(count, int)
    return count


async def test_references_come_and_go_with_their_events(open_engine: Open) -> None:
    store = await open_engine()
    ref = await kept(store, b"large")
    first, second = [recorded(r) for r in await store.commit(citing(ref), citing(ref))]
    assert await collect(store, ref) == 0
    await store.close()
    store = await open_engine()
    page = await store.log.read("letters")
    assert [r.event.refs for r in page] == [(ref,), (ref,)]
    holding = await store.holdings.get("acme", ref.digest)
    assert holding is not None
    assert (holding.references, holding.size) == (2, 5)
    assert await store.commit(Trim("letters", first.position)) == [1]
    assert await collect(store, ref) == 0
    before = datetime.now(UTC)
    assert await store.commit(Trim("letters", second.position)) == [1]
    holding = await store.holdings.get("acme", ref.digest)
    assert holding is not None
    assert holding.references == 0
    assert holding.since >= before - timedelta(milliseconds=2), "its grace begins when the last message goes"
    assert await store.commit(Collect((ref.digest,), before - timedelta(milliseconds=5))) == [0]
    assert await collect(store, ref) == 1
    assert await store.blobs.size(ref.digest) is None
    assert await store.holdings.get("acme", ref.digest) is None


async def test_a_topic_that_is_retired_lets_its_blobs_go(store: Store) -> None:
    ref = await kept(store, b"large")
    await store.commit(citing(ref))
    assert await store.commit(Retire("letters", "over")) == [True]
    assert await collect(store, ref) == 1


async def test_an_event_without_its_blob_is_refused_with_all_of_its_commit(store: Store) -> None:
    whole = await kept(store, b"here")
    for lacking in (BlobRef(NONE, 4, "acme"), BlobRef("sha256:x", 4, "acme"), whole._replace(size=5)):
        with refused(BLOB_MISSING):
            await store.commit(citing(whole, topic="other"), citing(whole, lacking))
    assert await store.log.topic("letters") is None
    assert await store.log.topic("other") is None
    with refused(BLOB_MISSING):
        await store.commit(Keep(NONE, "acme", 1))
    assert await collect(store, whole) == 1, "what was refused has left no reference"


async def test_only_what_a_namespace_has_is_seen_by_it(store: Store) -> None:
    ref = await kept(store, b"secret plans")
    assert await store.holdings.get("rival", ref.digest) is None
    assert await store.holdings.list("rival") == []
    other = await kept(store, b"secret plans", "rival")
    assert (await store.holdings.usage("rival")) == (1, 12), "what others have too counts in full"
    await store.commit(citing(other))
    await store.commit(GiveUp("acme", ref.digest))
    assert await store.holdings.get("acme", ref.digest) is None
    assert await collect(store, ref) == 0
    assert [h.references for h in await store.holdings.list("rival", cited=True)] == [1]
    assert await store.holdings.list("rival", cited=False) == []


async def test_what_an_event_cites_is_not_given_up(store: Store) -> None:
    ref = await kept(store, b"x")
    await store.commit(citing(ref))
    with refused(BLOB_CITED) as caught:
        await store.commit(GiveUp("acme", ref.digest))
    assert caught.value.document.facts == {"references": 1}


async def test_content_may_expire_before_its_event(store: Store) -> None:
    ref = BlobRef(await store.blobs.put(b"prompt and answer"), 17)
    [made] = await store.commit(citing(ref))
    position = recorded(made).position
    assert await store.commit(Uncite(position, ref.digest)) == [True]
    assert await store.commit(Uncite(position, ref.digest)) == [False]
    assert await store.commit(GiveUp("", ref.digest)) == [True]
    assert await store.commit(Collect((ref.digest,))) == [1]
    assert await store.blobs.size(ref.digest) is None
    assert len(await store.log.read("letters")) == 1


async def test_what_a_crash_left_behind_is_listed_and_collected_by_age(open_engine: Open) -> None:
    store = await open_engine()
    orphans = sorted([await store.blobs.put(b"%d" % number) for number in range(7)])
    mine = await kept(store, b"mine")
    await store.close()
    store = await open_engine()
    listed = [blob.digest for blob in await store.blobs.list(limit=3)]
    while len(page := await store.blobs.list(listed[-1], 3)) > 0:
        listed += [blob.digest for blob in page]
    assert listed == sorted([*orphans, mine.digest])
    assert sorted(await store.holdings.unheld(listed)) == orphans
    assert await store.commit(Collect(tuple(orphans), datetime.now(UTC) - timedelta(minutes=1))) == [0]
    assert await store.commit(Collect(tuple(listed), later())) == [8]
    assert await store.blobs.list() == []


async def test_a_blob_that_is_read_is_not_collected(store: Store) -> None:
    data = b"r" * 1_000_000
    ref = await kept(store, data)
    async with aclosing(cast("Any", store.blobs.get(ref.digest))) as reading:
        first = await anext(reading)
        assert await collect(store, ref) == 0
        rest = [piece async for piece in reading]
    assert first + b"".join(rest) == data
    assert await collect(store, ref) == 1


async def test_citing_and_collecting_at_the_same_time_never_leaves_an_event_without_its_blob(store: Store) -> None:
    for number in range(60):
        data = b"%d" % number
        ref = await kept(store, data)

        async def cite(ref: BlobRef = ref, number: int = number) -> bool:
            try:
                await store.commit(citing(ref, topic=f"letters/{number}"))
            except Fault as fault:
                assert fault.code == BLOB_MISSING.code
                return False
            return True

        asked = [cite(), collect(store, ref), cite()] if number % 2 else [collect(store, ref), cite(), cite()]
        outcomes = await asyncio.gather(*asked)
        cited = any(outcome is True for outcome in outcomes)
        assert (await store.blobs.size(ref.digest) is not None) == cited
        if cited:
            holding = await store.holdings.get("acme", ref.digest)
            assert holding is not None
            assert holding.references >= 1


@pytest.mark.parametrize("fires", [True, False])
async def test_what_is_scheduled_holds_its_blobs(store: Store, fires: bool) -> None:
    ref = await kept(store, b"for tomorrow")
    due = later(24)
    event = Event(topic="letters", type="letter.sent", data={}, refs=(ref,))
    await store.commit(Schedule("s1", due, event))
    assert await collect(store, ref) == 0
    if fires:
        await store.commit(Fire("s1", due))
        [sent] = await store.log.read("letters")
        assert sent.event.refs == (ref,)
        assert await collect(store, ref) == 0
    else:
        await store.commit(Unschedule("s1"))
        assert await collect(store, ref) == 1


async def test_lapsed_holdings_are_found(store: Store) -> None:
    cited, free = await kept(store, b"cited"), await kept(store, b"free")
    await store.commit(citing(cited))
    assert await store.holdings.lapsed(later()) == [free.digest]
    assert await store.holdings.lapsed(datetime.now(UTC) - timedelta(hours=1)) == []


async def test_a_message_that_is_redriven_keeps_its_blobs(store: Store) -> None:
    ref = await kept(store, b"poison")
    await store.commit(Subscribe("g", "letters"))
    await store.commit(citing(ref))
    [lease] = await store.commit(Claim("g", "me", 60))
    assert isinstance(lease, Lease)
    await store.commit(Bury(lease, "BROKEN"))
    await store.commit(Redrive("g"))
    original, again = await store.log.read("letters")
    assert again.event.refs == original.event.refs == (ref,)
    assert await store.commit(Trim("letters", original.position, unread=True)) == [1]
    assert await collect(store, ref) == 0
    assert await store.commit(Trim("letters", again.position, unread=True)) == [1]
    assert await collect(store, ref) == 1
