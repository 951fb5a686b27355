"""Resources: typed references are found wherever they stand in a spec."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ValidationError

from pharos.core.resource import Metadata, Ref, Resource, ResourceId, Spec, references
from pharos.core.wire import Wire

ModelRef = Annotated[str, Ref("Model")]


class Leg(Wire):
    to_model: ModelRef
    weight: int = 1


class Everything(Spec):
    one: ModelRef
    maybe: ModelRef | None = None
    many: list[ModelRef] = []
    legs: list[Leg] = []
    by_name: dict[str, Annotated[str, Ref("Budget")]] = {}
    text: str = "not a reference"


def make(spec: Everything, namespace: str = "default") -> Resource[Everything]:
    return Resource[Everything](kind="Everything", metadata=Metadata(name="x", namespace=namespace), spec=spec)


def test_finds_every_reference_with_its_pointer() -> None:
    spec = Everything(
        one="a", maybe="b", many=["c", "other/d"], legs=[Leg(to_model="e")], by_name={"t/eam": "f"}, text="g"
    )
    found = [(r.pointer, str(r.target)) for r in references(make(spec, "ns"))]
    assert found == [
        ("/spec/one", "Model/ns/a"),
        ("/spec/maybe", "Model/ns/b"),
        ("/spec/many/0", "Model/ns/c"),
        ("/spec/many/1", "Model/other/d"),
        ("/spec/legs/0/toModel", "Model/ns/e"),
        ("/spec/byName/t~1eam", "Budget/ns/f"),
    ]


def test_absent_references_are_no_references() -> None:
    assert [r.pointer for r in references(make(Everything(one="a")))] == ["/spec/one"]


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a/b", "a" * 129, "ä"])
def test_names_outside_the_rule_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Metadata(name=name)


def test_ids_have_a_text_form() -> None:
    assert ResourceId.parse("Model/fast") == ResourceId("Model", "default", "fast")
    assert ResourceId.parse(str(ResourceId("Model", "ns", "fast"))) == ResourceId("Model", "ns", "fast")
    for bad in ("Model", "a/b/c/d", "/x", ""):
        with pytest.raises(ValueError, match="resource id"):
            ResourceId.parse(bad)
