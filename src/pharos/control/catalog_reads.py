"""Operations that look at the catalog: get, list, history and diff."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from pharos.control.catalog import CatalogWrites
from pharos.control.diff import Edit, diff
from pharos.control.documents import Document, KindName, Named, identity, missing, shown, shown_revision
from pharos.control.faults import UNKNOWN_KIND
from pharos.control.index import Index
from pharos.control.kinds import Kinds, content, declared
from pharos.control.problems import invalid
from pharos.control.selector import parse_selector
from pharos.core.fault import INVALID, NOT_FOUND, TOO_LARGE, Fault, Problem
from pharos.core.operation import Invocation, read
from pharos.core.resource import Name, ResourceId
from pharos.core.wire import JsonObject, Page, Wire
from pharos.store.ports import Catalog, Revision

MOST = 1_000
"""Longest page."""


class Get(Named):
    """Input of ``catalog.get``."""

    revision: int | None = Field(default=None, gt=0)
    """An earlier revision; left out: the resource as it is now."""


class ListInput(Wire):
    """Input of ``catalog.list``."""

    kind: str | None = Field(default=None, min_length=1, max_length=128)
    """Name of the kind in any case, or its plural; left out: all kinds."""
    namespace: Name | None = None
    selector: str = Field(default="", max_length=2_000)
    """Labels that must match, such as ``team=a,tier!=free,owner,!temporary``."""
    limit: int = Field(default=100, ge=1, le=MOST)
    cursor: str | None = Field(default=None, max_length=400)


class HistoryInput(Named):
    """Input of ``catalog.history``."""

    limit: int = Field(default=100, ge=1, le=MOST)
    cursor: str | None = Field(default=None, max_length=20)


class RevisionItem(Wire):
    """One revision: what it was, and what made it."""

    revision: int
    action: Literal["created", "updated", "deleted"]
    time: datetime
    principal: str
    operation: str
    """Id of the operation that made it, for ``operations.get`` and ``operations.undo``."""
    document: Document | None = None
    """The resource from then on; absent where it was deleted."""


class DiffInput(Wire):
    """Input of ``catalog.diff``: two revisions of one resource, or what documents would change."""

    kind: str | None = KindName.merge_field_infos(KindName, default=None)
    name: Name | None = None
    """Name of the resource."""
    namespace: Name = "default"
    before: int | None = Field(default=None, gt=0)
    """A revision; left out: the one before ``after``."""
    after: int | None = Field(default=None, gt=0)
    """A later revision; left out: the present one."""
    documents: list[JsonObject] = Field(default_factory=list)
    """Compare the present state with these instead."""
    manifest: str = ""
    """The same as YAML or JSON text."""

    @model_validator(mode="after")
    def _either(self) -> DiffInput:
        given = bool(self.documents) or bool(self.manifest)
        if given == (self.kind is not None or self.name is not None):
            raise ValueError("Give either kind and name, or documents or a manifest")
        if not given and (self.kind is None or self.name is None):
            raise ValueError("Give both kind and name")
        return self


class Difference(Wire):
    """How one resource differs between two points."""

    resource: str
    action: Literal["created", "updated", "deleted", "unchanged"]
    before: int | None = None
    """Revision of the one side, if it exists."""
    after: int | None = None
    """Revision of the other side; absent where that is a document that was not applied."""
    diff: list[Edit]


class Differences(Wire):
    """How resources differ, in the order they were named."""

    items: list[Difference]


class CatalogReads:
    """The operations that read resources and their history."""

    def __init__(self, index: Index, kinds: Kinds, catalog: Catalog, writes: CatalogWrites) -> None:
        self._index = index
        self._kinds = kinds
        self._catalog = catalog
        self._writes = writes

    @read("catalog.get", permission="catalog.read", typical_ms=1, faults=(NOT_FOUND, UNKNOWN_KIND))
    async def get(self, invocation: Invocation, input: Get) -> Document:
        """Read one resource, as it is or as it was at a revision.

        What is returned can be edited and applied again: its revision then guards against changes made meanwhile.
        """
        id = identity(input, self._index, self._kinds)
        if input.revision is not None:
            found = await self._catalog.revision(id, input.revision)
            if found is None or found.document is None:
                raise self._no_revision(id, input.revision)
            return shown_revision(found.document)
        resource = self._index.find(id)
        if resource is None:
            raise missing(id, self._index)
        return shown(resource, self._kinds)

    @read("catalog.list", permission="catalog.read", faults=(UNKNOWN_KIND,))
    async def list(self, invocation: Invocation, input: ListInput) -> Page[Document]:
        """List resources by kind, namespace and labels, in the order of kind, namespace and name."""
        kind = None if input.kind is None else self._kinds.named(input.kind)
        selector = parse_selector(input.selector)
        resources = self._index.everything() if kind is None else self._index.of_kind(kind.name)
        start = 0
        if input.cursor is not None:
            start = bisect_right(resources, _cursor(input.cursor), key=lambda resource: resource.id)
        items: list[Document] = []
        last: ResourceId | None = None
        for resource in resources[start:]:
            if input.namespace is not None and resource.metadata.namespace != input.namespace:
                continue
            if not selector.matches(resource.metadata.labels):
                continue
            if len(items) == input.limit:
                return Page[Document](items=items, next=str(last))
            items.append(shown(resource, self._kinds))
            last = resource.id
        return Page[Document](items=items)

    @read("catalog.history", permission="catalog.read", faults=(NOT_FOUND, UNKNOWN_KIND))
    async def history(self, invocation: Invocation, input: HistoryInput) -> Page[RevisionItem]:
        """List the revisions of a resource, newest first, also of a deleted one."""
        id = identity(input, self._index, self._kinds)
        before = None
        if input.cursor is not None:
            if not input.cursor.isdecimal():
                raise _bad_cursor()
            before = int(input.cursor)
        # One more than is shown, because what a revision did is seen from the one before it.
        found, _ = await self._catalog.history(id, before, input.limit + 1)
        if not found and before is None:
            raise missing(id, self._index)
        items = [_item(now, before) for now, before in zip(found, [*found[1:], None], strict=True)][: input.limit]
        more = len(found) > input.limit
        return Page[RevisionItem](items=items, next=str(items[-1].revision) if more else None)

    @read("catalog.diff", permission="catalog.read", faults=(NOT_FOUND, UNKNOWN_KIND, INVALID, TOO_LARGE))
    async def diff(self, invocation: Invocation, input: DiffInput) -> Differences:
        """Compare two revisions of a resource, or the present state with documents.

        Only what a declaration determines is compared: labels, annotations and spec.
        """
        if input.kind is None or input.name is None:
            manifest = await self._writes.read(input.documents, input.manifest)
            return Differences(
                items=[self._against(item.resource.id, declared(item.resource)) for item in manifest.declared]
            )
        named = Named(kind=input.kind, name=input.name, namespace=input.namespace)
        id = identity(named, self._index, self._kinds)
        after = await self._revision(id, input.after)
        before = (
            await self._previous(id, after.revision) if input.before is None else await self._revision(id, input.before)
        )
        return Differences(items=[_between(id, before, after)])

    def _against(self, id: ResourceId, wanted: JsonObject) -> Difference:
        present = self._index.find(id)
        edits = diff({} if present is None else declared(present), wanted)
        action: Literal["created", "updated", "unchanged"] = "created"
        if present is not None:
            action = "updated" if edits else "unchanged"
        before = None if present is None else present.metadata.revision
        return Difference(resource=str(id), action=action, before=before, diff=edits)

    async def _revision(self, id: ResourceId, number: int | None) -> Revision:
        if number is not None:
            found = await self._catalog.revision(id, number)
        else:
            newest, _ = await self._catalog.history(id, limit=1)
            found = newest[0] if newest else None
        if found is None:
            raise missing(id, self._index) if number is None else self._no_revision(id, number)
        return found

    async def _previous(self, id: ResourceId, number: int) -> Revision | None:
        earlier, _ = await self._catalog.history(id, before=number, limit=1)
        return earlier[0] if earlier else None

    def _no_revision(self, id: ResourceId, number: int) -> Fault:
        return NOT_FOUND(f"{id} has no revision {number}.", subject=str(id), pointer="/revision")


def _item(now: Revision, before: Revision | None) -> RevisionItem:
    existed = before is not None and before.document is not None
    action: Literal["created", "updated", "deleted"] = "updated" if existed else "created"
    return RevisionItem(
        revision=now.revision,
        action="deleted" if now.document is None else action,
        time=now.time,
        principal=now.principal,
        operation=now.operation_id,
        document=None if now.document is None else shown_revision(now.document),
    )


def _between(id: ResourceId, before: Revision | None, after: Revision) -> Difference:
    old = before.document if before is not None else None
    edits = diff({} if old is None else content(old), {} if after.document is None else content(after.document))
    action: Literal["created", "updated", "deleted", "unchanged"]
    if after.document is None:
        action = "deleted" if old is not None else "unchanged"
    elif old is None:
        action = "created"
    else:
        action = "updated" if edits else "unchanged"
    first = before.revision if before is not None else None
    return Difference(resource=str(id), action=action, before=first, after=after.revision, diff=edits)


def _cursor(text: str) -> ResourceId:
    try:
        return ResourceId.parse(text)
    except ValueError:
        raise _bad_cursor() from None


def _bad_cursor() -> Fault:
    return invalid([Problem(pointer="/cursor", message="Not a cursor of this list; it is the `next` of a page.")])
