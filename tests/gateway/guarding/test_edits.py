"""A value of a stream's event is replaced where it stands, whatever else is spelled like it."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharos.gateway.models.answers.sse import Frame, Parser
from pharos.gateway.models.dialects.splice import replaced
from pharos.gateway.models.guarding.places import locate
from pharos.gateway.models.guarding.streaming import _edited, _swapped
from pharos.gateway.models.guarding.texts import Path

PATH: Path = ("choices", 0, "delta", "content")

said = st.sampled_from(["a", " word", ",", ":", "", "content", '"', "\\", "}", "é", '","', "5", "delta"])


def frame(data: bytes) -> Frame:
    return Parser().feed(b"data: " + data + b"\n\n")[0]


def event(content: str, before: str, after: str, name: str, *, escaped: bool, spaced: bool) -> bytes:
    """An event whose text is ``content``. ``escaped``: it is spelled with an escape where it need not be."""
    delta = {"role": before, "content": "\0", "x": after, f"x{name}": [1, {name: None}], "number": 5}
    text = json.dumps({"id": name, "choices": [{"delta": delta}]}, separators=None if spaced else (",", ":"))
    spelled = "".join(f"\\u{ord(char):04x}" for char in content) if escaped else json.dumps(content)[1:-1]
    return text.replace('"\\u0000"', f'"{spelled}"').encode()


@given(said, said, said, said, said, st.booleans(), st.booleans())
def test_an_edit_replaces_the_value_at_its_path_and_no_other_byte(
    content: str, before: str, after: str, name: str, new: str, escaped: bool, spaced: bool
) -> None:
    data = event(content, before, after, name, escaped=escaped, spaced=spaced)
    edits = {PATH: orjson.dumps(new)}
    expected = replaced(data.decode(), [(*locate(data.decode(), [PATH])[PATH], edits[PATH].decode())])
    assert _edited(frame(data), orjson.loads(data), edits) == b"data: " + expected.encode() + b"\n\n"


@pytest.mark.parametrize("content", [" word", "a", "é"])
def test_an_ordinary_value_is_found_without_reading_the_event(content: str) -> None:
    data = orjson.dumps({"id": "c1", "choices": [{"index": 0, "delta": {"content": content}}]})
    swapped = _swapped(data, orjson.loads(data), {PATH: b'"new"'})
    assert swapped == data.replace(orjson.dumps(content), b'"new"')
