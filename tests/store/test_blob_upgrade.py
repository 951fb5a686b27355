"""A home from before events had references: its blobs are known to those events after the upgrade."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from pharos.core.event import Event
from pharos.store.blobs import Collect
from pharos.store.sqlite.codec import dump_event
from pharos.store.sqlite.engine import open_store
from pharos.store.sqlite.schema import CITY, open_writer

BEFORE = next(number for number, script in enumerate(CITY) if "blob_holdings" in script)


async def test_what_old_events_speak_of_is_not_collected(tmp_path: Path) -> None:
    home = tmp_path / "home"
    store = open_store(home)
    audit, response, expired, orphan = [await store.blobs.put(f"{n}".encode()) for n in range(4)]
    await store.close()
    for path in home.glob("city.db*"):
        path.unlink()
    connection = open_writer(home / "city.db", CITY[:BEFORE])
    events = [
        Event("audit/default", "audit.recorded", {"content": {"digest": audit}}),
        Event("audit/default", "audit.recorded", {"content": {"digest": ""}}),
        Event("audit/default", "audit.recorded", {"content": {"digest": expired}}),
        Event("audit/default", "audit.expired", {"records": [{"content": expired}]}),
        Event("responses/k/1", "response.kept", {"blob": response}),
        Event("other", "model.called", {"blob": orphan}),
    ]
    for position, event in enumerate(events, 1):
        row = (position, 1, position, event.type, dump_event(event))
        assert orjson.loads(row[4])[8] == event.data
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?)", row)
    connection.execute("INSERT INTO topics (id, name, sequence, last) VALUES (1, 'all', 6, 6)")
    connection.close()
    store = open_store(home)
    every = (audit, response, expired, orphan)
    assert await store.commit(Collect(every, datetime.now(UTC) + timedelta(hours=1))) == [2]
    assert [await store.blobs.size(digest) is not None for digest in every] == [True, True, False, False]
    await store.close()
