"""The responses dialect under arbitrary input: a clear refusal or an answer, legal streams, and nothing lost unsaid."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.dialects.bodies import bodies
from tests.gateway.dialects.responses_bodies import responses_bodies
from tests.gateway.dialects.responses_wire import RESPONSES, response, told
from tests.gateway.dialects.test_fuzz import _OBJECTS, SLOW, _settles, as_parsed
from tests.gateway.dialects.test_losses import MODELS, check
from tests.gateway.dialects.wire import CHAT, MESSAGES, events

from pharos.core.fault import OVERLOADED, Fault
from pharos.gateway.models.answers import sse
from pharos.gateway.models.dialects.canonical import (
    BlockEnded,
    BlockStarted,
    Delta,
    Finish,
    Finished,
    Signed,
    Started,
    StreamEvent,
)
from pharos.gateway.models.dialects.dialect import Edits, Failing

_KINDS = st.sampled_from([
    "response.created", "response.in_progress", "response.output_item.added", "response.output_item.done",
    "response.content_part.added", "response.output_text.delta", "response.function_call_arguments.delta",
    "response.reasoning_summary_text.delta", "response.refusal.delta", "response.completed", "response.incomplete",
    "response.failed", "error", "response.novel", "",
])  # fmt: skip
_ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "custom_tool_call", "web_search_call"])},
    optional={
        "id": st.text(max_size=3), "call_id": st.text(max_size=3), "name": st.text(max_size=3),
        "arguments": st.text(max_size=5),
        "content": st.lists(_OBJECTS, max_size=2) | st.none(), "summary": st.lists(_OBJECTS, max_size=2),
        "encrypted_content": st.text(max_size=3) | st.none(), "status": st.text(max_size=3),
    },
)  # fmt: skip
_FRAMES = st.fixed_dictionaries(
    {"type": _KINDS},
    optional={
        "sequence_number": st.integers() | st.none(), "output_index": st.integers(0, 2),
        "content_index": st.integers(0, 1),
        "summary_index": st.integers(0, 1), "delta": st.text(max_size=3) | st.integers(), "item": _ITEMS | _OBJECTS,
        "response": st.fixed_dictionaries({}, optional={"output": st.lists(_ITEMS, max_size=2) | st.none(),
                                                        "usage": _OBJECTS, "status": st.text(max_size=4),
                                                        "error": _OBJECTS | st.none()}) | _OBJECTS,
        "error": _OBJECTS | st.text(max_size=3),
    },
)  # fmt: skip


@SLOW
@given(value=_OBJECTS | responses_bodies())
def test_any_object_is_read_or_refused_with_its_place(value: Any) -> None:
    body = as_parsed(value)
    for read in (RESPONSES.ask, RESPONSES.read_request):
        try:
            read(body)
        except Fault as fault:
            assert fault.code == "INVALID"
            assert fault.document.problems
            assert all(problem.pointer == "" or problem.pointer[0] == "/" for problem in fault.document.problems)
            orjson.dumps(RESPONSES.write_fault(fault.document))


@SLOW
@given(st.lists(_FRAMES, max_size=6))
def test_any_stream_is_read_or_refused(values: list[Any]) -> None:
    """What is read of it is told to every client in legal events."""
    reader, watcher = RESPONSES.reader(), RESPONSES.watcher(False)
    writers = [dialect.writer("alias", True) for dialect in (CHAT, MESSAGES, RESPONSES)]
    written = b""
    opened: set[int] = set()
    with contextlib.suppress(ValueError):
        for value in values:
            data = orjson.dumps(as_parsed(value))
            frame = sse.Frame("", data, data)
            with contextlib.suppress(ValueError):
                watcher.see(frame)
            for event in reader.read(frame):
                match event:
                    case BlockStarted(index):
                        assert index == len(opened)
                        opened.add(index)
                    case Delta(index) | Signed(index) | BlockEnded(index):
                        assert index in opened
                for writer in writers:
                    written = writer.write(event) if writer is not writers[2] else written + writer.write(event)
    assert watcher.output_bytes >= 0


@SLOW
@given(value=_OBJECTS)
def test_any_answer_is_read_or_refused(value: Any) -> None:
    body = as_parsed(value)
    RESPONSES.usage(body), RESPONSES.answered_model(body)
    with contextlib.suppress(ValueError):
        answer = RESPONSES.read_answer({"output": [], **body})
        for target in (CHAT, MESSAGES, RESPONSES):
            orjson.dumps(target.write_answer(answer, "alias"))


@given(data=st.binary(max_size=64))
def test_any_bytes_of_a_frame_are_read_or_refused(data: bytes) -> None:
    for look in (RESPONSES.reader().read, RESPONSES.watcher(False).see):
        with contextlib.suppress(ValueError):
            look(sse.Frame("", data, data))


@SLOW
@given(responses_bodies(legal=True))
def test_a_responses_request_settles(body: dict[str, Any]) -> None:
    for provider in (RESPONSES, CHAT, MESSAGES):
        _settles(RESPONSES, provider, body)


@SLOW
@given(bodies("openai-chat", legal=True), bodies("anthropic", legal=True))
def test_requests_of_others_settle(chat: dict[str, Any], messages: dict[str, Any]) -> None:
    _settles(CHAT, RESPONSES, chat)
    _settles(MESSAGES, RESPONSES, messages)


@SLOW
@given(responses_bodies(legal=True) | responses_bodies())
def test_whatever_happens_to_a_responses_request_is_listed(body: dict[str, Any]) -> None:
    for model in MODELS[:2]:
        check(RESPONSES, CHAT, body, model)
    for model in MODELS[2:]:
        check(RESPONSES, MESSAGES, body, model)


@SLOW
@given(bodies("openai-chat", legal=True) | bodies("openai-chat"), bodies("anthropic", legal=True) | bodies("anthropic"))
def test_whatever_happens_to_requests_of_others_is_listed(chat: dict[str, Any], messages: dict[str, Any]) -> None:
    for model in MODELS[:2]:
        check(CHAT, RESPONSES, chat, model)
        check(MESSAGES, RESPONSES, messages, model)


@SLOW
@given(responses_bodies(), st.booleans(), st.none() | st.integers(1, 99))
def test_an_edited_body_is_the_body_with_the_edits(body: dict[str, Any], indent: bool, limit: int | None) -> None:
    raw = orjson.dumps(body, option=orjson.OPT_INDENT_2 if indent else 0)
    edited = orjson.loads(RESPONSES.edit(raw, as_parsed(body), Edits("other", max_output=limit)))
    expected = {**as_parsed(body), "model": "other", **({} if limit is None else {"max_output_tokens": limit})}
    if isinstance(given := expected["input"], list):
        expected["input"] = [
            item
            for item in given
            if not (isinstance(item, dict) and str(item.get("encrypted_content", "")).startswith("pharos:"))
        ]
    assert edited == expected


_TEXTS = st.lists(st.sampled_from(["a", "", "漢字", '"\\\n', "\0", "\u2028"]), max_size=3)
_BLOCKS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), _TEXTS),
        st.tuples(st.just("thinking"), _TEXTS, st.sampled_from([Signed(0), Signed(0, "S"), Signed(0, redacted="R")])),
        st.tuples(st.just("tool"), _TEXTS, st.sampled_from(["f", "custom"])),
    ),
    max_size=5,
)


def _events(blocks: list[Any], finish: Finish) -> list[StreamEvent]:
    echo = {"tools": [{"type": "custom", "name": "custom"}]}
    found: list[StreamEvent] = [Started("1", "m", None, "anthropic", echo)]
    for index, block in enumerate(blocks):
        kind, texts = block[0], block[1]
        name = block[2] if kind == "tool" else ""
        found.append(BlockStarted(index, kind, f"c{index}" if name else "", name))
        if not (kind == "thinking" and block[2].redacted):
            found += [Delta(index, text) for text in texts]
        if kind == "thinking" and (block[2].signature or block[2].redacted):
            found.append(Signed(index, block[2].signature, block[2].redacted))
        found.append(BlockEnded(index))
    return [*found, Finished(finish, {"input": 1, "output": 2})]


@SLOW
@given(_BLOCKS, st.sampled_from(Finish), st.integers(0, 40))
def test_h33_every_stream_is_legal_and_ends_as_it_was_said(blocks: list[Any], finish: Finish, place: int) -> None:
    found = _events(blocks, finish)
    writer = RESPONSES.writer("alias", True)
    stream = b"".join(writer.write(event) for event in found)
    response(stream)
    # And read back, it says the same, but for what has no form.
    texts = "".join(event.text for event in found if isinstance(event, Delta))
    again = "".join(event.text for event in events(RESPONSES.reader(), stream) if isinstance(event, Delta))
    if "custom" not in str(blocks):
        assert again.replace("{}", "") == texts
    # Wherever it breaks, what follows is one error and one failed response, numbered on.
    broken = RESPONSES.writer("alias", True)
    assert isinstance(broken, Failing)
    sent = b"".join(broken.write(event) for event in found[: min(place, len(found) - 1)])
    assert [event.type for event in told(sent + broken.fail(OVERLOADED().document))[-2:]] == [
        "error",
        "response.failed",
    ]


@pytest.mark.parametrize("pair", [("", ()), ("x", ("x",))])
def test_an_empty_text_is_no_item(pair: Any) -> None:
    text, items = pair
    writer = RESPONSES.writer("alias", True)
    found = (Started("1", "m"), BlockStarted(0, "text"), Delta(0, text), BlockEnded(0), Finished(Finish.STOP, {}))
    made = response(b"".join(writer.write(event) for event in found))
    assert tuple(item.content[0].text for item in made.output if item.type == "message") == items  # type: ignore[union-attr]
