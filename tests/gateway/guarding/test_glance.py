"""One look at all that a body says: it never clears a body with a find in it, wherever and however that is spelled."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trust.guard.scanning import scanner, use

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.guarding import glance
from pharos.gateway.models.guarding.examination import Examination
from pharos.gateway.models.guarding.glance import LARGEST, clears
from pharos.gateway.models.guarding.registry import TEXTS
from pharos.trust.guard.detector import Detector
from pharos.trust.guard.policy import Policy
from pharos.trust.guard.scanner import Scanner

# What begins and ends like a word, what has quotes and lines in it, and what no JSON text has as it is.
FINDS = ("AKIA" + "Q3EGUY2JHJNC4KQ7", "bob@example.com", 'pass"\\word: x\nNr 7', "中文\t机密")
OWN = (
    Detector("quoted", "custom", "a quoted thing", r'pass"\\word: x\nNr [0-9]{1,2}'),
    Detector("foreign", "custom", "a thing of another script", r"中文\t机密"),
)
ALL = scanner(own=OWN)

texts = st.text(st.sampled_from([*'ab "\\/{}[]:,n1\n\t\x01\x00é中', "\U0001f600"]), max_size=6)
"""Text in which JSON has something to escape."""
finds = st.builds(lambda before, find, after: f"{before} {find} {after}", texts, st.sampled_from(FINDS), texts)
values = st.recursive(
    texts | finds | st.integers(0, 10**15) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | finds, inner, max_size=3),
    max_leaves=5,
)
arguments = values.map(lambda value: json.dumps({"a": value})) | values.map(
    lambda value: json.dumps({"a": value}, ensure_ascii=False)
)


def chat(text: str, value: Json, called: str) -> JsonObject:
    call: Json = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": called}}
    return {
        "model": "fast",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": text}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": value}}],
    }


def responses(text: str, value: Json, called: str) -> JsonObject:
    call: Json = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": called}
    return {"model": "fast", "input": [{"role": "user", "content": text}, call], "metadata": {"m": value}}


def anthropic(text: str, value: Json, called: str) -> JsonObject:
    use: Json = {"type": "tool_use", "id": "t", "name": "f", "input": {"v": value, "arguments": called}}
    return {"model": "fast", "system": text, "messages": [{"role": "assistant", "content": [use]}]}


def gemini(text: str, value: Json, called: str) -> JsonObject:
    call: Json = {"functionCall": {"name": "f", "args": {"v": value, "arguments": called}}}
    return {"contents": [{"role": "user", "parts": [{"text": text}]}, {"role": "model", "parts": [call]}]}


BODIES = {"openai-chat": chat, "openai-responses": responses, "anthropic": anthropic, "gemini": gemini}


def examined(how: Scanner, dialect: str, body: JsonObject) -> bytes:
    policy = Policy(("default/g",), how, how, Scanner((), restores=True), True)
    return Examination(policy, TEXTS[dialect]).request(orjson.dumps(body), body)[0]


def sure(body: JsonObject) -> bool:
    return clears(ALL, orjson.dumps(body), body) and clears(ALL, orjson.dumps(body))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(BODIES)), texts | finds, values, arguments)
def test_what_is_cleared_has_no_find_in_any_of_its_texts(dialect: str, text: str, value: Json, called: str) -> None:
    body = orjson.loads(orjson.dumps(BODIES[dialect](text, value, called)))
    at_once = examined(ALL, dialect, body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glance, "LARGEST", 0)
        one_by_one = examined(ALL, dialect, body)
    assert at_once == one_by_one


@pytest.mark.parametrize("dialect", sorted(BODIES))
@pytest.mark.parametrize("find", FINDS)
@pytest.mark.parametrize("place", range(3))
def test_a_find_is_seen_in_a_text_in_a_value_and_in_arguments(dialect: str, find: str, place: int) -> None:
    said = [f"It is {find}." if at == place else 'C:\\temp "x"\n' for at in range(3)]
    body = BODIES[dialect](said[0], {"k": said[1]}, json.dumps({"a": said[2]}))
    assert not sure(body)


def test_a_conversation_without_finds_is_cleared() -> None:
    for build in BODIES.values():
        assert sure(build('She said "no",\n\nand left.', {"type": "object"}, '{"a": "b"}'))
        assert sure(build("She said no.", {"type": "object"}, "{}"))
    assert sure({"messages": [{"role": "user", "content": r"Look into C:\temp."}]})


def test_what_cannot_be_looked_at_as_a_whole_is_not_cleared() -> None:
    deep: Json = r"\x"
    for _ in range(100_000):
        deep = [deep]
    assert not clears(ALL, rb'"\\x"', deep)
    assert clears(ALL, b" " * LARGEST) and not clears(ALL, b" " * LARGEST + b" ")


@pytest.mark.parametrize("pattern", [r"^case-[0-9]{1,9}", r"case-[0-9]{1,9}$", r"\Acase-[0-9]{1,9}\z"])
def test_a_pattern_that_is_tied_to_the_ends_of_a_text_is_found_in_every_text(pattern: str) -> None:
    own = Scanner([(Detector("case", "custom", "a case", pattern), use())], restores=False)
    body: JsonObject = {
        "model": "fast",
        "messages": [
            {"role": role, "content": said} for role, said in (("system", "Hi"), ("user", "case-12"), ("user", "Hi"))
        ],
    }
    assert b"case-12" not in examined(own, "openai-chat", body)
