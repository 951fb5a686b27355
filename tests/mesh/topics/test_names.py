"""Names: nothing that is put into one leads out of its namespace, and every text has one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pharos.mesh.topics.names import (
    LONGEST,
    Place,
    TopicName,
    TopicPattern,
    escape,
    pattern_of,
    place_of,
    reach_of,
    unescape,
)

NAME = TypeAdapter(TopicName)
PATTERN = TypeAdapter(TopicPattern)

ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
PARTS = st.from_regex(r"[A-Za-z0-9_~:@=+-][A-Za-z0-9._~:@=+-]{0,8}", fullmatch=True)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
NAMESPACES = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,6}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    "hostile",
    [
        "", "/", "a/", "/a", "a//b", ".", "..", "../other/orders", "a/../b", ".hidden", "a/.b", "*", "a*", "or ders",
        "a\nb", "a\x00b", "orders>", "日本", "ñ", "a" * (LONGEST + 1), "a%2fb", "a\\b", "a?b", "a#b", "a;b", "'--",
    ],
)  # fmt: skip
def test_mesh_39_hostile_names_are_refused(hostile: str) -> None:
    with pytest.raises(ValidationError):
        NAME.validate_python(hostile)


@pytest.mark.parametrize("id", ["a.b*c d", "..", ".", "*", ">", "日本語", "x/y", "ñandú", "=41", "a" * 30, "\x00\n"])
def test_mesh_39_every_id_has_a_name(id: str) -> None:
    name = escape(id)
    assert NAME.validate_python(name) == name
    assert "/" not in name
    assert unescape(name) == id


@given(ANY)
def test_mesh_39_escaping_is_reversible(text: str) -> None:
    name = escape(text)
    assert unescape(name) == text
    if len(name) <= LONGEST:
        NAME.validate_python(name)


@given(ANY, ANY)
def test_mesh_39_different_ids_have_different_names(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@given(NAMESPACES, NAMES, NAMESPACES, st.one_of(st.just("*"), NAMES, NAMES.map(lambda name: f"{name}/*")))
def test_mesh_40_no_pattern_reaches_into_another_namespace(owner: str, name: str, other: str, pattern: str) -> None:
    assert PATTERN.validate_python(pattern) == pattern
    reach = reach_of(other, pattern)
    if reach.has(Place(owner, name).topic):
        assert owner == other
    assert pattern_of(other, reach.prefix, reach.exact) == pattern


@given(NAMESPACES, NAMES)
def test_a_place_and_its_topic_are_one(namespace: str, name: str) -> None:
    place = Place(namespace, name)
    assert place_of(place.topic) == place


def test_only_one_name_or_all_below_one() -> None:
    exact, below = reach_of("shop", "orders"), reach_of("shop", "orders/*")
    assert [exact.has(Place("shop", name).topic) for name in ("orders", "orders2", "orders/eu")] == [True, False, False]
    assert [below.has(Place("shop", name).topic) for name in ("orders", "orders2", "orders/eu")] == [False, False, True]
    assert not reach_of("shop", "*").has(Place("shop", "replies/1").topic)


def test_a_bad_name_is_told_a_good_one() -> None:
    with pytest.raises(ValidationError, match="or=20ders"):
        NAME.validate_python("or ders")
