"""Streams between the dialects, read back by the official SDKs. Names of tests cite the hard cases."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.gateway.dialects.wire import (
    CHAT,
    DONE,
    MESSAGES,
    block,
    chat_stream,
    chunks,
    completion,
    events,
    frames,
    message,
    message_end,
    message_start,
    messages_stream,
    text_block,
    tool_block,
    translated,
)

from pharos.gateway.models.answers import sse
from pharos.gateway.models.dialects.canonical import (
    BlockEnded,
    BlockStarted,
    Delta,
    Failed,
    FailureClass,
    Finish,
    Finished,
    Signed,
    Started,
)
from pharos.gateway.models.dialects.dialect import Dialect

USAGE = {
    "prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 4},
}  # fmt: skip


def piece(index: int, arguments: str = "", **head: Any) -> dict[str, Any]:
    """A delta with a fragment of one tool call."""
    call: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if head:
        call |= {"id": head["id"], "type": "function", "function": {"name": head["name"], "arguments": arguments}}
    return {"tool_calls": [call]}


def test_text_from_messages_to_chat() -> None:
    stream = messages_stream(message_start(), *text_block(0, "Hel", "", "lo"), *message_end())
    answer = completion(translated(MESSAGES, CHAT, stream))
    assert answer.model == "alias"
    assert answer.id == "msg_1"
    assert answer.created == 1_700_000_000
    assert answer.choices[0].message.content == "Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 10


def test_text_from_chat_to_messages() -> None:
    stream = chat_stream({"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}, usage=USAGE)
    answer = message(translated(CHAT, MESSAGES, stream))
    assert answer.model == "alias"
    assert [one.model_dump(exclude_none=True) for one in answer.content] == [{"type": "text", "text": "Hello"}]
    assert answer.stop_reason == "end_turn"
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (12, 8, 9)
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 4


def test_h01_parallel_tool_calls_from_messages_to_chat() -> None:
    stream = messages_stream(
        message_start(),
        *text_block(0, "Both."),
        *tool_block(1, "toolu_1", "weather", '{"ci', 'ty": "Pa', 'ris"}'),
        *tool_block(2, "toolu_2", "time", "", '{"zone":', '"CET"}'),
        *message_end("tool_use"),
    )
    sent = translated(MESSAGES, CHAT, stream)
    fragments: dict[int, list[str]] = {}
    for chunk in chunks(sent):
        for call in chunk.choices[0].delta.tool_calls or () if chunk.choices else ():
            fragments.setdefault(call.index, []).append((call.function and call.function.arguments) or "")
    assert {index: "".join(parts) for index, parts in fragments.items()} == {
        0: '{"city": "Paris"}', 1: '{"zone":"CET"}',
    }  # fmt: skip
    answer = completion(sent)
    calls = answer.choices[0].message.tool_calls or []
    assert [(call.id, call.function.name) for call in calls if call.type == "function"] == [
        ("toolu_1", "weather"), ("toolu_2", "time"),
    ]  # fmt: skip
    assert answer.choices[0].finish_reason == "tool_calls"


def test_h01_parallel_tool_calls_from_chat_to_messages() -> None:
    stream = chat_stream(
        {"role": "assistant", "content": None},
        piece(0, id="call_1", name="weather"), piece(0, '{"ci'), piece(0, 'ty":"Paris"}'),
        piece(1, "{}", id="call_2", name="time"),
        finish="tool_calls",
    )  # fmt: skip
    answer = message(translated(CHAT, MESSAGES, stream))
    assert [(one.id, one.name, one.input) for one in answer.content if one.type == "tool_use"] == [
        ("call_1", "weather", {"city": "Paris"}), ("call_2", "time", {}),
    ]  # fmt: skip
    assert answer.stop_reason == "tool_use"


def test_h01_interleaved_fragments_are_put_in_order() -> None:
    stream = chat_stream(
        piece(0, '{"a":', id="c1", name="f"), piece(1, '{"b"', id="c2", name="g"), piece(0, "1}"), {"content": "so"},
        piece(1, ":2}"), {"content": " be it"},
        finish="tool_calls",
    )  # fmt: skip
    found = events(CHAT.reader(), stream)
    order = [event for event in found if not isinstance(event, Started | Finished)]
    assert order == [
        BlockStarted(0, "tool", "c1", "f"), Delta(0, '{"a":'), Delta(0, "1}"), BlockEnded(0),
        BlockStarted(1, "tool", "c2", "g"), Delta(1, '{"b"'), Delta(1, ":2}"), BlockEnded(1),
        BlockStarted(2, "text"), Delta(2, "so"), Delta(2, " be it"), BlockEnded(2),
    ]  # fmt: skip


def test_h01_servers_without_indexes_or_ids() -> None:
    whole = {"tool_calls": [{"function": {"name": "f", "arguments": '{"a":1}'}},
                            {"function": {"name": "f", "arguments": '{"a":2}'}}]}  # fmt: skip
    answer = message(translated(CHAT, MESSAGES, chat_stream(whole, finish="tool_calls")))
    calls = [one for one in answer.content if one.type == "tool_use"]
    assert [call.input for call in calls] == [{"a": 1}, {"a": 2}]
    assert len({call.id for call in calls}) == 2
    again = message(translated(CHAT, MESSAGES, chat_stream(whole, finish="tool_calls")))
    assert [one.id for one in again.content if one.type == "tool_use"] == [call.id for call in calls]


def test_h01_servers_that_give_every_call_the_index_0() -> None:
    stream = chat_stream(piece(0, "{}", id="c1", name="f"), piece(0, "{}", id="c2", name="f"), finish="tool_calls")
    answer = message(translated(CHAT, MESSAGES, stream))
    assert [one.id for one in answer.content if one.type == "tool_use"] == ["c1", "c2"]


@pytest.mark.parametrize("arguments", ["", "{}"])
def test_h02_a_call_without_arguments(arguments: str) -> None:
    to_messages = message(translated(CHAT, MESSAGES, chat_stream(piece(0, arguments, id="c", name="f"))))
    assert [one.input for one in to_messages.content if one.type == "tool_use"] == [{}]
    assert to_messages.stop_reason == "tool_use"
    stream = messages_stream(
        message_start(), *tool_block(0, "t", "f", *([arguments] if arguments else [])), *message_end("tool_use")
    )
    calls = completion(translated(MESSAGES, CHAT, stream)).choices[0].message.tool_calls or []
    assert [orjson.loads(call.function.arguments) for call in calls if call.type == "function"] == [{}]


def test_h03_cut_off_arguments_are_passed_on_as_they_are() -> None:
    cut = '{"city": "Par'
    stream = messages_stream(message_start(), *tool_block(0, "t", "f", cut), *message_end("max_tokens"))
    answer = completion(translated(MESSAGES, CHAT, stream))
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.arguments for call in calls if call.type == "function"] == [cut]
    assert answer.choices[0].finish_reason == "length"
    back = translated(CHAT, MESSAGES, chat_stream(piece(0, cut, id="c", name="f"), finish="length"))
    sent = [event["delta"]["partial_json"] for frame in frames(back)
            if (event := orjson.loads(frame.data))["type"] == "content_block_delta"]  # fmt: skip
    assert "".join(sent) == cut
    assert b'"max_tokens"' in back
    assert b"tool_use" not in back[back.index(b"message_delta") :]


def test_h13_renamed_tools_get_their_names_back() -> None:
    spelled = "files_read_12345678"
    names = {spelled: "files.read"}
    stream = messages_stream(message_start(), *tool_block(0, "t", spelled, "{}"), *message_end("tool_use"))
    calls = completion(translated(MESSAGES, CHAT, stream, names=names)).choices[0].message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == ["files.read"]
    answer = message(translated(CHAT, MESSAGES, chat_stream(piece(0, "{}", id="c", name=spelled)), names=names))
    assert [one.name for one in answer.content if one.type == "tool_use"] == ["files.read"]


def test_h14_signed_thinking_reaches_a_chat_client_and_comes_back() -> None:
    stream = messages_stream(
        message_start(),
        *block(0, {"type": "thinking", "thinking": "", "signature": ""},
               {"type": "thinking_delta", "thinking": "Let me "}, {"type": "thinking_delta", "thinking": "see."},
               {"type": "signature_delta", "signature": "SIG=="}),
        *text_block(1, "Looking."),
        *block(2, {"type": "redacted_thinking", "data": "opaque"}),
        *tool_block(3, "t", "f", "{}"),
        *message_end("tool_use"),
    )  # fmt: skip
    answer = completion(translated(MESSAGES, CHAT, stream))
    said: Any = answer.choices[0].message
    assert said.reasoning_content == "Let me see."
    history = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "x"},
            orjson.loads(said.to_json()),
            {"role": "tool", "tool_call_id": "t", "content": "r"},
        ],
    }
    body = MESSAGES.write_request(CHAT.read_request(history), "claude-1", 100)
    assert body["messages"][1]["content"] == [  # type: ignore[index,call-overload]
        {"type": "thinking", "thinking": "Let me see.", "signature": "SIG=="},
        {"type": "text", "text": "Looking."},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    ]


def test_h17_unsigned_reasoning_reaches_a_messages_client_with_our_mark() -> None:
    stream = chat_stream({"reasoning_content": "Hm"}, {"reasoning": "m."}, {"content": "Yes."})
    answer = message(translated(CHAT, MESSAGES, stream))
    thinking, text = answer.content
    assert thinking.type == "thinking"
    assert thinking.thinking == "Hmm."
    assert thinking.signature == "pharos:openai-chat/small-1:!"
    assert text.type == "text"


def test_h22_a_first_chunk_with_a_role_or_nothing_is_no_content() -> None:
    for delta in ({"role": "assistant"}, {"role": "assistant", "content": ""}, {}, {"content": None}):
        stream = chat_stream(delta)
        assert not any(isinstance(event, Delta | BlockStarted) for event in events(CHAT.reader(), stream))
        watcher = CHAT.watcher(False)
        assert not any(watcher.see(frame).content for frame in frames(stream))


def test_h23_a_usage_chunk_with_no_choices_is_no_second_finish() -> None:
    found = events(CHAT.reader(), chat_stream({"content": "x"}, usage=USAGE))
    finished = [event for event in found if isinstance(event, Finished)]
    assert [event.usage for event in finished] == [
        {"input": 12, "cacheRead": 8, "output": 5, "reasoning": 4}
    ]  # fmt: skip
    sent = translated(CHAT, CHAT, chat_stream({"content": "x"}, usage=USAGE))
    assert [len(chunk.choices) for chunk in chunks(sent)][-2:] == [1, 0]


def test_h24_usage_the_client_did_not_ask_for_is_hidden() -> None:
    stream = b": hello\n\n" + chat_stream({"role": "assistant", "content": ""}, {"content": "x"}, usage=USAGE)
    for hide in (True, False):
        watcher = CHAT.watcher(hide)
        passed = [frame.raw for frame in frames(stream) if not watcher.see(frame).hide]
        assert (b"prompt_tokens" in b"".join(passed)) is not hide
        assert len(passed) == len(frames(stream)) - hide
        assert watcher.usage == {"input": 12, "cacheRead": 8, "output": 5, "reasoning": 4}
        assert watcher.complete
        assert watcher.model == "small-1"
    sent = translated(MESSAGES, CHAT, messages_stream(message_start(), *message_end()), wants_usage=False)
    assert b"usage" not in sent


def test_h24_a_usage_that_comes_with_a_choice_is_not_hidden() -> None:
    chunk = {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": "x"}}], "usage": USAGE}
    watcher = CHAT.watcher(True)
    seen = watcher.see(sse.Frame("", orjson.dumps(chunk), b""))
    assert seen.content
    assert not seen.hide


@pytest.mark.parametrize(
    ("dialect", "stream", "cls"),
    [
        (CHAT, chat_stream({"content": "x"}, finish=None, done=False)
         + b'data: {"error":{"message":"boom","type":"server_error","code":null}}\n\n' + DONE, FailureClass.SERVER),
        (CHAT, b'data: {"error":{"message":"slow down","code":429}}\n\n', FailureClass.RATE_LIMITED),
        (CHAT, b'data: {"error":"plain text"}\n\n', FailureClass.SERVER),
        (CHAT, b'data: {"id":"1","choices":[],"error":{"code":"context_length_exceeded","message":"long"}}\n\n',
         FailureClass.CONTEXT),
        (MESSAGES, messages_stream(message_start(), *text_block(0, "x"),
         {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, *message_end()),
         FailureClass.OVERLOADED),
        (MESSAGES, b'event: error\ndata: {"type":"error","error":{"type":"who_knows"}}\n\n', FailureClass.SERVER),
    ],
)  # fmt: skip
def test_h25_an_error_inside_the_stream_is_a_failure_and_never_an_end(
    dialect: Dialect, stream: bytes, cls: FailureClass
) -> None:
    reader, watcher = dialect.reader(), dialect.watcher(False)
    found = events(reader, stream)
    failures = [event.failure.cls for event in found if isinstance(event, Failed)]
    assert failures == [cls]
    assert not any(isinstance(event, Finished) for event in found)
    assert not reader.complete
    seen = [watcher.see(frame) for frame in frames(stream)]
    assert [one.failure.cls for one in seen if one.failure] == [cls]
    assert not watcher.complete


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)
def test_h26_a_stream_without_its_end_mark_is_never_complete(dialect: Dialect) -> None:
    whole = (
        chat_stream({"content": "x"}, usage=USAGE)
        if dialect is CHAT
        else messages_stream(message_start(), *text_block(0, "x"), *message_end())
    )
    found = frames(whole)
    for kept in range(len(found)):
        reader, watcher = dialect.reader(), dialect.watcher(False)
        seen = [event for frame in found[:kept] for event in reader.read(frame)]
        for frame in found[:kept]:
            watcher.see(frame)
        assert not reader.complete
        assert not watcher.complete
        assert not any(isinstance(event, Finished) for event in seen)


def test_h29_translation_does_not_depend_on_how_the_bytes_arrive() -> None:
    stream = b"\xef\xbb\xbf: hi\r\n\r\n" + messages_stream(
        message_start(), {"type": "ping"}, *text_block(0, "漢字 😀", "\r\n\u2028"), *message_end()
    ).replace(b"\n", b"\r\n")
    whole = events(MESSAGES.reader(), stream)
    for size in (1, 2, 3, 7, 64):
        assert events(MESSAGES.reader(), stream, size) == whole
    assert Delta(0, "漢字 😀") in whole


def test_h31_the_first_event_has_known_numbers_or_the_estimate_and_the_last_the_truth() -> None:
    writer = MESSAGES.writer("alias", True, 33)
    start = orjson.loads(frames(writer.write(Started("i", "m")))[0].data)["message"]["usage"]
    assert (start["input_tokens"], start["output_tokens"]) == (33, 1)
    writer = MESSAGES.writer("alias", True, 33)
    known = frames(writer.write(Started("i", "m", {"input": 5, "cacheRead": 2, "cacheWrite1h": 1})))[0].data
    start = orjson.loads(known)["message"]["usage"]
    assert (start["input_tokens"], start["cache_read_input_tokens"], start["cache_creation_input_tokens"]) == (5, 2, 1)
    sent = translated(CHAT, MESSAGES, chat_stream({"content": "x"}, usage=USAGE))
    assert message(sent).usage.input_tokens == 12


def test_h32_input_counts_that_the_last_event_leaves_out_are_kept() -> None:
    stream = messages_stream(
        message_start(cache_read_input_tokens=4), *text_block(0, "x"), *message_end(output_tokens=7)
    )
    watcher = MESSAGES.watcher(False)
    for frame in frames(stream):
        watcher.see(frame)
    assert watcher.usage == {"input": 10, "cacheRead": 4, "output": 7}
    assert events(MESSAGES.reader(), stream)[-1] == Finished(
        Finish.STOP, {"input": 10, "cacheRead": 4, "output": 7}, "end_turn"
    )
    usage = completion(translated(MESSAGES, CHAT, stream)).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (14, 7)


@pytest.mark.parametrize(
    ("reason", "word", "native"),
    [
        ("end_turn", "stop", None), ("max_tokens", "length", None), ("tool_use", "tool_calls", None),
        ("stop_sequence", "stop", "stop_sequence"), ("refusal", "content_filter", "refusal"),
        ("pause_turn", "stop", "pause_turn"),
        ("model_context_window_exceeded", "length", "model_context_window_exceeded"), ("novel", "stop", "novel"),
    ],
)  # fmt: skip
def test_h52_stop_reasons_to_chat(reason: str, word: str, native: str | None) -> None:
    stream = messages_stream(message_start(), *text_block(0, "x"), *message_end(reason))
    last = [chunk for chunk in chunks(translated(MESSAGES, CHAT, stream)) if chunk.choices][-1].choices[0]
    assert last.finish_reason == word
    assert getattr(last, "native_finish_reason", None) == native


@pytest.mark.parametrize(
    ("reason", "word"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("novel", "end_turn"),
     (None, "end_turn")],
)  # fmt: skip
def test_h52_finish_reasons_to_messages(reason: str | None, word: str) -> None:
    sent = translated(CHAT, MESSAGES, chat_stream({"content": "x"}, finish=reason))
    assert message(sent).stop_reason == word
    assert (b'"native_stop_reason":"novel"' in sent) is (reason == "novel")


def test_h52_a_refusal_text_is_a_refusal() -> None:
    answer = message(translated(CHAT, MESSAGES, chat_stream({"refusal": "I can"}, {"refusal": "not."})))
    assert answer.stop_reason == "refusal"
    assert [one.text for one in answer.content if one.type == "text"] == ["I cannot."]


def test_h52_which_stop_sequence_is_kept() -> None:
    found = events(MESSAGES.reader(), messages_stream(message_start(), *message_end("stop_sequence", "END")))
    writer = MESSAGES.writer("alias", True, 0)
    assert message(b"".join(writer.write(event) for event in found)).stop_sequence == "END"


def test_blocks_of_the_providers_own_tools_are_left_out() -> None:
    stream = messages_stream(
        message_start(),
        *block(0, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
               {"type": "input_json_delta", "partial_json": "{}"}),
        *block(1, {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}),
        *block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "x"},
               {"type": "citations_delta", "citation": {}}),
        {"type": "an_event_of_the_future"},
        *message_end(),
    )  # fmt: skip
    order = [event for event in events(MESSAGES.reader(), stream) if not isinstance(event, Started | Finished)]
    assert order == [BlockStarted(0, "text"), Delta(0, "x"), BlockEnded(0)]


def test_content_that_stands_in_the_blocks_beginning_is_not_lost() -> None:
    stream = messages_stream(
        message_start(),
        *block(0, {"type": "text", "text": "all"}),
        *block(1, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}),
        *block(
            2, {"type": "thinking", "thinking": "t", "signature": ""}, {"type": "signature_delta", "signature": "S"}
        ),
        *message_end("tool_use"),
    )
    found = events(MESSAGES.reader(), stream)
    assert [event for event in found if isinstance(event, Delta | Signed)] == [
        Delta(0, "all"), Delta(1, '{"a":1}'), Delta(2, "t"), Signed(2, "S"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "stream"),
    [
        (CHAT, b"data: {not json}\n\n"),
        (CHAT, b"data: []\n\n"),
        (CHAT, b'data: {"choices":[7]}\n\n'),
        (CHAT, b'data: {"choices":7}\n\n'),
        (CHAT, b'data: {"choices":[{"delta":{"tool_calls":[1]}}]}\n\n'),
        (CHAT, b'data: {"id":"1","choices":[{"delta":{"content":"cut \xe6\xbc"}}]}\n\n'),
        (CHAT, DONE),
        (CHAT, chat_stream(piece(0, "{}", id="c", name="f"), piece(1, "{}", id="d", name="g"), piece(0, "more"))),
        (CHAT, chat_stream({"tool_calls": [{"index": 0, "id": "c", "function": {"arguments": "{}"}}]})),
        (MESSAGES, b"data: {}\n\n"),
        (MESSAGES, b"data: 1\n\n"),
        (MESSAGES, messages_stream(message_start(), message_start())),
        (MESSAGES, messages_stream({"type": "message_stop"})),
        (MESSAGES, messages_stream(*text_block(0, "x"))),
        (MESSAGES, messages_stream(message_start(), *text_block(0, "x")[1:])),
        (MESSAGES, messages_stream(message_start(), *text_block(0, "x")[:2], *message_end())),
        (MESSAGES, messages_stream(message_start(), *text_block(0, "x")[:1], *text_block(1, "y"))),
    ],
)  # fmt: skip
def test_what_is_not_legal_in_the_dialect_is_an_error(dialect: Dialect, stream: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        events(dialect.reader(), stream)


def test_a_stream_cannot_fill_the_memory_with_tool_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    from pharos.gateway.models.dialects.openai_chat import reader

    monkeypatch.setattr(reader, "MAX_HELD", 1000)
    with pytest.raises(ValueError, match="more than 1000 characters"):
        events(CHAT.reader(), chat_stream(piece(0, "", id="c", name="f"), *[piece(0, "x" * 100)] * 11))
    many = [piece(i, "{}", id=f"c{i}", name="f") for i in range(reader.MAX_CALLS + 1)]
    with pytest.raises(ValueError, match="tool calls in one answer"):
        events(CHAT.reader(), chat_stream(*many))


def test_the_watcher_counts_what_was_said_in_bytes() -> None:
    stream = chat_stream(
        {"role": "assistant", "content": ""}, {"content": "漢"}, {"reasoning_content": "ab"},
        piece(0, "{}", id="c1", name="f"),
    )  # fmt: skip
    watcher = CHAT.watcher(False)
    contents = [watcher.see(frame).content for frame in frames(stream)]
    assert contents == [False, True, True, True, False, False]
    assert watcher.output_bytes == 3 + 2 + 2 + 2
    events_of = messages_stream(
        message_start(), *text_block(0, "漢"), *tool_block(1, "t", "f", "{}"), *message_end("tool_use")
    )
    other = MESSAGES.watcher(False)
    contents = [other.see(frame).content for frame in frames(events_of)]
    assert contents == [False, False, True, False, True, True, False, False, False]
    assert other.output_bytes == 5


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)
def test_the_keep_alive_is_nothing_to_a_client(dialect: Dialect) -> None:
    (frame,) = frames(dialect.keep_alive)
    watcher = dialect.watcher(True)
    assert dialect.reader().read(frame) == ()
    assert watcher.see(frame) == watcher.see(sse.Frame("", b"", b""))


def test_an_alias_that_looks_like_the_placeholder_breaks_nothing() -> None:
    stream = messages_stream(message_start(), *text_block(0, 'a"\0b'), *message_end())
    for alias in ('"\0"', '\\u0000"', '"}]'):
        answer = completion(translated(MESSAGES, CHAT, stream, model=alias))
        assert answer.model == alias
        assert answer.choices[0].message.content == 'a"\0b'
