"""Grants through a real store: leases, slots, lanes, wake-ups, and what outlives a process."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.mesh.scheduling.city import GROUP, Declared, dispatching, post

from pharos.core.event import START
from pharos.core.fault import Fault
from pharos.mesh.scheduling.dispatcher import Dispatcher
from pharos.mesh.scheduling.grants import Grant
from pharos.mesh.scheduling.lanes import lane
from pharos.store.delivery import Acknowledge, Fence, Lease, Release, Renew, Suspend
from pharos.store.ports import Store

SOON = 10.0
"""Seconds after which something that should come has not come."""


async def done(store: Store, grant: Grant) -> None:
    """Acknowledge all there is."""
    (last,) = (await store.log.read(grant.lease.topic, grant.lease.cursor, 1000))[-1:]
    await store.commit(Fence(grant.lease), Acknowledge(grant.lease, last.position))
    grant.ended()


async def drain(store: Store, dispatcher: Dispatcher, number: int, worker: str = "w") -> list[str]:
    """Work on so many grants, one after the other; their topics."""
    topics = []
    for _ in range(number):
        async with asyncio.timeout(SOON), dispatcher.grant(worker) as grant:
            topics.append(grant.lease.topic.removeprefix("jobs/"))
            await done(store, grant)
    return topics


async def refused(store: Store, lease: Lease) -> str:
    with pytest.raises(Fault) as caught:
        await store.commit(Fence(lease))
    return caught.value.code


async def test_work_is_granted_with_a_lease_and_a_slot(tmp_path: Path) -> None:
    async with dispatching(tmp_path, Declared()) as (store, dispatcher, pools):
        await post(store, "a", lane(tenant="t"), 3)
        async with asyncio.timeout(SOON), dispatcher.grant("worker-1") as grant:
            assert grant.lease.topic == "jobs/a"
            assert grant.lease.owner.startswith("worker-1@default/default#")
            assert (grant.slot, grant.lane) == (0, "tenant=t")
            assert pools.scheduler(GROUP, "default/default").used == 1
            await done(store, grant)
        assert pools.scheduler(GROUP, "default/default").used == 0
        delivery = await store.deliveries.get(GROUP, "jobs/a")
        assert delivery is not None and delivery.state == "idle"


async def test_a_worker_that_waits_is_woken_by_work(tmp_path: Path) -> None:
    async with dispatching(tmp_path, Declared()) as (store, dispatcher, _):
        waiting = asyncio.create_task(drain(store, dispatcher, 1))
        while not dispatcher.waiting:
            await asyncio.sleep(0)
        await post(store, "a", lane(tenant="t"))
        assert await waiting == ["a"]


async def test_every_job_is_granted_once_and_no_wake_up_is_lost(tmp_path: Path) -> None:
    """Producers and workers in every interleaving the loop makes: all is done, and every worker that waits is woken."""
    jobs, workers = 300, 12
    seen: Counter[str] = Counter()
    at_once = 0
    finished = asyncio.Event()
    declared = Declared(small={"slots": 5})
    async with dispatching(tmp_path, declared) as (store, dispatcher, pools):
        scheduler = pools.scheduler(GROUP, "default/small")

        async def work(name: str) -> None:
            nonlocal at_once
            while True:
                async with dispatcher.grant(name) as grant:
                    at_once = max(at_once, scheduler.used)
                    await done(store, grant)
                    seen[grant.lease.topic] += 1
                    if len(seen) == jobs:
                        finished.set()

        async def produce(first: int) -> None:
            for number in range(first, jobs, 3):
                await post(store, str(number), lane("default/small", tenant=f"t{number % 7}"))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(f"w{number}")) for number in range(workers)]
            for first in range(3):
                group.create_task(produce(first))
            async with asyncio.timeout(30):
                await finished.wait()
            for task in tasks:
                task.cancel()
        assert set(seen.values()) == {1} and len(seen) == jobs
        assert at_once <= 5
        assert scheduler.used == 0 and not dispatcher.holding


async def test_slots_bound_what_is_under_way(tmp_path: Path) -> None:
    declared = Declared(two={"slots": 2})
    async with dispatching(tmp_path, declared) as (store, dispatcher, pools):
        for topic in "abc":
            await post(store, topic, lane("default/two", tenant=topic))
        async with asyncio.timeout(SOON), dispatcher.grant("1") as first:
            async with dispatcher.grant("2") as second:
                third = asyncio.create_task(drain(store, dispatcher, 1))
                while not dispatcher.waiting:
                    await asyncio.sleep(0)
                assert {first.slot, second.slot} == {0, 1}
                assert pools.scheduler(GROUP, "default/two").choose(pools.clock()) is None
                await done(store, second)
            assert await third == ["c"]
            await done(store, first)


async def test_more_slots_are_used_at_once(tmp_path: Path) -> None:
    """A pool that is changed wakes who waits."""
    declared = Declared(pool={"slots": 0})
    async with dispatching(tmp_path, declared) as (store, dispatcher, _):
        await post(store, "a", lane("default/pool", tenant="t"))
        waiting = asyncio.create_task(drain(store, dispatcher, 1))
        while not dispatcher.waiting:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        declared.apply("pool", slots=1)
        assert await waiting == ["a"]


async def test_a_worker_that_fails_gives_its_lease_back_with_the_attempt_counted(tmp_path: Path) -> None:
    async with dispatching(tmp_path, Declared()) as (store, dispatcher, _):
        await post(store, "a", lane(tenant="t"))
        with pytest.raises(RuntimeError):
            async with asyncio.timeout(SOON), dispatcher.grant("w"):
                raise RuntimeError("the worker's defect")
        delivery = await store.deliveries.get(GROUP, "jobs/a")
        assert delivery is not None and (delivery.state, delivery.attempts) == ("delayed", 1)
        async with asyncio.timeout(SOON), dispatcher.grant("w") as grant:  # woken by the passing of time
            assert grant.lease.attempts == 2
            await done(store, grant)


async def test_a_worker_that_stops_gives_back_without_an_attempt(tmp_path: Path) -> None:
    async with dispatching(tmp_path, Declared()) as (store, dispatcher, pools):
        await post(store, "a", lane(tenant="t"))
        holding = asyncio.Event()

        async def work() -> None:
            async with dispatcher.grant("w"):
                holding.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        async with asyncio.timeout(SOON):
            await holding.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert pools.scheduler(GROUP, "default/default").used == 0
        async with asyncio.timeout(SOON), dispatcher.grant("w") as grant:
            assert grant.lease.attempts == 1
            await done(store, grant)


@pytest.mark.parametrize("turns", range(12))
async def test_who_is_cancelled_while_it_waits_has_taken_nothing(tmp_path: Path, turns: int) -> None:
    """Whatever turn of the loop the cancellation comes in, also while the claim is being committed."""
    async with dispatching(tmp_path, Declared()) as (store, dispatcher, pools):
        await post(store, "a", lane(tenant="t"))

        async def work() -> None:
            async with dispatcher.grant("cancelled"):
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await drain(store, dispatcher, 1) == ["a"]
        assert pools.scheduler(GROUP, "default/default").used == 0


async def test_mesh_18_a_retry_keeps_its_class_and_flow(tmp_path: Path) -> None:
    """The inversion of others: what is tried again after a failure loses its priority. Here its lane is for good."""
    declared = Declared(one={"slots": 1})
    async with dispatching(tmp_path, declared) as (store, dispatcher, _):
        await post(store, "high", lane("default/one", "high", tenant="t"))
        for number in range(5):
            await post(store, f"low-{number}", lane("default/one", "low", tenant="t"))
        async with asyncio.timeout(SOON), dispatcher.grant("w") as grant:
            assert grant.lease.topic == "jobs/high"
            await store.commit(Release(grant.lease))  # it failed, and may be tried again at once
            grant.ended()
        assert (await drain(store, dispatcher, 2)) == ["high", "low-0"]
        await post(store, "high", lane("default/one", "high", tenant="t"))
        assert (await drain(store, dispatcher, 5))[0] == "high"


async def test_order_inside_a_session_priority_between_them(tmp_path: Path) -> None:
    """Messages of one topic are never granted to two at once, nor out of order, whatever its class."""
    declared = Declared(wide={"slots": 8})
    handled: dict[str, list[str]] = {}
    working: set[str] = set()
    async with dispatching(tmp_path, declared) as (store, dispatcher, _):

        async def work() -> None:
            while True:
                async with dispatcher.grant("w") as grant:
                    topic = grant.lease.topic
                    assert topic not in working
                    working.add(topic)
                    (recorded,) = await store.log.read(topic, grant.lease.cursor, 1)
                    handled.setdefault(topic, []).append(recorded.position)
                    working.discard(topic)
                    await store.commit(Acknowledge(grant.lease, recorded.position))
                    grant.ended()

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            tasks = [group.create_task(work()) for _ in range(8)]
            for number in range(10):
                await post(store, str(number), lane("default/wide", ("high", "low")[number % 2], tenant="t"), 10)
            while sum(map(len, handled.values())) < 100:
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
        for topic, positions in handled.items():
            assert positions == [recorded.position for recorded in await store.log.read(topic, START, 100)]


async def test_mesh_22_a_pause_reaches_all_workers_and_outlives_the_process(tmp_path: Path) -> None:
    declared = Declared(pool={"slots": 8})
    slow, quick = lane("default/pool", tenant="t", model="slow"), lane("default/pool", tenant="t", model="quick")
    async with dispatching(tmp_path, declared) as (store, dispatcher, pools):
        await post(store, "told", slow)
        async with asyncio.timeout(SOON), dispatcher.grant("w") as grant:
            grant.pause(40, "Retry-After of acme")
            await done(store, grant)
        for number in range(5):
            await post(store, f"slow-{number}", slow)
        await post(store, "quick", quick)
        assert await drain(store, dispatcher, 1, "another") == ["quick"]
        assert pools.scheduler(GROUP, "default/pool").choose(pools.clock()) is None
        async with asyncio.timeout(SOON):
            await declared.told.wait()
    async with dispatching(tmp_path, declared) as (store, dispatcher, pools):
        await post(store, "quick-2", quick)
        assert await drain(store, dispatcher, 1) == ["quick-2"]
        scheduler = pools.scheduler(GROUP, "default/pool")
        assert scheduler.choose(pools.clock()) is None and scheduler.waiting()[1] == 5
        ((match, until, reason),) = scheduler.gating.pauses(pools.clock())
        assert (dict(match), reason) == ({"tenant": "t", "model": "slow"}, "Retry-After of acme")
        assert 30e6 < until - pools.clock() <= 40e6


async def test_a_pause_that_ends_wakes_who_waits(tmp_path: Path) -> None:
    declared = Declared(pool={"slots": 8})
    async with dispatching(tmp_path, declared) as (store, dispatcher, pools):
        await post(store, "a", lane("default/pool", tenant="t", model="m"), 1)
        pools.scheduler(GROUP, "default/pool")
        pools.pause("default/pool", {"model": "m"}, 0.2, "")
        before = pools.clock()
        assert await drain(store, dispatcher, 1) == ["a"]
        assert pools.clock() - before >= 190_000


async def test_mesh_23_a_slot_whose_holder_is_cut_off_is_neither_lost_nor_given_twice(tmp_path: Path) -> None:
    """The holder is elsewhere and renews by itself. Cut off, it goes on believing in its slot until it commits: by then
    the store has taken the lease back, before the slot was given to the next."""
    declared = Declared(gpu={"slots": 1})
    async with dispatching(tmp_path, declared, seconds=0.3) as (store, dispatcher, pools):
        for topic in "ab":
            await post(store, topic, lane("default/gpu", tenant=topic))
        async with asyncio.timeout(SOON), dispatcher.grant("far", renew=False) as first:
            (renewed,) = await store.commit(Renew(first.lease, 0.5))  # it is not cut off yet
            assert isinstance(renewed, Lease)
            async with dispatcher.grant("near") as second:
                assert (first.slot, second.slot) == (0, 0)
                assert second.lease.topic == "jobs/b"
                assert first.lost.is_set()
                assert store.deliveries.now() >= renewed.expires_at, "not before its lease was over"
                assert await refused(store, first.lease) == "LEASE_LOST"
                assert pools.scheduler(GROUP, "default/gpu").used == 1
                await done(store, second)
        assert pools.scheduler(GROUP, "default/gpu").used == 0
        delivery = await store.deliveries.get(GROUP, "jobs/a")
        assert delivery is not None and delivery.state == "ready", "and the work is not lost either"


@pytest.mark.parametrize("patient", [True, False])
async def test_mesh_23_slots_of_a_former_process(tmp_path: Path, patient: bool) -> None:
    """Patient: they are held until their leases end, wherever the holder may be. Otherwise the holders were tasks of
    the process that is gone: their leases are taken back at once. Either way a late commit is refused."""
    created = datetime.now(UTC)
    declared = Declared()
    declared.apply("gpu", created, slots=1)
    async with dispatching(tmp_path, declared, seconds=1.0) as (store, dispatcher, _):
        for topic in "ab":
            await post(store, topic, lane("default/gpu", tenant=topic))
        held = await dispatcher.acquire("gone", renew=True)
    async with dispatching(tmp_path, declared, seconds=1.0, patient=patient) as (store, dispatcher, pools):
        used = pools.scheduler(GROUP, "default/gpu").used
        assert used == (1 if patient else 0)
        async with asyncio.timeout(SOON), dispatcher.grant("w") as grant:
            if patient:
                assert store.deliveries.now() >= held.lease.expires_at
            else:
                assert store.deliveries.now() < held.lease.expires_at
            assert await refused(store, held.lease) == "LEASE_LOST"
            assert grant.slot == 0
            await done(store, grant)


async def test_a_lease_is_renewed_while_it_is_held(tmp_path: Path) -> None:
    async with dispatching(tmp_path, Declared(), seconds=0.3) as (store, dispatcher, _):
        await post(store, "a", lane(tenant="t"))
        async with asyncio.timeout(SOON), dispatcher.grant("w") as grant:
            first = grant.lease
            while store.deliveries.now() <= first.expires_at:
                await asyncio.sleep(0.05)
            assert grant.lease.expires_at > first.expires_at and not grant.lost.is_set()
            await done(store, grant)


async def test_a_lost_lease_is_told(tmp_path: Path) -> None:
    async with dispatching(tmp_path, Declared(), seconds=0.3) as (store, dispatcher, pools):
        await post(store, "a", lane(tenant="t"))
        async with asyncio.timeout(SOON), dispatcher.grant("w") as grant:
            await store.commit(Release(grant.lease), Suspend(GROUP, "jobs/a", None))
            await grant.lost.wait()
            assert pools.scheduler(GROUP, "default/default").used == 0


async def test_mesh_32_a_parent_that_waits_gives_its_slot_to_its_child(tmp_path: Path) -> None:
    """With one slot, a parent that waits for its child would wait for ever."""
    declared = Declared(one={"slots": 1})
    async with dispatching(tmp_path, declared) as (store, dispatcher, pools):
        await post(store, "parent", lane("default/one", tenant="t"))
        finished = asyncio.Event()

        async def child() -> None:
            async with dispatcher.grant("child") as grant:
                assert grant.lease.topic == "jobs/child"
                await done(store, grant)
            finished.set()

        async with asyncio.timeout(SOON), dispatcher.grant("parent") as grant, asyncio.TaskGroup() as group:
            await post(store, "child", lane("default/one", tenant="t"))
            group.create_task(child())
            async with grant.aside():
                await finished.wait()
            assert pools.scheduler(GROUP, "default/one").used == 1
            await store.commit(Fence(grant.lease))
            await done(store, grant)
        assert pools.scheduler(GROUP, "default/one").used == 0


async def test_mesh_32_two_orchestrators_with_all_slots_held_both_finish(tmp_path: Path) -> None:
    """Each waits for what the other's child makes. All slots are held by parents, then by children, then by parents."""
    declared = Declared(two={"slots": 2})
    async with dispatching(tmp_path, declared) as (store, dispatcher, pools):
        made = {name: asyncio.Event() for name in ("x", "y")}
        most = 0

        async def work() -> None:
            nonlocal most
            async with dispatcher.grant("w") as grant:
                _, role, name = grant.lease.topic.split("/")
                if role == "parent":
                    await post(store, f"child/{name}", lane("default/two", tenant="t"))
                    async with grant.aside():
                        await made["y" if name == "x" else "x"].wait()
                most = max(most, pools.scheduler(GROUP, "default/two").used)
                if role == "child":
                    made[name].set()
                await done(store, grant)

        for name in made:
            await post(store, f"parent/{name}", lane("default/two", tenant="t"))
        async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(work())
        assert most <= 2 and pools.scheduler(GROUP, "default/two").used == 0


async def test_mesh_32_who_has_begun_goes_before_who_has_not(tmp_path: Path) -> None:
    declared = Declared(one={"slots": 1})
    async with dispatching(tmp_path, declared) as (store, dispatcher, _):
        await post(store, "parent", lane("default/one", tenant="t"))
        order: list[str] = []
        taken, go = asyncio.Event(), asyncio.Event()

        async def other() -> None:
            async with dispatcher.grant("other") as grant:
                taken.set()
                await go.wait()
                order.append(grant.lease.topic)
                await done(store, grant)

        async with asyncio.timeout(SOON), asyncio.TaskGroup() as group, dispatcher.grant("parent") as grant:
            for number in range(3):
                await post(store, f"other-{number}", lane("default/one", tenant="t"))
            async with grant.aside():
                for _ in range(3):
                    group.create_task(other())
                await taken.wait()
                asyncio.get_running_loop().call_soon(go.set)
            order.append(grant.lease.topic)
            await done(store, grant)
        assert order.index("jobs/parent") == 1


async def test_work_in_pools_that_nobody_declared_is_granted(tmp_path: Path) -> None:
    async with dispatching(tmp_path, Declared()) as (store, dispatcher, _):
        await post(store, "a", lane("team/unknown", "strange", tenant="t"))
        await post(store, "b", "written by somebody else")
        await post(store, "c", "")
        assert sorted(await drain(store, dispatcher, 3)) == ["a", "b", "c"]


async def test_what_is_suspended_meanwhile_is_not_granted(tmp_path: Path) -> None:
    """The schedulers may know of it still: the claim finds nothing, and nothing is counted."""
    declared = Declared(pool={"slots": 1, "rates": [{"requests": 2, "seconds": 3600}]})
    async with dispatching(tmp_path, declared) as (store, dispatcher, pools):
        work = lane("default/pool", tenant="t")
        pools.scheduler(GROUP, "default/pool").offer(work, 3, pools.clock())
        for topic in "ab":
            await post(store, topic, work)
        assert sorted(await drain(store, dispatcher, 2)) == ["a", "b"]


async def test_the_store_fails_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grants wait for it, no slot is lost, and nobody polls it to death."""
    from pharos.store.faults import STORAGE_FAILED

    declared = Declared(one={"slots": 1})
    async with dispatching(tmp_path, declared) as (store, dispatcher, pools):
        await post(store, "a", lane("default/one", tenant="t"))
        commit, failures = store.commit, 0

        async def failing(*commands: object, **options: str) -> object:
            nonlocal failures
            if failures < 3:
                failures += 1
                raise STORAGE_FAILED("The disk is full.")
            return await commit(*commands, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(store, "commit", failing)
        assert await drain(store, dispatcher, 1) == ["a"]
        assert failures == 3 and pools.scheduler(GROUP, "default/one").used == 0


async def test_who_watches_the_store_outlives_its_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pharos.store.faults import STORAGE_FAILED

    async with dispatching(tmp_path, Declared()) as (store, dispatcher, _):
        moved, failures, failed = store.deliveries.moved, 0, asyncio.Event()

        async def failing(group: str, after: int) -> int:
            nonlocal failures
            count = await moved(group, after)
            if failures < 2:
                failures += 1
                failed.set()
                raise STORAGE_FAILED("The disk is full.")
            return count

        monkeypatch.setattr(store.deliveries, "moved", failing)
        waiting = asyncio.create_task(drain(store, dispatcher, 2))
        for topic in "ab":
            await post(store, topic, lane(tenant="t"))
            if topic == "a":
                async with asyncio.timeout(SOON):
                    await failed.wait()
        assert await waiting == ["a", "b"]
        assert failures == 2


async def test_what_was_used_is_counted(tmp_path: Path) -> None:
    declared = Declared(
        pool={"slots": 8, "rates": [{"tokens": 1000, "seconds": 3600, "burst": 1000, "hold": 500, "per": "tenant"}]}
    )
    async with dispatching(tmp_path, declared) as (store, dispatcher, pools):
        for number in range(5):
            await post(store, f"a{number}", lane("default/pool", tenant="a"))
        await post(store, "b", lane("default/pool", tenant="b"))
        used = []
        for _ in range(3):
            async with asyncio.timeout(SOON), dispatcher.grant("w") as grant:
                used.append(grant.lease.topic)
                grant.use(tokens=150)
                grant.use(tokens=150, cost=3)
                await done(store, grant)
        assert sorted(used) == ["jobs/a0", "jobs/a1", "jobs/b"], "400 are left, and one is held to use 500"
        waiting = asyncio.create_task(drain(store, dispatcher, 1))
        while not dispatcher.waiting:
            await asyncio.sleep(0)
        assert pools.scheduler(GROUP, "default/pool").choose(pools.clock()) is None
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_with_very_many_flows_the_lanes_are_not_read_for_every_grant(tmp_path: Path) -> None:
    """And all is granted all the same, in fair shares."""
    flows = 320
    async with dispatching(tmp_path, Declared()) as (store, dispatcher, _):
        for number in range(flows):
            await post(store, str(number), lane(tenant=f"t{number % 4}", agent=f"a{number}"))
        deliveries = store.deliveries
        lanes, reads = deliveries.lanes, 0

        async def counted(group: str) -> object:
            nonlocal reads
            reads += 1
            return await lanes(group)

        deliveries.lanes = counted  # type: ignore[method-assign, assignment]
        order = await drain(store, dispatcher, flows)
        assert sorted(order, key=int) == [str(number) for number in range(flows)]
        for first in range(0, flows, 40):
            assert set(Counter(int(topic) % 4 for topic in order[first : first + 40]).values()) == {10}
        assert reads < flows
