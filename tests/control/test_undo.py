"""Undo and redo of any write."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.control.town import ADMIN, OTHER, Town, model, note, provider, town
from tests.fixes import prove_certain_fix_of_call

from pharos.core.call import Call
from pharos.core.fault import Applicability
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.resource import ResourceId


async def texts(city: Town) -> dict[str, str]:
    page: Any = await city.call("catalog.list", kind="Note")
    return {item["metadata"]["name"]: item["spec"]["text"] for item in page["items"]}


async def applied(city: Town, *documents: Any) -> str:
    return str((await city.apply(*documents))["operation"])


async def undo(city: Town, id: str) -> Any:
    return await city.call("operations.undo", id=id)


async def redo(city: Town, id: str) -> Any:
    return await city.call("operations.redo", id=id)


async def test_undo_brings_back_what_was(city: Town) -> None:
    await applied(city, note("a", "one", labels={"l": "1"}, annotations={"n": "x"}), note("gone", "g"))
    before: Any = await city.document("Note", "a")
    operation = await applied(city, note("a", "two"), note("b", "new"))
    result = await undo(city, operation)
    assert result["state"] == "undone" and result["resources"] == ["Note/default/a", "Note/default/b"]
    after: Any = await city.document("Note", "a")
    assert await texts(city) == {"a": "one", "gone": "g"}
    assert after["metadata"]["revision"] == 3 and after["metadata"]["updatedAt"] > before["metadata"]["updatedAt"]
    for document in (before, after):
        del document["metadata"]["revision"], document["metadata"]["updatedAt"]
    assert after == before, "spec, labels, annotations, uid and creation time"


async def test_undo_of_a_delete_brings_back_the_same_thing(city: Town) -> None:
    await applied(city, note("a", "one"))
    before: Any = await city.document("Note", "a")
    deleted = await city.call("catalog.delete", kind="Note", name="a")
    await undo(city, str(deleted["operation"]))
    after: Any = await city.document("Note", "a")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["createdAt"] == before["metadata"]["createdAt"]
    assert after["metadata"]["revision"] == 3


async def test_redo_is_the_undo_of_the_undo(city: Town) -> None:
    operation = await applied(city, note("a", "one"))
    undone = await undo(city, operation)
    assert await texts(city) == {}
    assert (await redo(city, operation))["state"] == "redone"
    assert await texts(city) == {"a": "one"}
    again = await undo(city, operation)
    assert await texts(city) == {}
    by_undo = await redo(city, again["operation"])
    assert await texts(city) == {"a": "one"}
    taken_back = await undo(city, by_undo["operation"])
    assert taken_back["state"] == "undone" and await texts(city) == {}
    brought_back = await undo(city, taken_back["operation"])
    assert brought_back["state"] == "redone" and await texts(city) == {"a": "one"}
    assert (await city.fails("operations.undo", id=undone["operation"])).code == "ALREADY_UNDONE", (
        "no longer the last word"
    )
    assert (await city.fails("operations.redo", id=undone["operation"])).code == "NOT_UNDONE"


async def test_undoing_twice_is_a_clear_fault(city: Town) -> None:
    operation = await applied(city, note("a", "one"))
    undone = await undo(city, operation)
    fault = await city.fails("operations.undo", id=operation)
    assert fault.code == "ALREADY_UNDONE" and fault.document.facts == {"by": undone["operation"]}
    (fix,) = fault.document.fixes
    assert fix.call == Call(operation="operations.redo", arguments={"id": operation})
    await redo(city, operation)
    fault = await city.fails("operations.redo", id=operation)
    assert fault.code == "NOT_UNDONE"
    assert (await city.fails("operations.undo", id="nope")).code == "NOT_FOUND"


async def test_two_undos_at_the_same_time_undo_once(city: Town) -> None:
    await applied(city, note("a", "one"))
    operation = await applied(city, note("a", "two"))
    results = await asyncio.gather(*(undo(city, operation) for _ in range(5)), return_exceptions=True)
    assert sorted(getattr(r, "code", "done") for r in results) == ["ALREADY_UNDONE"] * 4 + ["done"]
    assert await texts(city) == {"a": "one"}
    paid = str((await city.call("tills.pay", amount=5))["operation"])
    results = await asyncio.gather(*(undo(city, paid) for _ in range(5)), return_exceptions=True)
    assert sorted(getattr(r, "code", "done") for r in results) == ["ALREADY_UNDONE"] * 4 + ["done"]
    assert [r.event.type for r in await city.store.log.read("till")] == ["till.paid", "till.refunded"]


async def test_infra_10_undo_in_the_middle_of_a_chain_names_what_stands_on_it(city: Town) -> None:
    first = await applied(city, note("a", "one"), note("b", "one"))
    second = await applied(city, note("a", "two"))
    third = await applied(city, note("a", "three"), note("b", "three"))
    fault = await city.fails("operations.undo", id=first)
    document = fault.document
    assert document.code == "UNDO_CONFLICT"
    assert document.facts["undoFirst"] == [third, second], "newest first: the order in which to undo"
    assert [fix.call.arguments["id"] for fix in document.fixes if fix.call] == [third, second]
    assert {fix.applicability for fix in document.fixes} == {Applicability.LIKELY}
    assert await texts(city) == {"a": "three", "b": "three"}
    for fix in document.fixes:
        assert fix.call is not None
        await city.call(fix.call.operation, **fix.call.arguments)
    await undo(city, first)
    assert await texts(city) == {}


async def test_infra_10_the_fix_for_one_later_operation_is_certain(city: Town) -> None:
    await applied(city, note("a", "zero"))
    first = await applied(city, note("a", "one"))
    await applied(city, note("a", "two"))
    call = Call(operation="operations.undo", arguments={"id": first})
    await prove_certain_fix_of_call(city.invoker, call, ADMIN, code="UNDO_CONFLICT", fix="undo-1")
    assert await texts(city) == {"a": "zero"}


async def test_infra_10_a_change_and_its_undo_cancel_out(city: Town) -> None:
    first = await applied(city, note("a", "one"))
    for text in ("two", "three"):
        later = await applied(city, note("a", text))
        await undo(city, later)
        await redo(city, later)
        await undo(city, later)
    await undo(city, first)
    assert await texts(city) == {}
    await redo(city, first)
    assert await texts(city) == {"a": "one"}


async def test_infra_10_the_same_content_by_a_later_operation_still_counts(city: Town) -> None:
    await applied(city, note("a", "zero"))
    first = await applied(city, note("a", "one"))
    second = await applied(city, note("a", "two"))
    third = await applied(city, note("a", "one"))
    fault = await city.fails("operations.undo", id=first)
    assert fault.document.facts["undoFirst"] == [third, second], "someone wanted it as it is now"


async def test_infra_10_redo_after_a_diverging_change(city: Town) -> None:
    await applied(city, note("a", "zero"))
    first = await applied(city, note("a", "one"))
    await undo(city, first)
    diverging = await applied(city, note("a", "else"))
    fault = await city.fails("operations.redo", id=first)
    assert fault.code == "UNDO_CONFLICT" and fault.document.facts["undoFirst"] == [diverging]
    assert await texts(city) == {"a": "else"}
    await prove_certain_fix_of_call(
        city.invoker, Call(operation="operations.redo", arguments={"id": first}), ADMIN, code="UNDO_CONFLICT"
    )
    assert await texts(city) == {"a": "one"}


async def test_infra_10_undo_of_a_delete_after_a_same_named_thing_exists(city: Town) -> None:
    await applied(city, note("a", "first"))
    deleted = str((await city.call("catalog.delete", kind="Note", name="a"))["operation"])
    again = await applied(city, note("a", "second"))
    fault = await city.fails("operations.undo", id=deleted)
    assert fault.code == "UNDO_CONFLICT" and fault.document.facts["undoFirst"] == [again]
    assert await texts(city) == {"a": "second"}


async def test_infra_10_undo_of_a_creation_others_refer_to(city: Town) -> None:
    created = await applied(city, provider("acme"))
    await applied(city, model("fast", "acme"))
    await prove_certain_fix_of_call(
        city.invoker, Call(operation="operations.undo", arguments={"id": created}), ADMIN, code="REFERENCED"
    )
    assert city.index.everything() == ()


async def test_infra_10_undo_of_a_creation_that_was_referred_to_before_it_was(tmp_path: Path) -> None:
    """Undo brings back what was, also a dangling reference; but it makes none that was not there."""
    async with town(tmp_path) as city:
        await applied(city, model("fast", "acme"))
        created = await applied(city, provider("acme"))
        await undo(city, created)
        await redo(city, created)
    async with town(tmp_path) as city:
        await undo(city, created)
        await redo(city, created)
        await applied(city, model("fast", "acme", note="someone looked at it again"))
        assert (await city.fails("operations.undo", id=created)).code == "REFERENCED"


async def test_infra_10_what_changed_without_an_operation_stands_in_the_way(city: Town) -> None:
    first = await applied(city, note("a", "one"))
    present = city.index.find(ResourceId("Note", "default", "a"))
    assert present is not None
    from pharos.core.operation import Put

    await city.store.commit(Put(present.model_copy(), 1))
    fault = await city.fails("operations.undo", id=first)
    assert fault.code in ("UNDO_CONFLICT", "CONFLICT")


async def test_infra_39_undo_of_a_payment_is_compensating_never_exact(city: Town) -> None:
    plan = await city.invoker.invoke("tills.pay", {"amount": 5}, ADMIN, dry_run=True)
    assert plan["reversibility"] == "compensating"
    assert plan["inverse"] == {"operation": "tills.refund", "arguments": {"amount": 5}}
    paid = str((await city.call("tills.pay", amount=5))["operation"])
    assert (await city.call("operations.get", id=paid))["reversibility"] == "compensating"
    undone = await undo(city, paid)
    record = await city.call("operations.get", id=undone["operation"])
    assert record["reversibility"] == "compensating", "the undo is no more exact than what it undoes"
    await redo(city, paid)
    await undo(city, paid)
    assert [(r.event.type, r.event.data["amount"]) for r in await city.store.log.read("till")] == [
        ("till.paid", 5),
        ("till.refunded", 5),
        ("till.paid", 5),
        ("till.refunded", 5),
    ]


async def test_infra_39_undo_of_a_mail_is_refused(city: Town) -> None:
    plan = await city.invoker.invoke("mails.send", {"name": "x"}, ADMIN, dry_run=True)
    assert plan["reversibility"] == "none"
    sent = str((await city.call("mails.send", name="x"))["operation"])
    fault = await city.fails("operations.undo", id=sent)
    assert fault.code == "IRREVERSIBLE" and fault.document.facts == {"reversibility": "none"}
    assert (await city.call("operations.get", id=sent))["undoable"] is False


async def test_an_undo_whose_inverse_cannot_be_undone_says_so(city: Town) -> None:
    await city.apply({"kind": "Vault", "metadata": {"name": "v"}, "spec": {}})
    filled = str((await city.call("vaults.fill", name="v"))["operation"])
    undone = await undo(city, filled)
    assert (await city.call("operations.get", id=undone["operation"]))["reversibility"] == "none"
    fault = await city.fails("operations.redo", id=filled)
    assert fault.code == "IRREVERSIBLE"
    document: Any = await city.document("Vault", "v")
    assert document["status"]["conditions"][0]["reason"] == "Emptied"


async def test_undo_never_brings_back_a_status(city: Town) -> None:
    await city.apply({"kind": "Vault", "metadata": {"name": "v"}, "spec": {"owner": "a"}})
    changed = str((await city.apply({"kind": "Vault", "metadata": {"name": "v"}, "spec": {"owner": "b"}}))["operation"])
    await city.call("vaults.fill", name="v")
    await city.call("vaults.empty", name="v")
    await undo(city, changed)
    vault = city.index.find(ResourceId("Vault", "default", "v"))
    assert vault is not None and vault.spec.owner == "a" and "digest-of-it" not in str(vault.status.to_json())
    deleted = str((await city.call("catalog.delete", kind="Vault", name="v"))["operation"])
    await undo(city, deleted)
    vault = city.index.find(ResourceId("Vault", "default", "v"))
    assert vault is not None and vault.status.conditions == [], "what was observed of it before is not true of it now"


async def test_undo_requires_the_permission_of_what_it_undoes(city: Town) -> None:
    undoer = Principal(PrincipalKind.KEY, "undoer", permissions=frozenset({"operations.*", "tills.pay"}))
    operation = await applied(city, note("a", "one"))
    fault = await city.fails("operations.undo", undoer, id=operation)
    assert fault.code == "FORBIDDEN" and fault.document.required_permission == "catalog.write"
    (fix,) = fault.document.fixes
    assert fix.call is not None and fix.call.arguments["operation"] == "operations.undo"
    undone = await undo(city, operation)
    fault = await city.fails("operations.undo", undoer, id=undone["operation"])
    assert fault.document.required_permission == "catalog.write", "also to undo the undo"
    paid = str((await city.call("tills.pay", amount=1))["operation"])
    await city.call("operations.undo", undoer, id=paid)


async def test_undo_can_be_planned(city: Town) -> None:
    operation = await applied(city, note("a", "one"))
    plan: Any = await city.invoker.invoke("operations.undo", {"id": operation}, ADMIN, dry_run=True)
    assert [(c["action"], c["resource"]) for c in plan["changes"]] == [("deleted", "Note/default/a")]
    assert await texts(city) == {"a": "one"}
    assert (await undo(city, operation))["state"] == "undone"


async def test_undo_warns_of_references_that_dangle_now(city: Town) -> None:
    await city.apply(provider("acme"), model("fast", "acme"))
    moved = await applied(city, provider("acme2"), model("fast", "acme2"))
    await city.call("catalog.delete", kind="Provider", name="acme")
    undone = await undo(city, moved)
    assert len(undone["warnings"]) == 1 and "'Provider/default/acme', which does not exist" in undone["warnings"][0]


async def test_the_record_of_operations(tmp_path: Path) -> None:
    async with town(tmp_path) as city:
        first = await applied(city, note("a", "one"))
        second = str((await city.invoker.invoke("catalog.apply", {"documents": [note("b")]}, OTHER))["operation"])
        undone = await undo(city, first)
        page: Any = await city.call("operations.list")
        assert [item["id"] for item in page["items"]] == [undone["operation"], second, first]
        assert [(item["state"], item["undoable"]) for item in page["items"]] == [
            ("in_effect", True),
            ("in_effect", True),
            ("undone", False),
        ]
        assert page["items"][2]["by"] == undone["operation"] and "input" not in page["items"][2]
        assert page["items"][0]["root"] == first
        page = await city.call("operations.list", limit=2)
        rest: Any = await city.call("operations.list", limit=2, cursor=page["next"])
        assert [item["id"] for item in rest["items"]] == [first] and rest["next"] is None
        mine: Any = await city.call("operations.list", principal=OTHER.id, operation="catalog.apply")
        assert [item["id"] for item in mine["items"]] == [second]
        one: Any = await city.call("operations.get", id=first)
        assert one["state"] == "undone" and one["input"]["documents"] == [note("a", "one")]
        assert (await city.fails("operations.get", id="nope")).code == "NOT_FOUND"
        assert (await city.fails("operations.list", cursor="'; DROP")).code == "INVALID"
        before = await city.call("operations.list")
        await city.store.views.reset("operations")
        assert await city.call("operations.list") == before, "the view can be folded again"
    async with town(tmp_path) as city:
        assert await city.call("operations.list") == before
        await redo(city, first)
        assert await texts(city) == {"a": "one", "b": ""}


@pytest.mark.parametrize("id", ["", "x" * 65, "'", "operations/x", "../x"])
async def test_ids_that_are_none(city: Town, id: str) -> None:
    assert (await city.fails("operations.undo", id=id)).code in ("INVALID", "NOT_FOUND")
