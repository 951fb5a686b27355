"""apply, get, list, delete, history, diff."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.control.town import ADMIN, Town, model, note, only, provider, town
from tests.fixes import certain, prove_certain_fix_of_call

from pharos.core.call import Call
from pharos.core.fault import NOT_FOUND, Applicability, Fault
from pharos.core.resource import ResourceId
from pharos.core.wire import JsonObject


async def names(city: Town, **arguments: object) -> list[str]:
    page: Any = await city.call("catalog.list", **arguments)
    return [item["metadata"]["name"] for item in page["items"]]


async def revision_of(city: Town, kind: str, name: str) -> int:
    document: Any = await city.document(kind, name)
    return int(document["metadata"]["revision"])


async def test_apply_creates_updates_and_leaves_alone(city: Town) -> None:
    first = only(await city.apply(note("a", "one")))
    assert (first["action"], first["revision"]) == ("created", 1)
    assert (only(await city.apply(note("a", "one")))["action"], await revision_of(city, "Note", "a")) == (
        "unchanged",
        1,
    )
    assert only(await city.apply(note("a", "two")))["action"] == "updated"
    assert only(await city.apply(note("a", "two", labels={"x": "y"})))["revision"] == 3
    document: Any = await city.document("Note", "a")
    assert document["metadata"]["uid"] and document["metadata"]["createdAt"] < document["metadata"]["updatedAt"]
    changed = [r.event.subject for r in await city.store.log.read("catalog")]
    assert len(changed) == 3, "what says what already is makes no revision and no event"


async def test_apply_reads_text(city: Town) -> None:
    text = "kind: Note\nmetadata: {name: a}\nspec: {text: one}\n---\nkind: Note\nmetadata: {name: b}\n" + "spec: {}\n"
    output: Any = await city.call("catalog.apply", manifest=text)
    assert [r["action"] for r in output["resources"]] == ["created", "created"]
    long = text + "---\nkind: Note\nmetadata: {name: c}\nspec: {text: " + "x" * 100_000 + "}\n"
    output = await city.call("catalog.apply", manifest=long)
    assert [r["action"] for r in output["resources"]] == ["unchanged", "unchanged", "created"]
    for arguments in ({}, {"manifest": "---\n# nothing\n"}, {"manifest": text, "documents": [note("d")]}):
        assert (await city.fails("catalog.apply", **arguments)).code == "INVALID"


async def test_apply_is_all_or_nothing(city: Town) -> None:
    await city.apply(note("a", "one"))
    stale = note("a", "two", revision=7)
    assert (await city.fails("catalog.apply", documents=[note("b"), stale, note("c")])).code == "CONFLICT"
    assert await names(city) == ["a"]


async def test_what_was_read_can_be_edited_and_applied(city: Town) -> None:
    await city.apply(note("a", "one"))
    document: Any = await city.document("Note", "a")
    document["spec"]["text"] = "two"
    output = await city.apply(document)
    assert only(output)["revision"] == 2
    assert output["warnings"] == ["Note/default/a: the status was ignored; the city writes it."]
    assert (await city.fails("catalog.apply", documents=[document])).code == "CONFLICT"


async def test_references_may_dangle_and_are_told(city: Town) -> None:
    await city.apply(provider("acme"))
    output: Any = await city.apply(model("slow", "acme"), model("fast", "acmee", fallbacks=["slow", "slwo"]))
    warnings = output["resources"][1]["warnings"]
    assert len(warnings) == 2 and output["warnings"] == warnings and output["resources"][0]["warnings"] == []
    assert "Did you mean acme?" in warnings[0] and "/spec/targets/0/provider" in warnings[0]
    assert "Did you mean slow?" in warnings[1]


async def test_infra_2_the_second_of_two_plans_gets_the_difference_and_a_rebased_plan(city: Town) -> None:
    await city.apply(model("fast", "a", "b", note="old"))
    read: Any = await city.document("Model", "fast")
    mine: Any = {**read, "spec": {**read["spec"], "note": "mine"}}
    theirs: Any = {**read, "spec": {**read["spec"], "fallbacks": ["slow"]}}
    await city.apply(theirs)
    fault = await city.fails("catalog.apply", documents=[mine])
    document = fault.document
    assert document.code == "CONFLICT" and document.facts["expected"] == 1 and document.facts["revision"] == 2
    assert document.facts["changed"] == [{"pointer": "/spec/fallbacks", "before": [], "after": ["slow"]}]
    rebase = next(fix for fix in document.fixes if fix.id == "rebase")
    assert rebase.call is not None and rebase.applicability is Applicability.LIKELY
    await city.call(rebase.call.operation, **rebase.call.arguments)
    now: Any = await city.document("Model", "fast")
    assert now["spec"]["note"] == "mine" and now["spec"]["fallbacks"] == ["slow"], "both changes hold"


async def test_infra_2_two_changes_of_one_place_are_not_merged(city: Town) -> None:
    await city.apply(note("a", "old", labels={"l": "1"}))
    read: Any = await city.document("Note", "a")
    await city.apply({**read, "spec": {"text": "theirs"}})
    fault = await city.fails("catalog.apply", documents=[{**read, "spec": {"text": "mine"}}])
    assert [fix.id for fix in fault.document.fixes] == ["look"]
    assert (await city.document("Note", "a"))["spec"] == {"text": "theirs"}


async def test_infra_2_concurrent_writers_with_revisions_lose_no_update(city: Town) -> None:
    """Each of 20 writers reads, adds its own line, and applies with the revision it has read, until it succeeds."""
    await city.apply(note("a", ""))

    async def add(line: str) -> int:
        for attempt in range(1_000):
            read: Any = await city.document("Note", "a")
            read["spec"]["text"] += f"{line},"
            try:
                await city.apply(read)
            except Fault as refused:
                assert refused.code == "CONFLICT"
                continue
            return attempt
        raise AssertionError("never got through")

    await asyncio.gather(*(add(str(n)) for n in range(20)))
    document: Any = await city.document("Note", "a")
    assert sorted(document["spec"]["text"].split(",")[:-1], key=int) == [str(n) for n in range(20)]
    assert document["metadata"]["revision"] == 21


async def test_concurrent_writers_without_revisions_all_get_through(city: Town) -> None:
    outputs = await asyncio.gather(*(city.apply(note("a", str(n))) for n in range(40)))
    revisions = sorted(int(str(only(output)["revision"])) for output in outputs)
    assert revisions == list(range(1, 41)), "every write is a revision of its own"
    history: Any = await city.call("catalog.history", kind="Note", name="a", limit=100)
    assert [item["revision"] for item in history["items"]] == list(range(40, 0, -1))
    by_operation = {item["operation"]: item["revision"] for item in history["items"]}
    assert all(by_operation[output["operation"]] == only(output)["revision"] for output in outputs)


async def test_expected_revision_for_a_single_document(city: Town) -> None:
    async def apply(text: str, expected: int) -> JsonObject:
        return await city.call("catalog.apply", documents=[note("a", text)], expectedRevision=expected)

    await apply("one", 0)
    await apply("two", 1)
    fault = await city.fails("catalog.apply", documents=[note("a", "x")], expectedRevision=0)
    assert fault.code == "CONFLICT" and fault.document.facts["revision"] == 2
    two = [note("a"), note("b")]
    assert (await city.fails("catalog.apply", documents=two, expectedRevision=2)).code == "INVALID"


async def test_what_is_too_large_says_what_the_limit_is(city: Town) -> None:
    fault = await city.fails("catalog.apply", manifest="a: " + "x" * 5_000_000)
    assert fault.code == "TOO_LARGE" and fault.document.facts["limitBytes"] == 4 * 1024 * 1024
    fault = await city.fails("catalog.apply", documents=[note(f"n{i}") for i in range(1_001)])
    assert fault.code == "TOO_LARGE" and fault.document.facts["limitDocuments"] == 1_000


async def test_a_resource_created_again_is_another_one(city: Town) -> None:
    await city.apply(note("a", "one"))
    first: Any = await city.document("Note", "a")
    await city.call("catalog.delete", kind="note", name="a")
    assert only(await city.apply(note("a", "one")))["revision"] == 3
    second: Any = await city.document("Note", "a")
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    assert second["metadata"]["createdAt"] > first["metadata"]["createdAt"]


async def test_get(city: Town) -> None:
    await city.apply(note("a", "one"))
    await city.apply(note("a", "two"))
    assert (await city.call("catalog.get", kind="notes", name="a"))["spec"] == {"text": "two"}
    assert (await city.call("catalog.get", kind="Note", name="a", revision=1))["spec"] == {"text": "one"}
    fault = await city.fails("catalog.get", kind="Note", name="aa")
    assert fault.code == "NOT_FOUND" and fault.document.facts == {"nearest": "a"}
    assert (await city.fails("catalog.get", kind="Note", name="a", revision=9)).code == "NOT_FOUND"
    assert (await city.fails("catalog.get", kind="Nota", name="a")).code == "UNKNOWN_KIND"


async def test_list_by_labels_with_pages(city: Town) -> None:
    documents = [note(f"n{i:02}", labels={"team": "ab"[i % 2], **({"old": "1"} if i > 7 else {})}) for i in range(10)]
    await city.apply(*documents, provider("acme"))
    assert len(await names(city)) == 11
    assert await names(city, kind="note", selector="team=a,!old") == ["n00", "n02", "n04", "n06"]
    assert await names(city, kind="note", selector="team!=a,old") == ["n09"]
    assert await names(city, namespace="other") == []
    collected: list[str] = []
    cursor = None
    for _ in range(10):
        page: Any = await city.call("catalog.list", kind="note", selector="team=b", limit=2, cursor=cursor)
        collected += [item["metadata"]["name"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        await city.call("catalog.delete", kind="note", name=collected[-1])  # pages do not shift
    assert collected == ["n01", "n03", "n05", "n07", "n09"]
    for bad in ("nope", "a/b/c/d"):
        assert (await city.fails("catalog.list", cursor=bad)).code == "INVALID"
    assert (await city.fails("catalog.list", selector="a=b=c")).code == "INVALID"


async def test_delete_is_refused_while_referenced_and_the_fix_is_certain(city: Town) -> None:
    await city.apply(
        provider("acme"), model("fast", "acme"), model("top", "other", fallbacks=["fast"]), model("alone", "other")
    )
    fault = await prove_certain_fix_of_call(
        city.invoker,
        Call(operation="catalog.delete", arguments={"kind": "Provider", "name": "acme"}),
        ADMIN,
        code="REFERENCED",
        fix="delete-referrers",
    )
    document = fault.document
    assert document.subject == "Provider/default/acme"
    assert [(cause.resource, cause.observed) for cause in document.causes] == [
        ("Model/default/fast", "/spec/targets/0/provider")
    ]
    assert document.facts == {"references": 1, "referrers": ["Model/default/fast"]}
    assert await names(city) == ["alone"], "what depends on it, directly or through others, went first"


async def test_deleting_together_what_refers_to_each_other(city: Town) -> None:
    await city.apply(model("a", fallbacks=["b"]), model("b", fallbacks=["a"]), model("me", fallbacks=["me"]))
    assert (await city.fails("catalog.delete", kind="Model", name="a")).code == "REFERENCED"
    await city.call("catalog.delete", kind="Model", name="me")
    await city.call("catalog.delete", resources=[{"resource": "Model/a"}, {"resource": "Model/default/b"}])
    assert await names(city) == []


async def test_delete_with_a_revision_and_bad_input(city: Town) -> None:
    await city.apply(note("a"))
    fault = await city.fails("catalog.delete", kind="Note", name="a", expectedRevision=2)
    assert fault.code == "CONFLICT" and fault.document.facts == {"expected": 2, "revision": 1}
    for arguments in (
        {},
        {"kind": "Note"},
        {"kind": "Note", "name": "a", "resources": [{"resource": "Note/a"}]},
        {"resources": [{"resource": "nope"}]},
        {"resources": [{"resource": "Note/a"}, {"resource": "Note/default/a"}]},
    ):
        assert (await city.fails("catalog.delete", **arguments)).code == "INVALID", arguments
    assert await names(city) == ["a"]


async def test_history_and_diff(city: Town) -> None:
    await city.apply(note("a", "one"))
    await city.apply(note("a", "two", labels={"x": "y"}))
    await city.call("catalog.delete", kind="Note", name="a")
    await city.apply(note("a", "three"))
    first: Any = await city.call("catalog.history", kind="Note", name="a", limit=3)
    assert [(i["revision"], i["action"]) for i in first["items"]] == [(4, "created"), (3, "deleted"), (2, "updated")]
    rest: Any = await city.call("catalog.history", kind="Note", name="a", limit=3, cursor=first["next"])
    assert [(i["revision"], i["action"]) for i in rest["items"]] == [(1, "created")] and rest["next"] is None
    assert all(i["principal"] == ADMIN.id and i["operation"] for i in (*first["items"], *rest["items"]))
    difference = only(await city.call("catalog.diff", kind="Note", name="a", before=1, after=2), "items")
    assert difference["diff"] == [
        {"pointer": "/metadata", "after": {"labels": {"x": "y"}}},
        {"pointer": "/spec/text", "before": "one", "after": "two"},
    ]
    assert only(await city.call("catalog.diff", kind="Note", name="a", after=3), "items")["action"] == "deleted"
    assert only(await city.call("catalog.diff", kind="Note", name="a"), "items")["action"] == "created"
    wanted: Any = await city.call("catalog.diff", documents=[note("a", "four"), note("b"), note("a2", "x")])
    assert [i["action"] for i in wanted["items"]] == ["updated", "created", "created"]
    assert wanted["items"][0]["diff"] == [{"pointer": "/spec/text", "before": "three", "after": "four"}]
    same: Any = await city.call("catalog.diff", manifest="{kind: Note, metadata: {name: a}, spec: {text: three}}")
    assert same["items"][0]["action"] == "unchanged" and same["items"][0]["diff"] == []
    for arguments in ({}, {"kind": "Note"}, {"kind": "Note", "name": "a", "documents": [note("a")]}):
        assert (await city.fails("catalog.diff", **arguments)).code == "INVALID"
    assert (await city.fails("catalog.diff", kind="Note", name="zz")).code == "NOT_FOUND"
    assert (await city.fails("catalog.history", kind="Note", name="zz")).code == "NOT_FOUND"
    assert (await city.fails("catalog.history", kind="Note", name="a", cursor="x")).code == "INVALID"


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with town(tmp_path) as city:
        await city.apply(provider("acme"), model("fast", "acme"), *(note(f"n{i:04}") for i in range(900)))
        await city.apply(*(note(f"m{i:04}") for i in range(300)))
        before = await city.call("catalog.list", kind="model")
    async with town(tmp_path) as city:
        assert await city.call("catalog.list", kind="model") == before
        assert len(city.index.everything()) == 1_202
        assert list(city.index.referrers(ResourceId("Provider", "default", "acme"))) == [
            ResourceId("Model", "default", "fast")
        ]
        assert (await city.fails("catalog.delete", kind="Provider", name="acme")).code == "REFERENCED"


async def test_a_reference_that_arrives_with_a_delete_is_not_left_dangling(city: Town) -> None:
    """A delete that succeeds has cut no reference: one that dangles was committed after it."""
    for number in range(30):
        await city.apply(provider("acme"))
        delete = asyncio.create_task(city.call("catalog.delete", kind="Provider", name="acme"))
        for _ in range(number % 6):
            await asyncio.sleep(0)
        apply = asyncio.create_task(city.apply(model("fast", "acme")))
        await asyncio.wait([delete, apply])
        applied: Any = apply.result()
        deleted = delete.exception() is None
        warned = bool(applied["warnings"])
        if deleted and not warned:
            catalog = [r.event for r in await city.store.log.read("catalog", limit=1_000)]
            order = [e.subject for e in catalog if e.causation in (applied["operation"], _operation(delete))]
            assert order[-1] == "Model/default/fast", "the reference stood before the delete did"
        await city.call("catalog.delete", kind="Model", name="fast")
        if not deleted:
            await city.call("catalog.delete", kind="Provider", name="acme")


def _operation(task: asyncio.Task[JsonObject]) -> object:
    return task.result()["operation"] if task.exception() is None else None


async def test_kinds_that_are_gone_are_kept_and_shown(tmp_path: Path) -> None:
    async with town(tmp_path) as city:
        await city.apply(note("a", "one"), provider("acme"))
        applied = await city.apply(note("b", "x"))
        await city.call("catalog.delete", kind="Note", name="b")
    async with town(tmp_path) as city:
        city.directory.kinds._kinds.pop("Note")
        city.directory.kinds._spoken = {k: v for k, v in city.directory.kinds._spoken.items() if v.name != "Note"}
        fresh = type(city.index)(city.directory.kinds)
        await fresh.load(city.store)
        city.index.__dict__.update(fresh.__dict__)
        assert (await city.call("catalog.get", kind="Note", name="a"))["spec"] == {"text": "one"}
        graph: Any = await city.call("system.graph", summary=True)
        assert [part["resource"] for part in graph["unhealthy"]] == ["Note/default/a"]
        fault = await city.fails("operations.undo", id=applied["operation"])
        assert fault.code in ("UNDO_CONFLICT", "UNKNOWN_KIND")
        await city.call("catalog.delete", kind="Note", name="a")


def test_the_proof_helper_refuses_a_fix_that_is_not_certain() -> None:
    try:
        certain(NOT_FOUND())
    except AssertionError:
        return
    raise AssertionError
