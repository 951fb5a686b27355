"""The views themselves: how far each has come, and building one anew.

A view is derived from the log and can be folded again at any time. ``views.rebuild`` records that it shall be (a write
decides, it does not act); the service here sees the record and does it, also after a crash in between: a request that
no ``view.rebuilt`` answers is carried out at the next start.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Literal

from pharos.core.event import START, Event, Recorded
from pharos.core.fault import NOT_FOUND, Fault
from pharos.core.operation import Decision, Invocation, Reversibility, Written, read, write
from pharos.core.projection import Projection
from pharos.core.tasks import running
from pharos.core.wire import Page, Wire
from pharos.insight.fields import skipped_table
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Append, Store

_log = logging.getLogger(__name__)

TOPIC = "views"
REQUESTED: Literal["view.rebuild-requested"] = "view.rebuild-requested"
REBUILT: Literal["view.rebuilt"] = "view.rebuilt"
"""The view was emptied and is being folded again; nothing can stop that any more but an error that it shows."""

_PAGE = 500


class Skipped(Wire):
    """Events that the view could not read, for one reason."""

    reason: str
    events: int
    latest: str
    """Id of the newest of them."""


class View(Wire):
    """A view and how far it has come."""

    name: str
    version: int
    state: Literal["ready", "behind", "failing"]
    """``behind``: there are events it has not taken in yet; in a busy city that is so for moments at a time."""
    position: str
    """Place in the log up to which it has taken in events."""
    lag: int
    """Events of the log it has not looked at, counted up to 1000."""
    behind_since: datetime | None = None
    """When the oldest of them happened."""
    types: list[str]
    """Types of events it is made from."""
    skipped: int
    """Events it could not read."""
    reasons: list[Skipped]
    message: str = ""
    """Why it is failing."""


class ListViews(Wire):
    """Input of ``views.list``."""


class Rebuild(Wire):
    """Input of ``views.rebuild``."""

    name: str
    """Name of the view."""


class Rebuilding(Written):
    """The view will be rebuilt now; ``views.list`` shows how far it is."""

    name: str


_MOST_LAG = 1000


class ViewStates:
    """Reads how far views have come."""

    def __init__(self, store: Store, runner: ProjectionRunner, projections: Sequence[Projection]) -> None:
        self._store = store
        self._runner = runner
        self._projections = {projection.name: projection for projection in projections}

    def __contains__(self, name: str) -> bool:
        return name in self._projections

    async def states(self) -> list[View]:
        """Every view, by name."""
        return [await self._state(projection) for _, projection in sorted(self._projections.items())]

    async def _state(self, projection: Projection) -> View:
        name = projection.name
        position = self._runner.positions()[name]
        condition = self._runner.condition(name)
        waiting = await self._store.log.read_all(position, _MOST_LAG) if position < await self._store.log.head() else ()
        reasons = await self._skipped(projection)
        failing = condition.status != "True"
        return View(
            name=name,
            version=projection.version,
            state="failing" if failing else "behind" if waiting else "ready",
            position=position,
            lag=len(waiting),
            behind_since=waiting[0].event.time if waiting else None,
            types=sorted(projection.types),
            skipped=sum(reason.events for reason in reasons),
            reasons=reasons,
            message=condition.message if failing else "",
        )

    async def _skipped(self, projection: Projection) -> list[Skipped]:
        table = skipped_table(projection.name)
        if table not in projection.tables:
            return []
        rows = await self._store.views.query(f"SELECT reason, events, latest FROM {table} ORDER BY reason")  # noqa: S608
        return [Skipped.model_validate({"reason": r, "events": e, "latest": l}) for r, e, l in rows]  # noqa: E741


class ViewOperations:
    """The operations on views."""

    def __init__(self, states: ViewStates) -> None:
        self._states = states

    @read("views.list", permission="views.read", typical_ms=10)
    async def list_views(self, invocation: Invocation, input: ListViews) -> Page[View]:
        """List the views of the log: how far each has come, and which events it could not read."""
        return Page[View](items=await self._states.states(), next=None)

    @write(
        "views.rebuild",
        permission="views.rebuild",
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(NOT_FOUND,),
    )
    async def rebuild(self, invocation: Invocation, input: Rebuild) -> Decision[Rebuilding]:
        """Empty a view and fold the whole log into it again.

        What it shows afterwards is what it showed before, unless it was damaged or its program has changed; so there is
        nothing to undo. Until it has caught up, lists made from it answer with a timeout.
        """
        if input.name not in self._states:
            raise NOT_FOUND(f"There is no view {input.name!r}.", subject=input.name, pointer="/name")
        event = Event(topic=TOPIC, type=REQUESTED, data={"name": input.name}, subject=input.name)
        return Decision(Rebuilding(operation=invocation.operation_id, name=input.name), events=(event,))


class Rebuilder:
    """Carries out what ``views.rebuild`` recorded."""

    def __init__(self, store: Store, runner: ProjectionRunner) -> None:
        self._store = store
        self._runner = runner

    def service(self) -> AbstractAsyncContextManager[None]:
        """Carry out open requests, then each new one, until the context is left."""
        return running(self._serve, "rebuild views")

    async def _serve(self) -> None:
        position = START
        pending: dict[str, Recorded] = {}
        while page := await self._store.log.read(TOPIC, position, _PAGE):
            for recorded in page:
                position = recorded.position
                if recorded.event.type == REQUESTED:
                    pending[recorded.event.subject] = recorded
                elif recorded.event.type == REBUILT:
                    pending.pop(recorded.event.subject, None)
        for recorded in list(pending.values()):
            await self._rebuild(recorded)
        async for recorded in self._store.log.tail(TOPIC, position):
            if recorded.event.type == REQUESTED:
                await self._rebuild(recorded)

    async def _rebuild(self, request: Recorded) -> None:
        name = request.event.subject
        try:
            await self._runner.rebuild(name)
            done = Event(
                topic=TOPIC,
                type=REBUILT,
                data={"name": name},
                subject=name,
                causation=request.event.id,
                correlation=request.event.correlation,
            )
            await self._store.commit(Append(done))
        except Fault as fault:
            # The plane that brought the projection may be gone, or the disk be full: the next start tries again.
            _log.error("view %s could not be rebuilt: %s", name, fault.code)
