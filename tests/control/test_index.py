"""The catalog in memory: whatever order changes arrive in, it ends as the log says."""

from __future__ import annotations

import itertools
from typing import Any

from tests.control.town import MODEL, NOTE, PROVIDER, ModelSpec, NoteSpec, Target, Town, model, note, provider

from pharos.control.index import Index
from pharos.control.kinds import Kinds
from pharos.core.operation import Change, Delete, Put, SetStatus
from pharos.core.resource import AnyResource, Condition, Metadata, Resource, ResourceId, Status

A = ResourceId("Note", "default", "a")


def index() -> Index:
    kinds = Kinds()
    for kind in (NOTE, MODEL, PROVIDER):
        kinds.add(kind)
    return Index(kinds)


def put(revision: int, text: str = "") -> Put:
    metadata = Metadata(name="a", revision=revision)
    return Put(Resource[NoteSpec](kind="Note", metadata=metadata, spec=NoteSpec(text=text)), revision - 1)


def status(reason: str) -> SetStatus:
    return SetStatus(A, Status(conditions=[Condition(type="Ready", status="True", reason=reason)]))


def reason(resource: AnyResource | None) -> str:
    assert resource is not None
    return resource.status.conditions[0].reason if resource.status.conditions else ""


def test_changes_that_arrive_out_of_order_end_as_in_the_log() -> None:
    changes: list[tuple[Change, str]] = [
        (put(2, "two"), "p2"),
        (status("first"), "p3"),
        (put(3, "three"), "p4"),
        (status("second"), "p5"),
    ]
    for order in itertools.permutations(changes):
        mirror = index()
        mirror.apply([(put(1, "one"), "p1")])
        for change in order:
            mirror.apply([change])
        found = mirror.get(NOTE, "a")
        assert found is not None and (found.spec.text, reason(found)) == ("three", "second")
        assert mirror.position == "p5"


def test_a_late_change_does_not_bring_back_what_was_deleted() -> None:
    changes: list[tuple[Change, str]] = [(put(2, "two"), "p2"), (status("x"), "p3"), (Delete(A, 2), "p4")]
    for order in itertools.permutations(changes):
        mirror = index()
        mirror.apply([(put(1, "one"), "p1")])
        for change in order:
            mirror.apply([change])
        assert mirror.find(A) is None
        assert list(mirror.deleted_after("p1")) == [(A, "p4")] and list(mirror.deleted_after("p4")) == []


def test_what_is_created_again_starts_with_its_own_status() -> None:
    mirror = index()
    mirror.apply([(put(1), "p1"), (status("old"), "p2"), (Delete(A, 1), "p3"), (put(3, "again"), "p4")])
    assert reason(mirror.find(A)) == ""
    mirror.apply([(status("late"), "p2")])
    assert reason(mirror.find(A)) == ""


def test_subscribers_see_all_of_a_commit_at_once() -> None:
    mirror = index()
    seen: list[tuple[str, bool, bool]] = []
    names = ("a", "b")

    def follow(id: ResourceId, resource: AnyResource | None) -> None:
        seen.append((id.name, *(mirror.get(NOTE, name) is not None for name in names)))  # type: ignore[arg-type]

    stop = mirror.subscribe(follow)
    b = put(1).resource.model_copy(update={"metadata": Metadata(name="b", revision=1)})
    mirror.apply([(put(1), "p1"), (Put(b, 0), "p2")])
    assert seen == [("a", True, True), ("b", True, True)]
    stop()
    stop()
    mirror.apply([(Delete(A, 1), "p3")])
    assert len(seen) == 2


def test_references_follow_every_change() -> None:
    mirror = index()
    p1, p2 = ResourceId("Provider", "default", "p1"), ResourceId("Provider", "default", "p2")

    def fast(revision: int, *providers: str) -> Put:
        spec = ModelSpec(targets=[Target(provider=p, model="m") for p in providers])
        metadata = Metadata(name="fast", revision=revision)
        return Put(Resource[ModelSpec](kind="Model", metadata=metadata, spec=spec), revision - 1)

    mirror.apply([(fast(1, "p1"), "1")])
    assert mirror.is_referenced(p1) and not mirror.is_referenced(p2)
    mirror.apply([(fast(2, "p2", "p2"), "2")])
    assert not mirror.is_referenced(p1) and [r.pointer for r in mirror.references(fast(2).resource.id)] == [
        "/spec/targets/0/provider",
        "/spec/targets/1/provider",
    ]
    mirror.apply([(Delete(fast(2).resource.id, 2), "3")])
    assert not mirror.is_referenced(p2) and mirror.references(fast(2).resource.id) == ()


async def test_lists_are_typed_sorted_and_current(city: Town) -> None:
    await city.apply(model("b"), model("a"), provider("z"), note("n"))
    assert [m.metadata.name for m in city.index.all(MODEL)] == ["a", "b"]
    assert city.index.all(MODEL) is city.index.all(MODEL), "computed once between changes"
    targets: list[Any] = [m.spec.targets for m in city.index.all(MODEL)]
    assert targets == [[], []]
    await city.call("catalog.delete", kind="Model", name="a")
    assert [m.metadata.name for m in city.index.all(MODEL)] == ["b"]
    assert [str(r.id) for r in city.index.everything()] == ["Model/default/b", "Note/default/n", "Provider/default/z"]
