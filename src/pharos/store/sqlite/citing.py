"""Who has which blobs: the writer's half and the readers'.

References are rows beside the events they belong to. Triggers remove them in the transaction that removes the event,
whoever does that, so no way of trimming can forget them; see the tables in ``schema.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import apsw

from pharos.core.event import BlobRef
from pharos.core.fault import Fault
from pharos.store.blobs import Collect, GiveUp, Holding, Keep, StoredBlob, Uncite, Usage
from pharos.store.faults import BLOB_CITED, BLOB_MISSING, BLOBS_UNAVAILABLE
from pharos.store.sqlite.blobs import FileBlobs
from pharos.store.sqlite.clock import from_microseconds, to_microseconds
from pharos.store.sqlite.codec import dump, from_position
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.readers import Readers
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.rows import integer, select
from pharos.store.sqlite.stage import Origin
from pharos.store.sqlite.statements import Statement

_HAS = "INSERT INTO blob_holdings (namespace, digest, size, since) VALUES (?, ?, ?, ?) ON CONFLICT "
_KEEPS = _HAS + "(namespace, digest) DO UPDATE SET since = max(since, excluded.since)"
_CITES = _HAS + "DO NOTHING"
_CITED = "SELECT 1 FROM blob_references AS r WHERE r.digest = h.digest AND r.namespace = h.namespace"
_LAPSED = f"since < ? AND NOT EXISTS ({_CITED})"


def prepare_blobs(command: Keep | Uncite | GiveUp | Collect) -> int:
    """The number that a command needs: a position or a time. Raises ``INVALID`` for what is none."""
    match command:
        case Uncite(position):
            return from_position(position)
        case Collect(_, before):
            return 0 if before is None else to_microseconds(before)
    return 0


class BlobStage:
    """Decides what may be cited and what may go. See :class:`~pharos.store.sqlite.stage.Stage`."""

    def __init__(self, connection: apsw.Connection, journal: Journal, files: FileBlobs) -> None:
        self._connection = connection
        self._journal = journal
        self._files = files
        self._staged: list[Statement] = []
        self._wanted: dict[tuple[str, str], bool] = {}
        """(digest, namespace) that somebody cites or keeps since the last transaction."""
        self._leaving: dict[str, datetime | None] = {}

    def cite(self, refs: Sequence[BlobRef], position: int, time: int) -> None:
        """An event refers to blobs. Raises a refusal for one that is not stored as a whole."""
        for digest, size, namespace in refs:
            self._want(digest, size, namespace)
            self._stage(_CITES, (namespace, digest, size, time))
            self._stage("INSERT OR IGNORE INTO blob_references VALUES (?, '', ?, ?)", (position, digest, namespace))

    def keep(self, command: Keep, _payload: int, origin: Origin) -> bool:
        """See :class:`~pharos.store.blobs.Keep`."""
        digest, namespace, size = command
        known = (digest, namespace) in self._wanted or self._has(namespace, digest)
        self._want(digest, size, namespace)
        self._stage(_KEEPS, (namespace, digest, size, origin.time))
        return not known

    def uncite(self, command: Uncite, position: int, _origin: Origin) -> bool:
        """See :class:`~pharos.store.blobs.Uncite`."""
        place = position, command.digest
        sql = "SELECT count(*) FROM blob_references WHERE position = ? AND schedule = '' AND digest = ?"
        self._stage("DELETE FROM blob_references WHERE position = ? AND schedule = '' AND digest = ?", place)
        return integer(self._connection, sql, place) > 0

    def give_up(self, command: GiveUp, _payload: int, _origin: Origin) -> bool:
        """See :class:`~pharos.store.blobs.GiveUp`."""
        namespace, digest = command
        count = integer(
            self._connection,
            "SELECT count(*) FROM blob_references WHERE digest = ? AND namespace = ?",
            (digest, namespace),
        )
        if count or (digest, namespace) in self._wanted:
            raise Refusal(
                BLOB_CITED,
                f"{max(count, 1)} events cite the blob.",
                subject=digest,
                facts={"references": max(count, 1)},
            )
        self._stage("DELETE FROM blob_holdings WHERE namespace = ? AND digest = ?", (namespace, digest))
        return self._has(namespace, digest)

    def collect(self, command: Collect, before: int, _origin: Origin) -> int:
        """See :class:`~pharos.store.blobs.Collect`. The files go when the transaction is there."""
        wanted = {digest for digest, _ in self._wanted}
        count = 0
        for digest in command.digests:
            if digest in wanted or (command.before is not None and self._is_young(digest, command.before)):
                continue
            if integer(
                self._connection,
                f"SELECT count(*) FROM blob_holdings AS h WHERE digest = ? AND NOT ({_LAPSED})",  # noqa: S608
                (digest, before),
            ):
                # Others have it; who has not any longer need not be noted.
                self._stage(f"DELETE FROM blob_holdings AS h WHERE digest = ? AND {_LAPSED}", (digest, before))  # noqa: S608
                continue
            self._stage("DELETE FROM blob_holdings WHERE digest = ?", (digest,))
            self._journal.put(self._leaving, digest, command.before)
            count += 1
        return count

    @property
    def pending(self) -> bool:
        """Whether anything is staged."""
        return bool(self._staged or self._wanted or self._leaving)

    def statements(self) -> Iterator[Statement]:
        """In the order of the commands."""
        return iter(self._staged)

    def committed(self) -> None:
        """Nothing refers to these files any more, and nothing that is to come will be let."""
        for digest, before in self._leaving.items():
            self._files.discard(digest, before)
        self._leaving.clear()
        self._wanted.clear()
        self._staged.clear()

    def _want(self, digest: str, size: int, namespace: str) -> None:
        stored = self._stored(digest)
        if stored is None or stored.size != size:
            raise Refusal(BLOB_MISSING, f"{digest} is not stored with {size} bytes.", subject=digest)
        if digest in self._leaving:
            self._journal.drop(self._leaving, digest)
        self._journal.put(self._wanted, (digest, namespace), True)

    def _has(self, namespace: str, digest: str) -> bool:
        sql = "SELECT count(*) FROM blob_holdings WHERE namespace = ? AND digest = ?"
        return integer(self._connection, sql, (namespace, digest)) > 0

    def _is_young(self, digest: str, before: datetime) -> bool:
        stored = self._stored(digest)
        return self._files.is_read(digest) or (stored is not None and stored.stored_at >= before)

    def _stored(self, digest: str) -> StoredBlob | None:
        try:
            return self._files.stored(digest)
        except Fault as fault:
            raise Refusal(BLOBS_UNAVAILABLE, fault.detail, subject=digest) from fault

    def _stage(self, sql: str, bindings: tuple[str | int, ...]) -> None:
        self._journal.add(self._staged, (sql, bindings))


_HOLDING = (
    "SELECT h.digest, h.size, h.since, (SELECT count(*) FROM blob_references AS r "
    "WHERE r.digest = h.digest AND r.namespace = h.namespace) FROM blob_holdings AS h WHERE h.namespace = ?"
)


class SqliteHoldings:
    """The port ``Holdings``."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def get(self, namespace: str, digest: str) -> Holding | None:
        """One row by its key, which begins with the namespace: what others have is not even near."""
        sql = f"{_HOLDING} AND h.digest = ?"
        rows = await self._readers.run(lambda connection: select(connection, sql, (namespace, digest)))
        return _holding(namespace, rows[0]) if rows else None

    async def list(
        self, namespace: str, *, cited: bool | None = None, after: str = "", limit: int = 100
    ) -> Sequence[Holding]:
        """See :class:`~pharos.store.blobs.Holdings`."""
        which = "" if cited is None else f" AND {'' if cited else 'NOT '}EXISTS ({_CITED})"
        sql = f"{_HOLDING} AND h.digest > ?{which} ORDER BY h.digest LIMIT ?"
        rows = await self._readers.run(lambda connection: select(connection, sql, (namespace, after, limit)))
        return [_holding(namespace, row) for row in rows]

    async def usage(self, namespace: str) -> Usage:
        """See :class:`~pharos.store.blobs.Holdings`."""
        sql = "SELECT count(*), coalesce(sum(size), 0) FROM blob_holdings WHERE namespace = ?"
        [(blobs, size)] = await self._readers.run(lambda connection: select(connection, sql, (namespace,)))
        return Usage(blobs, size)

    async def lapsed(self, before: datetime, after: str = "", limit: int = 100) -> Sequence[str]:
        """See :class:`~pharos.store.blobs.Holdings`."""
        sql = f"SELECT DISTINCT digest FROM blob_holdings AS h WHERE {_LAPSED} AND digest > ? ORDER BY digest LIMIT ?"  # noqa: S608
        bindings = to_microseconds(before), after, limit
        rows = await self._readers.run(lambda connection: select(connection, sql, bindings))
        return [digest for (digest,) in rows]

    async def unheld(self, digests: Sequence[str]) -> Sequence[str]:
        """See :class:`~pharos.store.blobs.Holdings`."""
        sql = "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM blob_holdings WHERE digest = value)"
        rows = await self._readers.run(lambda connection: select(connection, sql, (dump(list(digests)),)))
        return [digest for (digest,) in rows]


def _holding(namespace: str, row: tuple[str, int, int, int]) -> Holding:
    digest, size, since, references = row
    return Holding(namespace, digest, size, references, from_microseconds(since))
