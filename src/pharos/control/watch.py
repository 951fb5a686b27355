"""Following the catalog: every change as it happens, from any position on.

Without a position a watch begins with what is there now and goes on with what changes, without a gap and without
telling anything twice. With the position of the last change a client has seen, it continues there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Literal, cast

from pydantic import Field

from pharos.control.commit import APPLIED, CATALOG_TOPIC, DELETED, Committer
from pharos.control.documents import Document, shown
from pharos.control.faults import UNKNOWN_KIND
from pharos.control.index import Index
from pharos.control.kinds import Kinds
from pharos.control.selector import Selector, parse_selector
from pharos.core.call import Call
from pharos.core.event import START, Position, Recorded
from pharos.core.fault import Applicability, Fault, Fix
from pharos.core.operation import Invocation, read
from pharos.core.resource import Name, ResourceId
from pharos.core.wire import JsonObject, Wire
from pharos.store.faults import GONE
from pharos.store.ports import Log


class Watch(Wire):
    """Input of ``catalog.watch``."""

    kind: str | None = Field(default=None, min_length=1, max_length=128)
    """Name of the kind in any case, or its plural; left out: all kinds."""
    namespace: Name | None = None
    selector: str = Field(default="", max_length=2_000)
    """Labels that must match, as for ``catalog.list``."""
    after: str | None = Field(default=None, max_length=64)
    """Position of the last item seen; left out: begin with a list of what is there."""


class WatchItem(Wire):
    """One step of a watch."""

    type: Literal["listed", "synced", "applied", "deleted", "left", "observed"]
    """``listed``: is there now. ``synced``: the list is complete. ``left``: no longer matches the selector.
    ``observed``: only the status changed."""
    position: str | None = None
    """Continue after this item with ``after``. Items of the list at the beginning have none: until it is complete there
    is nothing to continue."""
    resource: str | None = None
    revision: int | None = None
    operation: str | None = None
    """Id of the operation that made the change."""
    document: Document | None = None
    """The resource, where it was listed or applied."""
    status: JsonObject | None = None
    """The status, where it was observed."""


class CatalogWatch:
    """The operation that follows the catalog."""

    def __init__(self, index: Index, kinds: Kinds, log: Log, committer: Committer) -> None:
        self._index = index
        self._kinds = kinds
        self._log = log
        self._committer = committer

    @read("catalog.watch", permission="catalog.read", faults=(GONE, UNKNOWN_KIND))
    async def watch(self, invocation: Invocation, input: Watch) -> AsyncIterator[WatchItem]:
        """Follow the changes of resources.

        A stream without end. It can be resumed at the position of its last item; when that is too old, the fault `GONE`
        says to begin again with a list.
        """
        scope = _Scope(
            None if input.kind is None else self._kinds.named(input.kind).name,
            input.namespace,
            parse_selector(input.selector),
        )
        told: dict[str, tuple[Position, Position]] = {}
        if input.after is None:
            # Between reading the position and the resources nothing runs, so the list has everything up to there. It
            # may have more: what is in the list already is left out when the log comes to it.
            after = self._committer.settled_position()
            told = self._changed_after(after)
            for listed in self._list(scope):
                yield listed
            yield WatchItem(type="synced", position=after)
        else:
            after = input.after
            await self._check(after, input)
        async with aclosing(self._log.tail(CATALOG_TOPIC, after)) as events:
            async for recorded in events:
                item = _item(recorded, scope)
                if item is not None and not _told(recorded, told):
                    yield item

    def _list(self, scope: _Scope) -> list[WatchItem]:
        return [
            WatchItem(
                type="listed",
                resource=str(resource.id),
                revision=resource.metadata.revision,
                document=shown(resource, self._kinds),
            )
            for resource in self._index.everything()
            if scope.covers(resource.id, resource.metadata.labels)
        ]

    def _changed_after(self, position: Position) -> dict[str, tuple[Position, Position]]:
        told = {str(id): (deleted, deleted) for id, deleted in self._index.deleted_after(position)}
        for resource in self._index.everything():
            entry = self._index.entry(resource.id)
            if entry is not None and max(entry.written, entry.observed) > position:
                told[str(resource.id)] = (entry.written, entry.observed)
        return told

    async def _check(self, after: Position, input: Watch) -> None:
        """Raise ``GONE`` if the log cannot continue from ``after``."""
        first = await self._log.read(CATALOG_TOPIC, START, 1)
        trimmed = bool(first) and first[0].sequence > 1 and after < first[0].position
        if trimmed or after > await self._log.head():
            raise _gone(input)


class _Scope:
    """What a watch is about."""

    def __init__(self, kind: str | None, namespace: str | None, selector: Selector) -> None:
        self._kind = kind
        self._namespace = namespace
        self._selector = selector

    def covers(self, id: ResourceId, labels: Mapping[str, str]) -> bool:
        """Whether a resource with these labels belongs to it."""
        return (
            self._kind in (None, id.kind) and self._namespace in (None, id.namespace) and self._selector.matches(labels)
        )


def _told(recorded: Recorded, told: Mapping[str, tuple[Position, Position]]) -> bool:
    """Whether the list that the watch began with has this change already."""
    written, observed = told.get(recorded.event.subject, (START, START))
    return recorded.position <= (written if recorded.event.type in (APPLIED, DELETED) else observed)


def _item(recorded: Recorded, scope: _Scope) -> WatchItem | None:
    data = cast("JsonObject", recorded.event.data)
    id = ResourceId.parse(recorded.event.subject)
    labels = cast("dict[str, str]", data["labels"])
    before = cast("dict[str, str]", data.get("labelsBefore", labels))
    covered = scope.covers(id, labels)
    if not covered and not scope.covers(id, before):
        return None
    common: dict[str, Any] = {
        "position": recorded.position,
        "resource": str(id),
        "revision": data["revision"],
        "operation": data["operation"],
    }
    if recorded.event.type == DELETED:
        return WatchItem(type="deleted", **common)
    if not covered:
        return WatchItem(type="left", **common)
    if recorded.event.type == APPLIED:
        return WatchItem(type="applied", document=Document.model_validate(data["document"]), **common)
    return WatchItem(type="observed", status=cast("JsonObject", data["status"]), **common)


def _gone(input: Watch) -> Fault:
    again = input.model_copy(update={"after": None})
    return GONE(
        "Changes after this position are no longer in the log, or the position is of another log. Watch again without "
        "a position: the watch then begins with a complete list.",
        pointer="/after",
        fixes=[
            Fix(
                id="relist",
                title="Watch again from a complete list",
                applicability=Applicability.LIKELY,
                call=Call(
                    operation="catalog.watch",
                    arguments=again.model_dump(mode="json", by_alias=True, exclude_defaults=True),
                ),
                effect="The watch begins with everything that is there now, and continues without a gap.",
            )
        ],
    )
