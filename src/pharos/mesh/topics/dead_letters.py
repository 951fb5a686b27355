"""Operations on dead letters: see what could not be handled, deliver it again, give it up."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Final

from pydantic import Field

from pharos.core.call import Call
from pharos.core.event import Position
from pharos.core.fault import NOT_FOUND, Applicability, Fault, Fix
from pharos.core.forms import form
from pharos.core.operation import Decision, Invocation, Reversibility, Written, read, write
from pharos.core.wire import Page, Wire
from pharos.mesh.topics.access import CONSUME, GROUPS, lacking_namespace, namespace_for
from pharos.mesh.topics.groups import GroupName, known_group
from pharos.mesh.topics.messages import Message, message_of
from pharos.mesh.topics.names import place_of
from pharos.store.delivery import DeadLetter, Discard, Redrive
from pharos.store.ports import Store

MOST: Final = 1000
"""Dead letters of one call."""

Numbers = Annotated[list[Annotated[int, Field(ge=1, le=2**63 - 1)]], Field(min_length=1, max_length=MOST)]


class ListDead(GroupName):
    """Input of ``deadletters.list``."""

    limit: int = Field(default=100, ge=1, le=MOST)
    cursor: str | None = Field(default=None, pattern=form(r"^[0-9]{1,18}$", "the `next` of a page"))


class DeadItem(Wire):
    """A message that a group could not handle."""

    number: int
    topic: str
    position: Position
    reason: str
    """A code: what the worker said, ``attempts_exhausted``, or ``worker_died``."""
    detail: str
    attempts: int
    held: bool
    """The topic waits behind it, so that nothing overtakes it."""
    at: datetime


class OneDead(GroupName):
    """Input of ``deadletters.get``."""

    number: int = Field(ge=1, le=2**63 - 1)


class DeadDetail(DeadItem):
    """A message that a group could not handle, with what it says."""

    message: Message


class ChooseDead(GroupName):
    """Input of ``deadletters.redrive`` and ``deadletters.discard``."""

    numbers: Numbers | None = None
    """Left out: all, up to a thousand at once."""


class Redriven(Written):
    """The messages are delivered again."""

    numbers: list[int]
    more: bool
    """There are others still."""


class Discarded(Written):
    """The messages are given up."""

    numbers: list[int]
    more: bool


_about_dead = partial(
    write,
    permission=GROUPS,
    reversibility=Reversibility.NONE,
    inverse=None,
    faults=(NOT_FOUND,),
    lacking=lacking_namespace,
)


class DeadLetterOperations:
    """What is done about messages that could not be handled."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @read("deadletters.list", permission=CONSUME, faults=(NOT_FOUND,))
    async def list_dead(self, invocation: Invocation, input: ListDead) -> Page[DeadItem]:
        """List the messages that a group could not handle, the oldest first, each with the reason."""
        namespace = namespace_for(invocation.principal, input.namespace)
        group = await known_group(self._store.deliveries, namespace, input.group)
        found = await self._store.deliveries.dead(group, int(input.cursor or 0), input.limit + 1)
        page = found[: input.limit]
        more = len(found) > len(page)
        return Page[DeadItem](items=[_item(letter) for letter in page], next=str(page[-1].number) if more else None)

    @read("deadletters.get", permission=CONSUME, faults=(NOT_FOUND,))
    async def get(self, invocation: Invocation, input: OneDead) -> DeadDetail:
        """Look at a message that a group could not handle: what it says, and why it could not be."""
        namespace = namespace_for(invocation.principal, input.namespace)
        group = await known_group(self._store.deliveries, namespace, input.group)
        letter = await self._letter(group, input.number)
        recorded = None if letter is None else await self._store.log.at(letter.topic, letter.position)
        if letter is None or recorded is None:
            raise _no_letter(input.number, input.group, namespace)
        return DeadDetail(**dict(_item(letter)), message=message_of(recorded))

    @_about_dead("deadletters.redrive")
    async def redrive(self, invocation: Invocation, input: ChooseDead) -> Decision[Redriven]:
        """Deliver messages again that could not be handled: those named, or all.

        Of a topic that is held, delivery goes on at the dead letter, in order. Of a topic that went on, the message is
        published to it anew, at its end, with the old one as its causation.
        """
        group, numbers, more = await self._chosen(invocation, input)
        return Decision(
            Redriven(operation=invocation.operation_id, numbers=numbers, more=more),
            commands=(Redrive(group, tuple(numbers)),) if numbers else (),
        )

    @_about_dead("deadletters.discard", destroys=True)
    async def discard(self, invocation: Invocation, input: ChooseDead) -> Decision[Discarded]:
        """Give up messages that could not be handled. A topic that was held because of one goes on after it."""
        group, numbers, more = await self._chosen(invocation, input)
        return Decision(
            Discarded(operation=invocation.operation_id, numbers=numbers, more=more),
            commands=(Discard(group, tuple(numbers)),) if numbers else (),
        )

    async def _chosen(self, invocation: Invocation, input: ChooseDead) -> tuple[str, list[int], bool]:
        """The group, which of its dead letters are meant, and whether there are others. Raises ``NOT_FOUND``."""
        namespace = namespace_for(invocation.principal, input.namespace)
        group = await known_group(self._store.deliveries, namespace, input.group)
        if input.numbers is None:
            found = await self._store.deliveries.dead(group, 0, MOST + 1)
            return group, [letter.number for letter in found[:MOST]], len(found) > MOST
        for number in input.numbers:
            if await self._letter(group, number) is None:
                raise _no_letter(number, input.group, namespace)
        return group, sorted(set(input.numbers)), False

    async def _letter(self, group: str, number: int) -> DeadLetter | None:
        found = await self._store.deliveries.dead(group, number - 1, 1)
        return found[0] if found and found[0].number == number else None


def _item(letter: DeadLetter) -> DeadItem:
    place = place_of(letter.topic)
    return DeadItem(
        number=letter.number,
        topic=letter.topic if place is None else place.name,
        position=letter.position,
        reason=letter.reason,
        detail=letter.detail,
        attempts=letter.attempts,
        held=letter.held,
        at=letter.at,
    )


def _no_letter(number: int, group: str, namespace: str) -> Fault:
    return NOT_FOUND(
        f"The group {group} has no dead letter {number}: it was redriven or discarded, or never was.",
        subject=group,
        pointer="/numbers",
        fixes=[
            Fix(
                id="list",
                title="See the dead letters there are",
                applicability=Applicability.LIKELY,
                call=Call(operation="deadletters.list", arguments={"group": group, "namespace": namespace}),
            )
        ],
    )
