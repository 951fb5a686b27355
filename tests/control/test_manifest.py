"""Documents to resources: all errors at once, each at its place, with the nearest name."""

from __future__ import annotations

import pytest
from tests.control.town import MODEL, NOTE, PROVIDER, VAULT, model, provider

from pharos.control.kinds import Kinds
from pharos.control.manifest import Manifest, parse_documents, parse_manifest
from pharos.core.fault import Fault, Problem
from pharos.core.wire import Json


@pytest.fixture
def kinds() -> Kinds:
    known = Kinds()
    for kind in (PROVIDER, MODEL, NOTE, VAULT):
        known.add(kind)
    return known


def problems(kinds: Kinds, *documents: Json) -> list[Problem]:
    with pytest.raises(Fault) as caught:
        parse_documents(list(documents), kinds)
    assert caught.value.code == "INVALID"
    return caught.value.document.problems


def pointers(found: list[Problem]) -> list[str]:
    return [problem.pointer for problem in found]


def test_the_contract_of_the_issue(kinds: Kinds) -> None:
    text = """
apiVersion: pharos/v1
kind: Provider
metadata: {name: acme}
spec: {dialect: openai-chat, baseUrl: "http://127.0.0.1:9000/v1", apiKey: {env: ACME_API_KEY}}
---
apiVersion: pharos/v1
kind: Model
metadata: {name: fast}
spec:
  targets: [{provider: acme, model: small-1, weight: 3}, {provider: acme2, model: small-2, weight: 1}]
  fallbacks: [backup]
"""
    manifest = parse_manifest(text, kinds)
    assert isinstance(manifest, Manifest)
    first, second = (declared.resource for declared in manifest.declared)
    assert (str(first.id), str(second.id)) == ("Provider/default/acme", "Model/default/fast")
    assert second.spec.targets[0].weight == 3


def test_all_errors_of_all_documents_at_once(kinds: Kinds) -> None:
    found = problems(
        kinds,
        {"kind": "Provider", "metadata": {"name": "Bad Name"}, "spec": {"dialect": "openai", "baseUrl": 5}},
        {"kind": "Modle", "metadata": {"name": "x"}, "spec": {}},
        {
            "kind": "Model",
            "metadata": {"name": "x"},
            "spec": {"targets": [{"provider": "a", "model": "m"}, {"provder": "b", "model": "m", "weight": "much"}]},
        },
        "not an object",
        {"metadata": {"name": "x"}, "spec": {}},
        {"kind": ["Model"], "metadata": {"name": "x"}, "spec": {}},
    )
    assert pointers(found) == [
        "/0/metadata/name",
        "/0/spec/dialect",
        "/0/spec/baseUrl",
        "/1/kind",
        "/2/spec/targets/1/provider",
        "/2/spec/targets/1/weight",
        "/2/spec/targets/1/provder",
        "/3",
        "/4/kind",
        "/5/kind",
    ]
    suggestions = {problem.pointer: problem.suggestion for problem in found if problem.suggestion}
    assert suggestions == {
        "/0/spec/dialect": "openai-chat",
        "/1/kind": "Model",
        "/2/spec/targets/1/provder": "provider",
    }


def test_a_single_document_has_no_index_in_its_pointers(kinds: Kinds) -> None:
    document = model("fast", "acme")
    document["spec"] = {"targets": [{"provider": "acme", "model": "m", "weight": 101}], "fallback": []}
    assert pointers(problems(kinds, document)) == ["/spec/targets/0/weight", "/spec/fallback"]


def test_unknown_fields_of_the_envelope_are_named_too(kinds: Kinds) -> None:
    document = {**provider("a"), "specs": {}, "metadata": {"name": "a", "label": {}}}
    found = {p.pointer: p.suggestion for p in problems(kinds, document)}
    assert found == {"/metadata/label": "labels", "/specs": "spec"}


def test_snake_case_is_understood_and_its_errors_point_at_it(kinds: Kinds) -> None:
    document = {"kind": "Provider", "metadata": {"name": "a"}, "spec": {"dialect": "anthropic", "base_url": "x"}}
    assert parse_documents([document], kinds).declared
    document["spec"] = {"dialect": "anthropic", "base_url": 1}
    assert pointers(problems(kinds, document)) == ["/spec/base_url"]


def test_what_a_kind_checks_is_part_of_it(kinds: Kinds) -> None:
    document = model("fast", "acme", "acme")
    found = problems(kinds, provider("acme"), document)
    assert pointers(found) == ["/1/spec/targets/1/provider"]


def test_a_resource_is_declared_once(kinds: Kinds) -> None:
    found = problems(kinds, provider("a"), provider("b"), provider("a", timeoutSeconds=1))
    assert pointers(found) == ["/2/metadata/name"]
    assert "/0" in found[0].message


def test_what_only_the_city_writes_is_not_taken(kinds: Kinds) -> None:
    document = provider("a")
    document["metadata"] = {"name": "a", "uid": "mine", "createdAt": "2020-01-01T00:00:00Z", "revision": 7}
    document["status"] = {"conditions": [], "digests": {"x": "y"}}
    manifest = parse_documents([document], kinds)
    (declared,) = manifest.declared
    assert declared.expected == 7
    assert declared.resource.metadata.uid == "" and declared.resource.metadata.revision == 0
    assert not declared.resource.status.model_extra
    assert manifest.warnings == ("Provider/default/a: the status was ignored; the city writes it.",)
    document["metadata"] = {"name": "a", "revision": -1}
    assert pointers(problems(kinds, document)) == ["/metadata/revision"]


def test_values_are_never_repeated(kinds: Kinds) -> None:
    secret = "sk-" + "a1b2c3d4" * 4
    document = {
        "kind": "Provider",
        "metadata": {"name": secret.upper(), "labels": {"x": 1}},
        "spec": {"dialect": secret, "baseUrl": {secret: secret}, "apiKey": secret, secret: 1},
    }
    found = problems(kinds, document, {"kind": secret, "metadata": {}})
    text = str([problem.to_json() for problem in found]).lower()
    assert secret not in text and "hunter" not in text
    assert len(found) == 7


def test_many_problems_are_counted_and_bounded(kinds: Kinds) -> None:
    documents = [{"kind": "Nope", "metadata": {"name": f"n{i}"}} for i in range(900)]
    with pytest.raises(Fault) as caught:
        parse_documents(documents, kinds)  # type: ignore[arg-type]
    document = caught.value.document
    assert len(document.problems) == 200 and document.facts["problems"] == 900
