"""The tables, their versions, and how a database is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apsw

from pharos.store.faults import SCHEMA_TOO_NEW
from pharos.store.sqlite.failures import storage_failures
from pharos.store.sqlite.transaction import transaction

CITY: Final[Sequence[str]] = (
    """
    -- One row per topic, so that listing topics and finding a topic's end never reads events.
    CREATE TABLE topics (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        sequence INTEGER NOT NULL,
        last INTEGER NOT NULL
    ) STRICT;

    -- The position is the row id: appending writes at the end. Measured: a table keyed by (topic, sequence) takes a
    -- third as many rows a second. The index on topic ends in the row id, so a topic is read from any position.
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        topic INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        type TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX events_of_topic ON events (topic);

    CREATE TABLE append_keys (
        topic INTEGER NOT NULL,
        key TEXT NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (topic, key)
    ) STRICT, WITHOUT ROWID;

    -- What is reserved on a counter is the sum over the open reservations; it is stored nowhere else, so the two
    -- cannot disagree.
    CREATE TABLE counters (
        counter TEXT NOT NULL,
        period TEXT NOT NULL,
        settled INTEGER NOT NULL,
        PRIMARY KEY (counter, period)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE reservations (
        id TEXT NOT NULL PRIMARY KEY,
        made_at INTEGER NOT NULL,
        holds TEXT NOT NULL,
        note TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE resources (
        kind TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        revision INTEGER NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (kind, namespace, name)
    ) STRICT;
    CREATE TABLE labels (
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        kind TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (key, value, kind, namespace, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX labels_of_resource ON labels (kind, namespace, name);
    CREATE TABLE revisions (
        kind TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        revision INTEGER NOT NULL,
        document TEXT,
        operation TEXT NOT NULL,
        principal TEXT NOT NULL,
        time INTEGER NOT NULL,
        PRIMARY KEY (kind, namespace, name, revision)
    ) STRICT;

    CREATE TABLE remembered (
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        operation TEXT NOT NULL,
        answer TEXT,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (scope, key)
    ) STRICT;
    CREATE INDEX remembered_by_expiry ON remembered (expires_at);
    """,
    """
    -- When a counter was last settled on: some are forgotten by the calendar, others when they are no longer in use.
    ALTER TABLE counters ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- What only grows, and must do so also where the rows it could be read from have been removed: the log's head, the
    -- epochs of leases, the store's clock.
    CREATE TABLE marks (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;

    -- written_at: when something was last appended. floor: events up to there were removed. A topic that was retired
    -- keeps its row, with sequence 0, as its tombstone: began is the last position of the generation before.
    ALTER TABLE topics ADD COLUMN written_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE topics ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE topics ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE topics ADD COLUMN began INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE topics ADD COLUMN reason TEXT NOT NULL DEFAULT '';
    ALTER TABLE topics ADD COLUMN retired_at INTEGER NOT NULL DEFAULT 0;
    -- When old topics were last written to is not known: nobody shall think them idle for long.
    UPDATE topics SET written_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER);

    CREATE TABLE groups (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        prefix TEXT NOT NULL,
        exact INTEGER NOT NULL
    ) STRICT;

    -- Where a group stands in a topic: see delivery/row.py for the columns and the states.
    CREATE TABLE deliveries (
        grp INTEGER NOT NULL,
        topic INTEGER NOT NULL,
        lane TEXT NOT NULL,
        state INTEGER NOT NULL,
        cursor INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        owner TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        since INTEGER NOT NULL,
        due INTEGER,
        rest INTEGER NOT NULL,
        delay INTEGER NOT NULL,
        PRIMARY KEY (grp, topic)
    ) STRICT, WITHOUT ROWID;
    -- Idle deliveries, which are most, are in neither index.
    CREATE INDEX deliveries_ready ON deliveries (grp, lane, since, topic) WHERE state = 1;
    CREATE INDEX deliveries_busy ON deliveries (grp, state, due) WHERE state > 1;

    CREATE TABLE dead_letters (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        grp INTEGER NOT NULL,
        topic INTEGER NOT NULL,
        position INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        held INTEGER NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX dead_letters_of_delivery ON dead_letters (grp, topic);

    CREATE TABLE schedules (
        id TEXT NOT NULL PRIMARY KEY,
        due INTEGER NOT NULL,
        topic TEXT NOT NULL,
        type TEXT NOT NULL,
        body TEXT NOT NULL,
        again TEXT
    ) STRICT;
    CREATE INDEX schedules_by_due ON schedules (due);
    """,
    """
    -- Who has which blobs. A namespace has a blob while an event of it cites it, and for a while after since: see
    -- store/blobs.py. The size is what the namespace is charged with.
    CREATE TABLE blob_holdings (
        namespace TEXT NOT NULL,
        digest TEXT NOT NULL,
        size INTEGER NOT NULL,
        since INTEGER NOT NULL,
        PRIMARY KEY (namespace, digest)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX blob_holdings_of_digest ON blob_holdings (digest);
    -- What events cite: of the log by position, of a schedule (position 0) by its id.
    CREATE TABLE blob_references (
        position INTEGER NOT NULL,
        schedule TEXT NOT NULL,
        digest TEXT NOT NULL,
        namespace TEXT NOT NULL,
        PRIMARY KEY (position, schedule, digest)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX blob_references_of_digest ON blob_references (digest, namespace);

    -- Whoever removes an event lets its blobs go in the same transaction, and the grace of who had them begins. In the
    -- words of every SQLite, since administrators' tools run triggers too.
    CREATE TRIGGER events_let_blobs_go AFTER DELETE ON events BEGIN
        DELETE FROM blob_references WHERE position = OLD.position;
    END;
    CREATE TRIGGER schedules_cite_blobs AFTER INSERT ON schedules WHEN json_array_length(NEW.body) > 9 BEGIN
        INSERT OR IGNORE INTO blob_holdings
            SELECT json_extract(value, '$[2]'), json_extract(value, '$[0]'), json_extract(value, '$[1]'),
                CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)
            FROM json_each(NEW.body, '$[9]');
        INSERT OR IGNORE INTO blob_references
            SELECT 0, NEW.id, json_extract(value, '$[0]'), json_extract(value, '$[2]') FROM json_each(NEW.body, '$[9]');
    END;
    CREATE TRIGGER schedules_let_blobs_go AFTER DELETE ON schedules BEGIN
        DELETE FROM blob_references WHERE position = 0 AND schedule = OLD.id;
    END;
    CREATE TRIGGER references_end AFTER DELETE ON blob_references BEGIN
        UPDATE blob_holdings SET since = max(since, CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER))
            WHERE namespace = OLD.namespace AND digest = OLD.digest;
    END;

    -- Of the blobs there are, the events that speak of them, as they were written before events had references.
    INSERT OR IGNORE INTO blob_references
        SELECT position, '', json_extract(body, '$[8].content.digest'), '' FROM events
        WHERE type = 'audit.recorded' AND json_extract(body, '$[8].content.digest') <> '';
    INSERT OR IGNORE INTO blob_references
        SELECT position, '', json_extract(body, '$[8].blob'), '' FROM events
        WHERE type = 'response.kept' AND json_extract(body, '$[8].blob') <> '';
    DELETE FROM blob_references WHERE digest IN (
        SELECT json_extract(record.value, '$.content') FROM events, json_each(body, '$[8].records') AS record
        WHERE events.type = 'audit.expired');
    INSERT OR IGNORE INTO blob_holdings SELECT namespace, digest, 0, 0 FROM blob_references;
    """,
    """
    -- What groups that came and went leave to do, in slices between other commits: see delivery/slices.py.
    CREATE TABLE fillings (
        grp INTEGER PRIMARY KEY,
        after TEXT NOT NULL,
        since INTEGER NOT NULL,
        head INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE removals (grp INTEGER PRIMARY KEY) STRICT;
    -- No delivery has a higher epoch: of a group that goes, not all deliveries need be looked at.
    INSERT INTO marks SELECT 'highest epoch', ifnull(max(epoch), 0) FROM deliveries;
    """,
    """
    -- The lane that is told when the event comes, as [group, topic, lane].
    ALTER TABLE schedules ADD COLUMN lane TEXT;
    """,
    """
    -- Row ids of topics that were retired and had many events: their names have others, and nobody finds the events by
    -- these any more. They are removed in slices between other commits: see delivery/slices.py.
    CREATE TABLE emptied (topic INTEGER PRIMARY KEY) STRICT;
    """,
    """
    -- Timers for the end of a session's time that were set before schedules had a lane: in a full pool such a session
    -- would not end before it had a slot.
    UPDATE schedules SET lane = json_array('sessions', topic, 'pool=~%2Fending')
        WHERE lane IS NULL AND type = 'timer.fired' AND topic GLOB 'sessions/*' AND id = topic || '#deadline';
    """,
)
"""Migrations of the city's database: the entry at index n leads from version n to n + 1. Entries are never edited."""

VIEWS: Final[Sequence[str]] = (
    """
    CREATE TABLE projections (
        name TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        position INTEGER NOT NULL,
        tables TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- Identity of the city whose log the views were made from.
    CREATE TABLE made_from (identity TEXT NOT NULL) STRICT;
    """,
)
"""Migrations of the views' database."""

WRITER_CACHE_KIB = 32 * 1024
READER_CACHE_KIB = 4 * 1024
JOURNAL_BYTES = 128 * 1024 * 1024


def open_writer(path: Path, migrations: Sequence[str], *, full_sync: bool = False) -> apsw.Connection:
    """Open a database for writing and bring it to the present version.

    Raises ``SCHEMA_TOO_NEW`` for one that a newer version wrote, before anything in it is touched, and
    ``STORAGE_FAILED`` for a file that cannot be opened or is damaged.
    """
    with storage_failures(f"Cannot open {path}"):
        if path.exists() and path.stat().st_size:
            _refuse_newer(path, len(migrations))
        connection = apsw.Connection(str(path), statementcachesize=256)
        try:
            connection.set_busy_timeout(5000)
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.execute(f"PRAGMA synchronous = {'FULL' if full_sync else 'NORMAL'}")
            connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
            connection.execute("PRAGMA temp_store = MEMORY")
            # A reader that held the write-ahead log back makes it grow; afterwards the file gives the space back.
            connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}").fetchall()
            _migrate(connection, migrations)
        except BaseException:
            connection.close()
            raise
        return connection


def open_reader(path: Path) -> apsw.Connection:
    """Open a database for reading only."""
    with storage_failures(f"Cannot open {path}"):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(5000)
        connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
        return connection


def _version(connection: apsw.Connection) -> int:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'").get:
        return 0
    found = connection.execute("SELECT max(version) FROM schema_version").get
    return found if isinstance(found, int) else 0


def _refuse_newer(path: Path, known: int) -> None:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        version = _version(connection)
    finally:
        connection.close()
    if version > known:
        detail = f"{path.name} has schema version {version}; this Pharos knows up to {known}."
        raise SCHEMA_TOO_NEW(detail, facts={"found": version, "known": known})


def _migrate(connection: apsw.Connection, migrations: Sequence[str]) -> None:
    version = _version(connection)
    for number, script in enumerate(migrations[version:], start=version + 1):
        with transaction(connection):
            if number == 1:
                connection.execute(
                    "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL) STRICT"
                )
            connection.execute(script).fetchall()
            connection.execute("INSERT INTO schema_version VALUES (?, datetime('now'))", (number,))
