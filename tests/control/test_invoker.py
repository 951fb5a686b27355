"""The one way to call an operation: who may, with what input, and how it fails."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import pytest
from tests.control.town import ADMIN, READER, Town, note, provider

from pharos.core.fault import Fault, Permitted
from pharos.core.operation import SetStatus
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.resource import Condition, ResourceId, Status
from pharos.core.wire import JsonObject


async def test_who_is_unknown_learns_nothing(city: Town) -> None:
    answers = []
    for name in ("catalog.get", "no.such-operation", "catalog.gett", "keys.issue"):
        fault = await city.fails(name, None, kind="Provider", name="x")
        document = fault.document.to_json()
        del document["correlation"]
        answers.append(document)
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["code"] == "UNAUTHENTICATED" and answers[0]["fixes"] == []


async def test_a_public_operation_answers_anyone(city: Town) -> None:
    assert await city.call("pings.public", None, name="hi") == {"said": "hi from anonymous"}
    fault = await city.fails("pings.public", None, nam="hi")
    assert [p.suggestion for p in fault.document.problems] == ["name"]
    assert fault.document.fixes == []


async def test_an_unknown_operation_names_the_nearest(city: Town) -> None:
    fault = await city.fails("catalog.aply")
    assert fault.code == "NOT_FOUND" and fault.document.facts["nearest"] == "catalog.apply"
    assert fault.document.fixes[0].call is not None
    call = fault.document.fixes[0].call
    assert await city.call(call.operation, **call.arguments)
    assert (await city.fails("zzz.qqq")).document.fixes[0].call is not None


async def test_what_one_may_not_do_one_may_ask_for(city: Town) -> None:
    document = provider("acme")
    fault = await city.fails("catalog.apply", READER, documents=[document])
    assert fault.code == "FORBIDDEN" and fault.document.required_permission == "catalog.write"
    (fix,) = fault.document.fixes
    assert fix.permitted is Permitted.YES and fix.call is not None
    await city.call(fix.call.operation, READER, **fix.call.arguments)
    (asked,) = city.works.asked
    assert (asked.operation, asked.arguments) == ("catalog.apply", {"documents": [document]})


async def test_a_secret_is_not_repeated_in_the_way_to_ask(city: Town) -> None:
    fault = await city.fails("logins.try", READER, user="u", password="hunter22")
    assert fault.code == "FORBIDDEN" and "hunter22" not in str(fault.document.to_json())
    assert fault.document.fixes[0].call is None


async def test_rights_are_checked_before_the_input(city: Town) -> None:
    assert (await city.fails("catalog.apply", READER, nonsense=1)).code == "FORBIDDEN"


async def test_all_problems_of_an_input_at_once(city: Town) -> None:
    fault = await city.fails("catalog.list", kind=5, limit=0, selectr="a", namespace="Bad Name")
    document = fault.document
    assert document.code == "INVALID"
    found = {problem.pointer: problem.suggestion for problem in document.problems}
    assert found == {"/kind": None, "/limit": None, "/namespace": None, "/selectr": "selector"}


@pytest.mark.parametrize("bad", ["\ud800", 2**80, float("nan"), b"bytes"])
async def test_input_that_is_no_json_is_refused(city: Town, bad: object) -> None:
    fault = await city.fails("catalog.apply", documents=[{**note("a"), "spec": {"text": bad}}])
    assert fault.code == "INVALID", fault.document
    fault = await city.fails("mails.send", name=bad)
    assert fault.code == "INVALID", fault.document


async def test_deep_input_is_refused(city: Town) -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert (await city.fails("catalog.apply", documents=[{**note("a"), "x": deep}])).code == "INVALID"


async def test_a_defect_is_a_fault_and_its_text_stays_inside(city: Town, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        fault = await city.fails("pings.break", name="hunter22")
    assert fault.code == "INTERNAL" and fault.document.correlation
    assert "hunter22" not in str(fault.document.to_json())
    assert fault.__cause__ is None and fault.__suppress_context__
    assert fault.document.correlation in caplog.text and "town.py" in caplog.text and "RuntimeError" in caplog.text
    assert "hunter22" not in caplog.text


async def test_every_fault_carries_the_correlation(city: Town) -> None:
    with pytest.raises(Fault) as caught:
        await city.invoker.invoke("catalog.get", {"kind": "Note", "name": "x"}, ADMIN, correlation="mine")
    assert caught.value.document.correlation == "mine"
    assert (await city.fails("catalog.get", kind="Note", name="x")).document.correlation


async def test_streams(city: Town) -> None:
    said = []
    with pytest.raises(Fault) as caught:
        async with aclosing(city.invoker.stream("pings.ticks", {"amount": 3}, ADMIN)) as items:
            async for item in items:
                said.append(item["said"])
    assert said == ["0", "1", "2"]
    assert caught.value.code == "FORBIDDEN" and caught.value.document.correlation
    for name, arguments, principal, code in (
        ("pings.ticks", {"amount": "x"}, ADMIN, "INVALID"),
        ("pings.ticks", {"amount": 1}, READER, "FORBIDDEN"),
        ("pings.ticks", {"amount": 1}, None, "UNAUTHENTICATED"),
        ("catalog.get", {}, ADMIN, "INVALID"),
    ):
        with pytest.raises(Fault) as caught:
            await anext(city.invoker.stream(name, arguments, principal))  # type: ignore[arg-type]
        assert caught.value.code == code
    assert (await city.fails("pings.ticks", amount=1)).code == "INVALID"


async def test_a_write_is_recorded_with_who_and_what(city: Town) -> None:
    output = await city.invoker.invoke(
        "catalog.apply", {"documents": [note("a", "one")]}, ADMIN, correlation="c-1", traceparent="00-aa-bb-01"
    )
    id = str(output["operation"])
    (event,) = await city.store.log.read(f"operations/{id}")
    assert event.event.type == "operation.completed"
    assert (event.event.principal, event.event.correlation) == ("user/default/admin", "c-1")
    assert event.event.data["changes"] == [
        {"action": "created", "resource": "Note/default/a", "before": 0, "after": 1},
    ]
    (told,) = await city.store.log.read("catalog")
    assert (told.event.type, told.event.subject, told.event.causation) == ("resource.applied", "Note/default/a", id)
    assert told.event.traceparent == "00-aa-bb-01"
    (revision,), _ = await city.store.catalog.history(ResourceId("Note", "default", "a"))
    assert (revision.operation_id, revision.principal) == (id, "user/default/admin")


async def test_secrets_of_an_input_are_struck_out_of_the_record(city: Town) -> None:
    output = await city.call("logins.try", user="u", password="hunter22")
    record = await city.call("operations.get", id=output["operation"])
    assert record["input"] == {"user": "u", "password": "**********"}
    every = [str(recorded) for recorded in await city.store.log.read_all(limit=1_000)]
    assert every and "hunter22" not in "".join(every)


async def test_a_long_input_is_not_kept(city: Town) -> None:
    output = await city.apply(note("a", "x" * 100_000))
    assert "input" not in await city.call("operations.get", id=output["operation"])


async def test_what_a_status_hides_leaves_by_no_way(city: Town) -> None:
    await city.apply({"kind": "Vault", "metadata": {"name": "v"}, "spec": {"owner": "o"}})
    plan = await city.invoker.invoke("vaults.fill", {"name": "v"}, ADMIN, dry_run=True)
    filled = await city.call("vaults.fill", name="v")
    await city.apply({"kind": "Vault", "metadata": {"name": "v"}, "spec": {"owner": "p"}})
    vault = city.index.find(ResourceId("Vault", "default", "v"))
    assert vault is not None and "digest-of-it" in str(vault.status.to_json()), "the city itself knows it"
    seen: list[object] = [plan, await city.document("Vault", "v"), await city.call("catalog.list")]
    seen += [
        await city.call("catalog.history", kind="Vault", name="v"),
        await city.call("catalog.get", kind="Vault", name="v", revision=1),
        await city.call("catalog.diff", kind="Vault", name="v"),
        await city.call("operations.get", id=filled["operation"]),
        await city.call("operations.list"),
        await city.call("system.graph"),
        [recorded.cloudevent() for recorded in await city.store.log.read_all(limit=1_000)],
    ]
    async with aclosing(city.invoker.stream("catalog.watch", {}, ADMIN)) as items:
        seen += [await anext(items), await anext(items)]
    assert "digest-of-it" not in str(seen)
    assert "digests" not in str(seen)
    assert "'filled': 1" in str(await city.document("Vault", "v")), "what need not be hidden is shown"


async def test_a_dry_run_changes_nothing(city: Town) -> None:
    await city.apply(note("a", "one"))
    head = await city.store.log.head()
    plan = await city.invoker.invoke(
        "catalog.apply",
        {"documents": [note("a", "two"), {**note("b"), "spec": {"about": "c"}}]},
        ADMIN,
        dry_run=True,
        idempotency_key="k",
    )
    assert plan["dryRun"] is True and plan["operation"] == "catalog.apply" and plan["reversibility"] == "exact"
    assert plan["changes"] == [
        {
            "action": "updated",
            "resource": "Note/default/a",
            "diff": [{"pointer": "/spec/text", "before": "one", "after": "two"}],
        },
        {
            "action": "created",
            "resource": "Note/default/b",
            "diff": [{"pointer": "/spec", "after": {"text": "", "about": "c"}}],
        },
    ]
    assert len(plan["warnings"]) == 1  # type: ignore[arg-type]
    output = plan["output"]
    assert isinstance(output, dict) and "operation" not in output
    assert await city.store.log.head() == head
    assert (await city.document("Note", "a"))["spec"] == {"text": "one"}
    assert await city.store.remembered(ADMIN.id, "k") is None


async def test_a_dry_run_shows_no_secret_and_refuses_as_the_call_would(city: Town) -> None:
    await city.apply({"kind": "Vault", "metadata": {"name": "v"}, "spec": {}})
    plan = await city.invoker.invoke("vaults.fill", {"name": "v"}, ADMIN, dry_run=True)
    assert "output" not in plan and "shown-once" not in str(plan)
    with pytest.raises(Fault) as caught:
        await city.invoker.invoke("catalog.delete", {"kind": "Note", "name": "nope"}, ADMIN, dry_run=True)
    assert caught.value.code == "NOT_FOUND"


async def test_guards_are_asked_about_every_change(city: Town) -> None:
    writer = Principal(PrincipalKind.KEY, "writer", permissions=frozenset({"catalog.*", "operations.*"}))
    vault: JsonObject = {"kind": "Vault", "metadata": {"name": "v"}, "spec": {}}
    assert (await city.fails("catalog.apply", writer, documents=[vault])).code == "FORBIDDEN"
    applied = await city.apply(vault)
    for name, arguments in (
        ("catalog.delete", {"kind": "Vault", "name": "v"}),
        ("operations.undo", {"id": applied["operation"]}),
    ):
        fault = await city.fails(name, writer, **arguments)
        assert fault.code == "FORBIDDEN" and fault.document.required_permission == "vaults.guard"
    assert await city.document("Vault", "v")


async def test_a_caller_who_leaves_does_not_leave_the_index_behind(city: Town) -> None:
    for number in range(20):
        task = asyncio.create_task(city.apply(note(f"n{number}")))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await city.invoker.close()
    stored, _ = await city.store.catalog.list(limit=100)
    assert [s.id for s in stored] == [r.id for r in city.index.everything()]


async def test_what_the_city_observes(city: Town) -> None:
    await city.apply(note("a"))
    id = ResourceId("Note", "default", "a")
    told: list[ResourceId] = []
    stop = city.index.subscribe(lambda changed, _: told.append(changed))
    down = Status(conditions=[Condition(type="Ready", status="False", reason="Down")])
    await city.invoker.observe(SetStatus(id, down))
    assert told == [id]
    assert (await city.document("Note", "a"))["metadata"]["revision"] == 1  # type: ignore[index, call-overload]
    await city.apply(note("a", "changed"))
    stop()
    await city.apply(note("a", "changed again"))
    assert told == [id, id]
    document = await city.document("Note", "a")
    assert document["status"]["conditions"][0]["reason"] == "Down"  # type: ignore[index, call-overload]
    with pytest.raises(Fault) as caught:
        await city.invoker.observe(SetStatus(id._replace(name="nope"), down))
    assert caught.value.code == "NOT_FOUND"


async def test_an_operation_that_insists_on_a_revision_is_told_and_not_retried(city: Town) -> None:
    await city.apply(note("a", "one"))
    await city.apply(note("a", "two"))
    fault = await city.fails("notes.insist", amount=1)
    document = fault.document
    assert document.code == "CONFLICT" and document.facts == {"revision": 2, "expected": 1}
    assert document.retry.retry == "after_fix"
    assert city.works.decided == 2, "once more, because it could have been a race"
    await city.call("notes.insist", amount=2)


async def test_a_subscriber_that_fails_stops_nobody(city: Town, caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def broken(id: ResourceId, _: object) -> None:
        raise RuntimeError("hunter22")

    city.index.subscribe(broken)
    city.index.subscribe(lambda id, _: told.append(id.name))
    await city.apply(note("a"))
    assert told == ["a"]
    assert "RuntimeError" in caplog.text and "hunter22" not in caplog.text


async def test_reading_is_cheap(city: Town) -> None:
    """Not timed: a read validates, looks up and dumps, and builds no schema and touches no disk."""
    await city.apply(note("a"))
    await city.document("Note", "a")
    await city.store.close()
    assert (await city.document("Note", "a"))["kind"] == "Note"
