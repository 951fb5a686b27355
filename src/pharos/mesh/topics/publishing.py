"""Operations that publish: messages, requests that wait for an answer, answers."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Final, cast

from pydantic import Field

from pharos.core.call import Call
from pharos.core.event import Event, Position, Recorded
from pharos.core.fault import (
    CONFLICT,
    FORBIDDEN,
    INVALID,
    NOT_FOUND,
    TIMEOUT,
    TOO_LARGE,
    Applicability,
    Fault,
    Fix,
    State,
)
from pharos.core.ids import uuid7
from pharos.core.operation import Decision, Invocation, Reversibility, Written, write
from pharos.core.resource import Name
from pharos.core.wire import Wire
from pharos.mesh.topics.access import PUBLISH, lacking_namespace, namespace_for
from pharos.mesh.topics.depth import hears
from pharos.mesh.topics.faults import NO_RESPONDER, TOPIC_FULL
from pharos.mesh.topics.messages import REQUESTED, Envelope, Message, NewMessage, envelope_of, event_of, message_of
from pharos.mesh.topics.names import REPLIES, Place, TopicName, is_reply
from pharos.mesh.topics.producer import MOST, Publisher
from pharos.store.faults import POSITION_CONFLICT
from pharos.store.ports import Append, Command, Store

MOST_PATIENCE: Final = 120.0
"""Seconds a request waits for its answer; the answer itself is kept longer."""


class Publish(Wire):
    """Input of ``topics.publish``."""

    name: TopicName
    namespace: Name | None = None
    """Left out: the caller's own."""
    messages: list[NewMessage] = Field(min_length=1, max_length=MOST)
    """Published together or not at all, in this order."""
    expected_sequence: int | None = Field(default=None, ge=0, le=2**63 - 1)
    """Publish only if this is the number of the topic's last message (0: it has none): for who decides on what is
    there, or must be the only one who publishes. A call that was carried out is answered again all the same; one of
    which a part was published before is refused."""


class Receipt(Wire):
    """Where a message stands."""

    id: str
    position: Position
    sequence: int
    duplicate: bool = False
    """It was published before under its key (or id and source): this is where. Nothing was published now."""


class Published(Written):
    """The messages are in the topic and survive a crash."""

    items: list[Receipt]


class Request(Wire):
    """Input of ``topics.request``."""

    name: TopicName
    namespace: Name | None = None
    message: NewMessage
    timeout_seconds: float = Field(default=20.0, gt=0, le=MOST_PATIENCE)
    """How long to wait. An answer that comes later is kept all the same."""


class Answered(Written):
    """A request and its answer."""

    request: Receipt
    reply_to: str
    """The topic with the answer."""
    reply: Message | None = None


class Reply(Wire):
    """Input of ``topics.reply``."""

    to: TopicName
    """The request's ``replyTo``."""
    namespace: Name | None = None
    message: NewMessage


class Replied(Written):
    """The answer is kept."""

    receipt: Receipt
    late: bool
    """It came after the deadline: whoever asked does not wait any more, but can read it."""


_publishing = partial(
    write,
    permission=PUBLISH,
    reversibility=Reversibility.NONE,
    inverse=None,
    lacking=lacking_namespace,
    recorded=False,
)


class Publishing:
    """Publishes messages."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher

    @_publishing("topics.publish", typical_ms=3, faults=(TOPIC_FULL, POSITION_CONFLICT, TOO_LARGE, FORBIDDEN, INVALID))
    async def publish(self, invocation: Invocation, input: Publish) -> Decision[Published]:
        """Publish messages to a topic, which comes into being by that.

        All messages of a call are published or none, in their order; a call is about one topic, because only within one
        is that promised on every engine. A message with a `key`, or with `id` and `source`, is published once however
        often it is sent; so are those of a call that is repeated under one idempotency key. Publishing leaves no record
        of an operation: the messages are their own record, and name the call as their causation.
        """
        place = _writable(namespace_for(invocation.principal, input.namespace), input.name)
        now = self._store.deliveries.now()
        events = [
            _attributed(place, envelope_of(message), now, message.subject, invocation) for message in input.messages
        ]
        keyed = [
            (event, _key(message, event, invocation, number))
            for number, (event, message) in enumerate(zip(events, input.messages, strict=True))
        ]

        async def perform() -> Published:
            also = _also(invocation)
            recorded = await self._publisher.append(place.topic, keyed, also, expected=input.expected_sequence)
            receipts = [_receipt(sent, kept) for sent, kept in zip(events, recorded, strict=True)]
            return Published(operation=invocation.operation_id, items=receipts)

        return Decision(Published(operation=invocation.operation_id, items=[]), events=tuple(events), perform=perform)

    @_publishing(
        "topics.request",
        typical_ms=1000,
        faults=(NO_RESPONDER, CONFLICT, TIMEOUT, TOPIC_FULL, TOO_LARGE, FORBIDDEN),
    )
    async def request(self, invocation: Invocation, input: Request) -> Decision[Answered]:
        """Publish a request and wait for its answer.

        The request is a message like any other, with a `deadline` and a `replyTo`; whoever handles it answers with
        `topics.reply`. Request and answer are durable: an answer after the deadline is kept and marked late, and read
        from the topic `replyTo`. Where no group subscribes to the topic, that is said at once. The call can be repeated
        under its idempotency key, and a message with a `key` under that: it then waits for the answer of the first.
        What asks something else under the key of another message is refused.
        """
        place = _writable(namespace_for(invocation.principal, input.namespace), input.name)
        groups = [group.name for group in await self._store.deliveries.groups() if hears(group, place.topic)]
        if not groups:
            raise _no_responder(place)
        envelope = envelope_of(input.message)
        key = _key(input.message, None, invocation, 0)
        now = self._store.deliveries.now()
        deadline = now + timedelta(seconds=input.timeout_seconds)
        answers = Place(place.namespace, f"{REPLIES}{_answers_of(place, key)}")
        envelope["replyTo"] = answers.name
        envelope["deadline"] = deadline.isoformat()
        event = _attributed(place, envelope, now, input.message.subject, invocation)
        mark = Append(_mark(answers, event, deadline), idempotency_key=REQUESTED)

        async def perform() -> Answered:
            (recorded,) = await self._publisher.append(place.topic, [(event, key)], [mark, *_also(invocation)])
            if not _is_same(event, recorded.event):
                raise CONFLICT(
                    "Another message was published under this key: its answer is no answer to this one.",
                    subject=place.name,
                    pointer="/message/key",
                )
            answered = Answered(
                operation=invocation.operation_id, request=_receipt(event, recorded), reply_to=answers.name
            )
            reply = await self._reply(answers, input.timeout_seconds)
            if reply is None:
                raise _unanswered(answered, place.namespace)
            return answered.model_copy(update={"reply": reply})

        answered = Answered(
            operation=invocation.operation_id,
            request=Receipt(id=event.id, position="", sequence=0),
            reply_to=answers.name,
        )
        return Decision(answered, events=(event,), perform=perform)

    async def _reply(self, to: Place, seconds: float) -> Message | None:
        try:
            async with asyncio.timeout(seconds), aclosing(self._store.log.tail(to.topic)) as events:
                async for recorded in events:
                    if recorded.event.type != REQUESTED:
                        return message_of(recorded)
        except TimeoutError:
            pass
        return None

    @_publishing("topics.reply", faults=(NOT_FOUND, INVALID, TOO_LARGE, FORBIDDEN))
    async def reply(self, invocation: Invocation, input: Reply) -> Decision[Replied]:
        """Answer a request.

        The first answer counts: one that is sent again, by the same worker or by another that the request was delivered
        to anew, gets the first one's receipt. An answer after the deadline is kept, and marked late.
        """
        if not is_reply(input.to):
            raise INVALID("Answers go to the `replyTo` of a request.", pointer="/to")
        place = Place(namespace_for(invocation.principal, input.namespace), input.to)
        mark = await self._mark_of(place)
        now = self._store.deliveries.now()
        late = mark is not None and now > datetime.fromisoformat(str(mark.event.data["deadline"]))
        envelope = envelope_of(input.message)
        if late:
            envelope["late"] = True
        event = event_of(
            place,
            envelope,
            now,
            subject=input.message.subject or "",
            principal=invocation.principal.id,
            causation=str(mark.event.data["request"]) if mark is not None else invocation.operation_id,
            correlation=mark.event.correlation if mark is not None else invocation.correlation,
            traceparent=invocation.traceparent,
        )

        async def perform() -> Replied:
            (recorded,) = await self._publisher.append(place.topic, [(event, "reply")], _also(invocation))
            was_late = bool(cast("Envelope", recorded.event.data).get("late", False))
            return Replied(operation=invocation.operation_id, receipt=_receipt(event, recorded), late=was_late)

        expected = Replied(
            operation=invocation.operation_id, receipt=Receipt(id=event.id, position="", sequence=0), late=late
        )
        return Decision(expected, events=(event,), perform=perform)

    async def _mark_of(self, place: Place) -> Recorded | None:
        """What was asked. Raises ``NOT_FOUND`` where nothing was, or the answers were retired."""
        first = await self._store.log.read(place.topic, limit=1)
        if not first or first[0].event.type != REQUESTED:
            raise NOT_FOUND(
                f"There is no request that is answered at {place.name}: it was made up, or its answers were retired.",
                subject=place.name,
                pointer="/to",
            )
        return first[0]


def _writable(namespace: str, name: str) -> Place:
    if is_reply(name):
        raise INVALID("Only answers go to replies/: use topics.reply.", pointer="/name")
    return Place(namespace, name)


def _attributed(place: Place, envelope: Envelope, now: datetime, subject: str | None, invocation: Invocation) -> Event:
    return event_of(
        place,
        envelope,
        now,
        subject=subject or "",
        principal=invocation.principal.id,
        causation=invocation.operation_id,
        correlation=invocation.correlation,
        traceparent=invocation.traceparent,
    )


def _also(invocation: Invocation) -> Sequence[Command]:
    """What is committed with the messages."""
    return cast("Sequence[Command]", invocation.also)


def _key(message: NewMessage, event: Event | None, invocation: Invocation, number: int) -> str | None:
    """Under which key a message is published once. The sorts of keys cannot meet: each has its own beginning."""
    if message.key is not None:
        return f"key {message.key}"
    if message.id is not None and message.source is not None:
        return f"event {message.source} {message.id}"
    if invocation.idempotency_key is not None:
        return f"call {number} {invocation.principal.id} {invocation.idempotency_key}"
    return None


def _receipt(sent: Event, kept: Recorded) -> Receipt:
    id = cast("Envelope", kept.event.data).get("id", kept.event.id)
    return Receipt(id=id, position=kept.position, sequence=kept.sequence, duplicate=kept.event.id != sent.id)


def _is_same(sent: Event, kept: Event) -> bool:
    """Whether what is recorded asks what was sent, perhaps until another time."""
    if sent.id == kept.id:
        return True
    asked, before = ({**event.data, "deadline": None} for event in (sent, kept))
    return asked == before and sent.subject == kept.subject


def _answers_of(place: Place, key: str | None) -> str:
    """Names the place for the answers of a request: the same one if the request is made again under its key."""
    return uuid7() if key is None else hashlib.sha256(f"{place.topic} {key}".encode()).hexdigest()[:32]


def _mark(to: Place, request: Event, deadline: datetime) -> Event:
    return Event(
        topic=to.topic,
        type=REQUESTED,
        data={"request": request.id, "topic": request.topic, "deadline": deadline.isoformat()},
        principal=request.principal,
        correlation=request.correlation,
        causation=request.id,
    )


def _no_responder(place: Place) -> Fault:
    return NO_RESPONDER(
        f"No group subscribes to {place.name}.",
        subject=place.name,
        fixes=[
            Fix(
                id="subscribe",
                title="Subscribe a group, and have it answer",
                applicability=Applicability.TEMPLATE,
                call=Call(
                    operation="groups.subscribe",
                    arguments={"group": "NAME", "topics": place.name, "namespace": place.namespace},
                ),
            )
        ],
    )


def _unanswered(answered: Answered, namespace: str) -> Fault:
    return TIMEOUT(
        "No answer came before the deadline. The request stands: an answer that still comes is kept.",
        state=State.PARTIAL,
        subject=answered.reply_to,
        facts={"replyTo": answered.reply_to, "request": answered.request.position},
        fixes=[
            Fix(
                id="read",
                title="See whether the answer has come",
                applicability=Applicability.LIKELY,
                call=Call(operation="topics.read", arguments={"name": answered.reply_to, "namespace": namespace}),
            )
        ],
    )
