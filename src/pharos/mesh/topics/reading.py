"""Operations that read topics: replay, follow, list, look at one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Final

from pydantic import Field, model_validator

from pharos.core.call import Call
from pharos.core.event import START, Position
from pharos.core.fault import NOT_FOUND, Applicability, Fault, Fix
from pharos.core.forms import form
from pharos.core.operation import Decision, Invocation, Reversibility, Written, read, write
from pharos.core.principal import Principal
from pharos.core.resource import Name
from pharos.core.wire import Page, Wire
from pharos.mesh.topics.access import LOGS, MANAGE, READ, lacking_namespace, namespace_for, require
from pharos.mesh.topics.depth import hears
from pharos.mesh.topics.faults import TOPIC_BUSY
from pharos.mesh.topics.messages import Message, message_of
from pharos.mesh.topics.names import LONGEST, TOPICS, Place, TopicName, place_of
from pharos.mesh.topics.policies import Policies
from pharos.store.delivery import Delivery, Retire, State
from pharos.store.faults import GONE
from pharos.store.ports import Log, Store

LONGEST_LOG: Final = 512


class Which(Wire):
    """Names a topic: one of a namespace by its ``name``, or one of the city itself by its name in the ``log``."""

    name: TopicName | None = None
    namespace: Name | None = None
    """Left out: the caller's own."""
    log: str | None = Field(default=None, min_length=1, max_length=LONGEST_LOG)
    """Such as ``catalog`` or ``operations/…``: needs the permission ``logs.read``."""

    @model_validator(mode="after")
    def _one(self) -> Which:
        if (self.name is None) is (self.log is None):
            raise ValueError("give either name or log")
        return self


class ReadTopic(Which):
    """Input of ``topics.read``."""

    after: Position = Field(default=START, max_length=64)
    """Position after which to begin; left out: the first message there is."""
    limit: int = Field(default=100, ge=1, le=1000)


class TailTopic(Which):
    """Input of ``topics.tail``."""

    after: Position | None = Field(default=None, max_length=64)
    """Position after which to begin, as in ``Last-Event-ID``; empty: the first message there is; left out: now."""


class ListTopics(Wire):
    """Input of ``topics.list``."""

    prefix: str = Field(
        default="",
        max_length=LONGEST,
        pattern=form(r"^[A-Za-z0-9._~:@=+/-]*$", "the beginning of a topic's name, such as orders/"),
    )
    """What the names begin with."""
    namespace: Name | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=LONGEST)


class Named(Wire):
    """Names a topic of a namespace."""

    name: TopicName
    namespace: Name | None = None


class TopicItem(Wire):
    """A topic."""

    name: str
    namespace: str
    sequence: int
    """Number of the last message: so many were published in this generation of the topic."""
    last: Position
    """Where the last message stands."""
    generation: int
    """How many topics of this name there were, with it."""


class Reader(Wire):
    """How a group stands in a topic."""

    group: str
    state: State
    cursor: Position
    """The last message that was acknowledged."""
    behind: int
    """Messages after it."""
    attempts: int
    owner: str | None = None
    lane: str | None = None
    until: datetime | None = None


class Grave(Wire):
    """What is left of a topic that was retired."""

    generation: int
    reason: str
    last: Position
    at: datetime


class TopicDetail(TopicItem):
    """A topic and who reads it."""

    earliest: Position | None = None
    """The first message there is; ``null``: none is left."""
    readers: list[Reader]
    rules: str | None = None
    """The ``Topic`` resource whose rules hold."""
    before: Grave | None = None
    """The last topic of this name, if it was retired."""


class RetireTopic(Named):
    """Input of ``topics.retire``."""

    unread: bool = False
    """Also if a group has not seen everything, or someone works on it."""
    reason: str = Field(default="retired", min_length=1, max_length=200)


class Retired(Written):
    """The topic is gone; readers with an older position are told so."""

    name: str
    namespace: str


class TopicReads:
    """Reads topics, and retires them."""

    def __init__(self, store: Store, policies: Policies) -> None:
        self._store = store
        self._policies = policies

    @read("topics.read", permission=READ, faults=(GONE, NOT_FOUND))
    async def read_topic(self, invocation: Invocation, input: ReadTopic) -> Page[Message]:
        """Read messages of a topic, from any position on.

        Any position that was ever given out can be continued from, as long as nothing behind it was removed; else the
        fault `GONE` names the earliest message there is. The same position always reads the same messages.
        """
        topic = _topic(invocation.principal, input)
        try:
            await _known(self._store.log, topic, input.after)
            found = await self._store.log.read(topic, input.after, input.limit + 1)
        except Fault as fault:
            raise await self._explained(fault, "topics.read", topic, input) from None
        page = found[: input.limit]
        return Page[Message](
            items=[message_of(recorded) for recorded in page],
            next=page[-1].position if len(found) > len(page) else None,
        )

    @read("topics.tail", permission=READ, faults=(GONE,))
    async def tail(self, invocation: Invocation, input: TailTopic) -> AsyncIterator[Message]:
        """Follow a topic: each message as it is published.

        A stream without end. Each message's position is the id of its event: a client that reconnects with it as
        `Last-Event-ID` misses nothing and sees nothing twice. A reader that is slower than the writers is served from
        the disk, so it neither holds them up nor fills the memory. The topic need not exist yet.
        """
        topic = _topic(invocation.principal, input)
        log = self._store.log
        try:
            after = input.after
            if after is None:
                # Its own last message, not the head of the log: that is another topic's, and nothing to continue from.
                known = await log.topic(topic)
                after = START if known is None else known.last
            else:
                await _known(log, topic, after)
            async with aclosing(log.tail(topic, after)) as events:
                async for recorded in events:
                    yield message_of(recorded)
        except Fault as fault:
            raise await self._explained(fault, "topics.tail", topic, input) from None

    async def _explained(self, fault: Fault, operation: str, topic: str, input: ReadTopic | TailTopic) -> Fault:
        """``GONE`` with why, and with the call that begins with the earliest message there is."""
        if fault.code != GONE.code:
            return fault
        arguments = input.model_dump(mode="json", by_alias=True, exclude_none=True) | {"after": START}
        fix = Fix(
            id="earliest",
            title="Read from the earliest message there is",
            applicability=Applicability.LIKELY,
            call=Call(operation=operation, arguments=arguments),
            effect="What was removed is skipped, knowingly.",
        )
        facts = {**fault.document.facts}
        grave = await self._store.deliveries.tombstone(topic)
        if grave is not None:
            facts["retired"] = grave.reason
        return fault.amended(
            lambda document: document.model_copy(update={"fixes": [fix], "pointer": "/after", "facts": facts})
        )

    @read("topics.list", permission=READ)
    async def list_topics(self, invocation: Invocation, input: ListTopics) -> Page[TopicItem]:
        """List the topics of a namespace by name."""
        root = f"{TOPICS}{namespace_for(invocation.principal, input.namespace)}/"
        after = None if input.cursor is None else f"{root}{input.cursor}"
        topics, more = await self._store.log.topics(f"{root}{input.prefix}", after, input.limit)
        items = []
        for topic in topics:
            place = place_of(topic.name)
            assert place is not None, "the prefix is that of users' topics"
            items.append(
                TopicItem(
                    name=place.name,
                    namespace=place.namespace,
                    sequence=topic.sequence,
                    last=topic.last,
                    generation=topic.generation,
                )
            )
        return Page[TopicItem](items=items, next=None if more is None else more.removeprefix(root))

    @read("topics.get", permission=READ, faults=(NOT_FOUND,))
    async def get(self, invocation: Invocation, input: Named) -> TopicDetail:
        """Look at one topic: how far it goes, who reads it and how far they are, which rules hold."""
        place = Place(namespace_for(invocation.principal, input.namespace), input.name)
        topic = await self._store.log.topic(place.topic)
        grave = await self._store.deliveries.tombstone(place.topic)
        if topic is None:
            raise _missing(place, None if grave is None else grave.reason)
        first = await self._store.log.read(place.topic, START, 1)
        return TopicDetail(
            name=place.name,
            namespace=place.namespace,
            sequence=topic.sequence,
            last=topic.last,
            generation=topic.generation,
            earliest=first[0].position if first else None,
            readers=await self._readers(place),
            rules=self._policies.of(place.topic).origin or None,
            before=None
            if grave is None
            else Grave(generation=grave.generation, reason=grave.reason, last=grave.last, at=grave.at),
        )

    async def _needed(self, place: Place) -> bool:
        """Whether someone works on a topic, or has something to handle in it. The store looks again, for good."""
        if any(reader.behind or reader.state == "leased" for reader in await self._readers(place)):
            return True
        for group in await self._store.deliveries.groups():
            after = 0
            while hears(group, place.topic) and (letters := await self._store.deliveries.dead(group.name, after)):
                if any(letter.topic == place.topic for letter in letters):
                    return True
                after = letters[-1].number
        return False

    async def _readers(self, place: Place) -> list[Reader]:
        readers = []
        for group in await self._store.deliveries.groups():
            if not hears(group, place.topic):
                continue
            delivery = await self._store.deliveries.get(group.name, place.topic)
            if delivery is None:
                continue
            readers.append(reader_of(delivery, group.name.removeprefix(f"{TOPICS}{place.namespace}/")))
        return readers

    @write(
        "topics.retire",
        permission=MANAGE,
        destroys=True,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(NOT_FOUND, TOPIC_BUSY),
        lacking=lacking_namespace,
    )
    async def retire(self, invocation: Invocation, input: RetireTopic) -> Decision[Retired]:
        """Remove a topic with everything in it, and leave a tombstone that tells late readers why.

        Refused while someone works on it or a group has not seen everything, unless `unread`. Publishing to the name
        afterwards begins a new topic, whose positions have nothing to do with the old one's.
        """
        place = Place(namespace_for(invocation.principal, input.namespace), input.name)
        if await self._store.log.topic(place.topic) is None:
            raise _missing(place, None)

        if not input.unread and await self._needed(place):
            raise _busy(place, input)
        return Decision(
            Retired(operation=invocation.operation_id, name=place.name, namespace=place.namespace),
            # Where someone has come to need it since, nothing is committed, and it is decided anew.
            commands=(Retire(place.topic, input.reason, unread=input.unread, insist=True),),
        )


def reader_of(delivery: Delivery, group: str) -> Reader:
    """A delivery as its readers are shown; ``group`` by the name that they know."""
    return Reader(
        group=group,
        state=delivery.state,
        cursor=delivery.cursor,
        behind=delivery.behind,
        attempts=delivery.attempts,
        owner=delivery.owner or None,
        lane=delivery.lane or None,
        until=delivery.until,
    )


def _topic(principal: Principal, which: Which) -> str:
    """The topic's name in the log, if the caller may read it. Raises ``FORBIDDEN``."""
    if which.name is not None:
        return Place(namespace_for(principal, which.namespace), which.name).topic
    log = which.log or ""
    place = place_of(log)
    if place is not None:
        # Said by its name in the log, a user's topic is as much its namespace's as by its own.
        namespace_for(principal, place.namespace)
    else:
        require(principal, LOGS, f"Reading the topic {log[:LONGEST]!r}")
    return log


async def _known(log: Log, topic: str, after: Position) -> None:
    """Raise ``GONE`` for a position that this log never gave out, such as one of a log that was lost."""
    if after and after > await log.head():
        await log.read(topic, after, 1)  # what never was a position is refused as such
        first = await log.read(topic, START, 1)
        earliest = first[0].position if first else None
        raise GONE(
            "The position is of another log.",
            facts={"topic": topic, "earliest": earliest, "reason": "unknown position"},
        )


def _missing(place: Place, reason: str | None) -> Fault:
    retired = "" if reason is None else f" It was retired: {reason}."
    return NOT_FOUND(
        f"There is no topic {place.name} in the namespace {place.namespace}.{retired}",
        subject=place.name,
        fixes=[
            Fix(
                id="list",
                title="See the topics there are",
                applicability=Applicability.LIKELY,
                call=Call(operation="topics.list", arguments={"namespace": place.namespace}),
            )
        ],
    )


def _busy(place: Place, input: RetireTopic) -> Fault:
    arguments = input.model_dump(mode="json", by_alias=True, exclude_none=True) | {"unread": True}
    return TOPIC_BUSY(
        subject=place.name,
        fixes=[
            Fix(
                id="look",
                title="See who has not read it",
                applicability=Applicability.LIKELY,
                call=Call(operation="topics.get", arguments={"name": place.name, "namespace": place.namespace}),
            ),
            Fix(
                id="unread",
                title="Remove it with what nobody has read",
                applicability=Applicability.LIKELY,
                call=Call(operation="topics.retire", arguments=arguments),
                effect="What was not read is lost.",
            ),
        ],
    )
