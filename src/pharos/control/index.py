"""The catalog in memory: typed, connected, and up to date before a write returns.

Deciders and the gateway read resources from here without I/O. Whoever keeps something derived from resources (a routing
table, a set of credentials) subscribes and is told of each change in the call that made it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pharos.control.kinds import Kinds
from pharos.core.event import START, Position
from pharos.core.operation import Change, Delete, Put
from pharos.core.resource import AnyResource, Kind, Reference, Resource, ResourceId, S, references
from pharos.store.ports import Store, StoredResource

_log = logging.getLogger(__name__)

_PAGE = 1_000
_REMEMBERED_DELETIONS = 4_096

Subscriber = Callable[[ResourceId, AnyResource | None], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """A resource, and where in the log its document and its status last changed."""

    resource: AnyResource
    written: Position
    observed: Position


class Index:
    """A mirror of the catalog. Belongs to one event loop; reading is a dictionary look-up."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._entries: dict[ResourceId, Entry] = {}
        self._by_kind: dict[str, dict[ResourceId, AnyResource]] = {}
        self._sorted: dict[str, tuple[AnyResource, ...]] = {}
        self._typed: dict[str, tuple[AnyResource, ...]] = {}
        self._everything: tuple[AnyResource, ...] | None = None
        self._references: dict[ResourceId, tuple[Reference, ...]] = {}
        self._referrers: dict[ResourceId, dict[ResourceId, None]] = {}
        self._deleted: OrderedDict[ResourceId, Position] = OrderedDict()
        self._subscribers: dict[int, Subscriber] = {}
        self.position: Position = START
        """The place in the log of the newest change that is in the index."""

    async def load(self, store: Store) -> None:
        """Read the whole catalog. Called once, after all kinds are registered and before the first write."""
        self.position = await store.log.head()
        cursor: str | None = None
        while True:
            page, cursor = await store.catalog.list(after=cursor, limit=_PAGE)
            for stored in page:
                self._keep(self._kinds.typed(stored.document), self.position, self.position)
            if cursor is None:
                break
        for id in list(self._entries):
            self._tell(id)

    def get(self, kind: Kind[S], name: str, namespace: str = "default") -> Resource[S] | None:
        """The resource of a kind by name."""
        entry = self._entries.get(ResourceId(kind.name, namespace, name))
        if entry is None or not isinstance(entry.resource.spec, kind.spec):
            return None
        return entry.resource

    def find(self, id: ResourceId) -> AnyResource | None:
        """The resource of any kind by its identity."""
        entry = self._entries.get(id)
        return None if entry is None else entry.resource

    def entry(self, id: ResourceId) -> Entry | None:
        """The resource and the positions of its last changes."""
        return self._entries.get(id)

    def all(self, kind: Kind[S]) -> Sequence[Resource[S]]:
        """All resources of a kind, by namespace and name."""
        ordered = self._typed.get(kind.name)
        if ordered is None:
            found = self.of_kind(kind.name)
            ordered = self._typed[kind.name] = tuple(r for r in found if isinstance(r.spec, kind.spec))
        return ordered

    def of_kind(self, kind: str) -> Sequence[AnyResource]:
        """All resources of a kind, by namespace and name, also those that are no longer valid as that kind."""
        ordered = self._sorted.get(kind)
        if ordered is None:
            resources = self._by_kind.get(kind, {})
            ordered = self._sorted[kind] = tuple(resources[id] for id in sorted(resources))
        return ordered

    def everything(self) -> Sequence[AnyResource]:
        """All resources, by kind, namespace and name."""
        if self._everything is None:
            self._everything = tuple(self._entries[id].resource for id in sorted(self._entries))
        return self._everything

    def references(self, id: ResourceId) -> Sequence[Reference]:
        """What a resource refers to."""
        return self._references.get(id, ())

    def referrers(self, target: ResourceId) -> Iterable[ResourceId]:
        """The resources that refer to ``target``, which need not exist."""
        return self._referrers.get(target, {}).keys()

    def is_referenced(self, target: ResourceId) -> bool:
        """Whether anything refers to ``target``."""
        return target in self._referrers

    def deleted_after(self, position: Position) -> Iterator[tuple[ResourceId, Position]]:
        """What was deleted after a position of late, and where in the log."""
        for id in reversed(self._deleted):
            if self._deleted[id] <= position:
                return
            yield id, self._deleted[id]

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call ``callback(id, resource or None)`` after each change from now on; what is returned ends that.

        It runs inside the write and must not block. All changes of one commit are in the index when the first of them
        is told.
        """
        number = max(self._subscribers, default=0) + 1
        self._subscribers[number] = callback
        return lambda: cast("None", self._subscribers.pop(number, None))

    def apply(self, changes: Iterable[tuple[Change, Position]]) -> None:
        """Take in committed changes. One that arrives after a later one of the same thing is dropped."""
        changed = [change for change, position in changes if self._apply(change, position)]
        for change in changed:
            self._tell(change.resource.id if isinstance(change, Put) else change.id)

    def refresh(self, id: ResourceId, seen: Entry | None, stored: StoredResource | None) -> None:
        """Take in what the store has, unless the entry is no longer the one ``seen`` before the store was asked."""
        if self._entries.get(id) is not seen:
            return
        known = None if seen is None else seen.resource.to_json()
        if known == (None if stored is None else stored.document):
            return
        # The positions stay, so that changes under way are not taken for older than what was read here.
        written = seen.written if seen is not None else self._deleted.get(id, START)
        if stored is not None:
            self._keep(self._kinds.typed(stored.document), written, seen.observed if seen is not None else START)
        elif seen is not None:
            self._drop(id, written)
        self._tell(id)

    def _apply(self, change: Change, position: Position) -> bool:
        self.position = max(self.position, position)
        id = change.resource.id if isinstance(change, Put) else change.id
        entry = self._entries.get(id)
        written = entry.written if entry is not None else self._deleted.get(id, START)
        match change:
            case Put(resource):
                if position <= written or (entry and resource.metadata.revision <= entry.resource.metadata.revision):
                    return False
                if entry is None:
                    self._keep(resource, position, position)
                else:
                    self._keep(resource.model_copy(update={"status": entry.resource.status}), position, entry.observed)
            case Delete():
                if position <= written:
                    return False
                self._drop(id, position)
            case _:
                if entry is None or position <= entry.observed:
                    return False
                resource = entry.resource.model_copy(update={"status": change.status})
                self._put(id, replace(entry, resource=resource, observed=position))
        return True

    def _keep(self, resource: AnyResource, written: Position, observed: Position) -> None:
        id = resource.id
        self._deleted.pop(id, None)
        self._disconnect(id)
        found = tuple(references(resource))
        if found:
            self._references[id] = found
            for reference in found:
                self._referrers.setdefault(reference.target, {})[id] = None
        self._put(id, Entry(resource, written, observed))

    def _put(self, id: ResourceId, entry: Entry) -> None:
        self._entries[id] = entry
        self._by_kind.setdefault(id.kind, {})[id] = entry.resource
        self._outdate(id.kind)

    def _drop(self, id: ResourceId, position: Position) -> None:
        self._deleted[id] = position
        if len(self._deleted) > _REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)
        self._disconnect(id)
        if self._entries.pop(id, None) is not None:
            del self._by_kind[id.kind][id]
            self._outdate(id.kind)

    def _disconnect(self, id: ResourceId) -> None:
        for reference in self._references.pop(id, ()):
            sources = self._referrers.get(reference.target)
            if sources is not None:
                sources.pop(id, None)
                if not sources:
                    del self._referrers[reference.target]

    def _outdate(self, kind: str) -> None:
        self._sorted.pop(kind, None)
        self._typed.pop(kind, None)
        self._everything = None

    def _tell(self, id: ResourceId) -> None:
        resource = self.find(id)
        for callback in tuple(self._subscribers.values()):
            try:
                callback(id, resource)
            except Exception as error:  # noqa: BLE001 - another room's defect ends at this boundary
                # The change is durable: who cannot follow it must not make it look refused. The error's text is kept
                # out of the log, it may quote a resource.
                _log.error("a subscriber of the index failed on %s: %s", id, type(error).__name__)
