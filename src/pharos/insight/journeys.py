"""Journeys: model calls stitched into the conversations they were part of.

Two things say that calls belong together. The caller's own conversation id, where it sends one: that is certain.
Otherwise the messages: each call comes with digests ("marks") of its message list up to each of its last turns, and
leaves the last of them, its whole list, behind. A call whose list begins with a list that was left behind continues
that journey; the longest such beginning wins. That is an inference, and the journey says so. Its limits: two
conversations that begin with the same words under the same key, at the same time, cannot be told apart; and marks are
forgotten after :data:`HORIZON`.

A call that repeats a whole list and adds nothing is a new try, if the earlier one failed and it comes soon
(:data:`REPEAT`). If the earlier one was answered, it is judged by what its list begins with: in the middle of a
conversation it asks for another answer; a first message that comes again begins a new journey, for many programs begin
all their conversations with the same words.

Nobody joins a journey of another key, whatever id or messages they send. A journey is named after its first call, so a
rebuild gives it the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pharos.core.event import Recorded
from pharos.core.projection import Row, View
from pharos.insight.fields import (
    Data,
    Malformed,
    durations,
    items,
    mapping,
    names,
    nanos,
    note_skipped,
    since_1970,
    skipped_schema,
    skipped_table,
    text,
    texts,
    texts_of,
)
from pharos.insight.ledger.rows import OUTCOMES
from pharos.mesh.facts import MODEL_CALLED

JOURNEYS = "journeys"

DAY = 24 * 3600 * 1_000_000
HORIZON = 7 * DAY
"""How long a conversation can rest and still be recognised by its messages, in microseconds."""
REPEAT = 15 * 60 * 1_000_000
"""How soon a repeated message list counts as a new try, in microseconds."""
MOST_MARKS = 16
"""How many of a call's marks are looked up, the longest first."""
_FOREVER = 2**62
"""``seen`` of a conversation id: it is never forgotten."""

_STEP: dict[str, str] = {
    "position": "TEXT PRIMARY KEY",
    "journey": "TEXT NOT NULL",
    "at": "BIGINT NOT NULL",
    "call": "TEXT NOT NULL",
    "continues": "TEXT NOT NULL",
    "dialect": "TEXT NOT NULL",
    "model": "TEXT NOT NULL",
    "stream": "SMALLINT NOT NULL",
    "outcome": "TEXT NOT NULL",
    "fault": "TEXT NOT NULL",
    "attempts": "BIGINT NOT NULL",
    "unpriced": "BIGINT NOT NULL",
    "cost": "BIGINT NOT NULL",
    "currency": "TEXT NOT NULL",
    "latency": "BIGINT",
    "first_token": "BIGINT",
    "tools": "TEXT NOT NULL",
    "route": "TEXT NOT NULL",
}
_JOURNEY: dict[str, str] = {
    "id": "TEXT PRIMARY KEY",
    "started": "BIGINT NOT NULL",
    "namespace": "TEXT NOT NULL",
    "key_name": "TEXT NOT NULL",
    "team": "TEXT NOT NULL",
    "conversation": "TEXT NOT NULL",
}
_MARK: dict[str, str] = {
    "mark": "TEXT PRIMARY KEY",
    "journey": "TEXT NOT NULL",
    "call": "TEXT NOT NULL",
    "answered": "SMALLINT NOT NULL",
    "seen": "BIGINT NOT NULL",
}


def _create(table: str, columns: dict[str, str]) -> str:
    return f"CREATE TABLE {table} ({', '.join(f'{name} {type}' for name, type in columns.items())})"


def _insert(table: str, columns: dict[str, str]) -> str:
    return f"INSERT INTO {table} VALUES ({','.join('?' * len(columns))})"  # noqa: S608 (our own names)


_INSERT_STEP = _insert("journey_steps", _STEP)
# Two calls of one id (there should be none) are steps of one journey.
_INSERT_JOURNEY = _insert("journeys", _JOURNEY) + " ON CONFLICT (id) DO NOTHING"
_LEAVE_MARK = (
    _insert("journey_marks", _MARK) + " ON CONFLICT (mark) DO UPDATE SET journey = excluded.journey, "
    "call = excluded.call, answered = excluded.answered, seen = excluded.seen"
)
_AT_ONCE = 4
"""Marks of a call that are looked up together: it seldom adds more turns, and one that is not there costs as much."""
_IN_QUERY = 64
"""Marks in one query: it is the query that costs, not the mark."""
_NAMES = tuple(f"m{number}" for number in range(_IN_QUERY))


def _find_marks(number: int) -> str:
    names = ", ".join(f":{name}" for name in _NAMES[:number])
    return f"SELECT mark, journey, call, answered, seen FROM journey_marks WHERE mark IN ({names})"  # noqa: S608


_FIND_MARKS = {number: _find_marks(number) for number in (_AT_ONCE, _IN_QUERY)}
_OF_CALL = texts_of("call", "dialect", "model", "outcome", "fault", "currency", "namespace", "key", "team")
_FORGET = "DELETE FROM journey_marks WHERE seen < :before"


class Mark(NamedTuple):
    """What a call left behind: where a continuation of it belongs."""

    journey: str
    call: str
    answered: bool
    seen: int


@dataclass(slots=True)
class _Batch:
    """Rows that wait to be written, and the marks among them that the tables do not have yet."""

    steps: list[Row] = field(default_factory=list)
    journeys: list[Row] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)
    known: dict[str, Mark | None] = field(default_factory=dict)
    """What the tables have of the marks that were looked up."""
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def look_up(self, view: View, marks: Iterable[str]) -> None:
        """Find out what the tables have."""
        wanted = [mark for mark in dict.fromkeys(marks) if mark not in self.known]
        self.known.update(dict.fromkeys(wanted))
        for first in range(0, len(wanted), _IN_QUERY):
            some = wanted[first : first + _IN_QUERY]
            size = _AT_ONCE if len(some) <= _AT_ONCE else _IN_QUERY
            some += some[:1] * (size - len(some))
            for mark, journey, call, answered, seen in view.query(
                _FIND_MARKS[size], dict(zip(_NAMES, some, strict=False))
            ):
                self.known[str(mark)] = Mark(str(journey), str(call), bool(answered), int(seen or 0))

    def write(self, view: View) -> None:
        if self.journeys:
            view.execute_many(_INSERT_JOURNEY, self.journeys)
        if self.steps:
            view.execute_many(_INSERT_STEP, self.steps)
        if self.marks:
            view.execute_many(_LEAVE_MARK, [(mark, *left) for mark, left in self.marks.items()])
        if self.skipped:
            note_skipped(view, JOURNEYS, self.skipped)


class JourneysProjection:
    """Folds ``model.called`` into ``journeys`` (one row each, never altered) and ``journey_steps`` (one per call)."""

    name = JOURNEYS
    version = 1
    types = frozenset({MODEL_CALLED})
    tables: Sequence[str] = ("journeys", "journey_steps", "journey_marks", skipped_table(JOURNEYS))
    schema: Sequence[str] = (
        _create("journeys", _JOURNEY),
        "CREATE INDEX journeys_started ON journeys (started, id)",
        "CREATE INDEX journeys_key ON journeys (key_name, started, id)",
        _create("journey_steps", _STEP),
        "CREATE INDEX journey_steps_journey ON journey_steps (journey, position)",
        _create("journey_marks", _MARK),
        "CREATE INDEX journey_marks_seen ON journey_marks (seen)",
        skipped_schema(JOURNEYS),
    )

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        """Give every call its journey, in the order of the log."""
        batch = _Batch()
        read: list[_Call] = []
        for recorded in events:
            data = recorded.event.data
            if "method" in data and _is_aside(data):
                continue
            try:
                call = _read(recorded)
            except Malformed as problem:
                batch.skipped.append((str(problem), recorded.event.id))
                continue
            if recorded.event.id.endswith("00"):
                # Forgetting happens at events, not at batches, so that any split of the log leads to the same tables.
                _stitch(view, batch, read)
                batch.write(view)
                batch, read = _Batch(), []
                view.execute(_FORGET, {"before": call.seen - HORIZON})
            read.append(call)
        _stitch(view, batch, read)
        batch.write(view)


def _is_aside(data: Data) -> bool:
    """Whether a call is no step of a conversation: a count of tokens, or vectors that were asked for in no session."""
    method, conversation = data.get("method"), data.get("conversation")
    return method is not None and (method == "count" or not (isinstance(conversation, dict) and conversation.get("id")))


class _Call(NamedTuple):
    """A call whose journey is not yet known, and how it may be recognised."""

    id: str
    position: str
    began: int
    step: Row
    """The columns of its step from ``dialect`` on."""
    answered: bool
    namespace: str
    key: str
    team: str
    conversation: str
    shown: tuple[str, ...]
    """The keys to look up, the most telling first."""
    seen: int

    def belongs(self, found: Mark, place: int) -> bool:
        """Whether this call continues the one that left ``found``, which matches ``shown[place]``."""
        if self.conversation:
            return True
        rest = self.seen - found.seen
        return rest <= HORIZON if place > 0 else rest <= REPEAT and not found.answered


def _stitch(view: View, batch: _Batch, read: Sequence[_Call]) -> None:
    """Give each call its journey, as if it stood alone; only the look into the tables is made for all of them."""
    batch.look_up(view, (mark for call in read for mark in call.shown[:_AT_ONCE]))
    for call in read:
        id, position, began, step, answered, namespace, key, team, conversation, shown, seen = call
        before = _earlier(view, batch, call) if shown else None
        if before is not None:
            journey, continues = before.journey, before.call
        else:
            journey, continues = f"j-{id}", ""
            batch.journeys.append((journey, began, namespace, key, team, conversation))
        batch.steps.append((position, journey, began, id, continues, *step))
        if shown:
            batch.marks[shown[0]] = Mark(journey, id, answered, _FOREVER if conversation else seen)


def _earlier(view: View, batch: _Batch, call: _Call) -> Mark | None:
    shown = call.shown
    for place, mark in enumerate(shown):
        if place and place % _AT_ONCE == 0:
            batch.look_up(view, shown[place : place + _AT_ONCE])
        found = batch.marks.get(mark) or batch.known.get(mark)
        if found is not None and call.belongs(found, place):
            return found
    return None


def _read(recorded: Recorded) -> _Call:
    """What a ``model.called`` says. Raises :class:`Malformed`."""
    event = recorded.event
    data = event.data
    id, dialect, model, outcome, fault, currency, namespace, key, team = _OF_CALL(data)
    if outcome not in OUTCOMES:
        raise Malformed("outcome is unknown")
    attempts = items(data, "attempts")
    unpriced = 0
    for attempt in attempts:
        if not isinstance(attempt, dict):
            raise Malformed("an attempt is not an object")
        if attempt.get("cost") is None:
            unpriced += 1
    ended = since_1970(event.time)
    latency, first_token = durations(data)
    # In the order of _STEP.
    step: Row = (
        dialect, model, 1 if data.get("stream") is True else 0, outcome, fault,
        len(attempts), unpriced, nanos(data, "cost") or 0, currency, latency, first_token,
        texts(data, "tools"), names(data, "route"),
    )  # fmt: skip
    conversation = mapping(data, "conversation")
    session = text(conversation, "id") if conversation else ""
    # The scope stands before the mark: names have neither "#" nor "=", so no key can name a mark of another.
    if session:
        shown: tuple[str, ...] = (f"{namespace}/{key}={session}",)
    else:
        marks = items(conversation, "marks")[-MOST_MARKS:]
        try:
            plain = "".join(marks).isascii()
        except TypeError:
            plain = False
        if not plain:
            raise Malformed("marks are not text")
        scope = f"{namespace}/{key}#"
        shown = tuple([scope + mark for mark in reversed(marks)])
    began = ended - (latency or 0)
    return _Call(id, recorded.position, began, step, outcome == "ok", namespace, key, team, session, shown, ended)
