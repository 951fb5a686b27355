"""The stream parser: the same frames however the bytes arrive, and not one byte lost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.gateway.dialects.wire import frames, joined

from pharos.gateway.models.answers import sse

_LINES = st.sampled_from(
    ["data: a", "data:b", "data", "data:  two", 'data: {"x":"é漢😀"}', ": comment", "event: ping", "event:x",
     "id: 1", "retry: 10", "unknown: y", "", "", "", "data: last"]
)  # fmt: skip
_ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r"])
_STREAMS = st.lists(st.tuples(_LINES, _ENDS), max_size=24).map(
    lambda lines: "".join(line + end for line, end in lines).encode()
)


def reference(stream: bytes) -> list[tuple[str, bytes]]:
    """The standard's algorithm on the whole stream, blank lines of no event included."""
    text = stream.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found, event, data = [], "", []
    lines = text.split("\n")
    for line in lines[:-1]:
        if not line:
            found.append((event, "\n".join(data).encode()))
            event, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
    return found


@given(_STREAMS, st.lists(st.integers(0, 400), max_size=8), st.booleans())
@example(b"data: a\n\n\ndata: b\n\n", [9], False)
@example(b"data: a\r\n\r\n", [9], False)
@example(b"data: a\r\r", [8], False)
@example(b"\n\ndata: a\n\n", [1], True)
def test_h29_any_split_gives_the_same_frames_and_loses_no_byte(stream: bytes, cuts: list[int], bom: bool) -> None:
    stream = b"\xef\xbb\xbf" + stream if bom else stream
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    parser = sse.Parser()
    found = [frame for a, b in itertools.pairwise(places) for frame in parser.feed(stream[a:b])]
    found += parser.end()
    assert found == frames(stream)
    assert joined(found) == stream
    complete = reference(stream)
    assert [(frame.event, frame.data) for frame in found][: len(complete)] == complete


@given(_STREAMS)
def test_every_byte_alone(stream: bytes) -> None:
    assert frames(stream, size=1) == frames(stream)


def test_a_whole_frame_is_given_at_once() -> None:
    parser = sse.Parser()
    for _ in range(3):
        assert parser.feed(b"data: x\n\n") == [sse.Frame("", b"x", b"data: x\n\n")]
        assert parser.feed(b"event: e\r\ndata: x\r\n\r\n") == [sse.Frame("e", b"x", b"event: e\r\ndata: x\r\n\r\n")]
    assert not parser.rest


def test_several_frames_in_one_chunk() -> None:
    parser = sse.Parser()
    parser.feed(b": hello\n\n")
    found = parser.feed(b"data: a\n\nevent: e\ndata: b\n\n: c\n\ndata: d\ndata: e\n\n")
    assert [(frame.event, frame.data) for frame in found] == [("", b"a"), ("e", b"b"), ("", b""), ("", b"d\ne")]


def test_an_end_mark_without_its_blank_line_is_seen() -> None:
    parser = sse.Parser()
    assert parser.feed(b"data: x\n\ndata: [DONE]") == [sse.Frame("", b"x", b"data: x\n\n")]
    assert parser.end() == [sse.Frame("", b"[DONE]", b"data: [DONE]")]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_frame_over_the_limit_is_refused(chunk: int) -> None:
    parser = sse.Parser(limit=64)
    stream = b"data: ok\n\ndata: " + b"x" * 200 + b"\n\n"
    with pytest.raises(ValueError, match="larger than 64"):
        for start in range(0, len(stream), chunk):
            parser.feed(stream[start : start + chunk])


def test_an_endless_line_holds_no_more_than_the_limit() -> None:
    parser = sse.Parser(limit=1000)
    with pytest.raises(ValueError, match="larger"):
        for _ in range(100):
            parser.feed(b"x" * 99)
            assert len(parser.rest) <= 1000


def test_an_event_name_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        frames(b"event: \xff\n\n")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0")), st.binary())
def test_what_is_encoded_is_parsed(event: str, data: bytes) -> None:
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert [(frame.event, frame.data) for frame in frames(sse.encode(data, event))] == [(event, text)]
