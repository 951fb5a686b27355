"""Undo and redo of any write, by the id of its operation.

Undo is a new operation that brings back the documents from before, never a deletion of history; redo is the undo of
the undo. It is done only if each resource still is as the operation left it. A change that was itself undone does not
count: the resource is again as it was. What compensates instead of restoring runs its inverse call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from pharos.control.documents import dangling
from pharos.control.faults import ALREADY_UNDONE, IRREVERSIBLE, NOT_UNDONE, REFERENCED, UNDO_CONFLICT
from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.control.kinds import Kinds
from pharos.control.record import REDONE, UNDONE, ChangeRecord, History, Record, Reversal, read_history, topic_of
from pharos.control.wording import quoted
from pharos.core.call import Call
from pharos.core.event import Event
from pharos.core.fault import NOT_FOUND, Applicability, Cause, Fault, Fix
from pharos.core.operation import Change, Decision, Delete, Invocation, Put, Reversibility, Written, write
from pharos.core.resource import ResourceId
from pharos.core.wire import Json, Wire
from pharos.store.ports import Revision, Store

MOST_LATER = 1_000
"""Most later revisions of one resource that are looked through."""
MOST_NAMED = 20
"""Most later operations named in a fault."""


class OperationId(Wire):
    """Names an operation that was carried out."""

    id: str = Field(min_length=1, max_length=64)
    """The ``operation`` of a write's answer."""


class Reversed(Written):
    """What an undo or redo did."""

    state: Literal["undone", "redone"]
    """What became of ``root``."""
    root: str
    """The operation whose effect was taken back or brought back."""
    resources: list[str]
    """The resources that changed."""
    warnings: list[str]


class Undo:
    """The operations that take back and bring back."""

    def __init__(self, store: Store, index: Index, kinds: Kinds, invoker: Invoker) -> None:
        self._store = store
        self._index = index
        self._kinds = kinds
        self._invoker = invoker

    @write(
        "operations.undo",
        permission="operations.undo",
        inverse="operations.redo",
        faults=(NOT_FOUND, IRREVERSIBLE, UNDO_CONFLICT, ALREADY_UNDONE, REFERENCED),
    )
    async def undo(self, invocation: Invocation, input: OperationId) -> Decision[Reversed]:
        """Take back what an operation did.

        Exact operations leave every resource as it was before; compensating ones run their inverse. Refused while later
        operations stand on it (they are named, in the order in which to undo them), and where nothing can reverse it.
        Besides this operation's permission, that of the operation itself is required. The undo of an undo is a redo.
        """

        def check(root: History, named: Record) -> None:
            if not (root.in_effect if named.id == root.record.id else root.holder == named.id):
                raise _already_undone(root, named)

        return await self._decide(input.id, check, invocation)

    @write(
        "operations.redo",
        permission="operations.undo",
        inverse="operations.undo",
        faults=(NOT_FOUND, IRREVERSIBLE, UNDO_CONFLICT, NOT_UNDONE, REFERENCED),
    )
    async def redo(self, invocation: Invocation, input: OperationId) -> Decision[Reversed]:
        """Bring back what was undone, named by the operation that was undone or by its undo."""

        def check(root: History, named: Record) -> None:
            if root.in_effect or named.id not in (root.record.id, root.holder):
                raise _not_undone(root)

        return await self._decide(input.id, check, invocation)

    async def _decide(
        self, id: str, check: Callable[[History, Record], None], invocation: Invocation
    ) -> Reversal[Reversed]:
        """Reverse what ``id`` is about, if ``check`` raises nothing."""
        while True:
            root, named = await self._find(id)
            check(root, named)
            try:
                return await self._reverse(root, invocation)
            except Fault as fault:
                if fault.code != UNDO_CONFLICT.code or (await self._find(id))[0].sequence == root.sequence:
                    raise
                # It was undone or redone between two of the reads above: decide on what is now.

    async def _find(self, id: str) -> tuple[History, Record]:
        """The operation an id is about (itself, or what it undid or redid), and the one it names."""
        named = await read_history(self._store.log, id)
        if named is None:
            raise NOT_FOUND(
                f"No operation {quoted(id)} was carried out.",
                fixes=[
                    Fix(
                        id="list",
                        title="See the latest operations",
                        applicability=Applicability.LIKELY,
                        call=Call(operation="operations.list"),
                    )
                ],
            )
        if named.record.root is None:
            return named, named.record
        root = await read_history(self._store.log, named.record.root)
        assert root is not None, "an undo is committed after what it undoes"
        return root, named.record

    async def _reverse(self, root: History, invocation: Invocation) -> Reversal[Reversed]:
        """The decision that turns an operation's effect over: out of effect if it is in effect, else into effect."""
        holder = root if root.holder == root.record.id else await read_history(self._store.log, root.holder)
        assert holder is not None, "what is recorded as undone was undone by an operation"
        held = holder.record
        permission = root.record.permission
        if permission is not None and not invocation.principal.may(permission):
            name = "operations.undo" if root.in_effect else "operations.redo"
            raise self._invoker.forbidden(name, {"id": root.record.id}, permission)
        state: Literal["undone", "redone"] = "undone" if root.in_effect else "redone"
        mark = Event(
            topic=topic_of(root.record.id),
            type=UNDONE if root.in_effect else REDONE,
            data={"by": invocation.operation_id},
            subject=root.record.id,
        )
        expects = {mark.topic: root.sequence}

        def reversed(resources: list[str], warnings: list[str]) -> Reversed:
            return Reversed(
                operation=invocation.operation_id,
                state=state,
                root=root.record.id,
                resources=resources,
                warnings=warnings,
            )

        if held.reversibility is Reversibility.NONE or (
            held.reversibility is Reversibility.COMPENSATING and held.inverse is None
        ):
            raise IRREVERSIBLE(
                f"{held.operation} cannot be undone.",
                subject=held.id,
                facts={"reversibility": held.reversibility.value},
            )
        if held.reversibility is Reversibility.COMPENSATING and held.inverse is not None:
            inner = await self._invoker.decide(held.inverse, invocation)
            touched = [str(change.resource.id if isinstance(change, Put) else change.id) for change in inner.changes]
            return Reversal(
                output=reversed(list(dict.fromkeys(touched)), []),
                changes=inner.changes,
                events=(*inner.events, mark),
                commands=inner.commands,
                inverse=inner.inverse,
                reversibility=inner.reversibility,
                expects={**inner.expects, **expects},
                root=root.record.id,
                reverses=held.id,
                permission=permission,
            )
        changes = await self._restore(held)
        restored = {change.resource.id: change.resource for change in changes if isinstance(change, Put)}
        return Reversal(
            output=reversed(
                [str(change.resource.id if isinstance(change, Put) else change.id) for change in changes],
                [warning for _, warning in dangling(restored.values(), self._index, restored)],
            ),
            changes=changes,
            events=(mark,),
            expects=expects,
            root=root.record.id,
            reverses=held.id,
            permission=permission,
            tolerates=await self._tolerated(changes, root),
        )

    async def _tolerated(self, changes: Sequence[Change], root: History) -> frozenset[tuple[ResourceId, int]]:
        """What refers to a resource that goes, and did so before ``root``: then, too, the reference dangled."""
        tolerated: set[tuple[ResourceId, int]] = set()
        for change in changes:
            if not isinstance(change, Delete):
                continue
            for source in tuple(self._index.referrers(change.id)):
                resource = self._index.find(source)
                if resource is None:
                    continue
                origin = await self._origin(source, resource.metadata.revision)
                if origin is not None and origin.position < root.position:
                    tolerated.add((source, resource.metadata.revision))
        return frozenset(tolerated)

    async def _origin(self, id: ResourceId, revision: int) -> History | None:
        """The operation that first made a resource what it is at ``revision``, not those that only brought it back."""
        while revision > 0:
            entry = await self._store.catalog.revision(id, revision)
            made = await read_history(self._store.log, entry.operation_id) if entry is not None else None
            if made is None or made.record.reverses is None:
                return made
            revision = await self._before_reversed(made.record, id) or 0
        return None

    async def _before_reversed(self, record: Record, id: ResourceId) -> int | None:
        """The revision a resource had before what ``record``, an undo or redo, reversed: it is that again."""
        assert record.reverses is not None
        reversed = await read_history(self._store.log, record.reverses)
        change = _change_of(reversed.record, id) if reversed is not None else None
        return change.before if change is not None else None

    async def _restore(self, record: Record) -> tuple[Change, ...]:
        """The changes that bring back what was before ``record``. Raises ``UNDO_CONFLICT``."""
        blocking: dict[str, str] = {}
        changes: list[Change] = []
        for change in record.changes:
            if change.action == "observed":
                continue
            id = ResourceId.parse(change.resource)
            async for operation in self._later(id, change.after):
                blocking.setdefault(operation, change.resource)
            before = await self._store.catalog.revision(id, change.before) if change.before else None
            present = self._index.find(id)
            expected = present.metadata.revision if present is not None else 0
            if before is not None and before.document is not None:
                changes.append(Put(self._kinds.strict(before.document), expected))
            elif present is not None:
                changes.append(Delete(id, expected))
        if blocking:
            raise await self._conflict(record, blocking)
        return tuple(changes)

    async def _later(self, id: ResourceId, revision: int) -> AsyncIterator[str]:
        """The operations in effect that changed a resource after ``revision``, newest first.

        Goes back through the revisions. One that an undo or redo made is as the resource was before what it reversed,
        so the search goes on before that: a change and its undo cancel out.
        """
        made = await self._made_after(id, revision)
        at = max(made, default=revision)
        while at > revision:
            operation = made[at].operation_id
            history = await read_history(self._store.log, operation)
            own = _change_of(history.record, id) if history is not None else None
            if history is None or own is None:  # not made by an operation
                yield operation
                at -= 1
            elif history.record.reverses is None:
                yield operation
                at = own.before
            else:
                before = await self._before_reversed(history.record, id)
                if before is None or before < revision:
                    yield operation
                    before = own.before
                at = before

    async def _made_after(self, id: ResourceId, revision: int) -> Mapping[int, Revision]:
        made: dict[int, Revision] = {}
        before: int | None = None
        while len(made) < MOST_LATER:
            page, before = await self._store.catalog.history(id, before)
            for entry in page:
                if entry.revision <= revision:
                    return made
                made[entry.revision] = entry
            if before is None:
                return made
        raise UNDO_CONFLICT(f"{id} was changed more than {MOST_LATER} times since.", subject=str(id))

    async def _conflict(self, record: Record, blocking: Mapping[str, str]) -> Fault:
        # Ids grow with time: the newest comes first.
        ordered = sorted(blocking, reverse=True)[:MOST_NAMED]
        causes: list[Cause] = []
        fixes: list[Fix] = []
        named: list[Json] = []
        for id in ordered:
            history = await read_history(self._store.log, id)
            name = f"{history.record.operation} {id}" if history is not None else "Something that is no operation"
            causes.append(Cause(message=f"{name} changed {blocking[id]} afterwards.", resource=blocking[id]))
            if history is not None:
                named.append(id)
                fixes.append(
                    Fix(
                        id=f"undo-{len(fixes) + 1}",
                        title=f"Undo {name}" + (" first" if len(fixes) == 0 else " next"),
                        applicability=Applicability.LIKELY,
                        call=Call(operation="operations.undo", arguments={"id": id}),
                        effect="One operation less stands on it.",
                    )
                )
        if len(blocking) == 1 and fixes and await self._can_undo(ordered[0]):
            fixes = [fixes[0].model_copy(update={"applicability": Applicability.CERTAIN})]
        return UNDO_CONFLICT(
            f"{len(blocking)} later operation{'s' if len(blocking) > 1 else ''} changed the same resources.",
            subject=record.id,
            causes=causes,
            facts={"undoFirst": named, "later": len(blocking)},
            fixes=fixes,
        )

    async def _can_undo(self, id: str) -> bool:
        """Whether an exact operation could be undone now."""
        root, named = await self._find(id)
        if named.reversibility not in (Reversibility.EXACT, Reversibility.SNAPSHOT) or root.holder != named.id:
            return False
        try:
            await self._restore(named)
        except Fault:
            return False
        return True


def _change_of(record: Record, id: ResourceId) -> ChangeRecord | None:
    """The change an operation made to a resource: all of its steps as one."""
    steps = [change for change in record.changes if change.resource == str(id) and change.action != "observed"]
    return steps[0].model_copy(update={"after": steps[-1].after}) if steps else None


def _already_undone(root: History, named: Record) -> Fault:
    fix = Fix(
        id="redo",
        title="Bring it back",
        applicability=Applicability.LIKELY,
        call=Call(operation="operations.redo", arguments={"id": root.record.id}),
        effect="The operation is in effect again.",
    )
    return ALREADY_UNDONE(
        f"{named.operation} {named.id} is not in effect.",
        subject=named.id,
        facts={"by": root.holder},
        fixes=[] if root.in_effect else [fix],
    )


def _not_undone(root: History) -> Fault:
    return NOT_UNDONE(
        f"{root.record.operation} {root.record.id} is in effect.",
        subject=root.record.id,
        fixes=[
            Fix(
                id="undo",
                title="Undo it",
                applicability=Applicability.LIKELY,
                call=Call(operation="operations.undo", arguments={"id": root.record.id}),
                effect="The operation is no longer in effect, and can be redone.",
            )
        ],
    )
