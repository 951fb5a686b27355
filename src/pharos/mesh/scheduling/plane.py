"""What scheduling brings to the city: the kind ``Pool``, and who is next of which group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pharos.core.operation import Observe, operations_of
from pharos.core.plane import Plane, Series
from pharos.core.resource import AnyResource, Resource, ResourceId
from pharos.mesh.scheduling.dispatcher import Dispatcher
from pharos.mesh.scheduling.kinds import POOL, PoolSpec
from pharos.mesh.scheduling.operations import PoolOperations
from pharos.mesh.scheduling.pools import Pools
from pharos.mesh.scheduling.scheduler import Scheduler
from pharos.store.ports import Store

Told = Callable[[ResourceId, AnyResource | None], None]


@dataclass(frozen=True, slots=True)
class DeclaredPools:
    """What scheduling needs of resources. ``subscribe`` has a callback told of each change in the call that makes it;
    ``observe`` records a status."""

    find: Callable[[str, str], Resource[PoolSpec] | None]
    """A pool by name and namespace."""
    all: Callable[[], Sequence[Resource[PoolSpec]]]
    subscribe: Callable[[Told], object]
    observe: Observe


class Scheduling:
    """The pools of the city, and a dispatcher for each group that works by them."""

    def __init__(self, store: Store, declared: DeclaredPools) -> None:
        self._store = store
        self.declared = declared
        # By a wall's clock that was put back, a pool of yesterday would be a new one, with a burst to spend.
        self.pools = Pools(self._find, began=store.deliveries.now())
        self._dispatchers: dict[str, Dispatcher] = {}
        declared.subscribe(self._changed)

    def dispatcher(self, group: str, *, seconds: float = 30.0, patient: bool = False) -> Dispatcher:
        """The dispatcher of a group, which must be subscribed when its ``service`` is entered; the caller runs that.

        ``seconds``: of a lease. ``patient``: see :class:`Dispatcher`. Asked again, the one that there is."""
        dispatcher = self._dispatchers.get(group)
        if dispatcher is None:
            dispatcher = self._dispatchers[group] = Dispatcher(
                self._store, group, self.pools, seconds=seconds, patient=patient, observe=self.declared.observe
            )
        return dispatcher

    def workers(self, group: str) -> int:
        """How many workers wait for work of a group."""
        dispatcher = self._dispatchers.get(group)
        return 0 if dispatcher is None else dispatcher.waiting

    def _find(self, name: str) -> Resource[PoolSpec] | None:
        namespace, _, short = name.rpartition("/")
        return self.declared.find(short, namespace)

    def _changed(self, id: ResourceId, _resource: AnyResource | None) -> None:
        if id.kind == POOL.name:
            self.pools.changed(f"{id.namespace}/{id.name}")


def scheduling_plane(store: Store, scheduling: Scheduling) -> Plane:
    """Pools."""
    operations = PoolOperations(scheduling.pools, scheduling.declared.all, store.deliveries, scheduling.workers)
    return Plane(
        name="scheduling",
        summary="Who is next: slots, classes with a bounded wait, shares by weight, and rates.",
        kinds=(POOL,),
        operations=tuple(operations_of(operations)),
        series=_series(scheduling.pools),
    )


def _series(pools: Pools) -> tuple[Series, ...]:
    def of_pools(value: Callable[[Scheduler], float]) -> Callable[[], Iterable[tuple[Sequence[str], float]]]:
        return lambda: [((pool, group), value(scheduler)) for group, pool, scheduler in pools.known()]

    def of_classes(
        values: Callable[[Scheduler], Sequence[float]],
    ) -> Callable[[], Iterable[tuple[Sequence[str], float]]]:
        return lambda: [
            ((pool, group, entry.name), value)
            for group, pool, scheduler in pools.known()
            for entry, value in zip(scheduler.classes, values(scheduler), strict=True)
        ]

    pool, by_class = ("pool", "group"), ("pool", "group", "class")
    return (
        Series("pharos_pool_slots", "Slots of a pool.", of_pools(lambda s: s.rules.slots), pool, counts=False),
        Series("pharos_pool_slots_used", "Slots in use.", of_pools(lambda s: s.used), pool, counts=False),
        Series("pharos_pool_waiting", "What is ready and waits.", of_classes(lambda s: s.waiting()), by_class, False),
        Series("pharos_pool_grants", "Grants.", of_classes(lambda s: [c.granted for c in s.classes]), by_class),
        Series(
            "pharos_pool_overdue_grants",
            "Grants before a higher class because the class had waited too long.",
            of_classes(lambda s: [c.overtaken for c in s.classes]),
            by_class,
        ),
    )
