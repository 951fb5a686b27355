"""Leases as they go over the wire: their holder keeps them and hands them back."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from pharos.core.event import Position
from pharos.core.principal import Principal
from pharos.core.resource import Name
from pharos.core.wire import Wire
from pharos.mesh.topics.access import namespace_for
from pharos.mesh.topics.names import Place, TopicName, group_of, place_of
from pharos.store.delivery import Lease


class LeaseItem(Wire):
    """The right to work on one topic for one group until ``expiresAt``. Hand it back as it is."""

    group: Name
    namespace: Name
    topic: TopicName
    owner: str = Field(max_length=256)
    epoch: int = Field(ge=0, le=2**63 - 1)
    """Grows with each claim: what an older holder commits is refused."""
    cursor: Position = Field(max_length=64)
    """The last message that was acknowledged."""
    attempts: int = Field(ge=0, le=2**63 - 1)
    """How often the message after the cursor was claimed, this time included."""
    expires_at: AwareDatetime


def item_of(lease: Lease) -> LeaseItem:
    """The lease of a user's group on a user's topic, for its holder."""
    place = place_of(lease.topic)
    group = place_of(lease.group)
    assert place is not None and group is not None, "users' groups hear of users' topics"
    return LeaseItem(
        group=group.name,
        namespace=group.namespace,
        topic=place.name,
        owner=lease.owner,
        epoch=lease.epoch,
        cursor=lease.cursor,
        attempts=lease.attempts,
        expires_at=lease.expires_at,
    )


def lease_of(item: LeaseItem, principal: Principal) -> Lease:
    """What a caller hands back, within what they may touch. Raises ``FORBIDDEN``.

    It is not trusted: the store holds it against the delivery's own record.
    """
    namespace = namespace_for(principal, item.namespace)
    return Lease(
        group=group_of(namespace, item.group),
        topic=Place(namespace, item.topic).topic,
        owner=item.owner,
        epoch=item.epoch,
        cursor=item.cursor,
        attempts=item.attempts,
        expires_at=item.expires_at,
    )
