"""Where sessions wait for a worker: each in its pool, and one that is to end where nobody is waited for.

A session ends because it is told to or because its time is over. Neither needs a slot of the pool it works in, which
may have none to give: whoever tells it puts its delivery on the lane for ending in the same commit, and so does the
timer of its last moment when it fires. That lane is for nothing else: what comes on it and does not end goes back to
its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pharos.core.event import Event
from pharos.mesh.scheduling.lanes import DEFAULT_POOL, ENDING_POOL, lane
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session.address import Address
from pharos.runtime.session.deciding.guards import DEADLINE
from pharos.runtime.session.effects import Unwake, Wake
from pharos.runtime.session.events import TIMER_FIRED
from pharos.store.delivery import Lane, Schedule, Unschedule

GROUP: Final = "sessions"
"""The group whose deliveries are the sessions that have something to do."""

ENDING: Final = lane(ENDING_POOL)


def working(address: Address, profile: Profile) -> Lane:
    """Lets a session wait for its turn in the pool of its agent."""
    spec = profile.spec
    place = lane(
        profile.pool or DEFAULT_POOL,
        spec.class_ or "",
        tenant=address.namespace,
        agent=profile.agent,
        model=profile.model,
        labels={"weight": spec.weight_label} if spec.weight_label else {},
    )
    return Lane(GROUP, address.topic, place)


def ending(address: Address) -> Lane:
    """Lets a session end at once, without a slot of the pool it works in."""
    return Lane(GROUP, address.topic, ENDING)


def timers(address: Address, wakes: Iterable[Wake | Unwake]) -> Iterator[Schedule | Unschedule]:
    """The timers that a decision sets and clears, as commands of the store."""
    topic = address.topic
    for wake in wakes:
        id = f"{topic}#{wake.id}"
        if isinstance(wake, Wake):
            lane = ending(address) if wake.id == DEADLINE else None
            yield Schedule(id, wake.due, Event(topic, TIMER_FIRED, {"id": wake.id}, time=wake.due), lane=lane)
        else:
            yield Unschedule(id)
