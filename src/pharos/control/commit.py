"""Where decisions become fact: one transaction for the changes, the facts, the record and the remembered answer.

The only place in the city that changes resources. It stamps them, asks the guards of their kinds, keeps references
whole, and takes every committed change into the index before anyone is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from pharos.control.index import Index
from pharos.control.integrity import refuse_dangling
from pharos.control.kinds import Kinds
from pharos.control.problems import invalid
from pharos.control.record import ChangeRecord, Reversal
from pharos.core.event import Event, Position, Recorded
from pharos.core.fault import CONFLICT, Fault, Problem
from pharos.core.ids import uuid7
from pharos.core.operation import Change, Decision, Delete, Invocation, Put, SetStatus
from pharos.core.resource import AnyResource, ResourceId, references
from pharos.core.wire import JsonObject
from pharos.store.ports import Append, Command, Remember, Store

_log = logging.getLogger(__name__)

CATALOG_TOPIC = "catalog"
APPLIED = "resource.applied"
DELETED = "resource.deleted"
OBSERVED = "resource.observed"


@dataclass(frozen=True, slots=True)
class Step:
    """One change, stamped, with the resource on both sides of it."""

    change: Change
    before: AnyResource | None
    after: AnyResource | None
    record: ChangeRecord

    @property
    def id(self) -> ResourceId:
        """The resource that changes."""
        return self.change.resource.id if isinstance(self.change, Put) else self.change.id


class Committer:
    """Commits decisions. Owns the commits under way: a caller that goes away does not leave the index behind."""

    def __init__(self, store: Store, index: Index, kinds: Kinds) -> None:
        self._store = store
        self._index = index
        self._kinds = kinds
        self._under_way: dict[asyncio.Task[Sequence[object]], tuple[Sequence[Step], Position]] = {}

    async def prepare(self, decision: Decision[Any], invocation: Invocation) -> Sequence[Step]:
        """Stamp the changes of a decision and check them. Raises what a guard or the references refuse."""
        steps: list[Step] = []
        now: dict[ResourceId, AnyResource | None] = {}
        for change in decision.changes:
            id = change.resource.id if isinstance(change, Put) else change.id
            before = now[id] if id in now else self._index.find(id)
            step = await self._stamp(change, id, before, invocation)
            now[id] = step.after
            steps.append(step)
        self._check(decision, steps, invocation)
        return steps

    async def commit(
        self,
        decision: Decision[Any],
        steps: Sequence[Step],
        record: Event,
        invocation: Invocation,
        remember: Remember | None,
    ) -> Sequence[object]:
        """Bring it all about, or nothing of it. Returns what the decision's own commands answered.

        Raises ``CONFLICT``, ``POSITION_CONFLICT``, ``IDEMPOTENCY_RACE``, and what those commands raise.
        """
        if clashing := self._clashing(steps):
            # It would lose in the store, or leave a reference without its target: lose it here, and decide anew.
            await asyncio.wait(clashing)
            raise _conflict(steps[0].id)
        # From here to the note of what is under way nothing else runs, so no other commit slips between.
        self._check(decision, steps, invocation)
        return await self._owned(steps, self._commit(decision, steps, record, invocation, remember))

    async def observe(self, *changes: SetStatus, invocation: Invocation) -> None:
        """Record what was observed of resources, without an operation: for the city's own services."""
        decision: Decision[Any] = Decision(output=None, changes=changes)
        steps = await self.prepare(decision, invocation)
        await self._owned(steps, self._commit(decision, steps, None, invocation, None))

    async def refresh(self, decision: Decision[Any]) -> None:
        """After a conflict: bring the index to what the store has of the resources that a decision is about."""
        for id in {change.resource.id if isinstance(change, Put) else change.id for change in decision.changes}:
            seen = self._index.entry(id)
            self._index.refresh(id, seen, await self._store.catalog.get(id))

    def settled_position(self) -> Position:
        """A place in the log up to which every change of a resource is in the index."""
        return min((floor for _, floor in self._under_way.values()), default=self._index.position)

    async def close(self) -> None:
        """Wait for the commits under way."""
        while self._under_way:
            await asyncio.wait(list(self._under_way))

    async def _stamp(self, change: Change, id: ResourceId, before: AnyResource | None, call: Invocation) -> Step:
        """Give a change its revision, uid and times."""
        current = before.metadata.revision if before is not None else 0
        match change:
            case SetStatus(_, status):
                after = before.model_copy(update={"status": status}) if before is not None else None
                record = ChangeRecord(action="observed", resource=str(id), before=current, after=current)
                return Step(change, before, after, record)
            case Delete(_, expected):
                _expect(id, current, expected)
                record = ChangeRecord(action="deleted", resource=str(id), before=current, after=current + 1)
                return Step(change, before, None, record)
            case Put(resource, expected):
                _expect(id, current, expected)
        last = current if before is not None else await self._last_revision(id)
        given = resource.metadata
        old = before.metadata if before is not None else given
        metadata = given.model_copy(
            update={
                "uid": old.uid or uuid7(),
                "revision": last + 1,
                "created_at": old.created_at or call.time,
                "updated_at": call.time,
            }
        )
        status = before.status if before is not None else resource.status
        after = resource.model_copy(update={"metadata": metadata, "status": status})
        action = "created" if before is None else "updated"
        record = ChangeRecord(action=action, resource=str(id), before=last, after=last + 1)
        return Step(Put(after, expected), before, after, record)

    async def _last_revision(self, id: ResourceId) -> int:
        history, _ = await self._store.catalog.history(id, limit=1)
        return history[0].revision if history else 0

    def _check(self, decision: Decision[Any], steps: Sequence[Step], invocation: Invocation) -> None:
        for step in steps:
            kind = self._kinds.get(step.id.kind)
            if kind is None or isinstance(step.change, SetStatus):
                continue
            if (refused := kind.guard(invocation.principal, step.before, step.after)) is not None:
                raise refused
        if problems := list(self._unjoined(steps)):
            raise invalid(problems)
        changed = {step.id for step in steps if step.after is not None}
        removed = {step.id for step in steps if isinstance(step.change, Delete)} - changed
        if not removed:
            return
        if isinstance(decision, Reversal):
            changed |= {id for id, revision in decision.tolerates if self._is_at(id, revision)}
        dangling = refuse_dangling(removed, changed, self._index, self._kinds, invocation.principal)
        if dangling is not None:
            raise dangling

    def _unjoined(self, steps: Sequence[Step]) -> Iterator[Problem]:
        """What changed resources may not be beside the others, as all of them are after these steps."""
        after = {step.id: step.after for step in steps if not isinstance(step.change, SetStatus)}

        def find(id: ResourceId) -> AnyResource | None:
            return after[id] if id in after else self._index.find(id)

        for id, resource in after.items():
            kind = self._kinds.get(id.kind)
            if kind is None or resource is None or not isinstance(resource.spec, kind.spec):
                continue
            for pointer, message in kind.joined(resource, find):
                yield Problem(pointer=f"/spec{pointer}", message=f"{id}: {message}")

    def _is_at(self, id: ResourceId, revision: int) -> bool:
        resource = self._index.find(id)
        return resource is not None and resource.metadata.revision == revision

    def _clashing(self, steps: Sequence[Step]) -> list[asyncio.Task[Sequence[object]]]:
        """Commits under way that change what these steps change, or refer to what they remove."""
        mine = {step.id for step in steps if not isinstance(step.change, SetStatus)}
        removed = {step.id for step in steps if isinstance(step.change, Delete)}

        def clashes(other: Step) -> bool:
            changes = other.id in mine and not isinstance(other.change, SetStatus)
            return changes or (other.after is not None and any(r.target in removed for r in references(other.after)))

        return [task for task, (others, _) in self._under_way.items() if any(clashes(other) for other in others)]

    async def _owned(self, steps: Sequence[Step], commit: Coroutine[Any, Any, Sequence[object]]) -> Sequence[object]:
        task = asyncio.create_task(commit)
        self._under_way[task] = (steps, self._index.position)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Sequence[object]]) -> None:
        del self._under_way[task]
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Fault):
            _log.error("a commit failed: %s", type(error).__name__)

    async def _commit(
        self,
        decision: Decision[Any],
        steps: Sequence[Step],
        record: Event | None,
        invocation: Invocation,
        remember: Remember | None,
    ) -> Sequence[object]:
        commands: list[Command] = [] if remember is None else [remember]
        commands += [step.change for step in steps]
        first_event = len(commands)
        told = [_told(step, self._kinds, invocation) for step in steps]
        commands += [Append(_attributed(event, invocation)) for event in told]
        commands += _expecting(decision.events, decision.expects, lambda event: _attributed(event, invocation))
        if record is not None:
            commands.append(Append(_attributed(record, invocation)))
        first_own = len(commands)
        commands += cast("tuple[Command, ...]", decision.commands)
        principal = invocation.principal.id
        results = await self._store.commit(*commands, operation_id=invocation.operation_id, principal=principal)
        recorded = results[first_event : first_event + len(steps)]
        positions = [result.position for result in recorded if isinstance(result, Recorded)]
        self._index.apply(zip((step.change for step in steps), positions, strict=True))
        return results[first_own:]


def _expect(id: ResourceId, current: int, expected: int) -> None:
    if current != expected:
        raise _conflict(id, revision=current, expected=expected)


def _conflict(id: ResourceId, **facts: int) -> Fault:
    return CONFLICT(f"{id} was changed at the same time.", subject=str(id), facts={**facts})


def _expecting(
    events: Sequence[Event], expects: Mapping[str, int], attributed: Callable[[Event], Event]
) -> Iterator[Append]:
    """The first event of a topic carries what the decision expects of that topic."""
    open_expectations = dict(expects)
    for event in events:
        yield Append(attributed(event), expected_sequence=open_expectations.pop(event.topic, None))


def _attributed(event: Event, invocation: Invocation) -> Event:
    """The event with who and what led to it, where it does not say so itself."""
    return replace(
        event,
        principal=event.principal or invocation.principal.id,
        causation=event.causation or invocation.operation_id,
        correlation=event.correlation or invocation.correlation,
        traceparent=event.traceparent or invocation.traceparent,
    )


def _told(step: Step, kinds: Kinds, invocation: Invocation) -> Event:
    """The fact that a resource changed, for everyone who watches the catalog."""
    shown = kinds.shown(step.after) if step.after is not None else None
    side = step.after or step.before
    labels = dict(side.metadata.labels) if side is not None else {}
    data: JsonObject = {
        "action": step.record.action,
        "resource": str(step.id),
        "revision": step.record.after,
        "operation": invocation.operation_id,
        "labels": {**labels},
    }
    if step.before is not None and step.before.metadata.labels != labels:
        data["labelsBefore"] = {**step.before.metadata.labels}
    if isinstance(step.change, SetStatus):
        data["status"] = shown.get("status") if shown is not None else None
    elif shown is not None:
        data["document"] = shown
    type = {"deleted": DELETED, "observed": OBSERVED}.get(step.record.action, APPLIED)
    return Event(topic=CATALOG_TOPIC, type=type, data=data, subject=str(step.id))
