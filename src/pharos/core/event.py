"""What happened: immutable facts with CloudEvents 1.0 attributes.

An ``Event`` is what a part of the city says happened. A ``Recorded`` event is one that the log has accepted: it has a
place in its topic (``sequence``, from 1, without gaps) and in the whole log (``position``, opaque and growing).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias

import orjson

from pharos.core.ids import uuid7
from pharos.core.wire import Json, JsonObject

Position: TypeAlias = str
"""A place in the log. Opaque: compare it for order with ``<``, hand it back to continue, read nothing else into it."""

START: Position = ""
"""The position before the first event."""


class BlobRef(NamedTuple):
    """Bytes that belong to an event and are kept outside of it.

    ``namespace`` is whose they are: who may read them for as long as the event is there (empty: the city alone).
    """

    digest: str
    """``sha256:`` and 64 hexadecimal digits."""
    size: int
    """Bytes."""
    namespace: str = ""

    @property
    def uri(self) -> str:
        """Where the bytes are read over HTTP."""
        return f"{BLOBS}{self.digest}"


BLOBS: Final = "/blobs/"
"""Path below which blobs are read."""


def time_text(time: datetime) -> str:
    """A time in RFC 3339, as ``isoformat`` writes it, in a third of its time: there are several in each event."""
    return str(orjson.dumps(time)[1:-1], "ascii")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Event:
    """A fact. Its fields are final: the type checker holds them so, since a frozen class takes four times as long to
    make, and one is made for every call.

    ``topic`` is the ordered stream it belongs to (one per session, per operation, per key …; topics are light and come
    into being by the first append). ``type`` names the fact in the past tense (``model.called``). ``causation`` is the
    id of what led to it, ``correlation`` groups everything that one request set off, ``traceparent`` is the W3C trace
    context, ``principal`` the id of who acted. ``refs`` are blobs that its data speak of: the event is in the log only
    if they are in the store, and they stay there as long as the event does.
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
    refs: Final[tuple[BlobRef, ...]] = ()


class Recorded(NamedTuple):
    """An event that is in the log."""

    event: Event
    position: Position
    sequence: int

    def cloudevent(self) -> JsonObject:
        """The event in the structured JSON form of CloudEvents 1.0 (section 3.1 of its JSON format).

        Its blob is named by ``dataref`` (the extension *Dataref (Claim Check Pattern)*); where it has several, all of
        them by ``datarefs``, parted by spaces, since an attribute of CloudEvents is no list.
        """
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
        if event.refs:
            attributes["dataref"] = event.refs[0].uri
            if len(event.refs) > 1:
                attributes["datarefs"] = " ".join(ref.uri for ref in event.refs)
        attributes["data"] = dict(event.data)
        return attributes
