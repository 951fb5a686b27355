"""What the contract cannot say of views: their own database, power failures, cancelled callers."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.contracts.samples import TALLY, Tally, append, event, refused

from pharos.core.event import START, Recorded
from pharos.core.projection import View
from pharos.store.faults import STORAGE_FAILED
from pharos.store.sqlite.engine import open_store


@pytest.mark.parametrize("appended", [0, 1, 2, 3, 9])
async def test_a_view_ahead_of_the_log_is_folded_again(tmp_path: Path, appended: int) -> None:
    """Power fails, and the views' database reached the medium while the log's end did not. At the next start events may
    be ``appended`` before the projections are registered."""
    home = tmp_path / "home"
    store = open_store(home)
    await store.views.register(Tally())
    await append(store, event("a", n=1))
    await store.close()
    shutil.copy(home / "city.db", tmp_path / "before.db")
    store = open_store(home)
    await store.views.register(Tally())
    await append(store, event("a", n=10), event("a", n=100))
    await store.views.advance("tally")
    await store.close()
    shutil.copy(tmp_path / "before.db", home / "city.db")

    store = open_store(home)
    await append(store, *(event("a", n=0) for _ in range(appended)))
    await store.views.register(Tally())
    assert await store.views.position("tally") == START
    await append(store, event("a", n=2))
    await store.views.advance("tally")
    assert await store.views.query(TALLY) == [("a", 2 + appended, 3)]
    await store.close()


class Slow(Tally):
    """Waits in the middle of the fold."""

    def __init__(self) -> None:
        super().__init__()
        self.folding = threading.Event()
        self.go_on = threading.Event()

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        super().fold(view, events)
        self.folding.set()
        self.go_on.wait(10)


async def test_a_caller_that_goes_away_in_the_middle_of_a_fold(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    slow = Slow()
    await store.views.register(slow)
    await append(store, event("a", n=1))
    advancing = asyncio.create_task(store.views.advance("tally"))
    await asyncio.to_thread(slow.folding.wait, 10)
    advancing.cancel()
    again = asyncio.create_task(store.views.advance("tally"))
    # Commits do not wait for folds.
    await asyncio.wait_for(append(store, event("a", n=2)), 30)
    slow.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await advancing
    await again
    await store.views.advance("tally")
    assert await store.views.query(TALLY) == [("a", 2, 3)]
    await store.close()


async def test_a_full_disk_under_a_view(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    await store.views.register(Tally())
    connection = store._views_connection
    await append(store, *(event(f"topic-{n}-{'x' * 50}", n=n) for n in range(500)))
    pages = connection.execute("PRAGMA page_count").get
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    with refused(STORAGE_FAILED):
        await store.views.advance("tally")
    assert await store.views.position("tally") == START
    assert await store.views.query(TALLY) == []
    connection.execute("PRAGMA max_page_count = 100000").fetchall()
    assert await store.views.advance("tally") == 500
    assert await store.views.query("SELECT count(*) FROM tally") == [(500,)]
    await store.close()


async def test_views_see_nothing_of_the_engine(tmp_path: Path) -> None:
    """Their tables are in a database of their own, so a view may be called ``events``."""

    class Named(Tally):
        name = "named"
        tables = ("events",)

        def __init__(self) -> None:
            super().__init__()
            self.schema = ("CREATE TABLE events (n INTEGER)",)

        def fold(self, view: View, events: Sequence[Recorded]) -> None:
            view.execute_many("INSERT INTO events VALUES (?)", [(e.sequence,) for e in events])

    class Forbidden(Named):
        name = "forbidden"
        tables = ("Projections",)

    store = open_store(tmp_path / "home")
    await store.views.register(Named())
    await append(store, event("a"), event("a"))
    await store.views.advance("named")
    assert await store.views.query("SELECT n FROM events") == [(1,), (2,)]
    assert len(await store.log.read_all()) == 2
    with pytest.raises(ValueError, match="the engine"):
        await store.views.register(Forbidden())
    await store.close()


async def test_a_damaged_database_of_views_keeps_no_city_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    store = open_store(home)
    await store.views.register(Tally())
    await append(store, event("a", n=1), event("a", n=2))
    await store.views.advance("tally")
    await store.close()
    views = home / "views.db"
    data = views.read_bytes()
    views.write_bytes(data[: len(data) // 2])

    store = open_store(home)
    await store.views.register(Tally())
    await store.views.advance("tally")
    assert await store.views.query(TALLY) == [("a", 2, 3)]
    assert (home / "views.db.damaged").exists()
    await store.close()


async def test_a_damaged_log_is_never_put_aside(tmp_path: Path) -> None:
    home = tmp_path / "home"
    store = open_store(home)
    await append(store, event("a", n=1))
    await store.close()
    (home / "city.db").write_bytes(b"not a database" * 500)
    with refused(STORAGE_FAILED):
        open_store(home)
    assert (home / "city.db").read_bytes().startswith(b"not a database")
