"""The system index: states, connections, what is missing, what breaks."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.control.town import Town, model, provider

from pharos.control.graph import CHARACTERS_PER_TOKEN
from pharos.core.fault import Fault
from pharos.core.operation import SetStatus
from pharos.core.resource import Condition, ResourceId, Status
from pharos.core.wire import JsonObject


async def observe(city: Town, kind: str, name: str, *conditions: Condition) -> None:
    await city.invoker.observe(SetStatus(ResourceId(kind, "default", name), Status(conditions=[*conditions])))


READY = Condition(type="Ready", status="True")
DOWN = Condition(type="Ready", status="False", reason="Unreachable", message="Connection refused.")
UNSURE = Condition(type="Ready", status="Unknown", reason="NotTried")


async def states(city: Town, **arguments: object) -> dict[str, str]:
    graph: Any = await city.call("system.graph", **arguments)
    return {node["name"]: node["state"] for node in graph["nodes"]}


async def test_states_follow_from_what_was_observed(city: Town) -> None:
    await city.apply(
        provider("up"),
        provider("down"),
        provider("unsure"),
        provider("new"),
        model("fast", "up"),
        model("lost", "nope"),
    )
    await observe(city, "Provider", "up", READY)
    await observe(city, "Provider", "down", READY, DOWN)
    await observe(city, "Provider", "unsure", READY, UNSURE)
    assert await states(city) == {
        "down": "unhealthy",
        "lost": "unhealthy",
        "fast": "healthy",
        "new": "unknown",
        "unsure": "unknown",
        "up": "healthy",
    }
    graph: Any = await city.call("system.graph")
    assert graph["counts"] == {
        "Model": {"healthy": 1, "unhealthy": 1},
        "Provider": {"healthy": 1, "unhealthy": 1, "unknown": 2},
    }
    assert graph["dangling"] == [
        {"source": "Model/default/lost", "target": "Provider/default/nope", "pointer": "/spec/targets/0/provider"}
    ]
    assert "Model/default/fast" in graph["unreferenced"] and "Provider/default/up" not in graph["unreferenced"]
    assert graph["edgeCount"] == 2 and graph["position"] == await city.store.log.head()


async def test_only_what_is_around_a_root(city: Town) -> None:
    await city.apply(
        provider("p"), model("a", "p"), model("b", fallbacks=["a"]), model("c", fallbacks=["b"]), model("other")
    )
    assert set(await states(city, root="Model/a")) == {"p", "a", "b", "c"}
    assert set(await states(city, root="Model/default/a", depth=1)) == {"p", "a", "b"}
    assert set(await states(city, root="models/a", depth=0)) == {"a"}
    assert (await city.fails("system.graph", root="Model/zz")).code == "NOT_FOUND"
    assert (await city.fails("system.graph", root="Modle/a")).code == "UNKNOWN_KIND"
    assert (await city.fails("system.graph", root="a")).code == "INVALID"


async def test_the_bad_parts_come_first_where_there_is_a_limit(city: Town) -> None:
    await city.apply(*(provider(f"p{i}") for i in range(10)))
    await observe(city, "Provider", "p7", DOWN)
    graph: Any = await city.call("system.graph", limit=3)
    assert [node["name"] for node in graph["nodes"]] == ["p7", "p0", "p1"] and graph["omitted"] == 7


async def test_impact_is_transitive_with_paths(city: Town) -> None:
    await city.apply(
        provider("p"),
        model("a", "p"),
        model("b", fallbacks=["a"]),
        model("c", "p", fallbacks=["b"]),
        model("loop", fallbacks=["c", "loop"]),
    )
    impact: Any = await city.call("system.impact", kind="provider", name="p")
    assert impact["exists"] is True
    assert [(d["resource"].rpartition("/")[2], d["distance"]) for d in impact["dependents"]] == [
        ("a", 1),
        ("c", 1),
        ("b", 2),
        ("loop", 2),
    ]
    path = impact["dependents"][2]["path"]
    assert [(edge["source"], edge["target"]) for edge in path] == [
        ("Model/default/b", "Model/default/a"),
        ("Model/default/a", "Provider/default/p"),
    ]
    await city.apply(model("lost", "missing"))
    missing: Any = await city.call("system.impact", kind="Provider", name="missing")
    assert missing["exists"] is False and len(missing["dependents"]) == 1
    assert (await city.call("system.impact", kind="Model", name="lost"))["dependents"] == []
    assert (await city.fails("system.impact", kind="Model", name="zz")).code == "NOT_FOUND"


async def huge(city: Town, count: int, bad: int, dangling: int) -> None:
    documents: list[JsonObject] = [provider(f"provider-number-{i:05}") for i in range(count // 2)]
    documents += [model(f"model-number-{i:05}", f"provider-number-{i:05}") for i in range(count // 2)]
    documents += [model(f"lost-model-{i:05}", f"missing-provider-{i:05}") for i in range(dangling)]
    for start in range(0, len(documents), 1_000):
        await city.apply(*documents[start : start + 1_000])
    long = Condition(type="Ready", status="False", reason="Unreachable", message="Connection refused. " * 20)
    for i in range(bad):
        await observe(city, "Provider", f"provider-number-{i * 7:05}", long)


async def test_infra_35_a_summary_of_a_huge_graph_has_every_bad_part_within_its_limit(city: Town) -> None:
    await huge(city, 3_000, bad=20, dangling=10)
    full: Any = await city.call("system.graph", limit=10_000)
    bad = {node["resource"] for node in full["nodes"] if node["state"] == "unhealthy"}
    assert len(bad) == 30
    for limit in (1_500, 2_000, 20_000):
        summary: Any = await city.call("system.graph", summary=True, maxTokens=limit)
        assert summary["tokens"] <= limit
        assert len(orjson.dumps(summary)) / CHARACTERS_PER_TOKEN <= limit
        assert {part["resource"] for part in summary["unhealthy"]} == bad
        assert summary["dangling"] == full["dangling"]
        assert summary["counts"] == full["counts"]
        assert summary["nodes"] == [] and len(summary["unreferenced"]) + summary["omitted"] == len(full["unreferenced"])
    assert "Connection refused" in str(summary), "with room there are details"


async def test_infra_35_bad_parts_are_never_left_out_for_the_limit(city: Town) -> None:
    await huge(city, 400, bad=25, dangling=5)
    summary: Any = await city.call("system.graph", summary=True, maxTokens=100)
    assert len(summary["unhealthy"]) == 30 and summary["tokens"] > 100
    assert all(part["why"] == "" for part in summary["unhealthy"])


async def test_the_city_describes_itself(city: Town) -> None:
    operations: Any = await city.call("system.operations")
    by_name = {item["name"]: item for item in operations["items"]}
    assert set(by_name) == set(city.directory.operations)
    apply = by_name["catalog.apply"]
    assert apply["effect"] == "write" and apply["reversibility"] == "exact" and apply["inverse"] == "operations.undo"
    assert apply["permission"] == "catalog.write" and apply["plane"] == "control" and apply["cost"] == "free"
    assert apply["input"]["properties"]["manifest"]["description"] and "CONFLICT" in apply["faults"]
    assert by_name["catalog.delete"]["effect"] == "destroy"
    for item in by_name.values():
        assert item["inverse"] is None or item["inverse"] in by_name if "inverse" in item else True
        assert set(item["faults"]) <= set(city.directory.faults)
    noun: Any = await city.call("system.operations", name="operations")
    assert {item["name"] for item in noun["items"]} == {f"operations.{v}" for v in ("get", "list", "redo", "undo")}
    fault = await city.fails("system.operations", name="catalog.aply")
    assert fault.document.problems[0].suggestion == "catalog.apply"
    kinds: Any = await city.call("kinds.list")
    assert [item["name"] for item in kinds["items"]] == ["Model", "Note", "Provider", "Vault"]
    assert kinds["items"][0]["schema"]["properties"]["targets"] and kinds["items"][0]["plane"] == "works"
    faults: Any = await city.call("faults.list", operation="operations.undo")
    codes = {item["code"] for item in faults["items"]}
    assert {"UNDO_CONFLICT", "IRREVERSIBLE", "FORBIDDEN"} <= codes and "GONE" not in codes
    one: Any = await city.call("faults.list", code="GONE")
    assert one["items"][0]["status"] == 410 and one["items"][0]["plane"] == "control"
    assert (await city.fails("faults.list", code="GON")).document.problems[0].suggestion == "GONE"
    assert (await city.fails("faults.list", operation="catalog.aply")).code == "INVALID"


async def test_a_root_that_can_be_no_name_is_missing(city: Town) -> None:
    for root in ("Provider/..", "Provider/default/A B", "Provider/\x00/x", "Provider/" + "x" * 300):
        with pytest.raises(Fault, match="NOT_FOUND"):
            await city.call("system.graph", root=root)
    with pytest.raises(Fault, match="UNKNOWN_KIND"):
        await city.call("system.graph", root="../..")


async def test_a_revision_beyond_all_numbers_is_refused(city: Town) -> None:
    await city.apply(provider("up"))
    for number in (2**63, 2**64 - 1):
        with pytest.raises(Fault, match="NOT_FOUND"):
            await city.call("catalog.get", kind="Provider", name="up", revision=number)
        with pytest.raises(Fault, match="CONFLICT"):
            await city.call("catalog.apply", documents=[provider("up")], expectedRevision=number)
