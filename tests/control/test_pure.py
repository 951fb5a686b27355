"""The small pure parts: differences, merges, selectors, wording, kinds."""

from __future__ import annotations

import copy
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.control.town import MODEL, NOTE

from pharos.control.diff import diff, merge
from pharos.control.kinds import Kinds
from pharos.control.problems import MOST_PROBLEMS, validate
from pharos.control.selector import parse_selector
from pharos.control.wording import HIDDEN, looks_secret, nearest, quoted, without_secrets
from pharos.core.fault import Fault
from pharos.core.resource import Kind, Spec
from pharos.core.wire import JsonObject, Wire

leaves = st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"])
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from("xyz"), v, max_size=3), max_leaves=8
)
objects = st.dictionaries(st.sampled_from(["p", "q", "r/s", "t~u"]), values, max_size=4)


def patched(document: JsonObject, edits: list[Any]) -> JsonObject:
    """Make the edits of a difference, as any reader of it would."""
    result: dict[str, Any] = {"": copy.deepcopy(document)}
    for edit in edits:
        *path, last = [s.replace("~1", "/").replace("~0", "~") for s in edit.pointer.split("/")]
        at: Any = result
        for segment in path:
            at = at[int(segment)] if isinstance(at, list) else at[segment]
        wire = edit.to_json()
        if isinstance(at, list):
            at[int(last)] = wire["after"]
        elif "after" in wire:
            at[last] = wire["after"]
        else:
            del at[last]
    return result[""]


@given(objects, objects)
def test_a_difference_leads_from_one_to_the_other(before: JsonObject, after: JsonObject) -> None:
    edits = diff(before, after)
    assert patched(before, edits) == after
    assert (edits == []) == (before == after and str(before) == str(after)) or before == after


@given(objects)
def test_nothing_differs_from_itself(document: JsonObject) -> None:
    assert diff(document, copy.deepcopy(document)) == []


def test_true_is_not_one() -> None:
    assert [e.pointer for e in diff({"a": True, "b": [1]}, {"a": 1, "b": [True]})] == ["/a", "/b/0"]


@given(objects, objects)
def test_merging_with_no_change_is_the_other_side(base: JsonObject, changed: JsonObject) -> None:
    assert merge(base, base, changed) == changed
    assert merge(base, changed, base) == changed
    assert merge(base, changed, changed) == changed


@given(objects, objects, objects)
def test_a_merge_has_both_changes_or_is_none(base: JsonObject, mine: JsonObject, theirs: JsonObject) -> None:
    merged = merge(base, mine, theirs)
    if merged is None:
        return
    for key in {*base, *mine, *theirs}:
        if mine.get(key) == base.get(key):
            assert merged.get(key) == theirs.get(key)
        if theirs.get(key) == base.get(key):
            assert merged.get(key) == mine.get(key)


def test_two_changes_of_one_place_do_not_merge() -> None:
    assert merge({"a": {"b": 1}}, {"a": {"b": 2}}, {"a": {"b": 3}}) is None
    assert merge({"a": [1]}, {"a": [1, 2]}, {"a": [1, 3]}) is None
    assert merge({"a": [1, 1]}, {"a": [2, 1]}, {"a": [1, 2]}) == {"a": [2, 2]}


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "b"}, True),
        ("a=b", {"a": "c"}, False),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("!a", {}, True),
        ("a=b,c!=d, e", {"a": "b", "e": "1"}, True),
        ("a=b,c!=d,e", {"a": "b", "c": "d", "e": "1"}, False),
        ("a=", {"a": ""}, True),
    ],
)
def test_selectors(selector: str, labels: dict[str, str], matches: bool) -> None:
    assert parse_selector(selector).matches(labels) is matches


@pytest.mark.parametrize(
    "selector", ["=b", "!=b", "a=b=c", "!", "!a=b", ",".join("abcdefghijklmnopqrstuvwxyzabcdefgh")]
)
def test_selectors_that_are_none(selector: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_selector(selector)
    assert caught.value.document.pointer == "/selector"


@pytest.mark.parametrize(
    "text",
    [
        "sk-abcdefghijkl",
        "ghp_1234567890abcdefghij",
        "AKIAABCDEFGHIJKLMNOP",
        "ph_abc123_0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9",
        "Bearer abc",
        "x9K2mQ7vL4pR8sT1wZ6y",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str) -> None:
    assert looks_secret(text)
    assert quoted(text) == HIDDEN
    assert text not in without_secrets(f"prefix {text} suffix")


@pytest.mark.parametrize("text", ["baseUrl", "my-long-deployment-name-2", "gpt-4o-mini-2024-07-18", "catalog.apply"])
def test_ordinary_names_are_shown(text: str) -> None:
    assert quoted(text) == repr(text)


def test_quoted_text_is_short_and_harmless() -> None:
    assert len(quoted("x" * 10_000)) < 100
    assert "\n" not in quoted("a\nb") and "\x1b" not in quoted("\x1b[31m")
    quoted("\ud800")


def test_the_nearest_name() -> None:
    assert nearest("provder", ["provider", "model"]) == "provider"
    assert nearest("PROVIDER", ["Provider"]) == "Provider"
    assert nearest("zzz", ["provider"]) is None
    assert nearest("p" * 1_000_000, ["provider"]) is None


def test_a_kind_cannot_hold_a_secret() -> None:
    class Inner(Wire):
        values: list[SecretStr] | None = None

    class Leaky(Spec):
        inner: dict[str, Inner] = {}

    with pytest.raises(TypeError, match="refers to secrets"):
        Kinds().add(Kind("Leaky", Leaky, "It leaks."))


def test_kinds_are_found_as_people_write_them() -> None:
    kinds = Kinds()
    kinds.add(MODEL)
    kinds.add(NOTE)
    assert {kinds.named(name).name for name in ("Model", "model", "MODEL", "models", "Models")} == {"Model"}
    with pytest.raises(Fault) as caught:
        kinds.named("modle")
    assert caught.value.code == "UNKNOWN_KIND" and caught.value.document.facts == {"nearest": "Model"}
    with pytest.raises(ValueError, match="twice"):
        kinds.add(MODEL)


def test_what_is_required_and_one_of_few_values_names_them() -> None:
    class Mode(StrEnum):
        FAST = "fast"
        SLOW = "slow"

    class Inner(Wire):
        mode: Mode

    class Outer(Wire):
        window: Literal["day", "month"]
        perhaps: Annotated[Literal["a", "b"] | None, "note"]
        name: str
        inner: Inner

    with pytest.raises(Fault) as caught:
        validate(Outer, {"inner": {}})
    assert {problem.pointer: problem.message for problem in caught.value.document.problems} == {
        "/window": "This field is required: one of day, month.",
        "/perhaps": "This field is required: one of a, b.",
        "/name": "This field is required.",
        "/inner/mode": "This field is required: one of fast, slow.",
    }


def test_problems_beyond_those_that_are_listed_are_counted() -> None:
    class Numbers(Wire):
        all: list[int]

    with pytest.raises(Fault) as caught:
        validate(Numbers, {"all": ["x"] * (MOST_PROBLEMS + 50)})
    document = caught.value.document
    assert document.facts == {"problems": MOST_PROBLEMS + 50}
    assert [problem.pointer for problem in document.problems] == [f"/all/{n}" for n in range(MOST_PROBLEMS)]


def test_what_each_member_of_a_union_would_have_taken_is_one_sentence() -> None:
    class Either(Wire):
        content: str | list[str]

    with pytest.raises(Fault, match=r"INVALID: Must be text; or: Must be a list\.$"):
        validate(Either, {"content": 3})
