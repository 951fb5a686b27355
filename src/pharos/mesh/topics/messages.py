"""Messages: what users publish, how the log keeps it, and how it looks when it is read.

In the log a message is an event of the one type ``message.published`` whose data is an envelope. Its own type and
attributes stand inside: what a user calls ``model.called`` is never taken for a fact of the city.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Literal, NotRequired, TypedDict, cast

import orjson
from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from pharos.core.event import Event, Position, Recorded
from pharos.core.fault import INVALID, TOO_LARGE
from pharos.core.forms import LINE, form
from pharos.core.resource import Name
from pharos.core.wire import Json, JsonObject, Wire
from pharos.mesh.topics.names import Place, place_of

PUBLISHED: Literal["message.published"] = "message.published"
REQUESTED: Literal["request.sent"] = "request.sent"
"""First event of a topic of answers: says what was asked, and until when."""

PLAIN: Final = "message"
"""The type of a message that has none of its own."""

LARGEST: Final = 1024 * 1024
"""Bytes of a message's data, as JSON. Larger things go by reference."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=LINE)]
"""An attribute: no control characters, at most 512 characters."""
MediaType = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=255,
        pattern=form(r"^[\x21-\x7e][\x20-\x7e]*$", "a media type, such as application/json"),
    ),
]
Integer = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
"""CloudEvents' integers have 32 bits."""
ExtensionName = Annotated[
    str,
    StringConstraints(
        pattern=form(
            r"^[a-z0-9]{1,20}$", "the name of an attribute, such as dataref: at most 20 lower-case letters and digits"
        )
    ),
]
Key = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=LINE)]

ATTRIBUTES: Final = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "database64"}
)
"""The attributes of CloudEvents 1.0, and its members for data: no extension has one of these names."""


class Envelope(TypedDict):
    """The data of the event that carries a message. What is not said is left out."""

    type: NotRequired[str]
    data: NotRequired[Json]
    base64: NotRequired[str]
    contentType: NotRequired[str]
    schema: NotRequired[str]
    id: NotRequired[str]
    source: NotRequired[str]
    time: NotRequired[str]
    extensions: NotRequired[dict[str, Json]]
    replyTo: NotRequired[str]
    deadline: NotRequired[str]
    late: NotRequired[bool]
    schedule: NotRequired[str]
    due: NotRequired[str]


class NewMessage(Wire):
    """A message to be published. All but ``data`` are attributes of CloudEvents 1.0, and may be left out."""

    data: Json = None
    data_base64: str | None = None
    """Bytes instead of ``data``, in base64."""
    type: Text = PLAIN
    id: Text | None = None
    """With ``source``, names the message for good: a second one of the same name is not published again."""
    source: Text | None = None
    """A URI reference; left out: the caller."""
    subject: Text | None = None
    time: AwareDatetime | None = None
    """When it happened; left out: when it was published."""
    content_type: MediaType | None = None
    """Media type of the data; left out: JSON."""
    data_schema: Text | None = None
    """URI of the schema of the data."""
    extensions: dict[ExtensionName, str | Integer | bool] = Field(default_factory=dict, max_length=32)
    key: Key | None = None
    """Idempotency key, within the topic: of two messages with one key the first counts, and both get its receipt."""

    @model_validator(mode="after")
    def _one_payload(self) -> NewMessage:
        if self.data is not None and self.data_base64 is not None:
            raise ValueError("give data or dataBase64, not both")
        if self.data_base64 is not None:
            base64.b64decode(self.data_base64, validate=True)  # what it raises is a ValueError
        if taken := self.extensions.keys() & ATTRIBUTES:
            raise ValueError(f"{min(taken)} is an attribute of CloudEvents, not an extension")
        return self


class Message(Wire):
    """A message, or another event, as it is read."""

    position: Position
    """Where it stands: continue after it with this id (``after``, ``Last-Event-ID``)."""
    sequence: int
    """Its number in the topic, from 1; with gaps only where something was retired."""
    topic: str
    """Name of the topic; of a topic of the city its name in the log."""
    namespace: Name | None = None
    id: str
    source: str
    type: str
    time: datetime
    data: Json = None
    data_base64: str | None = None
    subject: str | None = None
    content_type: str | None = None
    data_schema: str | None = None
    extensions: dict[str, Json] | None = None
    principal: str | None = None
    """Who published it."""
    correlation: str | None = None
    causation: str | None = None
    traceparent: str | None = None
    reply_to: str | None = None
    """Of a request: where the answer goes (``topics.reply``)."""
    deadline: datetime | None = None
    late: bool | None = None
    """Of an answer: it came after the deadline."""
    schedule: str | None = None
    """What published it, where that was a schedule; ``due`` is the time it was for."""
    due: datetime | None = None


def envelope_of(message: NewMessage) -> Envelope:
    """The envelope of a message. Raises ``TOO_LARGE``, and ``INVALID`` for what has no JSON form."""
    envelope: Envelope = {}
    if message.type != PLAIN:
        envelope["type"] = message.type
    if message.data_base64 is not None:
        envelope["base64"] = message.data_base64
    elif message.data is not None:
        envelope["data"] = message.data
    if message.content_type is not None:
        envelope["contentType"] = message.content_type
    if message.data_schema is not None:
        envelope["schema"] = message.data_schema
    if message.id is not None:
        envelope["id"] = message.id
    if message.source is not None:
        envelope["source"] = message.source
    if message.time is not None:
        envelope["time"] = message.time.isoformat()
    if message.extensions:
        envelope["extensions"] = {**message.extensions}
    try:
        size = len(orjson.dumps(envelope))
    except orjson.JSONEncodeError as error:
        raise INVALID(f"The message has no JSON form: {error}.") from None
    if size > LARGEST:
        raise TOO_LARGE(
            f"The message has {size} bytes; {LARGEST} are the most. Store what is larger as a blob and publish its "
            "digest.",
            facts={"bytes": size, "limitBytes": LARGEST},
        )
    return envelope


def event_of(
    place: Place,
    envelope: Envelope,
    time: datetime,
    *,
    subject: str = "",
    principal: str = "",
    causation: str = "",
    correlation: str = "",
    traceparent: str = "",
) -> Event:
    """The event that carries a message. ``time`` is that of the store, by which it is kept."""
    return Event(
        topic=place.topic,
        type=PUBLISHED,
        data=cast("Mapping[str, Json]", envelope),
        principal=principal,
        subject=subject,
        causation=causation,
        correlation=correlation,
        traceparent=traceparent,
        time=time,
    )


def message_of(recorded: Recorded) -> Message:
    """An event of the log as it is read: a message, or a fact of the city as it stands."""
    event = recorded.event
    place = place_of(event.topic)
    carried = event.type == PUBLISHED
    envelope = cast("Envelope", event.data) if carried else Envelope(data=dict(event.data))
    time = envelope.get("time")
    deadline, due = envelope.get("deadline"), envelope.get("due")
    return Message(
        position=recorded.position,
        sequence=recorded.sequence,
        topic=event.topic if place is None else place.name,
        namespace=None if place is None else place.namespace,
        id=envelope.get("id", event.id),
        source=envelope.get("source", f"/{event.principal}" if carried and event.principal else event.source),
        type=envelope.get("type", PLAIN) if carried else event.type,
        time=event.time if time is None else datetime.fromisoformat(time),
        data=envelope.get("data"),
        data_base64=envelope.get("base64"),
        subject=event.subject or None,
        content_type=envelope.get("contentType"),
        data_schema=envelope.get("schema"),
        extensions=envelope.get("extensions"),
        principal=event.principal or None,
        correlation=event.correlation or None,
        causation=event.causation or None,
        traceparent=event.traceparent or None,
        reply_to=envelope.get("replyTo"),
        deadline=None if deadline is None else datetime.fromisoformat(deadline),
        late=envelope.get("late"),
        schedule=envelope.get("schedule"),
        due=None if due is None else datetime.fromisoformat(due),
    )


def payload(recorded: Recorded) -> Json:
    """The data of a message that was published as JSON."""
    if recorded.event.type != PUBLISHED:
        return cast("JsonObject", dict(recorded.event.data))
    return cast("Envelope", recorded.event.data).get("data")
