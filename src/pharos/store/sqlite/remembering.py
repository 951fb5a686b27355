"""Answers kept under idempotency keys: the writer's half and the readers'."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import apsw

from pharos.core.wire import JsonObject
from pharos.store.faults import IDEMPOTENCY_RACE
from pharos.store.ports import Remember, Remembered
from pharos.store.sqlite.clock import now, to_microseconds
from pharos.store.sqlite.codec import dump, load
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.rows import integer, select
from pharos.store.sqlite.stage import Origin
from pharos.store.sqlite.statements import Statement

_PURGED_AT_ONCE = 32
"""Expired records that leave with each transaction that adds some: more than come, so the table stays bounded."""

Row = tuple[str, str, str, str, str | None, int]


def prepare_remember(command: Remember) -> Row:
    """The stored form of the record. Raises ``INVALID`` for an answer that has no JSON form."""
    answer = None if command.answer is None else dump(command.answer)
    dump((command.scope, command.key, command.fingerprint, command.operation_id))
    return (
        command.scope,
        command.key,
        command.fingerprint,
        command.operation_id,
        answer,
        to_microseconds(command.expires_at),
    )


class RememberStage:
    """Decides who was first with a key."""

    def __init__(self, connection: apsw.Connection, journal: Journal) -> None:
        self._connection = connection
        self._journal = journal
        self._staged: dict[tuple[str, str], Row] = {}
        self._time = 0

    def remember(self, command: Remember, row: Row, origin: Origin) -> None:
        """Take the key, unless a live record has it."""
        key = command.scope, command.key
        staged = self._staged.get(key)
        expires = staged[5] if staged is not None else self._expiry(key)
        if expires > origin.time:
            raise Refusal(IDEMPOTENCY_RACE, f"The idempotency key {command.key!r} is taken.", subject=command.key)
        self._journal.put(self._staged, key, row)
        self._time = origin.time

    def _expiry(self, key: tuple[str, str]) -> int:
        return integer(self._connection, "SELECT expires_at FROM remembered WHERE scope = ? AND key = ?", key)

    @property
    def pending(self) -> bool:
        """Whether anything is staged."""
        return bool(self._staged)

    def statements(self) -> Iterator[Statement]:
        """The new records, and the removal of a few expired ones."""
        if not self._staged:
            return
        yield (
            "DELETE FROM remembered WHERE rowid IN "
            "(SELECT rowid FROM remembered WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
            (self._time, _PURGED_AT_ONCE + len(self._staged)),
        )
        for row in self._staged.values():
            yield "INSERT OR REPLACE INTO remembered VALUES (?, ?, ?, ?, ?, ?)", row

    def committed(self) -> None:
        """Nothing is kept."""
        self._staged.clear()


def find_remembered(connection: apsw.Connection, scope: str, key: str) -> Remembered | None:
    """The live record of a key."""
    sql = "SELECT fingerprint, operation, answer FROM remembered WHERE scope = ? AND key = ? AND expires_at > ?"
    for fingerprint, operation, answer in select(connection, sql, (scope, key, now())):
        return Remembered(fingerprint, operation, None if answer is None else cast("JsonObject", load(answer)))
    return None
