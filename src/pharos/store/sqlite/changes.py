"""The writer's half of the catalog: numbers and stores revisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import apsw
from pydantic import ValidationError

from pharos.core.fault import CONFLICT, NOT_FOUND
from pharos.core.operation import Delete, Put, SetStatus
from pharos.core.resource import ResourceId, Status
from pharos.core.wire import Json, JsonObject
from pharos.store.sqlite.codec import dump, load
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.rows import integer, select
from pharos.store.sqlite.stage import Origin
from pharos.store.sqlite.statements import Statement, insert


class _Now(NamedTuple):
    """A resource as it is now. ``document`` is ``None`` if there is none; ``last`` is the newest of its history."""

    document: JsonObject | None
    last: int

    @property
    def revision(self) -> int:
        return self.last if self.document is not None else 0


def prepare_put(command: Put) -> JsonObject:
    """The document of the resource. Raises ``INVALID`` for one that has no JSON form."""
    document = command.resource.to_json()
    dump(document)
    return document


def prepare_delete(command: Delete) -> None:
    """Raises ``INVALID`` for an id that has no JSON form."""
    dump(tuple(command.id))


def prepare_status(command: SetStatus) -> JsonObject:
    """The JSON form of the status. Raises ``INVALID`` for one that has none."""
    dump(tuple(command.id))
    status = command.status.to_json()
    dump(status)
    return status


def _is_now(expected: Status, stored: Json) -> bool:
    """Whether a stored status, read as what the caller expects, is that. What a type adds by default is no change."""
    try:
        return expected.to_json() == stored or type(expected).model_validate(stored) == expected
    except ValidationError:
        return False


class CatalogStage:
    """Decides changes to resources. Their documents are read when they are needed: changes are rare."""

    def __init__(self, connection: apsw.Connection, journal: Journal) -> None:
        self._connection = connection
        self._journal = journal
        self._staged: dict[ResourceId, _Now] = {}
        self._relabelled: dict[ResourceId, None] = {}
        self._revisions: list[tuple[str, str, str, int, str | None, str, str, int]] = []

    def put(self, command: Put, document: JsonObject, origin: Origin) -> int:
        """Store the next revision. A status is only taken where there is none yet."""
        id = ResourceId(*command.resource.id)
        now = self._expect(id, command.expected)
        revision = now.last + 1
        metadata = cast("JsonObject", document["metadata"])
        document = {**document, "metadata": {**metadata, "revision": revision}}
        versioned = {name: part for name, part in document.items() if name != "status"}
        if now.document is not None:
            document["status"] = now.document.get("status", {})
        self._record(id, _Now(document, revision), versioned, origin)
        return revision

    def delete(self, command: Delete, payload: None, origin: Origin) -> int:
        """Remove the resource; its history stays, and ends with the removal."""
        id = ResourceId(*command.id)
        now = self._expect(id, command.expected)
        if now.document is None:
            raise Refusal(NOT_FOUND, f"There is no {id}.", subject=str(id))
        revision = now.last + 1
        self._record(id, _Now(None, revision), None, origin)
        return revision

    def set_status(self, command: SetStatus, status: JsonObject, origin: Origin) -> None:
        """Replace the status."""
        id = ResourceId(*command.id)
        now = self._now(id)
        if now.document is None:
            raise Refusal(NOT_FOUND, f"There is no {id}.", subject=str(id))
        if command.revision is not None:
            self._expect(id, command.revision)
        if command.expected is not None and not _is_now(command.expected, now.document.get("status")):
            facts: JsonObject = {"revision": now.revision}
            raise Refusal(CONFLICT, f"The status of {id} is not the expected one.", subject=str(id), facts=facts)
        self._journal.put(self._staged, id, _Now({**now.document, "status": status}, now.last))

    def _expect(self, id: ResourceId, expected: int) -> _Now:
        now = self._now(id)
        if now.revision != expected:
            has = f"has revision {now.revision}" if now.document is not None else "does not exist"
            raise Refusal(
                CONFLICT,
                f"{id} {has}; revision {expected} was expected.",
                subject=str(id),
                facts={"revision": now.revision, "expected": expected},
            )
        return now

    def _record(self, id: ResourceId, now: _Now, versioned: JsonObject | None, origin: Origin) -> None:
        text = None if versioned is None else dump(versioned)
        row = (*id, now.last, text, origin.operation_id, origin.principal, origin.time)
        self._journal.put(self._staged, id, now)
        self._journal.put(self._relabelled, id, None)
        self._journal.add(self._revisions, row)

    def _now(self, id: ResourceId) -> _Now:
        if (staged := self._staged.get(id)) is not None:
            return staged
        where = "WHERE kind = ? AND namespace = ? AND name = ?"
        sql = f"SELECT revision, document FROM resources {where}"  # noqa: S608
        for revision, text in select(self._connection, sql, id):
            return _Now(cast("JsonObject", load(text)), revision)
        return _Now(None, integer(self._connection, f"SELECT max(revision) FROM revisions {where}", id))  # noqa: S608

    @property
    def pending(self) -> bool:
        """Whether anything is staged."""
        return bool(self._staged)

    def statements(self) -> Iterator[Statement]:
        """Each resource as it is in the end, its labels, and every revision on the way."""
        for id, now in self._staged.items():
            if now.document is None:
                yield "DELETE FROM resources WHERE kind = ? AND namespace = ? AND name = ?", id
            else:
                yield (
                    "INSERT INTO resources VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, namespace, name) "
                    "DO UPDATE SET revision = excluded.revision, document = excluded.document",
                    (*id, now.last, dump(now.document)),
                )
        for id in self._relabelled:
            yield "DELETE FROM labels WHERE kind = ? AND namespace = ? AND name = ?", id
            document = self._staged[id].document
            if document is not None:
                labels = cast("dict[str, str]", cast("JsonObject", document["metadata"]).get("labels", {}))
                yield from insert("INSERT INTO labels", [(key, value, *id) for key, value in labels.items()])
        yield from insert("INSERT INTO revisions", self._revisions)

    def committed(self) -> None:
        """Nothing is kept."""
        self._staged.clear()
        self._relabelled.clear()
        self._revisions.clear()
