"""The readers' half of the catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import apsw

from pharos.core.fault import INVALID
from pharos.core.projection import Scalar
from pharos.core.resource import ResourceId
from pharos.core.wire import JsonObject
from pharos.store.ports import Revision, StoredResource
from pharos.store.sqlite.clock import from_microseconds
from pharos.store.sqlite.codec import MAX_INTEGER, load
from pharos.store.sqlite.readers import Readers
from pharos.store.sqlite.rows import select

_REVISION = "SELECT kind, namespace, name, revision, document, operation, principal, time FROM revisions"


class SqliteCatalog:
    """The port ``Catalog``."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def get(self, id: ResourceId) -> StoredResource | None:
        """One row by its key."""

        def query(connection: apsw.Connection) -> StoredResource | None:
            sql = "SELECT revision, document FROM resources WHERE kind = ? AND namespace = ? AND name = ?"
            rows = select(connection, sql, id)
            return _stored(*id, *rows[0]) if rows else None

        return await self._readers.run(query)

    async def list(
        self,
        kind: str | None = None,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> tuple[Sequence[StoredResource], str | None]:
        """A range of the key, or of the index of one label, narrowed by the others."""
        sql, bindings = select_resources(kind, namespace, labels or {}, after, limit + 1)
        rows = await self._readers.run(lambda connection: select(connection, sql, bindings))
        page = [_stored(*row) for row in rows[:limit]]
        return page, str(page[-1].id) if len(rows) > limit and page else None

    async def history(
        self, id: ResourceId, before: int | None = None, limit: int = 100
    ) -> tuple[Sequence[Revision], int | None]:
        """A range of the key of the revisions, backwards."""
        sql = f"{_REVISION} WHERE kind = ? AND namespace = ? AND name = ?"
        bindings: tuple[Scalar, ...] = tuple(id)
        if before is not None:
            sql, bindings = f"{sql} AND revision < ?", (*bindings, min(before, MAX_INTEGER))
        sql, bindings = f"{sql} ORDER BY revision DESC LIMIT ?", (*bindings, max(limit, 0) + 1)
        rows = await self._readers.run(lambda connection: select(connection, sql, bindings))
        page = [_revision(*row) for row in rows[: max(limit, 0)]]
        return page, page[-1].revision if len(rows) > limit and page else None

    async def revision(self, id: ResourceId, revision: int) -> Revision | None:
        """One row by its key."""
        if revision > MAX_INTEGER:
            return None
        sql = f"{_REVISION} WHERE kind = ? AND namespace = ? AND name = ? AND revision = ?"
        rows = await self._readers.run(lambda connection: select(connection, sql, (*id, revision)))
        return _revision(*rows[0]) if rows else None


def select_resources(
    kind: str | None, namespace: str | None, labels: Mapping[str, str], after: str | None, limit: int
) -> tuple[str, list[Scalar]]:
    """The query behind ``Catalog.list``. Raises ``INVALID`` for a cursor that is none."""
    conditions: list[str] = []
    bindings: list[Scalar] = []
    source, table = "resources", "resources"
    if labels:
        # The first label drives: its index holds the resources in the order of the list.
        (key, value), *others = labels.items()
        source, table = "labels JOIN resources USING (kind, namespace, name)", "labels"
        conditions.append("labels.key = ? AND labels.value = ?")
        bindings += [key, value]
        for key, value in others:
            conditions.append(
                "EXISTS (SELECT 1 FROM labels AS other WHERE other.key = ? AND other.value = ? "
                "AND (other.kind, other.namespace, other.name) = (labels.kind, labels.namespace, labels.name))"
            )
            bindings += [key, value]
    if kind is not None:
        conditions.append(f"{table}.kind = ?")
        bindings.append(kind)
    if namespace is not None:
        conditions.append(f"{table}.namespace = ?")
        bindings.append(namespace)
    if after is not None:
        conditions.append(f"({table}.kind, {table}.namespace, {table}.name) > (?, ?, ?)")
        try:
            bindings += ResourceId.parse(after)
        except ValueError as error:
            raise INVALID(f"{after!r} is not the cursor of a list.", pointer="/after") from error
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    order = f"{table}.kind, {table}.namespace, {table}.name"
    bindings.append(max(limit, 0))
    columns = f"{order}, revision, document"
    return f"SELECT {columns} FROM {source} {where} ORDER BY {order} LIMIT ?", bindings  # noqa: S608


def _stored(kind: str, namespace: str, name: str, revision: int, document: str) -> StoredResource:
    return StoredResource(ResourceId(kind, namespace, name), revision, cast("JsonObject", load(document)))


def _revision(
    kind: str, namespace: str, name: str, revision: int, document: str | None, operation: str, principal: str, time: int
) -> Revision:
    return Revision(
        id=ResourceId(kind, namespace, name),
        revision=revision,
        document=None if document is None else cast("JsonObject", load(document)),
        operation_id=operation,
        principal=principal,
        time=from_microseconds(time),
    )
