"""Whole answers between the dialects, read back by the official SDKs. Names of tests cite the hard cases."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from tests.gateway.dialects.wire import CHAT, MESSAGES, completion, message

from pharos.gateway.models.dialects.canonical import (
    Answer,
    BlockEnded,
    BlockStarted,
    Delta,
    Finish,
    Finished,
    Signed,
    Started,
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
)
from pharos.gateway.models.dialects.dialect import Dialect

CHAT_ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "small-1",
    "choices": [{
        "index": 0, "finish_reason": "tool_calls",
        "message": {
            "role": "assistant", "content": "Both.", "reasoning_content": "Hm.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
            ],
        },
    }],
    "usage": {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
              "prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 4}},
}  # fmt: skip

MESSAGE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "SIG"}, {"type": "redacted_thinking", "data": "D"},
        {"type": "text", "text": "Bo"}, {"type": "text", "text": "th."},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
    ],
    "stop_reason": "tool_use", "stop_sequence": None,
    "usage": {"input_tokens": 12, "cache_read_input_tokens": 8, "output_tokens": 9,
              "output_tokens_details": {"thinking_tokens": 4}},
}  # fmt: skip


def crossed(source: Dialect, target: Dialect, body: dict[str, Any], names: Any = None) -> dict[str, Any]:
    return target.write_answer(source.read_answer(body, names or {}), "alias")


def test_from_chat_to_messages() -> None:
    answer = Message.model_validate(crossed(CHAT, MESSAGES, CHAT_ANSWER, {"g": "g.real"}), strict=True)
    assert [one.to_dict() for one in answer.content] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "pharos:openai-chat/small-1:!"},
        {"type": "text", "text": "Both."},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2", "name": "g.real", "input": {}},
    ]
    assert (answer.model, answer.stop_reason, answer.usage.input_tokens) == ("alias", "tool_use", 12)


def test_from_messages_to_chat() -> None:
    answer = ChatCompletion.model_validate(crossed(MESSAGES, CHAT, MESSAGE, {"g": "g.real"}), strict=True)
    said: Any = answer.choices[0].message
    assert (said.content, said.reasoning_content, answer.choices[0].finish_reason) == ("Both.", "Hm.", "tool_calls")
    assert [(call.id, call.function.name, call.function.arguments) for call in said.tool_calls] == [
        ("t1", "f", '{"a":1}'), ("t2", "g.real", "{}"),
    ]  # fmt: skip
    assert said.reasoning_details == [
        {
            "type": "reasoning.text",
            "text": "Hm.",
            "signature": "SIG",
            "format": "pharos:anthropic/claude-1",
            "index": 0,
        },
        {"type": "reasoning.encrypted", "data": "D", "format": "pharos:anthropic/claude-1", "index": 1},
    ]
    assert answer.usage is not None
    assert answer.usage.total_tokens == 29


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)
def test_what_a_dialect_writes_it_reads(dialect: Dialect) -> None:
    body = (
        CHAT_ANSWER
        if dialect is CHAT
        else {**MESSAGE, "content": [b for b in MESSAGE["content"] if b.get("id") != "s"]}
    )
    answer = dialect.read_answer(body)
    assert dialect.read_answer(dialect.write_answer(answer, answer.model)) == answer


def test_h03_cut_off_arguments_in_a_whole_answer() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "b'}}
    choice = {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "tool_calls": [call]}}
    answer = crossed(CHAT, MESSAGES, {**CHAT_ANSWER, "choices": [choice]})
    assert answer["content"] == [{"type": "tool_use", "id": "c", "name": "f", "input": {"INVALID_JSON": '{"a": "b'}}]
    assert answer["stop_reason"] == "max_tokens"
    assert crossed(MESSAGES, CHAT, answer)["choices"][0]["message"]["tool_calls"] == [call]


def test_a_forced_call_that_ends_with_stop_is_a_tool_finish() -> None:
    choice = {**CHAT_ANSWER["choices"][0], "finish_reason": "stop"}
    assert crossed(CHAT, MESSAGES, {**CHAT_ANSWER, "choices": [choice]})["stop_reason"] == "tool_use"


def test_a_refusal() -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": None, "refusal": "No."}}
    answer = crossed(CHAT, MESSAGES, {**CHAT_ANSWER, "choices": [choice]})
    assert (answer["stop_reason"], answer["content"]) == ("refusal", [{"type": "text", "text": "No."}])


def test_content_in_parts_and_missing_numbers() -> None:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"content": [{"type": "text", "text": "a"}, {"type": "x"}]},
    }
    answer = CHAT.read_answer({"choices": [choice]})
    assert (answer.blocks, answer.usage) == ((Text("a"),), {})
    assert "usage" not in CHAT.write_answer(answer, "alias")
    assert ChatCompletion.model_validate(CHAT.write_answer(answer, "alias"))


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, {}), (CHAT, {"choices": []}), (CHAT, {"choices": [{}]}), (CHAT, {"choices": "x"}),
        (CHAT, {"error": {"message": "x"}}),
        (CHAT, {"choices": [{"message": {"tool_calls": [{"type": "custom"}]}}]}),
        (MESSAGES, {}), (MESSAGES, {"type": "error", "error": {}}), (MESSAGES, {"type": "message", "content": "x"}),
        (MESSAGES, {"type": "message", "content": [{"type": "text"}]}), (MESSAGES, {"type": "message", "content": [1]}),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error(dialect: Dialect, body: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        dialect.read_answer(body)


_WORDS = st.text(min_size=1, max_size=8)
_ARGUMENTS = st.dictionaries(st.sampled_from("abc"), st.integers(-9, 9) | _WORDS, max_size=3)
_TEXTS = _WORDS.map(Text)
_CALLS = st.tuples(st.from_regex(r"\A[a-z0-9_-]{1,12}\Z"), st.from_regex(r"\A[a-z_]{1,8}\Z"), _ARGUMENTS)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    from pharos.gateway.models.dialects.arguments import to_text

    blocks: list[Any] = []
    if draw(st.booleans()):
        blocks.append(Thinking(draw(_WORDS), draw(st.sampled_from(["", "SIG"])), origin="anthropic/claude-1"))
    if draw(st.booleans()):
        blocks.append(draw(_TEXTS))
    for id, name, arguments in draw(st.lists(_CALLS, max_size=3, unique_by=lambda call: call[0])):
        blocks.append(ToolCall(id, name, to_text(arguments)))
    finish = draw(st.sampled_from([Finish.STOP, Finish.LENGTH, Finish.FILTER, Finish.REFUSAL]))
    if any(isinstance(block, ToolCall) for block in blocks) and finish is Finish.STOP:
        finish = Finish.TOOL
    usage: Any = draw(st.fixed_dictionaries({"input": st.integers(0, 99), "output": st.integers(1, 99)}))
    return Answer("id-1", "claude-1", tuple(blocks), finish, usage, dialect="anthropic")


def as_events(answer: Answer, cut: int) -> list[StreamEvent]:
    """The same answer, streamed: each text in two pieces."""
    found: list[StreamEvent] = [Started(answer.id, answer.model, None, answer.dialect)]
    for index, block in enumerate(answer.blocks):
        match block:
            case Text(text):
                found.append(BlockStarted(index, "text"))
            case Thinking(text):
                found.append(BlockStarted(index, "thinking"))
            case ToolCall(id, name, text):
                found.append(BlockStarted(index, "tool", id, name))
        found += [Delta(index, piece) for piece in (text[:cut], text[cut:]) if piece]
        if isinstance(block, Thinking) and block.signature:
            found.append(Signed(index, block.signature))
        found.append(BlockEnded(index))
    found.append(Finished(answer.finish, answer.usage, answer.finish_raw))
    return found


@given(answers(), st.integers(0, 8))
def test_h39_streamed_or_whole_it_is_the_same_answer(answer: Answer, cut: int) -> None:
    writer = CHAT.writer("alias", True, 0)
    streamed: Any = completion(b"".join(writer.write(event) for event in as_events(answer, cut)))
    whole: Any = ChatCompletion.model_validate(CHAT.write_answer(answer, "alias"))
    said, expected = streamed.choices[0].message, whole.choices[0].message
    assert (said.content or "") == (expected.content or "")
    for member in ("tool_calls", "reasoning_content", "reasoning_details"):
        assert _plain(getattr(said, member, None)) == _plain(getattr(expected, member, None))
    assert streamed.choices[0].finish_reason == whole.choices[0].finish_reason
    assert (streamed.usage, streamed.id, streamed.model) == (whole.usage, whole.id, whole.model)

    other = MESSAGES.writer("alias", True, 0)
    received = message(b"".join(other.write(event) for event in as_events(answer, cut)))
    alike = Message.model_validate(MESSAGES.write_answer(answer, "alias"))
    assert received.content == alike.content
    assert (received.stop_reason, received.stop_sequence) == (alike.stop_reason, alike.stop_sequence)
    assert received.usage.output_tokens == alike.usage.output_tokens
    assert received.usage.input_tokens == alike.usage.input_tokens


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value] or None
    if hasattr(value, "to_dict"):
        # The stream helper keeps the index of a call and adds what it parsed.
        plain = {key: item for key, item in value.to_dict().items() if key != "index"}
        plain.get("function", {}).pop("parsed_arguments", None)
        return plain
    return value
