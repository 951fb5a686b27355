"""The embedded engine: a home directory opened as a :class:`~pharos.store.ports.Store`.

Writing: ``writer.py`` decides commits in memory with the help of ``appends``, ``counters``, ``changes`` and
``remembering``, and stores a group of them in one transaction of ``city.db``. Reading: ``readers.py`` lends read-only
connections to ``log``, ``catalog``, ``counters`` and ``remembering``. ``hub.py`` tells followers of the log. Views live
in ``views.db``, blobs in files.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apsw

from pharos.core.fault import Fault
from pharos.core.operation import Delete, Put, SetStatus
from pharos.store.blobs import Collect, GiveUp, Keep, Uncite
from pharos.store.delivery import (
    Acknowledge,
    Bury,
    Claim,
    Discard,
    Fence,
    Fire,
    Lane,
    Prune,
    Redrive,
    Release,
    Renew,
    Retire,
    Schedule,
    Subscribe,
    Suspend,
    Trim,
    Unschedule,
    Unsubscribe,
)  # fmt: skip
from pharos.store.ports import Append, Command, Forget, Remember, Remembered, Reserve, Result, Settle
from pharos.store.sqlite.appends import LogStage, prepare_append
from pharos.store.sqlite.blobs import FileBlobs
from pharos.store.sqlite.catalog import SqliteCatalog
from pharos.store.sqlite.changes import CatalogStage, prepare_delete, prepare_put, prepare_status
from pharos.store.sqlite.checkpoint import Checkpointer
from pharos.store.sqlite.citing import BlobStage, SqliteHoldings, prepare_blobs
from pharos.store.sqlite.clock import Clock, now
from pharos.store.sqlite.codec import to_position
from pharos.store.sqlite.counters import CounterStage, SqliteCounters, prepare_forget, prepare_reserve, prepare_settle
from pharos.store.sqlite.delivery.dead import DeadLetterStage, prepare_bury, prepare_numbers
from pharos.store.sqlite.delivery.news import Feed
from pharos.store.sqlite.delivery.preparing import (
    prepare_acknowledge,
    prepare_claim,
    prepare_fence,
    prepare_release,
    prepare_renew,
    prepare_suspend,
    prepare_text,
)  # fmt: skip
from pharos.store.sqlite.delivery.reading import SqliteDeliveries
from pharos.store.sqlite.delivery.retention import RetentionStage, prepare_prune, prepare_retire, prepare_trim
from pharos.store.sqlite.delivery.schedules import (
    ScheduleStage,
    prepare_fire,
    prepare_schedule,
    prepare_unschedule,
)  # fmt: skip
from pharos.store.sqlite.delivery.slices import Proceed
from pharos.store.sqlite.delivery.stage import DeliveryStage
from pharos.store.sqlite.failures import storage_failures
from pharos.store.sqlite.home import Home
from pharos.store.sqlite.hub import Hub
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.log import SqliteLog
from pharos.store.sqlite.preallocation import make_room
from pharos.store.sqlite.readers import Readers
from pharos.store.sqlite.remembering import RememberStage, find_remembered, prepare_remember
from pharos.store.sqlite.rows import integer
from pharos.store.sqlite.schema import CITY, VIEWS, open_writer
from pharos.store.sqlite.uploads import FileUploads
from pharos.store.sqlite.views import SqliteViews
from pharos.store.sqlite.writer import Handle, Prepare, Writer

logger = logging.getLogger(__name__)


def open_store(home: Path, *, full_sync: bool = False, wall: Callable[[], int] = now) -> SqliteStore:
    """Open a home directory, creating it if it is not there. Blocks: call it at start-up, not while serving.

    A commit that has returned survives the death of the process. With ``full_sync`` it also survives a loss of power;
    without, power may take the last moments (never the consistency) with it. ``wall`` is the wall's clock, in
    microseconds since 1970; the store's own follows it, but not backwards.

    Raises ``HOME_IN_USE``, ``SCHEMA_TOO_NEW`` and ``STORAGE_FAILED``.
    """
    with ExitStack() as undo:
        owned = Home(home)
        undo.callback(owned.release)
        city = open_writer(owned.city, CITY, full_sync=full_sync)
        undo.callback(city.close)
        if full_sync:
            make_room(owned.city)
        views = _open_views(owned.views)
        undo.callback(views.close)
        store = SqliteStore(owned, city, views, wall)
        undo.pop_all()
        return store


def _open_views(path: Path) -> apsw.Connection:
    """The database of the views. Raises ``STORAGE_FAILED``.

    A view can always be folded again: its transactions never wait for the disk, and a damaged database is put aside
    instead of keeping the city closed. What never was a database is left alone.
    """
    try:
        return open_writer(path, VIEWS)
    except Fault as fault:
        if not isinstance(fault.__cause__, apsw.CorruptError):
            raise
    aside = path.with_name(f"{path.name}.damaged")
    logger.error("%s is damaged; it was put aside as %s, and every view is folded again", path.name, aside.name)
    with storage_failures(f"Cannot put {path} aside"):
        path.replace(aside)
        for name in ("-wal", "-shm"):
            path.with_name(f"{path.name}{name}").unlink(missing_ok=True)
    return open_writer(path, VIEWS)


class SqliteStore:
    """An open home."""

    def __init__(
        self, home: Home, connection: apsw.Connection, views_connection: apsw.Connection, wall: Callable[[], int]
    ) -> None:
        self._home = home
        self._connection = connection
        self._views_connection = views_connection
        journal = Journal()
        appends = LogStage(connection, journal)
        counters = CounterStage(connection, journal)
        changes = CatalogStage(connection, journal)
        remembering = RememberStage(connection, journal)
        feed: Feed = Feed()
        deliveries = DeliveryStage(connection, journal, appends, feed)
        dead = DeadLetterStage(connection, journal, appends, deliveries)
        schedules = ScheduleStage(connection, journal, appends, deliveries, feed)
        retention = RetentionStage(connection, journal, appends, deliveries, dead, feed)
        self._blobs = FileBlobs(home.blobs)
        citing = BlobStage(connection, journal, self._blobs)
        appends.cite = citing.cite
        handlers: dict[type, tuple[Prepare, Handle]] = {
            Append: (prepare_append, appends.append),
            Reserve: (prepare_reserve, counters.reserve),
            Settle: (prepare_settle, counters.settle),
            Forget: (prepare_forget, counters.forget),
            Remember: (prepare_remember, remembering.remember),
            Put: (prepare_put, changes.put),
            Delete: (prepare_delete, changes.delete),
            SetStatus: (prepare_status, changes.set_status),
            Subscribe: (prepare_text, deliveries.subscribe),
            Unsubscribe: (prepare_text, deliveries.unsubscribe),
            Lane: (prepare_text, deliveries.lane),
            Claim: (prepare_claim, deliveries.claim),
            Renew: (prepare_renew, deliveries.renew),
            Fence: (prepare_fence, deliveries.fence),
            Acknowledge: (prepare_acknowledge, deliveries.acknowledge),
            Release: (prepare_release, deliveries.release),
            Suspend: (prepare_suspend, deliveries.suspend),
            Proceed: (deliveries.slices.ask, deliveries.slices.asked),
            Bury: (prepare_bury, dead.bury),
            Redrive: (prepare_numbers, dead.redrive),
            Discard: (prepare_numbers, dead.discard),
            Schedule: (prepare_schedule, schedules.schedule),
            Fire: (prepare_fire, schedules.fire),
            Unschedule: (prepare_unschedule, schedules.unschedule),
            Trim: (prepare_trim, retention.trim),
            Retire: (prepare_retire, retention.retire),
            Prune: (prepare_prune, retention.prune),
            Keep: (prepare_blobs, citing.keep),
            Uncite: (prepare_blobs, citing.uncite),
            GiveUp: (prepare_blobs, citing.give_up),
            Collect: (prepare_blobs, citing.collect),
        }
        self._hub = Hub(to_position(appends.head))
        stages = (appends, counters, changes, remembering, deliveries, dead, schedules, retention, citing)
        clock = Clock(integer(connection, "SELECT value FROM marks WHERE name = 'clock'"), wall)
        self._readers = Readers(home.city, threads=3)
        self._view_readers = Readers(home.views, threads=2)
        self._log = SqliteLog(self._readers, self._hub)
        self._catalog = SqliteCatalog(self._readers)
        self._counters = SqliteCounters(self._readers)
        self._uploads = FileUploads(home.blobs / "uploads", self._blobs)
        self._holdings = SqliteHoldings(self._readers)
        self._views = SqliteViews(views_connection, self._view_readers, self._readers, self._hub)
        self._checkpointer = Checkpointer(home.city, connection)
        self._writer = Writer(connection, journal, appends, deliveries, stages, handlers, self._hub, feed, clock)
        self._deliveries = SqliteDeliveries(self._readers, self._writer.desk, clock, deliveries.refused)

    @property
    def catalog(self) -> SqliteCatalog:
        """Desired state."""
        return self._catalog

    @property
    def log(self) -> SqliteLog:
        """What happened."""
        return self._log

    @property
    def blobs(self) -> FileBlobs:
        """Immutable bytes."""
        return self._blobs

    @property
    def holdings(self) -> SqliteHoldings:
        """Who has which blobs."""
        return self._holdings

    @property
    def uploads(self) -> FileUploads:
        """Bytes on their way to become blobs."""
        return self._uploads

    @property
    def counters(self) -> SqliteCounters:
        """Amounts with hard limits."""
        return self._counters

    @property
    def views(self) -> SqliteViews:
        """The tables of projections."""
        return self._views

    @property
    def deliveries(self) -> SqliteDeliveries:
        """Who works on what."""
        return self._deliveries

    def commit(
        self, *commands: Command, operation_id: str = "", principal: str = ""
    ) -> Coroutine[Any, Any, Sequence[Result]]:
        """All commands or none, in a transaction shared with other callers."""
        return self._writer.commit(commands, operation_id, principal)

    async def remembered(self, scope: str, key: str) -> Remembered | None:
        """The live record of an idempotency key."""
        return await self._readers.run(lambda connection: find_remembered(connection, scope, key))

    async def close(self) -> None:
        """Finish what was taken, end all followers of the log, and give the home up. Idempotent."""
        await self._writer.close()
        self._hub.close()
        self._writer.desk.close()
        await self._views.close()
        await self._view_readers.close()
        await self._readers.close()
        await self._uploads.close()
        await self._blobs.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        """The last connection to a database: its close leaves no write-ahead log beside the file."""
        self._checkpointer.close()
        self._views_connection.close()
        self._connection.close()
        self._home.release()
