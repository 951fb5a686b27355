"""The clock of the mesh: publishes what is due, and keeps what is declared (``Schedule``) in the store's schedules.

One task waits for the next due time, or until another one may be the next. What is due is published in the transaction
that takes it from the schedules, so it comes once, whatever dies. A schedule that repeats is moved to its next time in
that same transaction; the next time is reckoned from the one that was due, never from now, so a clock that is set back
fires nothing twice.

What is declared has a place in the store of its own, under ``cron/``. Only this task changes it. Runs that are left out
are recorded in the topic ``schedules/<namespace>/<name>``, with the reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from pharos.core.event import Event
from pharos.core.fault import Fault
from pharos.core.resource import Resource
from pharos.core.tasks import running
from pharos.core.wire import JsonObject
from pharos.mesh.topics.cron import next_after
from pharos.mesh.topics.depth import hears
from pharos.mesh.topics.kinds import ScheduleSpec
from pharos.mesh.topics.messages import PLAIN, Envelope, event_of
from pharos.mesh.topics.names import CRON, SCHEDULES, Place, cron_of
from pharos.store.delivery import Fire, Schedule, Scheduled, Unschedule
from pharos.store.ports import Append, Command, Store

_log = logging.getLogger(__name__)

DONE: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Due time of what is over: a declared time that has come stays known, so that it does not come again."""

GRACE: Final = 60.0
"""Seconds by which a time may be late and still counts as kept, where missed ones are skipped."""

LONGEST_WAIT: Final = 60.0
"""Seconds after which the clock is looked at again: the machine's may have been set forward meanwhile."""

PAUSE: Final = 1.0
"""Seconds before what could not be published is tried again."""

MOST_LOOKED: Final = 10_000
"""Messages that are looked through for one of the same schedule; a group that is further behind counts as busy."""

_PAGE: Final = 100
_SCAN: Final = 256

SKIPPED: Final = "schedule.skipped"

Declared = Callable[[], Sequence[Resource[ScheduleSpec]]]


class Firing:
    """Publishes what is due. ``declared`` reads the resources; call :meth:`changed` when one changes."""

    def __init__(self, store: Store, declared: Declared) -> None:
        self._store = store
        self._declared = declared
        self._dirty = True
        self._wake = asyncio.Event()
        self._failing: set[str] = set()
        self.fired = 0
        self.skipped = 0

    def changed(self) -> None:
        """A ``Schedule`` was applied or deleted."""
        self._dirty = True
        self._wake.set()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Run until the context is left."""
        async with running(self._run, "schedules"):
            yield

    async def _run(self) -> None:
        while True:
            try:
                self._wake.clear()
                if self._dirty:
                    self._dirty = False
                    await self.reconcile()
                wait = await self.fire_due()
            except Fault as fault:
                # The disk is full, the store overloaded: nothing was lost, it is all still due.
                _log.warning("schedules cannot be kept: %s", fault.code)
                self._dirty = True
                wait = PAUSE
            if wait > 0:
                await self._sleep(wait)

    async def _sleep(self, seconds: float) -> None:
        """Until the next due time, or until that may have changed."""
        waits = {
            asyncio.ensure_future(self._store.deliveries.rescheduled()),
            asyncio.ensure_future(self._wake.wait()),
        }
        try:
            await asyncio.wait(waits, timeout=min(seconds, LONGEST_WAIT), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def fire_due(self) -> float:
        """Publish what is due, as far as one look goes; seconds until the next look."""
        due, following = await self._store.deliveries.due(_PAGE + len(self._failing))
        self._failing.intersection_update(scheduled.id for scheduled in due)
        # At once, so that they share the engine's transactions, and in the order of their times: after an outage there
        # may be a great many.
        outcomes = await asyncio.gather(*(self._tried(scheduled) for scheduled in due))
        failed = outcomes.count(False)
        if failed:
            return PAUSE
        if due:
            return 0.0
        if following is None:
            return LONGEST_WAIT
        return max((following - self._store.deliveries.now()).total_seconds(), 0.001)

    async def _tried(self, scheduled: Scheduled) -> bool:
        """Publish what is due; whether it need not be tried again."""
        try:
            await self._fire(scheduled)
        except ValueError as error:
            # Such as a time zone that this machine no longer knows: nothing would help but a change of it.
            _log.error("the schedule %s can never be due again: %s", scheduled.id, error)
            left_out = Append(self._skipped(scheduled, "invalid", None))
            await self._store.commit(left_out, *_moved(scheduled, DONE))
        except Fault as fault:
            if scheduled.id not in self._failing:
                _log.warning("the schedule %s cannot be fired: %s", scheduled.id, fault.code)
                self._failing.add(scheduled.id)
            return False
        self._failing.discard(scheduled.id)
        return True

    async def _fire(self, scheduled: Scheduled) -> None:
        if not scheduled.id.startswith(CRON):
            (recorded,) = await self._store.commit(Fire(scheduled.id, scheduled.due))
            self.fired += recorded is not None
            return
        again = scheduled.again or {}
        cron, zone, missed = again.get("cron", ""), again.get("zone", "UTC"), again.get("missed", "once")
        now = self._store.deliveries.now()
        following = next_after(cron, zone, scheduled.due) if cron else None
        if missed != "all" and following is not None and following <= now:
            # Times passed while nothing ran: go on after now. This one stands for all of them, or is left out too.
            following = next_after(cron, zone, now)
        reason = ""
        if missed == "skip" and (now - scheduled.due).total_seconds() > GRACE:
            reason = "missed"
        elif again.get("overlap") == "skip" and await self._pending(scheduled):
            reason = "overlap"
        first: Command = (
            Append(self._skipped(scheduled, reason, following))
            if reason
            # The key: should two of us ever run, the time comes once all the same.
            else Append(_occurrence(scheduled, now), idempotency_key=f"{scheduled.id} {scheduled.due.isoformat()}")
        )
        await self._store.commit(first, *_moved(scheduled, following or DONE))
        self.fired += not reason
        self.skipped += bool(reason)

    def _skipped(self, scheduled: Scheduled, reason: str, following: datetime | None) -> Event:
        data: JsonObject = {"due": scheduled.due.isoformat(), "reason": reason, "topic": scheduled.event.topic}
        data["next"] = None if following is None else following.isoformat()
        return Event(topic=f"{SCHEDULES}{scheduled.id.removeprefix(CRON)}", type=SKIPPED, data=data)

    async def _pending(self, scheduled: Scheduled) -> bool:
        """Whether a group has yet to handle an earlier message of this schedule."""
        topic = scheduled.event.topic
        name = scheduled.event.data.get("schedule")
        for group in await self._store.deliveries.groups():
            if not hears(group, topic):
                continue
            delivery = await self._store.deliveries.get(group.name, topic)
            if delivery is None or not delivery.behind:
                continue
            if delivery.behind > MOST_LOOKED:
                return True
            after = delivery.cursor
            while events := await self._store.log.read(topic, after, _SCAN):
                if any(recorded.event.data.get("schedule") == name for recorded in events):
                    return True
                after = events[-1].position
        return False

    async def reconcile(self) -> None:
        """Bring the store's schedules to what is declared."""
        present: dict[str, Scheduled] = {}
        after: str | None = None
        while page := await self._store.deliveries.scheduled(CRON, after, _PAGE):
            present.update((scheduled.id, scheduled) for scheduled in page)
            after = page[-1].id
        now = self._store.deliveries.now()
        declared: set[str] = set()
        for resource in self._declared():
            id = cron_of(resource.metadata.namespace, resource.metadata.name)
            known = present.get(id)
            declared.add(id)
            if known is None or (known.again or {}).get("version") != _version(resource):
                commands: list[Command] = [] if known is None else [Unschedule(id)]
                try:
                    commands.append(_schedule(id, resource, now, _came(known, resource.spec)))
                except ValueError as error:
                    _log.error("the schedule %s is not kept: %s", id, error)
                    continue
                await self._store.commit(*commands)
        gone = [Unschedule(id) for id in present if id not in declared]
        if gone:
            await self._store.commit(*gone)


def _moved(scheduled: Scheduled, due: datetime) -> tuple[Command, ...]:
    return Unschedule(scheduled.id), Schedule(scheduled.id, due, scheduled.event, scheduled.again)


def _occurrence(scheduled: Scheduled, now: datetime) -> Event:
    """The message of one due time."""
    event = scheduled.event
    return Event(
        topic=event.topic,
        type=event.type,
        data={**event.data, "due": scheduled.due.isoformat()},
        principal=event.principal,
        subject=event.subject,
        source=event.source,
        time=now,
    )


def _version(resource: Resource[ScheduleSpec]) -> str:
    return f"{resource.metadata.uid} {resource.metadata.revision}"


def _came(known: Scheduled | None, spec: ScheduleSpec) -> bool:
    """Whether the one time that a schedule names has come already, under its present words or earlier ones."""
    if known is None or known.again is None or spec.at is None or known.again.get("at") != spec.at.isoformat():
        return False
    return bool(known.again.get("came")) or (known.due >= DONE and not known.again.get("suspended"))


def _schedule(id: str, resource: Resource[ScheduleSpec], now: datetime, came: bool) -> Schedule:
    spec = resource.spec
    name = f"{resource.metadata.namespace}/{resource.metadata.name}"
    envelope: Envelope = {"schedule": name, "source": f"/schedules/{name}"}
    if spec.type != PLAIN:
        envelope["type"] = spec.type
    if spec.data is not None:
        envelope["data"] = spec.data
    event = event_of(Place(resource.metadata.namespace, spec.topic), envelope, now, subject=spec.subject or "")
    again: Mapping[str, str] = {
        "cron": spec.cron or "",
        "zone": spec.time_zone,
        "missed": spec.missed,
        "overlap": spec.overlap,
        "version": _version(resource),
        "at": "" if spec.at is None else spec.at.isoformat(),
        "came": "yes" if came else "",
        "suspended": "yes" if spec.suspended else "",
    }
    if came or spec.suspended:
        return Schedule(id, DONE, event, again)
    # A change begins anew: what was due before it was due under the old words.
    due = spec.at if spec.cron is None else next_after(spec.cron, spec.time_zone, now)
    return Schedule(id, due or DONE, event, again)
