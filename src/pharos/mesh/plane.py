"""What the mesh brings to the city: topics and the groups that work on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pharos.core.call import Invoke
from pharos.core.operation import operations_of
from pharos.core.plane import Plane, Series
from pharos.core.resource import AnyResource, Resource, ResourceId
from pharos.mesh.topics import faults
from pharos.mesh.topics.dead_letters import DeadLetterOperations
from pharos.mesh.topics.firing import Firing
from pharos.mesh.topics.groups import GroupOperations
from pharos.mesh.topics.http import CloudEventsFace, Identify
from pharos.mesh.topics.keeping import Keeping
from pharos.mesh.topics.kinds import SCHEDULE, TOPIC, ScheduleSpec, TopicSpec
from pharos.mesh.topics.policies import Policies
from pharos.mesh.topics.producer import Cite, Publisher, unchanged
from pharos.mesh.topics.publishing import Publishing
from pharos.mesh.topics.reading import TopicReads
from pharos.mesh.topics.schedules import ScheduleOperations
from pharos.mesh.topics.working import Working
from pharos.store.ports import Store

Told = Callable[[ResourceId, AnyResource | None], None]


@dataclass(frozen=True, slots=True)
class Declared:
    """What the mesh needs of resources. ``subscribe`` has a callback told of each change in the call that makes it."""

    topics: Callable[[], Sequence[Resource[TopicSpec]]]
    schedules: Callable[[], Sequence[Resource[ScheduleSpec]]]
    subscribe: Callable[[Told], object]


class Mesh:
    """The parts of the mesh that others in the process use: the rules of topics, and the one publisher."""

    def __init__(self, store: Store, declared: Declared, cite: Cite = unchanged) -> None:
        self.policies = Policies(declared.topics)
        self.cite = cite
        self.publisher = Publisher(store, self.policies, cite)
        self.firing = Firing(store, declared.schedules)
        self.keeping = Keeping(store, self.policies)
        declared.subscribe(self._changed)

    def _changed(self, id: ResourceId, _resource: AnyResource | None) -> None:
        if id.kind == TOPIC.name:
            self.policies.changed()
            self.publisher.changed()
            self.keeping.changed()
        elif id.kind == SCHEDULE.name:
            self.firing.changed()


def mesh_plane(store: Store, mesh: Mesh, invoke: Invoke, identify: Identify) -> Plane:
    """Topics, groups, dead letters, schedules, and CloudEvents over HTTP."""
    owners = (
        Publishing(store, mesh.publisher),
        TopicReads(store, mesh.policies),
        GroupOperations(store, mesh.publisher.changed),
        Working(store, mesh.policies),
        DeadLetterOperations(store),
        ScheduleOperations(store, mesh.cite),
    )
    return Plane(
        name="mesh",
        summary="Durable topics: publish, replay and follow; groups with leases; dead letters; schedules; CloudEvents.",
        kinds=(TOPIC, SCHEDULE),
        operations=tuple(operation for owner in owners for operation in operations_of(owner)),
        faults=faults.ALL,
        routes=CloudEventsFace(invoke, identify).routes(),
        services=(mesh.firing.service, mesh.keeping.service),
        series=_series(mesh),
    )


def _series(mesh: Mesh) -> tuple[Series, ...]:
    def counting(name: str, help: str, read: Callable[[], int]) -> Series:
        return Series(name, help, lambda: [((), read())])

    return (
        counting("pharos_messages_published", "Messages published to topics.", lambda: mesh.publisher.published),
        counting("pharos_messages_refused", "Publications to full topics.", lambda: mesh.publisher.depths.refused),
        counting("pharos_schedules_fired", "Messages that came by the clock.", lambda: mesh.firing.fired),
        counting("pharos_schedules_skipped", "Times that were left out.", lambda: mesh.firing.skipped),
        counting("pharos_messages_trimmed", "Messages removed by retention.", lambda: mesh.keeping.trimming.trimmed),
        counting("pharos_topics_retired", "Topics removed for being idle.", lambda: mesh.keeping.retired),
    )
