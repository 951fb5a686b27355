"""Hard cases of the worker, on a real store: leases, streams, poison, timers, tools that change, a herd, outages."""

from __future__ import annotations

import asyncio
import resource
import shutil
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.runtime.session.town import (
    ALL,
    ScriptedModel,
    Town,
    echo,
    open_town,
    profile,
    said,
    script,
    start,
)

from pharos.core.event import Event, Recorded
from pharos.core.fault import Fault
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import EffectClass, Errand, ModelRequest, Tool, ToolResult
from pharos.runtime.schemas import misfits
from pharos.runtime.session import commands as c
from pharos.runtime.session.chain import broken_at
from pharos.runtime.session.deciding import ending
from pharos.runtime.session.rerun import rerun
from pharos.runtime.session.snapshot import hash_of
from pharos.runtime.session.state import State
from pharos.runtime.worker.checkpoints import Checkpoints
from pharos.runtime.worker.lanes import GROUP
from pharos.runtime.worker.live import read
from pharos.runtime.worker.run import MOST_ATTEMPTS
from pharos.store.delivery import Claim, Fence, Lease, Release
from pharos.store.faults import STORAGE_FAILED
from pharos.store.ports import Append


def now() -> datetime:
    return datetime.now(UTC)


def calling(name: str, *, times: int = 1, **arguments: int) -> ScriptedModel:
    """A model that calls a tool some times and then answers."""
    calls = [said("", (f"c{n}", name, {**arguments, "n": n})) for n in range(times)]
    return ScriptedModel(script(*calls, said("done")))


class Gate:
    """A tool that waits until it is let go."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.begun = asyncio.Event()
        self.let = asyncio.Event()
        self.cancelled = False
        self.stubborn = stubborn

    async def __call__(self, errand: Errand, arguments: JsonObject) -> ToolResult:
        self.begun.set()
        while True:
            try:
                await self.let.wait()
                return ToolResult("let go")
            except asyncio.CancelledError:
                self.cancelled = True
                if not self.stubborn:
                    raise


async def test_runtime_09_the_same_start_twice_is_one_session(tmp_path: Path) -> None:
    async with open_town(tmp_path, calling("echo")) as town:
        address = await town.begin()
        with pytest.raises(Fault) as refused:
            await town.tell(address, start())
        assert refused.value.code == "SESSION_STARTED"


async def test_runtime_15_an_approval_while_no_worker_lives_is_acted_on_by_the_next(tmp_path: Path) -> None:
    async with open_town(tmp_path, calling("pay")) as town:
        town.tools.add("pay", echo, EffectClass.UNSAFE, approval=True)
        async with town.working():
            address = await town.begin()
            state = await town.until(address, lambda state: bool(state.waiting))
        [approval] = state.approvals.values()
        await town.tell(address, c.Approve(now(), approval.id, approval.digest, "user/default/ann"))
        assert town.tools.calls == []
        async with town.working():
            await town.until(address, "completed")
        assert len(town.tools.calls) == 1
        assert town.people.asked.keys() == {f"{address}/{approval.id}"}


async def test_runtime_21_a_result_larger_than_the_cap_is_kept_by_reference(tmp_path: Path) -> None:
    async def long(errand: Errand, arguments: JsonObject) -> ToolResult:
        return ToolResult("ä" * 300_000)

    async with open_town(tmp_path, calling("long")) as town:
        town.tools.add("long", long)
        async with town.working():
            address = await town.begin()
            await town.until(address, "completed")
        [done] = [one.event for one in await town.events(address) if one.event.type == "effect.completed"]
        blob = done.data["blob"]
        assert isinstance(blob, dict) and blob["size"] == 600_000
        assert len(str(done.data["content"])) < 20_000
        whole = b"".join([piece async for piece in town.store.blobs.get(str(blob["digest"]))])
        assert whole.decode() == "ä" * 300_000
        assert [ref.digest for ref in done.refs] == [blob["digest"]]


async def test_runtime_22_a_tool_that_ignores_being_cancelled_does_not_hold_up_the_end(tmp_path: Path) -> None:
    gate = Gate(stubborn=True)
    async with open_town(tmp_path, calling("gate")) as town:
        town.tools.add("gate", gate, EffectClass.IDEMPOTENT)
        async with town.working(grace=0.1):
            address = await town.begin()
            await gate.begun.wait()
            await town.tell(address, c.Cancel(now(), "user/default/boss"))
            await town.until(address, "cancelled")
            assert gate.cancelled
            gate.let.set()


async def test_a_tool_that_is_cancelled_ends_with_the_session_at_once(tmp_path: Path) -> None:
    gate = Gate()
    async with open_town(tmp_path, calling("gate")) as town:
        town.tools.add("gate", gate, EffectClass.PURE)
        async with town.working():
            address = await town.begin()
            await gate.begun.wait()
            await town.tell(address, c.Cancel(now(), "user/default/boss"))
            state = await town.until(address, "cancelled")
        assert gate.cancelled and state.end is not None and state.end.unknown == ()


async def test_runtime_26_an_unsafe_effect_has_a_moment_to_say_what_came_of_it(tmp_path: Path) -> None:
    gate = Gate()
    async with open_town(tmp_path, calling("gate")) as town:
        town.tools.add("gate", gate, EffectClass.UNSAFE)
        async with town.working(grace=30.0):
            address = await town.begin()
            await gate.begun.wait()
            await town.tell(address, c.Cancel(now(), "user/default/boss"))
            gate.let.set()
            state = await town.until(address, "cancelled")
        assert not gate.cancelled and state.end is not None and state.end.unknown == ()
        assert "effect.completed" in await town.types(address)


async def test_runtime_19_a_tool_that_answers_after_its_time_is_noted(tmp_path: Path) -> None:
    gate, other = Gate(stubborn=True), Gate()
    model = ScriptedModel(script(said("", ("c1", "gate", {})), said("", ("c2", "other", {})), said("done")))
    async with open_town(tmp_path, model) as town:
        town.tools.add("gate", gate, EffectClass.PURE)
        town.tools.add("other", other, EffectClass.PURE)
        async with town.working():
            address = await town.begin(start(now=now(), bounds={"toolSeconds": 0.2, "toolRetries": 0}))
            await town.until(address, lambda state: state.turn == 2)
            gate.let.set()
            await town.until(address, lambda state: state.end is not None)
        late = [one.event for one in await town.events(address) if one.event.data.get("late")]
        assert len(late) == 1 and "effect.timed_out" in await town.types(address)


async def test_runtime_23_an_answer_that_is_not_what_the_tool_promises_is_told_to_the_model(tmp_path: Path) -> None:
    async with open_town(tmp_path, calling("odd")) as town:
        town.tools.add("odd", echo, output_schema={"type": "object", "required": ["price"]})
        async with town.working():
            address = await town.begin()
            state = await town.until(address, "completed")
        [item] = state.steps[1].items
        assert item.failed and item.text.startswith("TOOL_RESULT_INVALID")

    async def cheap(errand: Errand, arguments: JsonObject) -> ToolResult:
        return ToolResult("cheap", {"price": "cheap"})

    async with open_town(tmp_path / "typed", calling("odd")) as town:
        promised: JsonObject = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}
        town.tools.add("odd", cheap, output_schema=promised)
        async with town.working():
            state = await town.until(await town.begin(), "completed")
        [item] = state.steps[1].items
        assert item.failed and "/price: 'cheap' is not of type 'number'" in item.text


PORT: JsonObject = {
    "type": "object",
    "properties": {"port": {"type": "string"}, "berths": {"type": "integer", "minimum": 1}},
    "required": ["port", "berths"],
}


async def test_an_answer_that_is_not_what_the_agent_promises_is_given_back_and_not_handed_on(tmp_path: Path) -> None:
    answers = (said("At Antwerp."), said('{"port": "Antwerp", "berths": 0}'), said('{"port": "Antwerp", "berths": 3}'))
    agent = profile(output=PORT)
    begin = start(now=now(), profile=agent.to_json(), version=agent.version)
    async with open_town(tmp_path / "mended", ScriptedModel(script(*answers))) as town, town.working():
        address = await town.begin(begin)
        state = await town.until(address, "completed")
        assert state.end is not None and state.end.data == {"port": "Antwerp", "berths": 3}
        notes = [item.text for step in state.steps for item in step.items if item.kind == "note"]
        assert len(notes) == 2 and "it is no JSON" in notes[0]
        assert notes[1].endswith("/berths: 0 is less than the minimum of 1")
        assert rerun(address, await town.events(address))[1] is None
    async with open_town(tmp_path / "stubborn", ScriptedModel(script(said("At Antwerp.")))) as town, town.working():
        state = await town.until(await town.begin(begin), "failed")
        assert state.end is not None and state.end.code == "OUTPUT_INVALID" and "no JSON" in state.end.text
        assert state.turn == 3


async def test_a_long_answer_is_judged_beside_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its schema may take a second to judge it by, in which other sessions and calls go on."""
    judged: list[str] = []

    def judge(schema: JsonObject, value: JsonObject) -> Sequence[str]:
        judged.append(threading.current_thread().name)
        return misfits(schema, value)

    monkeypatch.setattr(ending, "misfits", judge)
    agent = profile(output=PORT)
    begin = start(now=now(), profile=agent.to_json(), version=agent.version)
    answer = said('{"port": "Antwerp", "berths": 3}')
    async with open_town(tmp_path, ScriptedModel(script(answer))) as town, town.working():
        await town.until(await town.begin(begin), "completed")
    assert len(judged) == 1 and judged[0].startswith("deciding")


async def test_runtime_32_a_session_never_has_rights_that_whoever_it_acts_for_has_lost(tmp_path: Path) -> None:
    seen: list[frozenset[str]] = []

    async def look(errand: Errand, arguments: JsonObject) -> ToolResult:
        seen.append(errand.principal.permissions)
        return ToolResult(f"{len(seen)}")

    async with open_town(tmp_path, calling("look", times=2)) as town:
        town.tools.add("look", look)
        may = [frozenset({"a.b", "c.d"}), frozenset({"a.b"})]
        town.principals = lambda state: ALL.narrowed(may[min(len(seen), 1)])
        async with town.working():
            await town.until(await town.begin(), "completed")
    assert seen == may


async def test_runtime_54_a_session_of_somebody_who_is_gone_ends_and_says_why(tmp_path: Path) -> None:
    async with open_town(tmp_path, calling("ask_person")) as town:
        async with town.working():
            address = await town.begin(start(now=now(), interactive=True))
            model = town.models
            model.script = script(said("hello"))
            await town.until(address, lambda state: state.waiting == ("input",) or state.end is not None)
            town.principals = lambda state: None
            await town.tell(address, c.Send(now(), "still there?", {}, "user/default/ann"))
            state = await town.until(address, lambda state: state.end is not None)
        assert state.end is not None and state.end.code == "PRINCIPAL_GONE"


async def test_runtime_34_of_two_workers_the_one_whose_lease_is_old_is_refused_at_the_store(tmp_path: Path) -> None:
    gate = Gate()
    async with open_town(tmp_path, calling("gate")) as town:
        town.tools.add("gate", gate, EffectClass.IDEMPOTENT)
        _, worker = town.worker(seconds=0.1, at_once=1)
        # This worker holds the session and is frozen: nobody renews its lease.
        async with worker.service():
            address = await town.begin()
            await gate.begun.wait()
            store = town.store
            lease = None
            while not isinstance(lease, Lease):
                await store.deliveries.claimable(GROUP)
                [lease] = await store.commit(Claim(GROUP, "second", 30.0))
            assert lease.topic == address.topic and lease.epoch == 2
            before = await town.types(address)
            gate.let.set()
            # What the first one knows is refused; the second one's is taken.
            async with asyncio.timeout(10):
                while not any(group.refused for group in await store.deliveries.groups()):
                    await asyncio.sleep(0.01)
            assert await town.types(address) == before
            await store.commit(Fence(lease))
            await store.commit(Release(lease, 0.0, attempted=False))
            state = await town.until(address, "completed")
        assert state.steps[1].items[0].text == "let go"


async def test_runtime_35_what_the_clock_of_a_worker_says_does_not_judge_leases(tmp_path: Path) -> None:
    async with open_town(tmp_path, calling("echo")) as town:
        town.tools.add("echo", echo)
        late = start(now=now() + timedelta(hours=1))
        async with town.working():
            address = await town.begin(late)
            early = await town.begin(start(now=now() - timedelta(hours=1), bounds={"seconds": 1e6}))
            await town.until(address, "completed")
            await town.until(early, "completed")


async def test_runtime_37_a_session_whose_events_cannot_be_read_is_put_aside_and_others_go_on(tmp_path: Path) -> None:
    async with open_town(tmp_path, calling("echo")) as town:
        town.tools.add("echo", echo)
        bad = await town.begin()
        await town.store.commit(Append(Event(bad.topic, "session.teleported", {"to": "mars"})))
        async with town.working():
            good = await town.begin()
            await town.until(good, "completed")
            await town.until(bad, lambda state: state.quarantine is not None, seconds=60)
        [aside] = [one.event for one in await town.events(bad) if one.event.type == "session.quarantined"]
        assert aside.data["code"] == "POISON" and aside.data["at"] == 3
        assert aside.data["attempts"] == MOST_ATTEMPTS


async def test_runtime_37_a_session_that_kills_its_workers_is_put_aside_and_can_be_released(tmp_path: Path) -> None:
    async with open_town(tmp_path, calling("echo")) as town:
        town.tools.add("echo", echo)
        address = await town.begin()
        await _subscribe(town)
        for _ in range(MOST_ATTEMPTS):
            # A worker that is gone before it has done anything.
            [lease] = await town.store.commit(Claim(GROUP, "dies", 30.0))
            assert isinstance(lease, Lease)
            await town.store.commit(Release(lease, 0.0, attempted=True))
        async with town.working():
            state = await town.until(address, "quarantined")
            assert state.quarantine is not None and state.quarantine.code == "CRASHES"
            await town.tell(address, c.ReleaseQuarantine(now(), "user/default/boss"))
            await town.until(address, "completed")


async def _subscribe(town: Town) -> None:
    async with town.working():
        pass


async def test_runtime_40_a_tool_that_vanishes_or_changes_is_not_called(tmp_path: Path) -> None:
    for change, code in (("gone", "TOOL_GONE"), ("changed", "TOOL_CHANGED")):
        async with open_town(tmp_path / change, calling("pay")) as town:
            town.tools.add("pay", echo, EffectClass.UNSAFE, approval=True, version="1")
            async with town.working():
                address = await town.begin()
                state = await town.until(address, lambda state: bool(state.waiting))
            if change == "gone":
                del town.tools.found["pay"]
            else:
                town.tools.found["pay"] = Tool("pay", "means something else", {}, EffectClass.UNSAFE, version="2")
            [approval] = state.approvals.values()
            await town.tell(address, c.Approve(now(), approval.id, approval.digest, "user/default/ann"))
            async with town.working():
                state = await town.until(address, "completed")
            assert town.tools.calls == []
            assert state.steps[1].items[0].text.startswith(code)


async def test_what_a_model_is_offered_is_pinned_and_it_is_told_when_that_changes(tmp_path: Path) -> None:
    """Silence would be worse than either: it would go on with what it was told at the beginning."""
    answers = script(said("", ("c1", "look", {})), said("", ("c2", "ask_person", {"question": "?"})), said("done"))
    async with open_town(tmp_path, ScriptedModel(answers)) as town:
        town.tools.add("look", echo, version="sha256:1")
        town.tools.add("pay", echo, version="sha256:2")
        agent = profile(tools=["look", "pay", "dig", "ask_person", "serach"])
        begin = start(now=now(), profile=agent.to_json(), version=agent.version)
        async with town.working():
            address = await town.begin(begin)
            state = await town.until(address, lambda state: bool(state.questions))
        assert state.tools == {"ask_person": "", "delegate": "", "look": "1", "pay": "2"}
        assert state.missing == (("dig", ""), ("serach", ""))
        assert (await town.types(address)).count("tools.offered") == 1
        town.tools.found["look"] = Tool("look", "means something else", {"type": "object"}, version="sha256:3")
        del town.tools.found["pay"]
        town.tools.add("search", echo, version="sha256:4")
        town.tools.add("dig", echo, version="sha256:5")
        [question] = state.questions
        await town.tell(address, c.Send(now(), "well", {}, "user/default/ann", question))
        async with town.working():
            state = await town.until(address, "completed")
        assert state.tools == {"ask_person": "", "delegate": "", "look": "3", "dig": "5"}
        assert state.missing == (("pay", ""), ("serach", "search"))
        told = "Your tools have changed. Not there any more: pay. Defined anew: look. New: dig."
        assert [item.text for item in state.steps[2].items] == ["well", told]
        # It was told before it was asked, and asked once.
        assert len(town.models.calls) == 3
        assert {"role": "user", "content": told} in town.models.calls[2][1].messages


async def test_runtime_41_a_timer_that_came_due_during_downtime_fires_once(tmp_path: Path) -> None:
    model = ScriptedModel(script(said("", ("c1", "wait", {"seconds": 0.05})), said("done")))
    async with open_town(tmp_path, model) as town:
        dispatch, worker = town.worker()
        async with dispatch.service(), worker.service():
            address = await town.begin()
            state = await town.until(address, lambda state: bool(state.waiting))
        [timer] = [timer for timer in state.timers.values() if timer.purpose == "wait"]
        while town.store.deliveries.now() <= timer.due:
            await asyncio.sleep(0.01)
        async with town.working():
            await town.until(address, "completed")
        assert (await town.types(address)).count("timer.fired") == 1


async def test_runtime_48_a_thousand_sessions_that_wake_at_once_do_not_all_call_at_once(tmp_path: Path) -> None:
    most = under_way = 0

    async def slow(errand: Errand, request: ModelRequest) -> JsonObject:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return said("done")

    async with open_town(tmp_path, ScriptedModel(script(slow))) as town:
        begin = start(now=now(), bounds={})
        addresses = []
        for _ in range(1000):
            addresses.append(await town.begin(begin))
        async with town.working(at_once=32):
            await town.until(addresses[-1], "completed", seconds=60)
            for address in addresses:
                await town.until(address, "completed", seconds=60)
        assert most <= 32


async def test_runtime_49_a_store_that_is_gone_for_a_while_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_town(tmp_path, calling("echo", times=3)) as town:
        town.tools.add("echo", echo)
        real, refusals = town.store.commit, 0

        async def sometimes(*commands: object, **more: str) -> Sequence[object]:
            nonlocal refusals
            if len(town.tools.calls) == 1 and refusals < 4 and any(isinstance(one, Append) for one in commands):
                refusals += 1
                raise STORAGE_FAILED("The disk is full.")
            return await real(*commands, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(town.store, "commit", sometimes)
        async with town.working():
            address = await town.begin()
            state = await town.until(address, "completed")
        assert refusals == 4
        # What came of the effect was kept in mind until it could be recorded: nothing was called twice.
        assert len(town.tools.calls) == 3 and state.turn == 4


async def test_runtime_52_a_long_session_is_taken_up_from_its_checkpoint(tmp_path: Path) -> None:
    async with open_town(tmp_path, calling("echo", times=60)) as town:
        town.tools.add("echo", echo)
        begin = start(now=now(), bounds={"steps": 1000, "repeats": 1000, "stalls": 1000})
        async with town.working(every=50):
            address = await town.begin(begin)
            await town.until(address, "completed")
        checkpoints = Checkpoints(town.store)
        kept = await checkpoints.read(address)
        assert kept is not None and kept.state.sequence >= 100
        whole = await read(town.store.log, address)
        by_checkpoint = await read(town.store.log, address, checkpoints.read)
        assert hash_of(by_checkpoint.state) == hash_of(whole.state)
        assert by_checkpoint.link.closed() == whole.link.closed()
        assert broken_at(await town.events(address)) is None
        # Damaged or gone, nothing changes.
        for path in tmp_path.rglob("*"):
            if path.is_file() and path.name in kept_blob(await town.store.log.read(address.checkpoint, limit=1)):
                path.write_bytes(b"garbage")
        again = await read(town.store.log, address, checkpoints.read)
        assert hash_of(again.state) == hash_of(whole.state)


def kept_blob(named: Sequence[object]) -> set[str]:
    [one] = named
    assert isinstance(one, Recorded)
    digest = str(one.event.data["blob"])
    return {digest, digest.removeprefix("sha256:"), digest.removeprefix("sha256:")[2:]}


async def test_an_answer_is_streamed_in_few_records_that_join_to_the_whole(tmp_path: Path) -> None:
    words = "".join(f"word{n} " for n in range(400))
    async with open_town(tmp_path, ScriptedModel(script(said(words)), pieces=400)) as town:
        async with town.working():
            address = await town.begin()
            await town.until(address, "completed")
        records = await town.store.log.read(address.stream, limit=1000)
        assert "".join(str(one.event.data["text"]) for one in records) == words
        assert 1 <= len(records) <= 60


async def test_two_workers_side_by_side_never_work_on_one_session_at_once(tmp_path: Path) -> None:
    inside: dict[str, int] = {}

    async def alone(errand: Errand, arguments: JsonObject) -> ToolResult:
        assert inside.setdefault(errand.session, 0) == 0
        inside[errand.session] += 1
        await asyncio.sleep(0)
        inside[errand.session] -= 1
        return ToolResult(str(arguments["n"]))

    async with open_town(tmp_path, calling("alone", times=5)) as town:
        town.tools.add("alone", alone)
        async with town.working(at_once=4):
            dispatch, other = town.worker(at_once=4)
            async with dispatch.service(), other.service():
                addresses = [await town.begin() for _ in range(20)]
                for address in addresses:
                    state = await town.until(address, "completed")
                    assert state.turn == 6
        assert len(town.tools.calls) == 100


async def test_a_worker_that_stops_lets_what_is_under_way_end(tmp_path: Path) -> None:
    gate = Gate()
    async with open_town(tmp_path, calling("gate")) as town:
        town.tools.add("gate", gate, EffectClass.UNSAFE)
        dispatch, worker = town.worker(drain=10.0)
        async with dispatch.service():
            async with worker.service():
                address = await town.begin()
                await gate.begun.wait()
                asyncio.get_running_loop().call_later(0.05, gate.let.set)
            state = await town.look(address)
            # Its result is recorded, and nothing new was begun.
            assert state.effects == {} and state.model is None and state.end is None
            async with worker.service():
                await town.until(address, "completed")
        assert len(town.tools.calls) == 1


async def test_a_hard_stop_is_a_crash_like_any_other(tmp_path: Path) -> None:
    gate = Gate()
    async with open_town(tmp_path, calling("gate")) as town:
        town.tools.add("gate", gate, EffectClass.UNSAFE)
        async with town.working(drain=0.0):
            address = await town.begin()
            await gate.begun.wait()
        gate.let.set()

        def doubtful(state: State) -> bool:
            return any(effect.status == "unknown" for effect in state.effects.values())

        async with town.working():
            state = await town.until(address, doubtful)
            [effect] = state.effects
            await town.tell(address, c.Resolve(now(), effect, "not done", "user/default/ann"))
            await town.until(address, "completed")
        assert len(town.tools.calls) == 2
        assert {key for key, _, _ in town.tools.calls} == {f"{address}/{effect}"}


async def test_runtime_50_a_full_disk_stops_a_session_until_there_is_room_and_loses_nothing(tmp_path: Path) -> None:
    gate = Gate()
    async with open_town(tmp_path, calling("gate")) as town:
        town.tools.add("gate", gate, EffectClass.UNSAFE)
        async with town.working():
            address = await town.begin()
            await gate.begun.wait()
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "city.db-wal").stat().st_size, hard))
            try:
                gate.let.set()
                for _ in range(3):
                    with pytest.raises(Fault) as full:
                        await town.store.commit(Append(Event("elsewhere", "x", {"text": "x" * 5000})))
                    assert full.value.code == "STORAGE_FAILED"
                assert (await town.look(address)).effects
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            state = await town.until(address, "completed")
        # The result of the call was kept until there was room for it: the call was made once, and nobody was asked.
        assert len(town.tools.calls) == 1 and "effect.unknown" not in await town.types(address)
        assert state.steps[1].items[0].text == "let go"


async def test_runtime_08_a_last_write_that_was_torn_is_as_if_it_had_not_been(tmp_path: Path) -> None:
    gate = Gate()
    calls = [said("", (f"c{n}", "gate" if n == 9 else "echo", {"n": n})) for n in range(12)]
    model = ScriptedModel(script(*calls, said("done")))
    async with open_town(tmp_path / "whole", model, full_sync=True) as town:
        town.tools.add("echo", echo)
        town.tools.add("gate", gate, EffectClass.IDEMPOTENT)
        async with town.working(seconds=0.5):
            address = await town.begin()
            await gate.begun.wait()
            before = await town.look(address)
            # What power that is lost leaves behind: the files as they are, the last page of them cut.
            for cut in (0, 1, 4000, 9000):
                shutil.copytree(tmp_path / "whole", tmp_path / f"cut{cut}")
            gate.let.set()
            await town.until(address, "completed")
    for cut in (0, 1, 4000, 9000):
        home = tmp_path / f"cut{cut}"
        wal = home / "city.db-wal"
        if cut:
            # The room behind what was written is zeros.
            written = len(wal.read_bytes().rstrip(b"\0"))
            with wal.open("r+b") as file:
                file.truncate(written - cut)
        async with open_town(home, model, full_sync=True) as town:
            town.tools.add("echo", echo)
            town.tools.add("gate", echo, EffectClass.IDEMPOTENT)
            found = await town.look(address)
            assert found.poison is None and found.sequence <= before.sequence
            assert cut or found.sequence == before.sequence
            async with town.working():
                state = await town.until(address, "completed")
            assert state.turn == 13
            assert broken_at(await town.events(address)) is None
