"""Which tasks a caller has: a view of the sessions, by owner, newest change first."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pharos.core.event import Event, Recorded
from pharos.core.fault import INVALID, Fault
from pharos.core.projection import Scalar, View
from pharos.gateway.federation.push.topics import CONFIGURED, FINISHED
from pharos.gateway.federation.push.topics import PREFIX as PUSH
from pharos.gateway.federation.tasks.states import CONTEXT, DECIDED, HOLDS, State, waiting_state
from pharos.mesh.runner import ProjectionRunner
from pharos.runtime.session import events as of
from pharos.runtime.session.address import PREFIX, Address
from pharos.store.ports import Store

NAME: Final = "a2a"
CAUGHT_UP_SECONDS = 5.0

_STATES: Mapping[str, State] = {
    of.TURN_STARTED: State.WORKING,
    of.RESUMED: State.WORKING,
    of.SESSION_RELEASED: State.WORKING,
    of.SESSION_COMPLETED: State.COMPLETED,
    of.SESSION_FAILED: State.FAILED,
    of.SESSION_EXPIRED: State.FAILED,
    of.SESSION_CANCELLED: State.CANCELED,
    of.SESSION_QUARANTINED: State.AUTH_REQUIRED,
}


def _mark(agreement: bool, id: str) -> str:
    """What stands in ``held`` for something that somebody is asked for: agreement, or an answer."""
    return f"{'a' if agreement else 'q'}:{id} "


class TaskProjection:
    """One row for each session, which says what :class:`~.tasks.TaskFold` would say; and which tasks somebody is still
    to be notified of."""

    name = NAME
    version = 1
    types = frozenset(
        {
            CONFIGURED, FINISHED, of.SESSION_CREATED, of.SESSION_FORKED, of.SESSION_WAITING, of.INPUT_REQUESTED,
            of.INPUT_RECEIVED, *_STATES, *HOLDS, *DECIDED,
        }
    )  # fmt: skip
    tables: Sequence[str] = ("a2a_tasks", "a2a_push")
    schema: Sequence[str] = (
        "CREATE TABLE a2a_tasks (topic TEXT PRIMARY KEY, owner TEXT NOT NULL, agent TEXT NOT NULL,"
        " context TEXT NOT NULL, state SMALLINT NOT NULL, changed BIGINT NOT NULL,"
        " held TEXT NOT NULL)",
        "CREATE TABLE a2a_push (topic TEXT PRIMARY KEY)",
        "CREATE INDEX a2a_tasks_owned ON a2a_tasks (owner, agent, changed, topic)",
    )

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        """See :class:`~pharos.core.projection.Projection`."""
        for recorded in events:
            event = recorded.event
            if event.type == CONFIGURED:
                view.execute(
                    "INSERT INTO a2a_push VALUES (:topic) ON CONFLICT (topic) DO NOTHING", {"topic": event.topic}
                )
            elif event.type == FINISHED:
                view.execute("DELETE FROM a2a_push WHERE topic = :topic", {"topic": event.topic})
            elif event.topic.startswith(PREFIX):
                self._fold(view, event, event.data, since_1970(event.time))

    def _fold(self, view: View, event: Event, data: Mapping[str, Any], at: int) -> None:
        type, topic = event.type, event.topic
        if type == of.SESSION_CREATED:
            labels = data.get("labels", {})
            view.execute(
                "INSERT INTO a2a_tasks VALUES (:topic, :owner, :agent, :context, :state, :changed, '')"
                " ON CONFLICT (topic) DO UPDATE SET owner = excluded.owner, state = excluded.state",
                {
                    "topic": topic,
                    "owner": data["owner"],
                    "agent": data["agent"],
                    "context": labels.get(CONTEXT) or Address.of_topic(topic).id,
                    "state": int(State.SUBMITTED),
                    "changed": at,
                },
            )
            return
        if type == of.SESSION_FORKED:
            view.execute(
                "UPDATE a2a_tasks SET owner = :owner, state = :state, changed = :changed, held = ''"
                " WHERE topic = :topic",
                {"topic": topic, "owner": data["owner"], "state": int(State.SUBMITTED), "changed": at},
            )
            return
        if type in HOLDS or type == of.INPUT_REQUESTED:
            view.execute(
                "UPDATE a2a_tasks SET held = held || :id WHERE topic = :topic",
                {"topic": topic, "id": _mark(type in HOLDS, data["id"])},
            )
            return
        if type in DECIDED or type == of.INPUT_RECEIVED:
            id = _mark(type in DECIDED, data["id"] if type in DECIDED else data.get("answers", ""))
            view.execute(
                "UPDATE a2a_tasks SET held = REPLACE(held, :id, '') WHERE topic = :topic", {"topic": topic, "id": id}
            )
            view.execute(
                "UPDATE a2a_tasks SET changed = :changed, state = CASE WHEN held = '' THEN :working"
                " WHEN held LIKE '%a:%' THEN :auth ELSE :input END WHERE topic = :topic AND state IN (:auth, :input)"
                " AND state <> CASE WHEN held = '' THEN :working WHEN held LIKE '%a:%' THEN :auth ELSE :input END",
                {
                    "topic": topic,
                    "changed": at,
                    "working": int(State.WORKING),
                    "auth": int(State.AUTH_REQUIRED),
                    "input": int(State.INPUT_REQUIRED),
                },
            )
            return
        state = _STATES.get(type) or waiting_state(data["on"])
        if state is not None:
            view.execute(
                "UPDATE a2a_tasks SET state = :state, changed = :changed WHERE topic = :topic"
                " AND (state <> :state OR :again = 1)",
                {"topic": topic, "state": int(state), "changed": at, "again": int(state is not State.WORKING)},
            )


def since_1970(time: datetime) -> int:
    """Microseconds."""
    return round(time.timestamp() * 1_000_000)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks are asked for; all of them belong to ``owner`` and ``agent``."""

    owner: str
    agent: str
    context: str = ""
    state: int = 0
    changed_after: int | None = None
    limit: int = 50
    token: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of tasks."""

    tasks: Sequence[Address]
    next: str
    total: int


class Listing:
    """Asks the view, once it has seen what was in the log when it was asked."""

    def __init__(self, store: Store, runner: Callable[[], ProjectionRunner]) -> None:
        self._store = store
        self._runner = runner

    async def find(self, wanted: Wanted) -> Found:
        """A page, the latest change of state first. Raises ``INVALID`` for a token that is none."""
        conditions = ["owner = :owner", "agent = :agent"]
        values: dict[str, Scalar] = {"owner": wanted.owner, "agent": wanted.agent}
        if wanted.context:
            conditions.append("context = :context")
            values["context"] = wanted.context
        if wanted.state:
            conditions.append("state = :state")
            values["state"] = wanted.state
        if wanted.changed_after is not None:
            conditions.append("changed > :after")
            values["after"] = wanted.changed_after
        await self._runner().caught_up(NAME, CAUGHT_UP_SECONDS)
        where = " AND ".join(conditions)
        ((total,),) = await self._store.views.query(f"SELECT COUNT(*) FROM a2a_tasks WHERE {where}", values)  # noqa: S608
        if wanted.token:
            values["changed"], values["topic"] = _read(wanted.token)
            where += " AND (changed < :changed OR (changed = :changed AND topic > :topic))"
        rows = await self._store.views.query(
            f"SELECT topic, changed FROM a2a_tasks WHERE {where}"  # noqa: S608
            " ORDER BY changed DESC, topic LIMIT :limit",
            {**values, "limit": wanted.limit + 1},
        )
        page = rows[: wanted.limit]
        token = _token(int(page[-1][1] or 0), str(page[-1][0])) if len(rows) > wanted.limit and page else ""
        return Found([Address.of_topic(str(topic)) for topic, _ in page], token, int(total or 0))

    async def waiting(self) -> AsyncIterator[Address]:
        """The tasks that somebody is still to be notified of."""
        await self._runner().caught_up(NAME, CAUGHT_UP_SECONDS)
        for (topic,) in await self._store.views.query("SELECT topic FROM a2a_push"):
            yield Address.parse(str(topic).removeprefix(PUSH))


def _token(changed: int, topic: str) -> str:
    return base64.urlsafe_b64encode(f"{changed} {topic}".encode()).decode()


def _read(token: str) -> tuple[int, str]:
    try:
        changed, _, topic = base64.b64decode(token, altchars=b"-_", validate=True).decode().partition(" ")
        return int(changed), Address.of_topic(topic).topic
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _no_token() from None


def _no_token() -> Fault:
    return INVALID("This is not a page token of a list of tasks.", pointer="/pageToken")
