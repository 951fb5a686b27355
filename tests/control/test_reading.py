"""Text to documents: what a text can say, it says cheaply."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharos.control.reading import MAX_BYTES, MAX_DEPTH, MAX_NODES, check_plain, read_documents
from pharos.core.fault import Fault


def fault_of(text: str) -> Fault:
    with pytest.raises(Fault) as caught:
        read_documents(text)
    return caught.value


def test_yaml_is_read_as_its_json_like_core() -> None:
    text = "a: 2026-11-01\nb: yes\nc: 010\nd: 12:30:45\ne: 1e3\nf: true\ng: ~\nh:\ni: .inf\nj: 1.50\nk: -3"
    assert read_documents(text) == [
        {
            "a": "2026-11-01",
            "b": "yes",
            "c": "010",
            "d": "12:30:45",
            "e": 1000.0,
            "f": True,
            "g": None,
            "h": None,
            "i": ".inf",
            "j": 1.5,
            "k": -3,
        }
    ]


def test_several_documents_and_empty_ones() -> None:
    assert read_documents("---\na: 1\n---\n---\nb: 2\n---\n") == [{"a": 1}, {"b": 2}]
    assert read_documents("") == []
    assert read_documents('[{"a": 1}, {"b": 2}]') == [{"a": 1}, {"b": 2}]
    assert read_documents("{a: 1}") == [{"a": 1}]


def test_anchors_and_merge_keys_work() -> None:
    assert read_documents("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3")[0] == {
        "x": {"a": 1, "b": 2},
        "y": {"a": 1, "b": 3},
    }


BOMBS = {
    "lists": "\n".join(["a0: &a0 [1,1]"] + [f"a{i}: &a{i} [*a{i - 1},*a{i - 1}]" for i in range(1, 60)]),
    "merges": "\n".join(["a0: &a0 {k: 1}"] + [f"a{i}: &a{i} {{<<: [*a{i - 1},*a{i - 1}]}}" for i in range(1, 60)]),
    "many": "- a\n" * (MAX_NODES + 1),
    "documents": "--- 1\n" * 5_000,
    "bytes": "k: " + "x" * (MAX_BYTES + 1),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_too_large_and_cheap(name: str) -> None:
    start = time.process_time()
    fault = fault_of(BOMBS[name])
    assert fault.code == "TOO_LARGE" and fault.document.facts
    assert time.process_time() - start < 5


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 200_000, '{"a":' * 200_000, "- " * 20_000, "? " * 20_000])
def test_deep_nesting_is_refused_without_recursion(text: str) -> None:
    assert fault_of(text).code == "INVALID"


@pytest.mark.parametrize(
    ("text", "pointer", "message"),
    [
        ("a: 1\na: 2", "/a", "twice"),
        ("a: {b: 1, b: 2}\n---\nc: 1", "/0/a/b", "twice"),
        ("c: 1\n---\na: [{b: 1, b: 2}]", "/1/a/0/b", "twice"),
        ('{"a": 1, "a": 2}', "", "twice"),
        ("x: &x [*x]", "/x/0", "alias"),
        ("a: *nope", "/a", "alias"),
        ("a: !!python/object/apply:os.system [x]", "", "not allowed"),
        ("a: !!binary aGVsbG8=", "/a", "bytes"),
        ("a: !!set {x, y}", "/a", "set"),
        ("1: x", "/1", "text"),
        ("? [a]\n: b", "", "text"),
        ("a: \x00", "", "character"),
        ("a: \ud800", "", "character"),
        ('{"a": "\\ud800"}', "/a", "Unicode"),
        ('{"a": NaN}', "", "NaN"),
        ("a: 1e999", "/a", "finite"),
        ("a: 99999999999999999999999", "/a", "64 bits"),
        ("a: " + "9" * 5_000, "", "too long"),
        ("a: b: c", "", "line 1"),
        ("a: [1, 2", "", "line"),
        ("\ta: 1", "", "line 1"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, pointer: str, message: str) -> None:
    document = fault_of(text).document
    assert document.code == "INVALID"
    assert [p.pointer for p in document.problems] == [pointer]
    assert message in document.problems[0].message


def test_a_syntax_error_does_not_repeat_the_text() -> None:
    secret = "sk-" + "a1b2c3d4" * 4
    for text in (f"key: '{secret}", f'key: !{secret} "x"', f"{secret}: 1\n{secret}: 2", f"a: *{secret}"):
        assert secret not in str(fault_of(text).document.to_json())


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Surrogates are no text, and YAML has no place for most control characters.
    | st.text(st.characters(exclude_categories=("Cs", "Cc"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(st.dictionaries(st.text("abc", min_size=1), json_values, max_size=3), min_size=1, max_size=3))
def test_json_is_read_as_json(documents: list[object]) -> None:
    import json

    assert read_documents(json.dumps(documents)) == documents


@given(st.text(max_size=200))
def test_no_text_does_more_than_refuse(text: str) -> None:
    try:
        read_documents(text)
    except Fault as fault:
        assert fault.code in ("INVALID", "TOO_LARGE")


def test_plain_documents_are_held_to_the_same_bounds() -> None:
    deep: list[object] = []
    for _ in range(MAX_DEPTH + 2):
        deep = [deep]
    for documents in ([{"a": float("nan")}], [{"a": 2**70}], [{"a": "\ud800"}], [{"a": deep}]):
        with pytest.raises(Fault) as caught:
            check_plain(documents)  # type: ignore[arg-type]
        assert caught.value.code == "INVALID"
