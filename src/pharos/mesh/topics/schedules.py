"""Operations on messages that are still to come: publish later, cancel, list, see when a cron expression is due.

What comes by the clock again and again is declared (kind ``Schedule``); what comes once is usually only said.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import AwareDatetime, Field, model_validator

from pharos.core.call import Call
from pharos.core.fault import CONFLICT, FORBIDDEN, INVALID, NOT_FOUND, TOO_LARGE, Applicability, Fault, Fix, Problem
from pharos.core.ids import uuid7
from pharos.core.operation import Decision, Invocation, Reversibility, Written, read, write
from pharos.core.resource import Name
from pharos.core.wire import Page, Wire
from pharos.mesh.topics.access import PUBLISH, READ, SCHEDULE, lacking_namespace, namespace_for, require
from pharos.mesh.topics.cron import check_cron, times_after, zone_of
from pharos.mesh.topics.firing import DONE
from pharos.mesh.topics.messages import NewMessage, envelope_of, event_of
from pharos.mesh.topics.names import CRON, LONGEST, TOPICS, Place, TopicName, is_reply, later_of, place_of
from pharos.mesh.topics.producer import Cite, unchanged
from pharos.store.delivery import Schedule, Scheduled, Unschedule
from pharos.store.ports import Store

LONGEST_DELAY: Final = 10 * 366 * 24 * 3600.0

_ROOTS: Final = ((CRON, True), (TOPICS, False))
"""Where the store keeps schedules, in the order of their names there, and whether they are declared."""


class CreateSchedule(Wire):
    """Input of ``schedules.create``."""

    topic: TopicName
    namespace: Name | None = None
    message: NewMessage
    at: AwareDatetime | None = None
    """When it is to be delivered."""
    delay_seconds: float | None = Field(default=None, ge=0, le=LONGEST_DELAY)
    """Instead of ``at``: from now."""
    id: TopicName | None = None
    """To cancel it by; left out: one is made. The same id cannot mean two messages."""

    @model_validator(mode="after")
    def _one_time(self) -> CreateSchedule:
        if (self.at is None) is (self.delay_seconds is None):
            raise ValueError("give either at or delaySeconds")
        return self


class Created(Written):
    """The message will be published."""

    id: str
    namespace: str
    due: datetime


class ScheduleId(Wire):
    """Names a message that is still to come."""

    id: TopicName
    namespace: Name | None = None


class Cancelled(Written):
    """What became of a message that was to come."""

    id: str
    namespace: str
    cancelled: bool
    """Whether it was still to come; else it had just been published."""


class ListSchedules(Wire):
    """Input of ``schedules.list``."""

    namespace: Name | None = None
    declared: bool | None = None
    """Only those of ``Schedule`` resources, or only those made by ``schedules.create``; left out: both."""
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=2 * LONGEST)


class ScheduleItem(Wire):
    """A message that is still to come."""

    id: str
    """Of a declared one: the resource's name."""
    declared: bool
    """By a ``Schedule`` resource."""
    namespace: str
    topic: str
    due: datetime | None = None
    """When it comes next; left out: it has come and does not come again."""
    cron: str | None = None
    time_zone: str | None = None


class PreviewSchedule(Wire):
    """Input of ``schedules.preview``."""

    cron: str = Field(max_length=128)
    time_zone: str = Field(default="UTC", max_length=64)
    after: AwareDatetime | None = None
    """Left out: now."""
    limit: int = Field(default=5, ge=1, le=100)


class Preview(Wire):
    """When a cron expression is due."""

    times: list[datetime]


class ScheduleOperations:
    """Messages that are still to come."""

    def __init__(self, store: Store, cite: Cite = unchanged) -> None:
        self._store = store
        self._cite = cite

    @write(
        "schedules.create",
        permission=SCHEDULE,
        reversibility=Reversibility.COMPENSATING,
        inverse="schedules.cancel",
        faults=(CONFLICT, FORBIDDEN, INVALID, TOO_LARGE),
        lacking=lacking_namespace,
    )
    async def create(self, invocation: Invocation, input: CreateSchedule) -> Decision[Created]:
        """Publish a message later, once. It needs the permission to publish it now.

        It survives restarts, and is published as soon as the city runs again if its time passed meanwhile. Until then
        it can be cancelled by its id.
        """
        principal = invocation.principal
        namespace = namespace_for(principal, input.namespace)
        require(principal, PUBLISH, "Publishing later")
        if is_reply(input.topic):
            raise INVALID("Only answers go to replies/: use topics.reply.", pointer="/topic")
        # Under an idempotency key a repeated call means the same message.
        id = input.id or uuid7()
        now = self._store.deliveries.now()
        due = input.at or now + timedelta(seconds=input.delay_seconds or 0)
        if due > now + timedelta(seconds=LONGEST_DELAY):
            far = f"That is more than {LONGEST_DELAY / 86_400:.0f} days away."
            raise INVALID(far, problems=[Problem(pointer="/at", message=far)])
        envelope = envelope_of(input.message)
        envelope["schedule"] = id
        event = event_of(
            Place(namespace, input.topic),
            envelope,
            now,
            subject=input.message.subject or "",
            principal=principal.id,
            causation=invocation.operation_id,
            correlation=invocation.correlation,
            traceparent=invocation.traceparent,
        )
        name = later_of(namespace, id)
        if await self._find(name) is not None:
            raise CONFLICT(f"The id {id} is that of another message that is still to come.", subject=id)
        event = await self._cite(event)
        return Decision(
            Created(operation=invocation.operation_id, id=id, namespace=namespace, due=due),
            commands=(Schedule(name, due, event),),
            inverse=Call(operation="schedules.cancel", arguments={"id": id, "namespace": namespace}),
        )

    @write(
        "schedules.cancel",
        permission=SCHEDULE,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(NOT_FOUND,),
        lacking=lacking_namespace,
    )
    async def cancel(self, invocation: Invocation, input: ScheduleId) -> Decision[Cancelled]:
        """Take back a message that is still to come. What is declared (`Schedule`) is deleted instead."""
        namespace = namespace_for(invocation.principal, input.namespace)
        name = later_of(namespace, input.id)
        if await self._find(name) is None:
            raise _not_to_come(input.id, namespace)

        def conclude(results: Sequence[object]) -> Cancelled:
            return Cancelled(
                operation=invocation.operation_id, id=input.id, namespace=namespace, cancelled=results[0] is True
            )

        return Decision(conclude([True]), commands=(Unschedule(name),), conclude=conclude)

    @read("schedules.list", permission=READ)
    async def list_schedules(self, invocation: Invocation, input: ListSchedules) -> Page[ScheduleItem]:
        """List the messages of a namespace that are still to come: those that are declared, then the others, by id."""
        namespace = namespace_for(invocation.principal, input.namespace)
        roots = [f"{root}{namespace}/" for root, declared in _ROOTS if input.declared in (None, declared)]
        found: list[ScheduleItem] = []
        cursor = input.cursor or ""
        for root in roots:
            left = input.limit + 1 - len(found)
            if left and cursor < f"{root}\U0010ffff":
                after = cursor if cursor.startswith(root) else None
                found += [_item(one, root) for one in await self._store.deliveries.scheduled(root, after, left)]
        page = found[: input.limit]
        last = page[-1] if len(found) > len(page) else None
        following = None if last is None else f"{CRON if last.declared else TOPICS}{namespace}/{last.id}"
        return Page[ScheduleItem](items=page, next=following)

    @read("schedules.preview", permission=READ, faults=(INVALID,))
    async def preview(self, invocation: Invocation, input: PreviewSchedule) -> Preview:
        """See when a cron expression is due next, in UTC: also how it goes over daylight saving."""
        try:
            zone_of(input.time_zone)
        except ValueError as error:
            raise INVALID(str(error), problems=[Problem(pointer="/timeZone", message=str(error))]) from None
        if (wrong := check_cron(input.cron, input.time_zone)) is not None:
            raise INVALID(wrong, problems=[Problem(pointer="/cron", message=wrong)])
        after = input.after or self._store.deliveries.now()
        return Preview(times=times_after(input.cron, input.time_zone, after, input.limit))

    async def _find(self, name: str) -> Scheduled | None:
        found = await self._store.deliveries.scheduled(name, None, 1)
        return found[0] if found and found[0].id == name else None


def _item(scheduled: Scheduled, root: str) -> ScheduleItem:
    place = place_of(scheduled.event.topic)
    again = scheduled.again or {}
    return ScheduleItem(
        id=scheduled.id.removeprefix(root),
        declared=root.startswith(CRON),
        namespace=root.split("/")[1],
        topic=scheduled.event.topic if place is None else place.name,
        due=None if scheduled.due >= DONE else scheduled.due,
        cron=again.get("cron") or None,
        time_zone=again.get("zone"),
    )


def _not_to_come(id: str, namespace: str) -> Fault:
    return NOT_FOUND(
        f"No message with the id {id} is still to come in the namespace {namespace}.",
        subject=id,
        fixes=[
            Fix(
                id="list",
                title="See what is still to come",
                applicability=Applicability.LIKELY,
                call=Call(operation="schedules.list", arguments={"namespace": namespace}),
            )
        ],
    )
