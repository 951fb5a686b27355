"""Frames that are like an earlier one are passed without being parsed: nothing that is seen of a stream may differ."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.gateway.dialects.wire import CHAT, MESSAGES

from pharos.gateway.models.answers.diagonal import Watching
from pharos.gateway.models.answers.stencil import LESSONS, Stencil
from pharos.gateway.models.dialects.dialect import Dialect


def chat(text: object, **more: object) -> bytes:
    """A frame of a chat completions stream."""
    chunk = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return b"data: " + orjson.dumps(chunk | more) + b"\n\n"


def messages(text: str, index: int = 0, kind: str = "text") -> bytes:
    """A frame of a messages stream."""
    data = {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", kind: text}}
    return b"event: content_block_delta\ndata: " + orjson.dumps(data) + b"\n\n"


TEXTS = st.one_of(
    st.text(max_size=8), st.sampled_from(["", "a", '"', "\\", "\n", "\x7f", '","content":"', "中文", "\u2028"])
)
SPACED = b'data: {"model": "m", "choices": [{"index": 0, "delta": {"content": "%b"}}]}\n\n'
# Of two members of one name the last one counts.
TWICE = b'data: {"choices": [{"delta": {"content":"%b","content" :"x"}}]}\n\n'
TWICE_ESCAPED = b'data: {"choices": [{"delta": {"content":"%b","\\u0063ontent":"x"}}]}\n\n'
CHUNKS = st.one_of(
    TEXTS.map(chat),
    TEXTS.map(lambda text: chat(text, usage={"prompt_tokens": 1, "completion_tokens": 2})),
    TEXTS.map(lambda text: chat(text, usage=None)),
    TEXTS.map(lambda text: chat(text, choices=[{"delta": {"content": text}}, {"delta": {"content": text}}])),
    TEXTS.map(lambda text: chat(None, choices=[{"index": 0, "delta": {"reasoning": text, "content": text}}])),
    st.binary(max_size=6).map(lambda text: SPACED % text),
    st.sampled_from([b": alive\n\n", b": unfinished", b"data: [DONE]\n\n", b"data: {"]),
    st.just(b'data: {"error":{"message":"no"}}\n\n'),
)  # fmt: skip
EVENTS = st.one_of(
    st.builds(messages, TEXTS, st.integers(0, 2), st.sampled_from(["text", "text", "thinking"])),
    st.sampled_from([b"event: ping\ndata: {}\n\n", b"event: x"]),
    st.just(b'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
)  # fmt: skip


def seen(dialect: Dialect, chunks: list[bytes], lessons: int) -> list[object]:
    """Everything there is to see of a stream after each of its pieces."""
    flow = Watching(dialect, hide_usage=True, tier_pattern=None)
    flow.stencil.lessons = lessons
    found: list[object] = []
    for chunk in chunks:
        out = flow.feed(chunk)
        found.append((out, flow.content, flow.complete, flow.failure, flow.usage, flow.model, flow.output_bytes))
        if flow.complete or flow.failure is not None:
            return found
    found.append((flow.end(), flow.complete, flow.failure))
    return found


@given(chunks=st.lists(CHUNKS, max_size=12))
@example(chunks=[SPACED % b"one", SPACED % b"two", SPACED % b"\xff"])
@example(chunks=[chat("one"), b": unfinished", chat("two"), chat("three")])
@example(chunks=[TWICE % text for text in (b"a", b"a", b"bcd")])
@example(chunks=[TWICE_ESCAPED % text for text in (b"a", b"a", b"bcd")])
def test_a_chat_stream_is_seen_the_same(chunks: list[bytes]) -> None:
    assert seen(CHAT, chunks, LESSONS) == seen(CHAT, chunks, 0)


@given(chunks=st.lists(EVENTS, max_size=12))
def test_a_messages_stream_is_seen_the_same(chunks: list[bytes]) -> None:
    assert seen(MESSAGES, chunks, LESSONS) == seen(MESSAGES, chunks, 0)


@pytest.mark.parametrize("frame", [chat, messages])
def test_most_of_a_stream_is_not_parsed(frame: object) -> None:
    assert callable(frame)
    flow = Watching(CHAT if frame is chat else MESSAGES, hide_usage=False, tier_pattern=None)
    flow.feed(b": a stream's first bytes may be a byte-order mark\n\n")
    texts = ["one", " two", "", " vier", " 五", ' "six"', "seven"]
    for text in texts:
        assert flow.feed(frame(text)) == frame(text)
    assert flow.stencil.size == sum(len(text.encode()) for text in texts[1:] if '"' not in text)
    assert flow.output_bytes == sum(len(text.encode()) for text in texts)


def test_a_stream_that_numbers_its_frames_is_left_alone() -> None:
    flow = Watching(CHAT, hide_usage=False, tier_pattern=None)
    for number in range(10):
        flow.feed(chat("text", number=number))
    assert flow.stencil.lessons == 0
    assert flow.output_bytes == 40


def test_a_form_that_was_of_use_is_replaced_when_the_next_block_begins() -> None:
    flow = Watching(MESSAGES, hide_usage=False, tier_pattern=None)
    flow.feed(b": alive\n\n")
    for index in range(3 * LESSONS):
        for text in ("one", "two"):
            flow.feed(messages(text, index))
    assert flow.stencil.size == 3 * 3 * LESSONS


def test_a_frame_shorter_than_its_form_does_not_fit() -> None:
    stencil = Stencil()
    stencil.learn(b'{"content":"aa"}}', b"content", 2)
    assert stencil.fits(b'{"content":"b"}}')
    assert not stencil.fits(b'{"content":"}}')
    assert not stencil.fits(b'{"content":""}')
