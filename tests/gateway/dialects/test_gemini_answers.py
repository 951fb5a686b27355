"""Answers of Gemini, whole and streamed, read and written; its usage, its finishes, its errors."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gateway.dialects.gemini_wire import (
    GEMINI,
    STREAMED,
    call,
    chunk,
    gemini_events,
    gemini_stream,
    gemini_translated,
    response,
)
from tests.gateway.dialects.wire import (
    CHAT,
    MESSAGES,
    block,
    chat_stream,
    completion,
    frames,
    message,
    message_end,
    message_start,
    messages_stream,
    text_block,
    tool_block,
)

from pharos.core.fault import INVALID, Fault
from pharos.gateway.models import faults
from pharos.gateway.models.answers.sse import END, Frame
from pharos.gateway.models.dialects.canonical import Answer, FailureClass, Finish, Text, Thinking, ToolCall
from pharos.gateway.models.dialects.dialect import Edits
from pharos.gateway.models.dialects.gemini.words import read_usage, write_usage
from pharos.gateway.models.dialects.registry import DIALECTS
from pharos.mesh.facts import Usage

USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}


def answer(*parts: Any, **more: Any) -> dict[str, Any]:
    return chunk(*parts, **{"finish": "STOP", "usage": USAGE, **more})


def gathered(*chunks: Any) -> Answer:
    """A stream as one answer: through the messages dialect, which has a place for everything."""
    return MESSAGES.read_answer(
        orjson.loads(message(gemini_translated(GEMINI, MESSAGES, gemini_stream(*chunks))).to_json())
    )


# Tools.


def test_h4_calls_get_ids_that_are_the_same_streamed_and_not() -> None:
    parts = (call("f", {"a": 1}), call("f", {"a": 2}), call("g", id="own"))
    whole = [each.id for each in GEMINI.read_answer(answer(*parts)).blocks if isinstance(each, ToolCall)]
    streamed = completion(gemini_translated(GEMINI, CHAT, gemini_stream(*map(chunk, parts), answer(""))))
    assert (
        [each.id for each in streamed.choices[0].message.tool_calls or ()] == whole == ["call_0_r1", "call_1_r1", "own"]
    )


def test_h5_a_call_spread_over_chunks_is_one_call() -> None:
    chunks = [
        chunk({"functionCall": {"name": "f", "id": "x", "willContinue": True}, "thoughtSignature": "S"}),
        chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "São ", "willContinue": True}]}}),
        chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Paulo"}]}}),
        chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.days[0]", "numberValue": 1}]}}),
        chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.days[1].x", "boolValue": True}]}}),
        chunk({"functionCall": {"partialArgs": [{"jsonPath": "$['odd.key']", "nullValue": "NULL_VALUE"}]}}),
        chunk({"functionCall": {"args": {"more": {"a": 1}}}}),
        chunk({"functionCall": {}}),
        answer(""),
    ]
    wanted = {"city": "São Paulo", "days": [1, {"x": True}], "odd.key": None, "more": {"a": 1}}
    streamed = completion(gemini_translated(GEMINI, CHAT, gemini_stream(*chunks)))
    [made] = streamed.choices[0].message.tool_calls or ()
    assert (made.id, made.function.name, orjson.loads(made.function.arguments)) == ("x", "f", wanted)
    parts = [part for each in chunks for part in each["candidates"][0]["content"]["parts"]]
    [whole] = [each for each in GEMINI.read_answer(answer(*parts)).blocks if isinstance(each, ToolCall)]
    assert (whole.id, orjson.loads(whole.arguments), whole.signature) == ("x", wanted, "S")


@pytest.mark.parametrize("path", ["", "$", "$.a[", "$.a[99999]", "$.a[0].b[5]", "$" + ".a" * 99])
def test_h5_pieces_that_fit_nowhere_are_no_answer(path: str) -> None:
    piece = {"functionCall": {"partialArgs": [{"jsonPath": path, "stringValue": "x"}]}}
    with pytest.raises(ValueError, match="call"):
        GEMINI.read_answer(answer(call("f"), piece))
    with pytest.raises(ValueError, match="call"):
        gemini_events(GEMINI.reader(), gemini_stream(chunk(call("f")), chunk(piece)))


def test_h5_a_nameless_call_belongs_to_a_call() -> None:
    with pytest.raises(ValueError, match="no name"):
        GEMINI.read_answer(answer({"functionCall": {"args": {}}}))


def test_h6_a_stop_with_calls_is_a_tool_finish() -> None:
    assert GEMINI.read_answer(answer("x", call("f"))).finish is Finish.TOOL
    assert GEMINI.read_answer(answer("x")).finish is Finish.STOP
    assert GEMINI.read_answer(answer(call("f"), finish="MAX_TOKENS")).finish is Finish.LENGTH
    assert gathered(chunk(call("f")), answer("")).finish is Finish.TOOL


def test_h3_a_call_that_was_cut_off_is_not_repaired() -> None:
    deltas = [
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a": "b'}}]},
    ]
    stream = gemini_translated(CHAT, GEMINI, chat_stream(*deltas, finish="length"))
    made = response(stream)
    assert made.candidates
    assert made.candidates[0].finish_reason
    assert made.candidates[0].finish_reason.value == "MAX_TOKENS"
    assert made.function_calls
    assert made.function_calls[0].args == {"INVALID_JSON": '{"a": "b'}


def test_h1_parallel_calls_reach_a_gemini_client_whole() -> None:
    blocks = [*tool_block(0, "a", "f", '{"x"', ":1}"), *tool_block(1, "b", "f"), *tool_block(2, "c", "g", "{}")]
    stream = messages_stream(message_start(), *blocks, *message_end("tool_use"))
    made = response(gemini_translated(MESSAGES, GEMINI, stream))
    assert [(each.id, each.name, each.args) for each in made.function_calls or ()] == [
        ("a", "f", {"x": 1}), ("b", "f", {}), ("c", "g", {}),
    ]  # fmt: skip


# Thinking.


def test_h14_thoughts_are_interleaved_as_they_were_produced() -> None:
    stream = messages_stream(
        message_start(),
        *block(0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "One."},
               {"type": "signature_delta", "signature": "c2ln"}),
        *text_block(1, "Two."),
        *block(2, {"type": "redacted_thinking", "data": "b3BhcXVl"}),
        *tool_block(3, "t", "f", "{}"),
        *message_end("tool_use"),
    )  # fmt: skip
    made = response(gemini_translated(MESSAGES, GEMINI, stream))
    assert made.candidates
    content = made.candidates[0].content
    assert content is not None
    echoed = orjson.loads(content.model_dump_json(exclude_none=True, by_alias=True))
    request = GEMINI.read_request({"contents": [{"role": "user", "parts": [{"text": "x"}]}, echoed]})
    back = MESSAGES.write_request(request, "claude-opus-4-6", 100)
    assert back["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "One.", "signature": "c2ln"},
        {"type": "text", "text": "Two."},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    ]


def test_thoughts_of_gemini_are_thinking() -> None:
    chunks = [chunk({"text": "Hm", "thought": True}), chunk({"text": ".", "thought": True}, "Ho"), answer(".")]
    made = gathered(*chunks)
    assert [type(each) for each in made.blocks] == [Thinking, Text]
    whole = GEMINI.read_answer(answer({"text": "Hm", "thought": True}, {"text": ".", "thought": True}, "Ho", "."))
    assert [each.text for each in whole.blocks if not isinstance(each, ToolCall)] == ["Hm.", "Ho."]


# Streams.


def stream_of(*texts: str) -> bytes:
    return gemini_stream(*(chunk(text) for text in texts), answer("", modelVersion="gemini-x"))


@pytest.mark.parametrize("size", [1, 3, 7, 64, 0])
def test_h29_however_the_bytes_are_cut(size: int) -> None:
    stream = b"\xef\xbb\xbf: hello\r\n\r\n" + stream_of("Grüße, 世", "界! 🙂")
    found = gemini_events(GEMINI.reader(), stream, size)
    writer = CHAT.writer("alias", True, 0)
    made = completion(b"".join(writer.write(event) for event in found))
    assert made.choices[0].message.content == "Grüße, 世界! 🙂"
    assert made.usage
    assert made.usage.total_tokens == 15


def test_h22_a_first_chunk_without_text_is_no_content() -> None:
    watcher = GEMINI.watcher(False)
    [frame] = frames(gemini_stream({"candidates": [{"content": {"role": "model"}}], "usageMetadata": USAGE}))
    assert watcher.see(frame).content is False
    [frame] = frames(gemini_stream(chunk("")))
    assert watcher.see(frame).content is False
    [frame] = frames(gemini_stream(chunk("x")))
    assert watcher.see(frame).content is True


def test_h26_a_stream_without_a_finish_reason_was_cut() -> None:
    watcher, reader = GEMINI.watcher(False), GEMINI.reader()
    for frame in (*frames(gemini_stream(chunk("x"))), END):
        watcher.see(frame)
        assert not reader.read(frame) or frame is not END
    assert (watcher.complete, reader.complete) == (False, False)


def test_h47_the_diagonal_keeps_the_last_bytes_until_the_stream_is_over_and_loses_none() -> None:
    stream = gemini_stream(chunk("a"), answer("b"), {"usageMetadata": {**USAGE, "novel": 1}}, {"novelEvent": {}})
    watcher = GEMINI.watcher(False)
    passed = b""
    for frame in frames(stream):
        seen = watcher.see(frame)
        passed += b"" if seen.hide else frame.raw
    assert passed == stream[: len(passed)] != stream
    assert watcher.complete is False
    assert passed + watcher.see(END).more == stream
    assert (watcher.complete, watcher.model, watcher.output_bytes) == (True, "gemini-x", 2)
    assert watcher.usage == Usage(input=10, output=5)


def test_h25_an_error_in_the_stream_is_the_clients_error() -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    stream = gemini_stream(chunk("a"), error)
    watcher = GEMINI.watcher(False)
    failures = [seen.failure for frame in frames(stream) if (seen := watcher.see(frame)).failure]
    assert [(each.cls, each.status) for each in failures] == [(FailureClass.OVERLOADED, 503)]
    assert watcher.see(END).done is False
    found = gemini_events(GEMINI.reader(), stream)
    assert [type(event).__name__ for event in found] == ["Started", "BlockStarted", "Delta", "Failed"]


@pytest.mark.parametrize("client", ["openai-chat", "anthropic", "gemini"])
def test_h53_a_blocked_prompt_is_an_empty_filtered_answer(client: str) -> None:
    body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 7}}
    made = GEMINI.read_answer(body)
    assert (made.blocks, made.finish, made.finish_raw) == ((), Finish.FILTER, "PROHIBITED_CONTENT")
    assert made.usage == Usage(input=7, output=0)
    dialect = DIALECTS[client]
    whole, stream = dialect.write_answer(made, "alias"), gemini_translated(GEMINI, dialect, gemini_stream(body))
    if client == "openai-chat":
        assert whole["choices"][0]["finish_reason"] == completion(stream).choices[0].finish_reason == "content_filter"  # type: ignore[index,call-overload]
    elif client == "anthropic":
        assert whole["stop_reason"] == message(stream).stop_reason == "refusal"
    else:
        assert response(stream).candidates[0].finish_reason.value == "SAFETY"  # type: ignore[index,union-attr]
    watcher = GEMINI.watcher(False)
    [frame] = frames(gemini_stream(body))
    seen = watcher.see(frame)
    assert (seen.content, seen.hide) == (False, True)
    assert watcher.see(END).done


@pytest.mark.parametrize(
    ("word", "finish", "chat", "messages"),
    [
        ("STOP", Finish.STOP, "stop", "end_turn"),
        ("MAX_TOKENS", Finish.LENGTH, "length", "max_tokens"),
        ("SAFETY", Finish.FILTER, "content_filter", "refusal"),
        ("RECITATION", Finish.FILTER, "content_filter", "refusal"),
        ("SPII", Finish.FILTER, "content_filter", "refusal"),
        ("MALFORMED_FUNCTION_CALL", Finish.OTHER, "stop", "end_turn"),
        ("SOMETHING_NEW", Finish.OTHER, "stop", "end_turn"),
    ],
)
def test_h52_finish_reasons(word: str, finish: Finish, chat: str, messages: str) -> None:
    made = GEMINI.read_answer(answer("x", finish=word))
    assert (made.finish, made.finish_raw) == (finish, word)
    to_chat: Any = CHAT.write_answer(made, "alias")
    to_messages: Any = MESSAGES.write_answer(made, "alias")
    assert (to_chat["choices"][0]["finish_reason"], to_messages["stop_reason"]) == (chat, messages)
    if finish is Finish.OTHER:
        assert to_chat["choices"][0]["native_finish_reason"] == to_messages["native_stop_reason"] == word


@pytest.mark.parametrize(("word", "finish"), [("refusal", "SAFETY"), ("pause_turn", "OTHER"), ("end_turn", "STOP")])
def test_h52_other_finishes_reach_a_gemini_client_with_their_word(word: str, finish: str) -> None:
    stream = messages_stream(message_start(), *text_block(0, "x"), *message_end(word))
    made = response(gemini_translated(MESSAGES, GEMINI, stream)).candidates
    assert made
    assert made[0].finish_reason
    assert made[0].finish_reason.value == finish
    assert made[0].finish_message == (None if word == "end_turn" else word)


def test_h35_a_second_candidate_is_not_mixed_in() -> None:
    other = {"candidates": [{"index": 1, "content": {"parts": [{"text": "B"}]}}]}
    made = completion(gemini_translated(GEMINI, CHAT, gemini_stream(chunk("A"), other, answer(""))))
    assert made.choices[0].message.content == "A"


# Usage.


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({}, None),
        ({"promptTokenCount": 10}, Usage(input=10, output=0)),
        (
            {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5, "thoughtsTokenCount": 3,
             "toolUsePromptTokenCount": 2, "totalTokenCount": 20},
            Usage(input=6, cacheRead=4, output=5, reasoning=3, toolPrompt=2),
        ),
        # A server that counts thoughts in: the total tells.
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 8, "thoughtsTokenCount": 3, "totalTokenCount": 18},
            Usage(input=10, output=5, reasoning=3),
        ),
        (
            {"promptTokenCount": 100, "cachedContentTokenCount": 30, "candidatesTokenCount": 9,
             "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 50}, {"modality": "AUDIO", "tokenCount": 30},
                                     {"modality": "IMAGE", "tokenCount": 15}, {"modality": "VIDEO", "tokenCount": 5}],
             "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}, {"modality": "TEXT", "tokenCount": 10}],
             "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 8}]},
            Usage(input=40, inputAudio=10, inputImage=20, cacheRead=10, cacheReadAudio=20, output=1, outputImage=8),
        ),
        ({"promptTokenCount": 1, "serviceTier": "flex"}, Usage(input=1, output=0, tier="flex")),
        ({"promptTokenCount": -1, "candidatesTokenCount": "x"}, None),
        ({"promptTokenCount": 10**15}, None),
        ({"promptTokenCount": 1, "cachedContentTokenCount": 9}, Usage(input=0, cacheRead=1, output=0)),
    ],
)  # fmt: skip
def test_usage_by_price_class(told: Any, usage: Usage | None) -> None:
    assert read_usage(told) == usage


def test_usage_re_adds() -> None:
    usage = Usage(input=6, cacheRead=4, inputAudio=1, output=5, reasoning=3, toolPrompt=2, cacheWrite5m=7)
    told = write_usage(usage)
    assert told == {
        "promptTokenCount": 18, "candidatesTokenCount": 5, "totalTokenCount": 28, "cachedContentTokenCount": 4,
        "thoughtsTokenCount": 3, "toolUsePromptTokenCount": 2,
    }  # fmt: skip


def test_searches_are_counted() -> None:
    body = answer("x")
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "b"]}
    assert GEMINI.usage(body) == {"input": 10, "output": 5, "serverTools": {"webSearch": 2}}


# Errors.


def error(code: int, status: str, text: str = "No.", *details: Any) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": text, "status": status, "details": list(details)}})


@pytest.mark.parametrize(
    ("status", "body", "cls"),
    [
        (400, error(400, "INVALID_ARGUMENT"), FailureClass.INVALID),
        (400, error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
                    {"reason": "API_KEY_INVALID"}), FailureClass.AUTHENTICATION),
        (400, error(400, "INVALID_ARGUMENT", "The input (9) exceeds the maximum number of tokens allowed (8)."),
         FailureClass.CONTEXT),
        (403, error(403, "PERMISSION_DENIED"), FailureClass.AUTHENTICATION),
        (404, error(404, "NOT_FOUND"), FailureClass.NOT_FOUND),
        (429, error(429, "RESOURCE_EXHAUSTED"), FailureClass.RATE_LIMITED),
        (429, error(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), FailureClass.QUOTA),
        (500, error(500, "INTERNAL"), FailureClass.SERVER),
        (503, error(503, "UNAVAILABLE"), FailureClass.OVERLOADED),
        (504, error(504, "DEADLINE_EXCEEDED"), FailureClass.TIMEOUT),
        (503, b"[" + error(503, "UNAVAILABLE") + b"]", FailureClass.OVERLOADED),
        (502, b"<html><title>Bad gateway</title></html>", FailureClass.SERVER),
        (429, b'"x"', FailureClass.RATE_LIMITED),
    ],
)  # fmt: skip
def test_failures_are_classed(status: int, body: bytes, cls: FailureClass) -> None:
    failure = GEMINI.read_failure(status, [], body)
    assert (failure.cls, failure.status, failure.body) == (cls, status, body)


def test_h54_how_long_to_wait_is_told_in_the_details() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
    body = error(429, "RESOURCE_EXHAUSTED", "No.", detail)
    assert GEMINI.read_failure(429, [], body).retry_after == 34.07
    assert GEMINI.read_failure(429, [("retry-after", "2")], body).retry_after == 2
    for odd in ("x", "-1s", "1e9s", "9" * 20 + "s"):
        body = error(429, "RESOURCE_EXHAUSTED", "No.", {"retryDelay": odd})
        assert GEMINI.read_failure(429, [], body).retry_after is None


def test_h54_ours_are_said_in_googles_words() -> None:
    document = faults.UPSTREAM_OVERLOADED("south: overloaded", retry_after=1.5).document
    written: Any = GEMINI.write_fault(document)
    assert (written["error"]["code"], written["error"]["status"]) == (503, "UNAVAILABLE")
    assert {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"} in written["error"]["details"]
    assert written["pharos"]["code"] == "UPSTREAM_OVERLOADED"
    wrong: Fault = INVALID("No.", problems=[{"pointer": "/contents/0/parts", "message": "no"}])  # type: ignore[list-item]
    [details] = [each for each in GEMINI.write_fault(wrong.document)["error"]["details"] if "fieldViolations" in each]  # type: ignore[index,call-overload,union-attr]
    assert details["fieldViolations"] == [{"field": "contents[0].parts", "description": "no"}]  # type: ignore[index,call-overload]
    frame = GEMINI.write_stream_fault(document)
    assert orjson.loads(frames(frame)[0].data)["error"]["pharos"]["code"] == "UPSTREAM_OVERLOADED"
    assert GEMINI.write_fault(faults.BUDGET_EXCEEDED("x").document)["error"]["status"] == "RESOURCE_EXHAUSTED"  # type: ignore[index,call-overload]


# Anything at all.

SLOW = settings(
    max_examples=int(os.environ.get("PHAROS_FUZZ", "40")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_KEYS = st.sampled_from(
    ["contents", "parts", "role", "text", "thought", "thoughtSignature", "thought_signature", "functionCall", "name",
     "args", "id",
     "functionResponse", "response", "inlineData", "mimeType", "data", "fileData", "fileUri", "systemInstruction",
     "system_instruction", "tools", "functionDeclarations", "function_declarations", "parameters", "type", "items",
     "properties", "anyOf", "nullable", "toolConfig", "functionCallingConfig", "mode", "allowedFunctionNames",
     "generationConfig", "generation_config", "maxOutputTokens", "topK", "stopSequences", "thinkingConfig",
     "thinkingBudget", "thinkingLevel", "responseSchema", "responseMimeType", "candidates", "finishReason", "content",
     "index",
     "usageMetadata", "promptTokenCount", "promptFeedback", "blockReason", "error", "code", "message", "status",
     "details", "partialArgs", "jsonPath", "stringValue", "groundingMetadata", "webSearchQueries", "user", "model",
     "STOP", "AUTO", "$ref", "requests", "generateContentRequest"]
)  # fmt: skip
_SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | _KEYS | st.text()
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6), max_leaves=14
)
_OBJECTS = st.dictionaries(_KEYS, _JSON, max_size=8)
_CALL = st.fixed_dictionaries(
    {"name": st.sampled_from(["f", "1 x"])}, optional={"args": _OBJECTS, "id": st.text(max_size=3)}
)
_PART = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(["x", ""]) | _JSON, "thought": st.booleans() | _JSON,
        "thoughtSignature": st.sampled_from(["S", "cGhhcm9zOg==", "cGhhcm9zOmE6Yg"]) | _JSON,
        "functionCall": _CALL | _JSON,
        "functionResponse": st.fixed_dictionaries({"name": st.just("f"), "response": _OBJECTS}) | _JSON,
        "inlineData": _OBJECTS | st.just({"mimeType": "image/png", "data": "AA"}),
    },
)  # fmt: skip
_BODIES = st.fixed_dictionaries(
    {
        "contents": st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["user", "model"]), "parts": st.lists(_PART, max_size=4)}),
            max_size=4,
        )
    },
    optional={"generationConfig": _OBJECTS, "tools": st.lists(_OBJECTS, max_size=2), "toolConfig": _OBJECTS,
              "systemInstruction": _OBJECTS},
)  # fmt: skip


def as_parsed(value: Any) -> Any:
    try:
        return orjson.loads(orjson.dumps(value))
    except TypeError:
        return {}


@SLOW
@given(_OBJECTS | _BODIES)
def test_any_body_is_translated_or_refused_with_its_place(value: Any) -> None:
    body = as_parsed(value)
    with contextlib.suppress(Fault):
        GEMINI.ask(body)
        orjson.loads(GEMINI.edit(orjson.dumps(body), body, Edits("other", max_output=7)))
    try:
        request = GEMINI.read_request(body)
        for name, dialect in DIALECTS.items():
            if name != "gemini":
                orjson.dumps(dialect.write_request(request, "gpt-5" if "openai" in name else "claude-opus-4-6", 100))
    except Fault as fault:
        assert fault.code == "INVALID"
        assert fault.document.problems
        assert all(each.pointer == "" or each.pointer[0] == "/" for each in fault.document.problems)


@SLOW
@given(
    st.lists(_OBJECTS | st.builds(lambda parts: chunk(*parts, finish="STOP"), st.lists(_PART, max_size=3)), max_size=3)
)
def test_any_chunks_are_read_or_refused(values: list[Any]) -> None:
    for dialect in (GEMINI, STREAMED):
        reader, watcher = dialect.reader(), dialect.watcher(False)
        for value in values:
            data = orjson.dumps(as_parsed(value))
            for look in (reader.read, watcher.see):
                with contextlib.suppress(ValueError):
                    look(Frame("", data, data))
        with contextlib.suppress(ValueError):
            reader.read(END)
        watcher.see(END)
        assert watcher.output_bytes >= 0


@SLOW
@given(_OBJECTS | st.builds(lambda parts: chunk(*parts, finish="STOP"), st.lists(_PART, max_size=3)))
def test_any_answer_is_read_or_refused(value: Any) -> None:
    body = as_parsed(value)
    GEMINI.usage(body)
    GEMINI.answered_model(body)
    GEMINI.read_failure(400, [], orjson.dumps(body))
    with contextlib.suppress(ValueError):
        made = GEMINI.read_answer(body)
        for dialect in DIALECTS.values():
            orjson.dumps(dialect.write_answer(made, "alias"))


@given(data=st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for look in (GEMINI.reader().read, GEMINI.watcher(False).see):
        with contextlib.suppress(ValueError):
            look(Frame("", data, data))
    GEMINI.read_failure(500, [], data)
