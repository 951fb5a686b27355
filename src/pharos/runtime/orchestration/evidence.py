"""The view of what is known of agents: one row for each piece of evidence, from what happened in their sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypedDict, cast

from pharos.core.event import Recorded
from pharos.core.projection import Row, Scalar, View
from pharos.core.wire import Json
from pharos.mesh.money import nanos_of
from pharos.runtime.orchestration.scores import Evidence, EvidenceKind
from pharos.runtime.orchestration.trees import micros, time_of
from pharos.runtime.session import events
from pharos.runtime.session.address import PREFIX, Address

NAME: Final = "trust"

REVIEWED: Literal["trust.reviewed"] = "trust.reviewed"
"""Somebody looked at what came of a session. On the topic ``trust/NAMESPACE/AGENT``."""

CITY: Final = "pharos"
"""Who says what the city's own rules found."""


class Reviewed(TypedDict):
    """Data of ``trust.reviewed``. ``stake``: what the session could have spent."""

    agent: str
    session: str
    good: bool
    note: str
    rater: str
    byAgent: bool
    stake: str


_SESSION = (
    "INSERT INTO trust_sessions (session, agent, stake) VALUES (:session, :agent, :stake) "
    "ON CONFLICT (session) DO NOTHING"
)
_OF_SESSION = "SELECT agent, stake FROM trust_sessions WHERE session = :session"
_EVIDENCE = (
    "INSERT INTO trust_evidence (agent, kind, session, rater, by_agent, good, stake, note, at) "
    "VALUES (:agent, :kind, :session, :rater, :by_agent, :good, :stake, :note, :at) "
    "ON CONFLICT (session, kind, rater) DO UPDATE SET good = excluded.good, note = excluded.note, at = excluded.at"
)
COLUMNS: Final = "agent, kind, session, rater, by_agent, good, stake, note, at"


class TrustProjection:
    """Folds reviews and the ends of sessions into ``trust_evidence``. Who reviews a session again changes their
    review."""

    name = NAME
    version = 1
    types = frozenset({
        events.SESSION_CREATED, REVIEWED, events.APPROVAL_DENIED, events.SESSION_EXPIRED, events.SESSION_FAILED,
    })  # fmt: skip
    tables: Sequence[str] = ("trust_sessions", "trust_evidence")
    schema: Sequence[str] = (
        "CREATE TABLE trust_sessions (session TEXT PRIMARY KEY, agent TEXT NOT NULL, stake BIGINT NOT NULL)",
        "CREATE TABLE trust_evidence (agent TEXT NOT NULL, kind TEXT NOT NULL, session TEXT NOT NULL, "
        "rater TEXT NOT NULL, by_agent SMALLINT NOT NULL, good SMALLINT NOT NULL, stake BIGINT NOT NULL, "
        "note TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (session, kind, rater))",
        "CREATE INDEX trust_evidence_agent ON trust_evidence (agent, at)",
        "CREATE INDEX trust_evidence_rater ON trust_evidence (rater, by_agent)",
    )

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        """Take over what is evidence. What has not the form of its type is none."""
        for recorded in events:
            try:
                _fold(view, recorded)
            except (KeyError, TypeError, ValueError):
                continue


def _fold(view: View, recorded: Recorded) -> None:
    event = recorded.event
    data, at = event.data, micros(event.time)
    if event.type == REVIEWED:
        said = cast("Reviewed", data)
        _note(
            view, str(said["agent"]), "review", str(said["session"]), str(said["rater"]), said["byAgent"] is True,
            said["good"] is True, nanos_of(said["stake"]), str(said["note"]), at,
        )  # fmt: skip
        return
    if not event.topic.startswith(PREFIX):
        return
    session = str(Address.of_topic(event.topic))
    if event.type == events.SESSION_CREATED:
        bounds = cast("Mapping[str, Json]", data["bounds"])
        stake = nanos_of(str(bounds["cost"])) if "cost" in bounds else 0
        view.execute(_SESSION, {"session": session, "agent": str(data["agent"]), "stake": stake})
        return
    found = view.query(_OF_SESSION, {"session": session})
    if not found:
        return
    agent, stake = str(found[0][0]), int(found[0][1] or 0)
    if event.type == events.APPROVAL_DENIED:
        _note(view, agent, "denial", session, str(data["by"]), False, False, stake, str(data["reason"]), at)
    elif event.type == events.SESSION_EXPIRED:
        _note(view, agent, "timeout", session, CITY, False, False, stake, str(data["detail"]), at)
    elif str(data["code"]).startswith("guard/"):
        _note(view, agent, "runaway", session, CITY, False, False, stake, str(data["detail"]), at)


def _note(
    view: View, agent: str, kind: EvidenceKind, session: str, rater: str, by_agent: bool, good: bool, stake: int,
    note: str, at: int,
) -> None:  # fmt: skip
    values: dict[str, Scalar] = {
        "agent": agent, "kind": kind, "session": session, "rater": rater, "by_agent": int(by_agent),
        "good": int(good), "stake": stake, "note": note.encode(errors="replace").decode()[:500], "at": at,
    }  # fmt: skip
    view.execute(_EVIDENCE, values)


def evidence_of(row: Row) -> Evidence:
    """A row of :data:`COLUMNS`."""
    agent, kind, session, rater, by_agent, good, stake, note, at = row
    return Evidence(
        agent=str(agent), kind=cast("EvidenceKind", kind), good=bool(good), at=time_of(int(at or 0)),
        rater=str(rater), by_agent=bool(by_agent), stake=int(stake or 0), session=str(session), note=str(note),
    )  # fmt: skip
