"""Operations on groups: who hears of which topics, and how far each is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

from pydantic import AwareDatetime, Field

from pharos.core.call import Call
from pharos.core.fault import CONFLICT, NOT_FOUND, Applicability, Fault, Fix
from pharos.core.operation import Decision, Invocation, Reversibility, Written, read, write
from pharos.core.resource import Name
from pharos.core.wire import Page, Wire
from pharos.mesh.topics.access import CONSUME, GROUPS, lacking_namespace, namespace_for
from pharos.mesh.topics.names import LONGEST, TOPICS, Place, TopicName, TopicPattern, group_of, pattern_of, reach_of
from pharos.mesh.topics.reading import Reader, reader_of
from pharos.store.delivery import Deliveries, Group, State, Subscribe, Suspend, Unsubscribe
from pharos.store.ports import Store

_PAST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class GroupName(Wire):
    """Names a group of a namespace."""

    group: Name
    namespace: Name | None = None
    """Left out: the caller's own."""


class SubscribeGroup(GroupName):
    """Input of ``groups.subscribe``."""

    topics: TopicPattern
    """``orders``, ``orders/*`` for all below it, or ``*`` for all of the namespace."""
    backlog: bool = True
    """Whether what is in the topics already is delivered too; else only what comes from now on."""


class Subscribed(Written):
    """The group hears of its topics."""

    group: str
    namespace: str
    topics: str
    created: bool
    """It is new; else it was there, and stays as it was."""


class RemovedGroup(Written):
    """The group is gone, with where it stood."""

    group: str
    namespace: str


class ListGroups(Wire):
    """Input of ``groups.list``."""

    namespace: Name | None = None


class GroupItem(Wire):
    """A group."""

    group: str
    namespace: str
    topics: str
    refused: int
    """Commits of workers that had lost their lease, since the city started."""


class ListDeliveries(GroupName):
    """Input of ``groups.deliveries``."""

    state: State | None = None
    """Only these; left out: all that are not idle."""
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=LONGEST)


class DeliveryItem(Reader):
    """Where a group stands in a topic."""

    topic: str


class SuspendDelivery(GroupName):
    """Input of ``groups.suspend``."""

    topic: TopicName
    until: AwareDatetime | None = None
    """Left out: until ``groups.resume``."""


class ResumeDelivery(GroupName):
    """Input of ``groups.resume``."""

    topic: TopicName


class Suspended(Written):
    """One topic rests for the group; all others go on."""

    group: str
    namespace: str
    topic: str
    until: datetime | None = None


class Resumed(Written):
    """The topic is delivered again."""

    group: str
    namespace: str
    topic: str


_taken_back_by = partial(write, permission=GROUPS, reversibility=Reversibility.COMPENSATING, lacking=lacking_namespace)
"""A write whose ``inverse`` undoes it."""


class GroupOperations:
    """Groups as wholes. ``changed`` is called when there is another group."""

    def __init__(self, store: Store, changed: Callable[[], None]) -> None:
        self._store = store
        self._changed = changed

    @_taken_back_by("groups.subscribe", inverse="groups.remove", faults=(CONFLICT,))
    async def subscribe(self, invocation: Invocation, input: SubscribeGroup) -> Decision[Subscribed]:
        """Have a group hear of topics: of one, of all below a name, or of all in the namespace.

        Each group gets every message, whatever other groups do; its members share the topics, one at a time on each.
        Topics that come into being later are heard of as well. Subscribing again changes nothing; what a group hears of
        never changes, make another group instead.
        """
        namespace = namespace_for(invocation.principal, input.namespace)
        name = group_of(namespace, input.group)
        known = await find_group(self._store.deliveries, name)
        reach = reach_of(namespace, input.topics)
        if known is not None and (known.prefix, known.exact) != reach:
            present = pattern_of(namespace, known.prefix, known.exact)
            raise CONFLICT(
                f"The group {input.group} hears of {present}, and that never changes. Make another group.",
                subject=input.group,
                facts={"topics": present},
            )
        output = Subscribed(
            operation=invocation.operation_id,
            group=input.group,
            namespace=namespace,
            topics=input.topics,
            created=known is None,
        )
        inverse = Call(operation="groups.remove", arguments={"group": input.group, "namespace": namespace})

        def conclude(_results: object) -> Subscribed:
            self._changed()
            return output

        return Decision(
            output,
            commands=(Subscribe(name, reach.prefix, input.backlog, reach.exact),),
            conclude=conclude,
            inverse=inverse if known is None else None,
            reversibility=None if known is None else Reversibility.NONE,
        )

    @write(
        "groups.remove",
        permission=GROUPS,
        destroys=True,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(NOT_FOUND,),
        lacking=lacking_namespace,
    )
    async def remove(self, invocation: Invocation, input: GroupName) -> Decision[RemovedGroup]:
        """Remove a group: where it stood and its dead letters are forgotten, its workers lose their leases."""
        namespace = namespace_for(invocation.principal, input.namespace)
        name = await known_group(self._store.deliveries, namespace, input.group)
        return Decision(
            RemovedGroup(operation=invocation.operation_id, group=input.group, namespace=namespace),
            commands=(Unsubscribe(name),),
        )

    @read("groups.list", permission=CONSUME)
    async def list_groups(self, invocation: Invocation, input: ListGroups) -> Page[GroupItem]:
        """List the groups of a namespace."""
        namespace = namespace_for(invocation.principal, input.namespace)
        root = f"{TOPICS}{namespace}/"
        items = [
            GroupItem(
                group=group.name.removeprefix(root),
                namespace=namespace,
                topics=pattern_of(namespace, group.prefix, group.exact),
                refused=group.refused,
            )
            for group in await self._store.deliveries.groups()
            if group.name.startswith(root)
        ]
        return Page[GroupItem](items=items)

    @read("groups.deliveries", permission=CONSUME, faults=(NOT_FOUND,))
    async def deliveries(self, invocation: Invocation, input: ListDeliveries) -> Page[DeliveryItem]:
        """List where a group stands in its topics: what waits, who works on what, what is delayed or held."""
        namespace = namespace_for(invocation.principal, input.namespace)
        root = f"{TOPICS}{namespace}/"
        name = await known_group(self._store.deliveries, namespace, input.group)
        after = None if input.cursor is None else f"{root}{input.cursor}"
        found, more = await self._store.deliveries.list(name, input.state, after, input.limit)
        items = [
            DeliveryItem(topic=delivery.topic.removeprefix(root), **dict(reader_of(delivery, input.group)))
            for delivery in found
        ]
        return Page[DeliveryItem](items=items, next=None if more is None else more.removeprefix(root))

    @_taken_back_by("groups.suspend", inverse="groups.resume", faults=(NOT_FOUND,))
    async def suspend(self, invocation: Invocation, input: SuspendDelivery) -> Decision[Suspended]:
        """Let one topic rest for a group, for a while or until it is resumed. All other topics go on.

        Who works on it at the moment may end that.
        """
        namespace = namespace_for(invocation.principal, input.namespace)
        name = await known_group(self._store.deliveries, namespace, input.group)
        place = Place(namespace, input.topic)
        output = Suspended(
            operation=invocation.operation_id,
            group=input.group,
            namespace=namespace,
            topic=input.topic,
            until=input.until,
        )
        address = {"group": input.group, "topic": input.topic, "namespace": namespace}
        return Decision(
            output,
            commands=(Suspend(name, place.topic, input.until),),
            inverse=Call(operation="groups.resume", arguments={**address}),
        )

    @_taken_back_by("groups.resume", inverse="groups.suspend", faults=(NOT_FOUND,))
    async def resume(self, invocation: Invocation, input: ResumeDelivery) -> Decision[Resumed]:
        """Deliver a suspended topic again."""
        namespace = namespace_for(invocation.principal, input.namespace)
        name = await known_group(self._store.deliveries, namespace, input.group)
        address = {"group": input.group, "topic": input.topic, "namespace": namespace}
        output = Resumed(operation=invocation.operation_id, group=input.group, namespace=namespace, topic=input.topic)
        return Decision(
            output,
            commands=(Suspend(name, Place(namespace, input.topic).topic, _PAST),),
            inverse=Call(operation="groups.suspend", arguments={**address}),
        )


async def find_group(deliveries: Deliveries, name: str) -> Group | None:
    """A group by the name the store knows it by."""
    return next((group for group in await deliveries.groups() if group.name == name), None)


async def known_group(deliveries: Deliveries, namespace: str, group: str) -> str:
    """The name by which the store knows a user's group. Raises ``NOT_FOUND``."""
    name = group_of(namespace, group)
    if await find_group(deliveries, name) is None:
        raise no_group(namespace, group)
    return name


def no_group(namespace: str, group: str) -> Fault:
    """``NOT_FOUND`` for a group."""
    return NOT_FOUND(
        f"There is no group {group} in the namespace {namespace}.",
        subject=group,
        fixes=[
            Fix(
                id="subscribe",
                title="Make the group",
                applicability=Applicability.TEMPLATE,
                call=Call(
                    operation="groups.subscribe",
                    arguments={"group": group, "namespace": namespace, "topics": "NAME"},
                ),
            ),
            Fix(
                id="list",
                title="See the groups there are",
                applicability=Applicability.LIKELY,
                call=Call(operation="groups.list", arguments={"namespace": namespace}),
            ),
        ],
    )
