"""Operations of workers: claim a topic, renew, acknowledge, fail, give back. For workers in other processes.

They are called for every message, so none is recorded as an operation; the delivery itself is the record.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from pharos.core.event import Position
from pharos.core.fault import INVALID, NOT_FOUND, Fault, Problem
from pharos.core.forms import WORD
from pharos.core.operation import Decision, Invocation, Reversibility, Written, write
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject, Wire
from pharos.mesh.topics.access import CONSUME, CROSS, lacking_namespace, namespace_for
from pharos.mesh.topics.backoff import backoff
from pharos.mesh.topics.consumer import LONGEST_DETAIL
from pharos.mesh.topics.groups import GroupName, known_group
from pharos.mesh.topics.leases import LeaseItem, item_of, lease_of
from pharos.mesh.topics.messages import Message, message_of
from pharos.mesh.topics.names import Place, TopicName
from pharos.mesh.topics.policies import Policies
from pharos.store.delivery import Acknowledge, Bury, Claim, Lease, Release, Renew
from pharos.store.faults import LEASE_LOST
from pharos.store.ports import Store

SECONDS: Final = 30.0
LONGEST_LEASE: Final = 12 * 3600.0
LONGEST_WAIT: Final = 25.0
"""Seconds: within what clients wait for an answer unless they are told otherwise."""
SWEEP: Final = 5.0
"""Seconds after which a waiting claim looks for work although nobody woke it."""

Seconds = Annotated[float, Field(ge=1, le=LONGEST_LEASE)]
Reason = Annotated[str, StringConstraints(pattern=WORD)]
"""A code in lower case, such as ``malformed`` or ``no_such_customer``."""


class ClaimTopic(GroupName):
    """Input of ``groups.claim``."""

    owner: str = Field(default="", max_length=200)
    """Who works, for those who look; left out: the caller."""
    lease_seconds: Seconds = SECONDS
    limit: int = Field(default=10, ge=1, le=1000)
    """Messages to return with the lease. There may be more after them."""
    wait_seconds: float = Field(default=0.0, ge=0, le=LONGEST_WAIT)
    """How long to wait for work where there is none."""
    topic: TopicName | None = None
    """Only this one."""


class Claimed(Written):
    """A topic to work on."""

    lease: LeaseItem | None = None
    """Left out: there is nothing to do."""
    messages: list[Message] = Field(default_factory=list)
    """What comes after the lease's cursor, in order."""


class RenewLease(Wire):
    """Input of ``groups.renew``."""

    lease: LeaseItem
    lease_seconds: Seconds = SECONDS
    """From now."""


class AcknowledgeMessages(Wire):
    """Input of ``groups.acknowledge``."""

    lease: LeaseItem
    position: Position = Field(min_length=1, max_length=64)
    """Of the last message that is done: all up to it are."""
    keep: bool = False
    """Go on with the lease; else it is given back."""


class ReleaseLease(Wire):
    """Input of ``groups.release``."""

    lease: LeaseItem
    delay_seconds: float = Field(default=0.0, ge=0, le=24 * 3600)
    """The topic is ready again after so long."""


class FailMessage(Wire):
    """Input of ``groups.fail``."""

    lease: LeaseItem
    reason: Reason
    detail: str = Field(default="", max_length=LONGEST_DETAIL)
    """More about why, for people."""
    retry: bool = True
    """Whether another attempt may help; else the message becomes a dead letter at once."""
    delay_seconds: float | None = Field(default=None, ge=0, le=24 * 3600)
    """Before the next attempt; left out: as the topic's rules say."""


class Renewed(Written):
    """The lease as it is now; ``null`` where it was given back."""

    lease: LeaseItem | None = None


class Released(Written):
    """The topic is free for others."""


class Failed(Written):
    """What becomes of the message."""

    attempts: int
    dead_letter: int | None = None
    """Its number among the dead letters, where it became one."""
    again_at: datetime | None = None
    """When it comes again, where it does."""


def lacking_lease(_owner: object, principal: Principal, arguments: JsonObject) -> str | None:
    """What a caller lacks for a call with a lease."""
    lease = arguments.get("lease")
    namespace = lease.get("namespace") if isinstance(lease, dict) else None
    return None if namespace == principal.namespace or principal.may(CROSS) else CROSS


_under_lease = partial(
    write,
    permission=CONSUME,
    reversibility=Reversibility.NONE,
    inverse=None,
    typical_ms=2,
    lacking=lacking_lease,
    recorded=False,
)
"""A write by who holds a lease."""


class Working:
    """What workers call."""

    def __init__(self, store: Store, policies: Policies) -> None:
        self._store = store
        self._policies = policies

    @write(
        "groups.claim",
        permission=CONSUME,
        reversibility=Reversibility.NONE,
        inverse=None,
        typical_ms=3,
        faults=(NOT_FOUND,),
        lacking=lacking_namespace,
        recorded=False,
    )
    async def claim(self, invocation: Invocation, input: ClaimTopic) -> Decision[Claimed]:
        """Take a topic to work on, with its next messages.

        The lease ends by itself unless it is renewed; then another worker may take the topic, and what this one still
        acknowledges is refused with `LEASE_LOST`. So the messages of a topic are handled in order, by one worker at a
        time, each at least once.
        """
        namespace = namespace_for(invocation.principal, input.namespace)
        group = await known_group(self._store.deliveries, namespace, input.group)
        owner = input.owner or invocation.principal.id
        topic = None if input.topic is None else Place(namespace, input.topic).topic
        command = Claim(group, owner, input.lease_seconds, None, topic)

        async def perform() -> Claimed:
            lease = await self._claimed(command, input.wait_seconds)
            if lease is None:
                return Claimed(operation=invocation.operation_id)
            messages = await self._store.log.read(lease.topic, lease.cursor, input.limit)
            return Claimed(
                operation=invocation.operation_id,
                lease=item_of(lease),
                messages=[message_of(recorded) for recorded in messages],
            )

        return Decision(Claimed(operation=invocation.operation_id), perform=perform)

    async def _claimed(self, command: Claim, seconds: float) -> Lease | None:
        """A lease, as soon as there is one; ``None`` after so many seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            (lease,) = await self._store.commit(command)
            if isinstance(lease, Lease):
                return lease
            left = deadline - loop.time()
            if left <= 0:
                return None
            try:
                async with asyncio.timeout(min(left, SWEEP)):
                    await self._store.deliveries.claimable(command.group)
            except TimeoutError:
                continue

    @_under_lease("groups.renew", faults=(LEASE_LOST,))
    async def renew(self, invocation: Invocation, input: RenewLease) -> Decision[Renewed]:
        """Keep a lease for longer. Do it well before it ends: a third of its time is usual."""
        lease = lease_of(input.lease, invocation.principal)

        async def perform() -> Renewed:
            (renewed,) = await self._store.commit(Renew(lease, input.lease_seconds))
            return Renewed(operation=invocation.operation_id, lease=_item(renewed))

        return Decision(Renewed(operation=invocation.operation_id, lease=input.lease), perform=perform)

    @_under_lease("groups.acknowledge", faults=(LEASE_LOST, INVALID))
    async def acknowledge(self, invocation: Invocation, input: AcknowledgeMessages) -> Decision[Renewed]:
        """Say that all messages up to a position are done. They are not delivered to the group again.

        With `keep` the work goes on under the same lease. Acknowledging the same again changes nothing.
        """
        lease = lease_of(input.lease, invocation.principal)

        async def perform() -> Renewed:
            await self._require_message(lease.topic, input.position)
            try:
                (kept,) = await self._store.commit(Acknowledge(lease, input.position, input.keep))
            except Fault as fault:
                if fault.code != LEASE_LOST.code or not await self._is_done(lease, input):
                    raise
                kept = None
            return Renewed(operation=invocation.operation_id, lease=_item(kept))

        return Decision(Renewed(operation=invocation.operation_id), perform=perform)

    async def _require_message(self, topic: str, position: Position) -> None:
        """Raise ``INVALID`` where no message of the topic stands, or has stood, at a position: behind that of another
        topic there may be messages of this one that nobody has seen."""
        log = self._store.log
        if await log.at(topic, position) is not None:
            return
        known = await log.topic(topic)
        if known is not None and position > known.trimmed:
            problem = "No message of the lease's topic stands there."
            raise INVALID(problem, problems=[Problem(pointer="/position", message=problem)], pointer="/position")

    async def _is_done(self, lease: Lease, input: AcknowledgeMessages) -> bool:
        """Whether this very lease was given back with this acknowledgement: the call is repeated."""
        delivery = await self._store.deliveries.get(lease.group, lease.topic)
        given_back = delivery is not None and delivery.epoch == lease.epoch and not delivery.owner
        return given_back and not input.keep and delivery is not None and delivery.cursor >= input.position

    @_under_lease("groups.release", faults=(LEASE_LOST,))
    async def release(self, invocation: Invocation, input: ReleaseLease) -> Decision[Released]:
        """Give a lease back with the work not done, through no fault of the message: no attempt is counted."""
        lease = lease_of(input.lease, invocation.principal)

        async def perform() -> Released:
            await self._store.commit(Release(lease, input.delay_seconds, attempted=False))
            return Released(operation=invocation.operation_id)

        return Decision(Released(operation=invocation.operation_id), perform=perform)

    @_under_lease("groups.fail", faults=(LEASE_LOST,))
    async def fail(self, invocation: Invocation, input: FailMessage) -> Decision[Failed]:
        """Say that the message after the cursor could not be handled, and give the lease back.

        It comes again after a growing delay; after the last attempt that the topic's rules allow, or without `retry`,
        it becomes a dead letter with the reason. Acknowledge first what was done before it.
        """
        lease = lease_of(input.lease, invocation.principal)
        rules = self._policies.of(lease.topic).dead_letters
        # Not as the worker says: whoever counts for themselves has a message come for ever.
        delivery = await self._store.deliveries.get(lease.group, lease.topic)
        attempts = max(lease.attempts if delivery is None else delivery.attempts, 1)
        buried = not input.retry or attempts >= rules.max_attempts
        delay = backoff(rules, attempts) if input.delay_seconds is None else input.delay_seconds

        async def perform() -> Failed:
            if buried:
                (number,) = await self._store.commit(Bury(lease, input.reason, input.detail, rules.then == "hold"))
                return Failed(
                    operation=invocation.operation_id,
                    attempts=attempts,
                    dead_letter=number if isinstance(number, int) else None,
                )
            await self._store.commit(Release(lease, delay))
            again_at = self._store.deliveries.now() + timedelta(seconds=delay)
            return Failed(operation=invocation.operation_id, attempts=attempts, again_at=again_at)

        return Decision(Failed(operation=invocation.operation_id, attempts=attempts), perform=perform)


def _item(result: object) -> LeaseItem | None:
    return item_of(result) if isinstance(result, Lease) else None
