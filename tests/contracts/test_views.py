"""Views: every event counts exactly once, whatever fails in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.contracts.conftest import Open
from tests.contracts.samples import TALLY, Tally, append, event, refused

from pharos.core.event import START, Recorded
from pharos.core.fault import NOT_FOUND
from pharos.core.projection import View
from pharos.store.ports import Store


async def catch_up(store: Store, name: str = "tally", limit: int = 1000) -> int:
    """Advance until there is no more; how many events were passed."""
    passed = 0
    while more := await store.views.advance(name, limit):
        passed += more
    return passed


async def test_fold(store: Store) -> None:
    await store.views.register(Tally())
    assert await store.views.position("tally") == START
    assert await store.views.advance("tally") == 0
    events = await append(store, event("a", n=1), event("b", n=2), event("a", n=3), event("a", "lamp.out", n=100))
    assert await store.views.advance("tally", limit=3) == 3
    assert await store.views.position("tally") == events[2].position
    assert await store.views.query(TALLY) == [("a", 2, 4), ("b", 1, 2)]
    # The unwanted event is passed, and counts as passed.
    assert await store.views.advance("tally") == 1
    assert await store.views.position("tally") == events[3].position
    assert await store.views.advance("tally") == 0


async def test_named_parameters(store: Store) -> None:
    await store.views.register(Tally())
    await append(store, event("a", n=1), event("b", n=2))
    await catch_up(store)
    query = "SELECT total FROM tally WHERE topic = :topic AND events >= :least"
    assert await store.views.query(query, {"topic": "b", "least": 1}) == [(2,)]
    assert await store.views.query(query, {"topic": "b", "least": 2}) == []


async def test_a_view_survives_a_restart_and_goes_on(open_engine: Open) -> None:
    store = await open_engine()
    await store.views.register(Tally())
    await append(store, *(event("a", n=1) for _ in range(10)))
    await store.views.advance("tally", limit=6)
    await store.close()
    store = await open_engine()
    await store.views.register(Tally())
    assert await store.views.query(TALLY) == [("a", 6, 6)]
    assert await catch_up(store) == 4
    assert await store.views.query(TALLY) == [("a", 10, 10)]


async def test_another_version_folds_again(open_engine: Open) -> None:
    store = await open_engine()
    await store.views.register(Tally())
    await append(store, event("a", n=5))
    await catch_up(store)
    await store.close()
    store = await open_engine()
    await store.views.register(Tally(version=2, factor=10))
    assert await store.views.position("tally") == START
    assert await store.views.query(TALLY) == []
    await catch_up(store)
    assert await store.views.query(TALLY) == [("a", 1, 50)]


async def test_reset(store: Store) -> None:
    await store.views.register(Tally())
    await append(store, event("a", n=1), event("b", n=2))
    await catch_up(store)
    await store.views.reset("tally")
    assert await store.views.position("tally") == START
    assert await store.views.query(TALLY) == []
    assert await catch_up(store, limit=1) == 2
    assert await store.views.query(TALLY) == [("a", 1, 1), ("b", 1, 2)]


class Fragile(Tally):
    """Fails after it has written, as often as told."""

    name = "fragile"
    tables = ("fragile",)
    schema = ("CREATE TABLE fragile (position TEXT NOT NULL PRIMARY KEY)",)

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.schema = type(self).schema
        self.failures = failures

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        for e in events:
            view.execute("INSERT INTO fragile VALUES (:position)", {"position": e.position})
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError("a defect of the fold")


async def test_a_fold_that_fails_leaves_no_trace(store: Store) -> None:
    await store.views.register(Fragile(failures=2))
    await store.views.register(Tally())
    await append(store, event("a", n=1), event("a", n=2))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await store.views.advance("fragile")
        assert await store.views.query("SELECT count(*) FROM fragile") == [(0,)]
        assert await store.views.position("fragile") == START
    # Neither the other projection nor the log noticed.
    assert await catch_up(store, "tally") == 2
    await append(store, event("a", n=3))
    assert await catch_up(store, "fragile") == 3
    assert await store.views.query("SELECT count(*) FROM fragile") == [(3,)]


async def test_advancing_at_the_same_time_folds_once(store: Store) -> None:
    await store.views.register(Tally())
    writing = [append(store, event(f"t{n % 5}", n=1)) for n in range(200)]
    advancing = [store.views.advance("tally", limit=7) for _ in range(100)]
    await asyncio.gather(*writing, *advancing)
    await catch_up(store)
    assert await store.views.query("SELECT sum(events), sum(total), count(*) FROM tally") == [(200, 200, 5)]


async def test_catching_up_on_a_long_log_gives_what_following_gave(open_engine: Open) -> None:
    """Following is served from memory, catching up from the tables; the view is the same."""
    store = await open_engine()
    await store.views.register(Tally())
    for start in range(0, 3000, 500):
        await append(store, *(event(f"t{n % 7}", n=n) for n in range(start, start + 500)))
        await catch_up(store, limit=64)
    followed = await store.views.query(TALLY)
    await store.close()
    store = await open_engine()
    await store.views.register(Tally(version=2))
    assert await catch_up(store, limit=999) == 3000
    assert await store.views.query(TALLY) == followed
    await store.views.reset("tally")
    await append(store, event("t0", n=0))
    assert await catch_up(store, limit=10) == 3001


async def test_unknown_projections(store: Store) -> None:
    for call in (store.views.advance, store.views.position, store.views.reset):
        with refused(NOT_FOUND):
            await call("nothing")


async def test_a_projection_cannot_take_anothers_table(store: Store) -> None:
    await store.views.register(Tally())

    class Thief(Tally):
        name = "thief"

    with pytest.raises(ValueError, match="projection tally"):
        await store.views.register(Thief())
    assert await store.views.query(TALLY) == []
