"""What happened: immutable facts with CloudEvents 1.0 attributes.

An ``Event`` is what a part of the city says happened. A ``Recorded`` event is one that the log has accepted: it has a
place in its topic (``sequence``, from 1, without gaps) and in the whole log (``position``, opaque and growing).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias

from pharos.core.ids import uuid7
from pharos.core.wire import Json, JsonObject

Position: TypeAlias = str
"""A place in the log. Opaque: compare it for order with ``<``, hand it back to continue, read nothing else into it."""

START: Position = ""
"""The position before the first event."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Event:
    """A fact. Its fields are final: the type checker holds them so, since a frozen class takes four times as long to
    make, and one is made for every call.

    ``topic`` is the ordered stream it belongs to (one per session, per operation, per key …; topics are light and come
    into being by the first append). ``type`` names the fact in the past tense (``model.called``). ``causation`` is the
    id of what led to it, ``correlation`` groups everything that one request set off, ``traceparent`` is the W3C trace
    context, ``principal`` the id of who acted.
    """

    topic: Final[str]
    type: Final[str]
    data: Final[Mapping[str, Json]]
    principal: Final[str] = ""
    subject: Final[str] = ""
    causation: Final[str] = ""
    correlation: Final[str] = ""
    traceparent: Final[str] = ""
    source: Final[str] = "pharos"
    id: Final[str] = field(default_factory=uuid7)
    time: Final[datetime] = field(default_factory=_now)


class Recorded(NamedTuple):
    """An event that is in the log."""

    event: Event
    position: Position
    sequence: int

    def cloudevent(self) -> JsonObject:
        """The event in the structured JSON form of CloudEvents 1.0 (section 3.1 of its JSON format)."""
        event = self.event
        attributes: JsonObject = {
            "specversion": "1.0",
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "time": event.time.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "topic": event.topic,
            "position": self.position,
            "sequence": self.sequence,
        }
        for name in ("subject", "principal", "causation", "correlation", "traceparent"):
            if value := getattr(event, name):
                attributes[name] = value
        attributes["data"] = dict(event.data)
        return attributes
