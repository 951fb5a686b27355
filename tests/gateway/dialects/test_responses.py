"""The responses dialect, case by case: what reaches a provider, what comes back, and what a stream looks like."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai.types.responses import Response
from tests.gateway.dialects.gemini_wire import GEMINI
from tests.gateway.dialects.responses_wire import (
    RESPONSES,
    added,
    begun,
    body,
    call_item,
    deltas,
    done,
    ended,
    message_item,
    reasoning_item,
    response,
    response_stream,
    told,
)
from tests.gateway.dialects.wire import (
    CHAT,
    MESSAGES,
    chat_body,
    chat_stream,
    completion,
    events,
    frames,
    message,
    message_end,
    message_start,
    messages_body,
    messages_stream,
    pointers,
    sent,
    text_block,
    tool_block,
    translated,
)
from tests.gateway.dialects.wire import block as content_block

from pharos.core.fault import INVALID, OVERLOADED, Fault
from pharos.gateway.models.dialects.canonical import (
    Answer,
    BlockEnded,
    BlockStarted,
    Delta,
    Failed,
    FailureClass,
    Finish,
    Finished,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
)
from pharos.gateway.models.dialects.dialect import Dialect, Edits, Failing

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
TOOL = {"type": "function", "name": "f", "parameters": SCHEMA, "strict": True}
HI = {"role": "user", "content": "hi"}
FRAMES = [
    begun(),
    added(0, call_item("c1", "f", '{"a":1}')),
    *deltas("function_call_arguments", 0, '{"a"', ":1}"),
    done(0, call_item("c1", "f", '{"a":1}')),
    added(1, call_item("c2", "g", "{}", id="fc_2")),
    done(1, call_item("c2", "g", "{}", id="fc_2")),
    ended(call_item("c1", "f", '{"a":1}'), call_item("c2", "g", "{}", id="fc_2")),
]


def failed_event(code: str) -> dict[str, Any]:
    return {"type": "response.failed", "response": body(status="failed", error={"code": code, "message": "x"})}


def asked(*items: Any, **more: Any) -> dict[str, Any]:
    return {"model": "alias", "input": list(items) or [HI], **more}


def call(id: str = "c1", name: str = "f", arguments: str = '{"a":1}') -> dict[str, Any]:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}


def result(id: str = "c1", output: Any = "1") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": output}


# Requests of a responses client.


def test_h7_neighbouring_results_are_one_turn() -> None:
    items = [HI, call("c1"), call("c2"), result("c1", "one"), result("c2", "two")]
    to_messages, _ = sent(RESPONSES, MESSAGES, asked(*items))
    assert [turn["role"] for turn in to_messages["messages"]] == ["user", "assistant", "user"]
    assert [block["tool_use_id"] for block in to_messages["messages"][2]["content"]] == ["c1", "c2"]
    to_chat, _ = sent(RESPONSES, CHAT, asked(*items))
    assert [turn["role"] for turn in to_chat["messages"]] == ["user", "assistant", "tool", "tool"]
    assert len(to_chat["messages"][1]["tool_calls"]) == 2


def test_h8_a_failed_result_stays_failed() -> None:
    items = [HI, call(), result("c1", "[tool error] no")]
    to_messages, _ = sent(RESPONSES, MESSAGES, asked(*items))
    [block] = to_messages["messages"][2]["content"]
    assert (block["is_error"], block["content"]) == (True, "no")
    back, _ = sent(MESSAGES, RESPONSES, messages_body(*to_messages["messages"]))
    assert back["input"][-1]["output"] == "[tool error] no"


def test_h9_an_image_in_a_result() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"}
    items = [HI, call(), result("c1", [{"type": "input_text", "text": "see"}, image])]
    to_messages, request = sent(RESPONSES, MESSAGES, asked(*items))
    assert [part["type"] for part in to_messages["messages"][2]["content"][0]["content"]] == ["text", "image"]
    assert request.converted == []
    back, _ = sent(MESSAGES, RESPONSES, messages_body(*to_messages["messages"]))
    assert back["input"][-1]["output"] == [{"type": "input_text", "text": "see"}, image]
    to_chat, request = sent(RESPONSES, CHAT, asked(*items))
    assert to_chat["messages"][-1]["role"] == "user"
    assert request.converted == ["/input/2/output/1"]


@pytest.mark.parametrize(
    ("choice", "chat", "messages"),
    [
        ("auto", "auto", {"type": "auto"}),
        ("none", "none", {"type": "none"}),
        ("required", "required", {"type": "any"}),
        (
            {"type": "function", "name": "f"},
            {"type": "function", "function": {"name": "f"}},
            {"type": "tool", "name": "f"},
        ),
    ],
    ids=["auto", "none", "required", "named"],
)
def test_h10_tool_choice(choice: Any, chat: Any, messages: Any) -> None:
    request = asked(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
    to_chat, _ = sent(RESPONSES, CHAT, request)
    assert (to_chat["tool_choice"], to_chat["parallel_tool_calls"]) == (chat, False)
    to_messages, _ = sent(RESPONSES, MESSAGES, request)
    assert {**messages, **to_messages["tool_choice"]} == to_messages["tool_choice"]
    back, _ = sent(CHAT, RESPONSES, {**to_chat})
    assert (back["tool_choice"], back["parallel_tool_calls"]) == (choice, False)
    back, _ = sent(MESSAGES, RESPONSES, {**to_messages})
    assert back["tool_choice"] == choice


def test_h10_allowed_tools_are_the_declared_ones() -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}
    to_messages, request = sent(RESPONSES, MESSAGES, asked(tools=[TOOL, {**TOOL, "name": "g"}], tool_choice=allowed))
    assert [tool["name"] for tool in to_messages["tools"]] == ["f"]
    assert request.converted == ["/tool_choice"]
    with pytest.raises(Fault) as caught:
        RESPONSES.read_request(asked(tools=[TOOL], tool_choice={"type": "web_search"}))
    assert pointers(caught.value) == ["/tool_choice/type"]


def test_h11_a_history_of_calls_without_tools() -> None:
    to_messages, _ = sent(RESPONSES, MESSAGES, asked(HI, call(), result()))
    assert [tool["name"] for tool in to_messages["tools"]] == ["f"]
    to_responses, _ = sent(MESSAGES, RESPONSES, messages_body(*to_messages["messages"]))
    assert "tools" not in to_responses
    assert to_responses["input"][1:] == [call(), result()]


@pytest.mark.parametrize("kind", ["web_search", "file_search", "mcp", "code_interpreter", "computer_use_preview"])
def test_h12_tools_of_the_provider_are_refused(kind: str) -> None:
    with pytest.raises(Fault) as caught:
        RESPONSES.read_request(asked(tools=[TOOL, {"type": kind}]))
    assert pointers(caught.value) == ["/tools/1/type"]
    with pytest.raises(Fault) as caught:
        RESPONSES.read_request(asked(HI, {"type": f"{kind}_call", "id": "x"}))
    assert pointers(caught.value) == ["/input/1/type"]


def test_h12_a_grammar_of_a_custom_tool_is_told_in_words() -> None:
    tool = {"type": "custom", "name": "p", "description": "D.",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}}  # fmt: skip
    to_chat, request = sent(RESPONSES, CHAT, asked(tools=[tool]))
    function = to_chat["tools"][0]["function"]
    assert function["description"] == "D.\n\n`input` must follow this lark grammar:\nstart: /x/"
    assert function["parameters"]["required"] == ["input"]
    assert request.converted == ["/tools/0"]


def test_h13_names_and_ids_are_spelled_and_read_back() -> None:
    name, id = "files.read/深い", "functions.f:0" + "x" * 80
    to_responses, request = sent(
        CHAT, RESPONSES,
        chat_body(HI, {"role": "assistant", "tool_calls": [
            {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": id, "content": "1"},
            tools=[{"type": "function", "function": {"name": name}}]),
    )  # fmt: skip
    spelled = to_responses["tools"][0]["name"]
    assert spelled.isascii()
    assert (to_responses["input"][1]["name"], len(to_responses["input"][1]["call_id"])) == (spelled, 64)
    assert to_responses["input"][1]["call_id"] == to_responses["input"][2]["call_id"]
    answer = RESPONSES.read_answer(body(call_item("c1", spelled, "{}")), request.renamed)
    assert isinstance(answer.blocks[0], ToolCall)
    assert answer.blocks[0].name == name


def test_h15_redacted_thinking_returns_unchanged() -> None:
    stream = messages_stream(
        message_start(), *content_block(0, {"type": "redacted_thinking", "data": "OPAQUE=="}), *text_block(1, "x"),
        *message_end(),
    )  # fmt: skip
    item = response(translated(MESSAGES, RESPONSES, stream)).output[0].to_dict()
    assert item["summary"] == []
    to_messages, request = sent(RESPONSES, MESSAGES, asked(HI, item, HI))
    assert to_messages["messages"][1]["content"] == [{"type": "redacted_thinking", "data": "OPAQUE=="}]
    assert request.dropped == []


def test_h16_reasoning_of_another_vendor_is_left_out_and_told() -> None:
    theirs = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}],
              "encrypted_content": "gAAAA"}  # fmt: skip
    for provider in (CHAT, MESSAGES):
        written, request = sent(RESPONSES, provider, asked(HI, theirs, {"role": "assistant", "content": "x"}, HI))
        assert "hm" not in str(written)
        assert request.dropped == ["/input/1"]
    ours = {**theirs, "encrypted_content": "pharos:anthropic/claude-1:SIG"}
    raw = orjson.dumps(asked(HI, ours, theirs, HI), option=orjson.OPT_INDENT_2)
    edited = RESPONSES.edit(raw, orjson.loads(raw), Edits("m"))
    assert orjson.loads(edited) == {**asked(HI, theirs, HI), "model": "m"}


def test_h17_unsigned_reasoning_is_not_faked() -> None:
    unsigned = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    written, request = sent(RESPONSES, MESSAGES, asked(HI, unsigned, HI))
    assert "hm" not in str(written)
    assert request.dropped == ["/input/1"]
    written, request = sent(
        CHAT, RESPONSES, chat_body(HI, {"role": "assistant", "content": "x", "reasoning_content": "hm"}, HI)
    )
    assert "hm" not in str(written)
    assert request.dropped == ["/messages/1/reasoning_content"]


@pytest.mark.parametrize("sealed_text", ["", "What I thought."])
def test_h19_encrypted_reasoning_is_preserved_exactly(sealed_text: str) -> None:
    sealed = "gAAAAABo-_x/+=="
    item = reasoning_item(sealed_text, sealed)
    answer = body(item, message_item("x"), usage={"input_tokens": 1, "output_tokens": 1})
    # Through a chat client, whole and streamed, and back.
    for told_to in (
        CHAT.write_answer(RESPONSES.read_answer(answer), "alias")["choices"][0]["message"],
        completion(translated(RESPONSES, CHAT, _stream_of(item))).choices[0].message.to_dict(),
    ):
        back, request = sent(CHAT, RESPONSES, chat_body(HI, told_to, HI), "gpt-5.6")
        [kept] = [one for one in back["input"] if one["type"] == "reasoning"]
        assert (kept["encrypted_content"], kept["summary"]) == (sealed, item["summary"])
        assert "reasoning.encrypted_content" in back["include"]
        assert back["store"] is False
        assert request.dropped == []
    # Through a messages client.
    for told_to in (
        MESSAGES.write_answer(RESPONSES.read_answer(answer), "alias"),
        message(translated(RESPONSES, MESSAGES, _stream_of(item))).to_dict(),
    ):
        turn = {"role": "assistant", "content": told_to["content"]}
        back, _ = sent(MESSAGES, RESPONSES, messages_body(HI, turn, HI), "gpt-5.6")
        assert [one.get("encrypted_content") for one in back["input"] if one["type"] == "reasoning"] == [sealed]
    # On the diagonal nothing is touched.
    raw = orjson.dumps(asked(HI, item, HI, store=False), option=orjson.OPT_INDENT_2)
    assert RESPONSES.edit(raw, orjson.loads(raw), Edits("alias")) == raw


def _stream_of(item: dict[str, Any]) -> bytes:
    return response_stream(
        begun(), added(0, item),
        *deltas("reasoning_summary_text", 0, *(part["text"] for part in item["summary"]), summary_index=0),
        done(0, item),
        added(1, message_item()), *deltas("output_text", 1, "x", content_index=0),
        done(1, message_item("x")), ended(item, message_item("x")),
    )  # fmt: skip


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh", "max"])
def test_h20_effort_words(effort: str) -> None:
    to_messages, request = sent(RESPONSES, MESSAGES, asked(reasoning={"effort": effort}), "claude-opus-4-6")
    assert to_messages["output_config"]["effort"] == ("low" if effort == "minimal" else effort)
    assert (request.converted == ["/reasoning/effort"]) is (effort == "minimal")
    to_chat, _ = sent(RESPONSES, CHAT, asked(reasoning={"effort": effort}))
    assert to_chat["reasoning_effort"] == effort
    back, _ = sent(CHAT, RESPONSES, to_chat)
    assert back["reasoning"] == {"effort": effort}


def test_h20_thinking_that_is_off_and_budgets() -> None:
    off = messages_body(thinking={"type": "disabled"})
    assert sent(MESSAGES, RESPONSES, off, "gpt-5.1")[0]["reasoning"] == {"effort": "none"}
    written, request = sent(MESSAGES, RESPONSES, off, "o3")
    assert "reasoning" not in written
    assert request.dropped == ["/thinking"]
    budget = messages_body(thinking={"type": "enabled", "budget_tokens": 5000})
    written, request = sent(MESSAGES, RESPONSES, budget, "o3")
    assert written["reasoning"] == {"effort": "medium", "summary": "auto"}
    assert request.converted == ["/thinking/budget_tokens"]


def test_h21_thinking_and_a_forced_call() -> None:
    written, request = sent(
        RESPONSES,
        MESSAGES,
        asked(tools=[TOOL], tool_choice="required", reasoning={"effort": "high"}),
        "claude-sonnet-4-5",
    )
    assert "thinking" not in written
    assert request.dropped == ["/reasoning/effort"]


def test_h40_h41_schemas() -> None:
    wanted = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}
    to_messages, _ = sent(RESPONSES, MESSAGES, asked(text={"format": wanted}, tools=[TOOL]))
    assert to_messages["output_config"]["format"]["schema"] == SCHEMA
    to_chat, _ = sent(RESPONSES, CHAT, asked(text={"format": wanted, "verbosity": "low"}))
    assert to_chat["response_format"]["json_schema"] == {"name": "n", "schema": SCHEMA, "strict": True}
    assert to_chat["verbosity"] == "low"
    back, _ = sent(CHAT, RESPONSES, to_chat)
    assert back["text"] == {"format": wanted, "verbosity": "low"}
    with pytest.raises(Fault) as caught:
        sent(RESPONSES, MESSAGES, asked(text={"format": {**wanted, "schema": {"type": "object", "not": {}}}}))
    assert pointers(caught.value) == ["/text/format/schema/not"]


def test_strict_is_always_said_because_here_it_defaults_to_true() -> None:
    loose = {"type": "object", "properties": {"a": {"type": "integer"}}}
    for strict, expected in ((None, False), (False, False), (True, False)):
        function = {"name": "f", "parameters": loose, **({} if strict is None else {"strict": strict})}
        written, request = sent(CHAT, RESPONSES, chat_body(tools=[{"type": "function", "function": function}]))
        assert written["tools"][0]["strict"] is expected
        assert request.converted == (["/tools/0/function/strict"] if strict else [])


def test_h42_output_limits() -> None:
    assert sent(RESPONSES, CHAT, asked(max_output_tokens=7), "gpt-5")[0]["max_completion_tokens"] == 7
    assert sent(RESPONSES, CHAT, asked(max_output_tokens=7), "small-1")[0]["max_tokens"] == 7
    assert sent(RESPONSES, MESSAGES, asked())[0]["max_tokens"] == 4096
    written, request = sent(MESSAGES, RESPONSES, messages_body(max_tokens=7))
    assert written["max_output_tokens"] == 16
    assert request.converted == ["/max_tokens"]
    raw = b'{"model": "a", "input": "hi"}'
    assert RESPONSES.edit(raw, orjson.loads(raw), Edits("m", max_output=20)) == (
        b'{"model": "m","max_output_tokens":20, "input": "hi"}'
    )


def test_h43_system_developer_and_in_between() -> None:
    items = [{"role": "system", "content": "one"}, HI, {"role": "developer", "content": "two"}, HI]
    to_chat, _ = sent(RESPONSES, CHAT, asked(*items, instructions="zero"))
    assert [(turn["role"], turn["content"]) for turn in to_chat["messages"]] == [
        ("system", "zero"), ("system", "one"), ("user", "hi"), ("system", "two"), ("user", "hi"),
    ]  # fmt: skip
    back, _ = sent(CHAT, RESPONSES, to_chat)
    assert [(item["role"], item["content"]) for item in back["input"]] == [
        (turn["role"], turn["content"]) for turn in to_chat["messages"]
    ]
    early, request = sent(RESPONSES, MESSAGES, asked(*items, instructions="zero"), "claude-3-haiku")
    assert [part["text"] for part in early["system"]] == ["zero", "one", "two"]
    assert request.converted == ["/input/2/content"]


def test_h44_neighbours_empty_text_and_prefill() -> None:
    to_messages, _ = sent(RESPONSES, MESSAGES, asked(HI, HI, {"role": "assistant", "content": "So: "}))
    assert [turn["role"] for turn in to_messages["messages"]] == ["user", "assistant"]
    assert to_messages["messages"][1]["content"] == "So:"
    written, request = sent(MESSAGES, RESPONSES, messages_body(HI, {"role": "assistant", "content": "So:"}))
    assert written["input"][-1] == {"type": "message", "role": "assistant", "content": "So:"}
    assert request.converted == ["/messages/1/content"]


def test_h45_images_and_files() -> None:
    parts = [
        {"type": "input_image", "image_url": "https://example.org/x.png", "detail": "high"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
    ]
    to_messages, request = sent(RESPONSES, MESSAGES, asked({"role": "user", "content": parts}))
    assert [part["type"] for part in to_messages["messages"][0]["content"]] == ["image", "document"]
    assert request.dropped == ["/input/0/content/0/detail"]
    back, _ = sent(MESSAGES, RESPONSES, messages_body(*to_messages["messages"]))
    assert back["input"][0]["content"] == [{**parts[0], "detail": "auto"}, parts[1]]
    for part, at in (
        ({"type": "input_image", "file_id": "f"}, "/file_id"),
        ({"type": "input_file", "file_url": "https://example.org"}, "/file_url"),
        ({"type": "input_image", "image_url": "file:///etc/passwd"}, "/image_url"),
        ({"type": "input_audio", "input_audio": {}}, ""),
    ):
        with pytest.raises(Fault) as caught:
            RESPONSES.read_request(asked({"role": "user", "content": [part]}))
        assert pointers(caught.value) == [f"/input/0/content/0{at}"]


def test_h46_what_has_no_counterpart_is_listed() -> None:
    _, request = sent(
        RESPONSES, MESSAGES,
        asked(top_logprobs=3, truncation="auto", max_tool_calls=2, include=["message.output_text.logprobs"],
              text={"verbosity": "low"}, reasoning={"summary": "auto"}, prompt_cache_key="k"),
    )  # fmt: skip
    assert sorted(request.dropped) == [
        "/include/0", "/max_tool_calls", "/prompt_cache_key", "/reasoning/summary", "/text/verbosity", "/top_logprobs",
        "/truncation",
    ]  # fmt: skip
    _, request = sent(CHAT, RESPONSES, chat_body(seed=1, stop=["x"], logit_bias={"1": 2}, top_k=3, frequency_penalty=1))
    assert sorted(request.dropped) == ["/frequency_penalty", "/logit_bias", "/seed", "/stop/0", "/top_k"]


@pytest.mark.parametrize("provider", [CHAT, MESSAGES, GEMINI], ids=lambda dialect: dialect.name)
def test_h46_members_that_have_namesakes_elsewhere_are_told_and_not_sent(provider: Dialect) -> None:
    """Messages know another form of context management, and chat refuses ``top_logprobs`` without ``logprobs``."""
    body = asked(HI, context_management=[{"type": "compaction"}], top_logprobs=2)
    request = RESPONSES.read_request(body)
    written = provider.write_request(request, "any-model", 100)
    assert {"/context_management", "/top_logprobs"} <= set(request.dropped)
    assert not {"context_management", "top_logprobs"} & written.keys()
    for neutral in (asked(HI, top_logprobs=0), asked(HI, context_management=[])):
        assert not RESPONSES.read_request(neutral).dropped


def test_h47_unknown_members_pass_on_the_diagonal_and_are_told_elsewhere() -> None:
    raw = b'{ "model":"a" ,"input":[{"type":"novel","x":1.0}], "novel":{"deep":[1.50e10]}}'
    assert RESPONSES.edit(raw, orjson.loads(raw), Edits("bb")) == raw.replace(b'"a"', b'"bb"')
    _, request = sent(RESPONSES, MESSAGES, asked({**HI, "novel": 1}, novel=2))
    assert request.dropped == ["/input/0/novel", "/novel"]


def test_h48_cache_marks() -> None:
    part = {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
    to_messages, _ = sent(RESPONSES, MESSAGES, asked({"role": "user", "content": [part]}))
    [block] = to_messages["messages"][0]["content"]
    assert block["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    back, _ = sent(MESSAGES, RESPONSES, messages_body(*to_messages["messages"]), "gpt-5.6")
    assert back["input"][0]["content"] == [part]
    _, request = sent(RESPONSES, CHAT, asked({"role": "user", "content": [part]}), "small-1")
    assert request.dropped == ["/input/0/content/0/prompt_cache_breakpoint"]


def test_what_one_account_at_the_provider_keeps_is_refused_everywhere() -> None:
    for key, value in (("conversation", "conv_1"), ("background", True)):
        for read in (RESPONSES.ask, RESPONSES.read_request):
            with pytest.raises(Fault) as caught:
                read(asked(**{key: value}))
            assert pointers(caught.value) == [f"/{key}"]


def test_what_governance_must_know() -> None:
    more: dict[str, Any] = {"instructions": "i", "max_output_tokens": 9, "tools": [TOOL], "stream": True}
    ask = RESPONSES.ask(asked(HI, {"type": "item_reference", "id": "x"}, **more, safety_identifier="u"))
    assert (ask.model, ask.stream, ask.max_output, ask.tools, ask.wants_usage, ask.user) == (
        "alias", True, 9, ("f",), True, "u",
    )  # fmt: skip
    assert ask.turns[0] == {"role": "system", "content": "i"}
    assert RESPONSES.ask({"model": "a", "input": "hi"}).turns == [HI]
    with pytest.raises(Fault) as caught:
        RESPONSES.ask({"model": 1, "input": [1], "stream": "yes", "store": 0, "tools": {}})
    assert pointers(caught.value) == ["/model", "/input/0", "/stream", "/store", "/tools"]


# Streams for a responses client.


def test_h1_h33_parallel_calls_are_items_one_after_the_other() -> None:
    stream = messages_stream(
        message_start(),
        *tool_block(0, "t1", "f", '{"a"', ":1}"),
        *tool_block(1, "t2", "g", "{}"),
        *message_end("tool_use"),
    )
    made = response(translated(MESSAGES, RESPONSES, stream))
    assert [(item.type, item.call_id, item.arguments) for item in made.output if item.type == "function_call"] == [
        ("function_call", "t1", '{"a":1}'),
        ("function_call", "t2", "{}"),
    ]


def test_h2_a_call_without_arguments() -> None:
    stream = messages_stream(message_start(), *tool_block(0, "t1", "f"), *message_end("tool_use"))
    [item] = response(translated(MESSAGES, RESPONSES, stream)).output
    assert item.type == "function_call"
    assert item.arguments == "{}"
    empty = response_stream(begun(), added(0, call_item("c", "f", "")), done(0, call_item("c", "f", "")), ended())
    assert completion(translated(RESPONSES, CHAT, empty)).choices[0].message.tool_calls[0].function.arguments == "{}"
    assert message(translated(RESPONSES, MESSAGES, empty)).content[0].input == {}


def test_h3_a_truncated_call_is_not_repaired() -> None:
    stream = chat_stream(
        {"role": "assistant"},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a": "b'}}]},
        finish="length",
    )
    made = response(translated(CHAT, RESPONSES, stream))
    assert (made.status, made.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    [item] = made.output
    assert item.type == "function_call"
    assert (item.arguments, item.status) == ('{"a": "b', "incomplete")


def test_h22_h23_role_only_chunks_and_usage_only_chunks() -> None:
    stream = chat_stream(
        {"role": "assistant", "content": ""}, {}, {"content": "x"}, usage={"prompt_tokens": 3, "completion_tokens": 1}
    )
    made = response(translated(CHAT, RESPONSES, stream))
    assert made.output_text == "x"
    assert made.usage is not None
    assert (made.usage.input_tokens, made.usage.output_tokens, made.usage.total_tokens) == (3, 1, 4)
    nothing = response(translated(CHAT, RESPONSES, chat_stream({"role": "assistant", "content": ""})))
    assert nothing.output == []


def test_h25_an_error_in_the_stream_is_an_error_and_a_failed_response() -> None:
    writer = RESPONSES.writer("alias", True)
    assert isinstance(writer, Failing)
    sent_frames = b"".join(
        writer.write(event)
        for event in (Started("1", "m", None, "anthropic"), BlockStarted(0, "text"), Delta(0, "half"))
    )
    sent_frames += writer.fail(OVERLOADED("busy").document)
    found = told(sent_frames)
    assert [event.type for event in found[-2:]] == ["error", "response.failed"]
    assert (found[-2].message, found[-2].code) == ("busy", "server_overloaded")
    failed = found[-1].response
    assert (failed.status, failed.error.code, failed.output_text) == ("failed", "server_error", "half")
    assert failed.output[0].status == "incomplete"
    first = RESPONSES.writer("alias", True)
    assert isinstance(first, Failing)
    assert [event.type for event in told(first.fail(INVALID("no").document))] == ["error", "response.failed"]


def test_h25_on_the_diagonal_the_error_is_numbered_after_what_passed() -> None:
    stream = response_stream(
        begun(), added(0, message_item()), *deltas("output_text", 0, "x", content_index=0, logprobs=[])
    )
    watcher = RESPONSES.watcher(False)
    assert isinstance(watcher, Failing)
    seen = [watcher.see(frame) for frame in frames(stream)]
    assert [one.content for one in seen] == [False, False, True]
    failed = watcher.fail(OVERLOADED("busy").document)
    found = told(stream + failed)
    assert [event.type for event in found[-2:]] == ["error", "response.failed"]
    assert found[-1].response.id == "resp_1"


@pytest.mark.parametrize(
    ("event", "cls"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, FailureClass.RATE_LIMITED),
        ({"type": "error", "error": {"type": "server_error", "code": None, "message": "x"}}, FailureClass.SERVER),
        (failed_event("server_error"), FailureClass.SERVER),
        (failed_event("invalid_prompt"), FailureClass.INVALID),
        ({"type": "error", "error": {"code": "context_length_exceeded", "message": "x"}}, FailureClass.CONTEXT),
    ],
    ids=str,
)  # fmt: skip
def test_h25_failures_of_a_provider_s_stream(event: Any, cls: FailureClass) -> None:
    stream = response_stream(begun(), event)
    *_, last = events(RESPONSES.reader(), stream)
    assert isinstance(last, Failed)
    assert last.failure.cls is cls
    watcher = RESPONSES.watcher(False)
    *_, seen = [watcher.see(frame) for frame in frames(stream)]
    assert seen.failure is not None
    assert (seen.failure.cls, watcher.complete) == (cls, False)


def test_h26_a_stream_without_its_end_is_not_complete() -> None:
    stream = response_stream(*FRAMES[:-1])
    reader, watcher = RESPONSES.reader(), RESPONSES.watcher(False)
    found = events(reader, stream)
    for frame in frames(stream):
        watcher.see(frame)
    assert not any(isinstance(event, Finished) for event in found)
    assert (reader.complete, watcher.complete) == (False, False)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_h29_however_it_is_cut(size: int) -> None:
    words = message_item("Grüße 世界 🙂")
    stream = response_stream(
        begun(),
        added(0, words),
        *deltas("output_text", 0, "Grüße ", "世界 🙂", content_index=0),
        done(0, words),
        ended(words),
    ).replace(b"\n", b"\r\n")
    stream = b"\xef\xbb\xbf: hello\r\n\r\n" + stream
    assert events(RESPONSES.reader(), stream, size) == events(RESPONSES.reader(), stream)
    texts = [event.text for event in events(RESPONSES.reader(), stream, size) if isinstance(event, Delta)]
    assert "".join(texts) == "Grüße 世界 🙂"


def test_h31_h32_usage_comes_with_the_end() -> None:
    stream = messages_stream(message_start(cache_read_input_tokens=5), *text_block(0, "x"), *message_end())
    found = told(translated(MESSAGES, RESPONSES, stream))
    assert found[0].response.usage is None
    usage = found[-1].response.usage
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens) == (15, 5, 5)


def test_h34_reasoning_and_text_are_items_of_their_own_with_stable_ids() -> None:
    stream = chat_stream({"reasoning_content": "h"}, {"reasoning_content": "m"}, {"content": "a"}, {"content": "b"})
    sent_frames = translated(CHAT, RESPONSES, stream)
    made = response(sent_frames)
    assert [item.type for item in made.output] == ["reasoning", "message"]
    assert made.output[0].to_dict()["summary"] == [{"type": "summary_text", "text": "hm"}]
    by_place: dict[int, set[str]] = {}
    for event in told(sent_frames):
        if (id := getattr(event, "item_id", None)) is not None:
            by_place.setdefault(event.output_index, set()).add(id)
    assert by_place == {place: {item.id} for place, item in enumerate(made.output)}
    assert len({item.id for item in made.output}) == 2


def test_h39_whole_and_streamed_are_the_same_response() -> None:
    blocks = (
        Thinking("hm", "SIG", origin="anthropic/m"),
        Thinking("", redacted="RR", origin="anthropic/m"),
        Text("one"), Text(""), Text("two"), ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "p", '{"input":"free"}'),
    )  # fmt: skip
    echo = {"tools": [{"type": "custom", "name": "p"}], "metadata": {"k": "v"}, "text": {"verbosity": "low"}}
    answer = Answer("1", "m", blocks, Finish.LENGTH, {"input": 1, "output": 2}, dialect="anthropic", echo=echo)
    writer = RESPONSES.writer("alias", True)
    stream = writer.write(Started("1", "m", None, "anthropic", echo))
    for index, block in enumerate(blocks):
        match block:
            case Text(text):
                stream += writer.write(BlockStarted(index, "text")) + writer.write(Delta(index, text))
            case Thinking(text, signature, redacted):
                stream += writer.write(BlockStarted(index, "thinking"))
                stream += writer.write(Delta(index, text)) if text else b""
                stream += writer.write(Signed(index, signature, redacted))
            case ToolCall(id, name, arguments):
                stream += writer.write(BlockStarted(index, "tool", id, name)) + writer.write(Delta(index, arguments))
        stream += writer.write(BlockEnded(index))
    stream += writer.write(Finished(Finish.LENGTH, {"input": 1, "output": 2}))
    response(stream)
    assert (
        told(stream)[-1].response.to_dict()
        == Response.model_validate(RESPONSES.write_answer(answer, "alias")).to_dict()
    )


# Streams of a responses provider.


def test_items_that_are_open_at_once_come_one_after_the_other() -> None:
    first, second = call_item("c1", "f", '{"a":1}'), call_item("c2", "g", '{"b":2}', id="fc_2")
    stream = response_stream(
        begun(), added(0, first), added(1, second), *deltas("function_call_arguments", 1, '{"b"'),
        *deltas("function_call_arguments", 0, '{"a":1}'), *deltas("function_call_arguments", 1, ":2}"), done(1, second),
        done(0, first), ended(first, second),
    )  # fmt: skip
    calls = completion(translated(RESPONSES, CHAT, stream)).choices[0].message.tool_calls
    assert [(call.id, call.function.arguments) for call in calls] == [("c1", '{"a":1}'), ("c2", '{"b":2}')]


def test_what_was_not_streamed_is_taken_from_what_is_done() -> None:
    item, words = call_item("c1", "f", '{"a":1}'), message_item("x", "y")
    for stream in (
        response_stream(begun(), added(0, words), done(0, words), added(1, item), done(1, item), ended(words, item)),
        response_stream(begun(), ended(words, item)),
        response_stream(ended(words, item)),
    ):
        found = completion(translated(RESPONSES, CHAT, stream)).choices[0]
        assert (found.message.content, found.finish_reason) == ("xy", "tool_calls")
        assert found.message.tool_calls[0].function.arguments == '{"a":1}'


def test_several_summaries_are_joined() -> None:
    item = {"id": "rs", "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]}  # fmt: skip
    stream = response_stream(
        begun(), added(0, item), *deltas("reasoning_summary_text", 0, "one", summary_index=0),
        *deltas("reasoning_summary_text", 0, "t", "wo", summary_index=1), done(0, item), ended(item),
    )  # fmt: skip
    texts = [event.text for event in events(RESPONSES.reader(), stream) if isinstance(event, Delta)]
    assert "".join(texts) == "one\n\ntwo"
    assert RESPONSES.read_answer(body(item)).blocks == (Thinking("one\n\ntwo", origin="openai-responses/gpt-5.6"),)


def test_unknown_items_and_events_are_left_out() -> None:
    search = {"id": "ws", "type": "web_search_call", "status": "completed"}
    stream = response_stream(
        begun(), {"type": "response.novel", "x": 1}, added(0, search),
        {"type": "response.web_search_call.searching", "output_index": 0}, done(0, search), added(1, message_item()),
        *deltas("output_text", 1, "x", content_index=0), done(1, message_item("x")), ended(search, message_item("x")),
    )  # fmt: skip
    assert completion(translated(RESPONSES, CHAT, stream)).choices[0].message.content == "x"
    watcher = RESPONSES.watcher(False)
    assert all(watcher.see(frame).failure is None for frame in frames(stream))
    assert watcher.complete


def test_h52_finishes() -> None:
    refusal = {"id": "m", "type": "message", "role": "assistant", "status": "completed",
               "content": [{"type": "refusal", "refusal": "no"}]}  # fmt: skip
    for read, expected in (
        (body(message_item("x")), Finish.STOP),
        (body(call_item("c", "f", "{}")), Finish.TOOL),
        (body(refusal), Finish.REFUSAL),
        (body(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), Finish.LENGTH),
        (body(status="incomplete", incomplete_details={"reason": "content_filter"}), Finish.FILTER),
        (body(status="incomplete", incomplete_details={"reason": "steered"}), Finish.OTHER),
    ):
        answer = RESPONSES.read_answer(read)
        assert answer.finish is expected
    assert answer.finish_raw == "steered"
    for status in ("failed", "queued", "in_progress", "cancelled"):
        with pytest.raises(ValueError, match="come to its end"):
            RESPONSES.read_answer(body(status=status))


def test_h53_filtered_with_nothing_said() -> None:
    stream = chat_stream({"role": "assistant"}, finish="content_filter")
    made = response(translated(CHAT, RESPONSES, stream))
    assert (made.status, made.incomplete_details.reason, made.output) == ("incomplete", "content_filter", [])


def test_h54_refusals_of_a_provider() -> None:
    for status, payload, cls in (
        (429, {"error": {"message": "slow", "code": "rate_limit_exceeded"}}, FailureClass.RATE_LIMITED),
        (529, {"error": {"message": "busy"}}, FailureClass.OVERLOADED),
        (
            404,
            {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}},
            FailureClass.NOT_FOUND,
        ),
        (404, {"error": {"message": "Item with id 'rs_1' not found."}}, FailureClass.INVALID),
        (400, {"error": {"message": "Previous response with id 'r' not found."}}, FailureClass.INVALID),
    ):
        failure = RESPONSES.read_failure(status, [("retry-after", "2")], orjson.dumps(payload))
        assert (failure.cls, failure.retry_after) == (cls, 2.0)


def test_usage_by_class() -> None:
    usage = RESPONSES.usage(
        body(
            {"type": "web_search_call", "id": "1"}, {"type": "file_search_call", "id": "2"},
            service_tier="priority", tool_usage={"web_search": {"num_requests": 3}, "image_gen": {}},
            usage={"input_tokens": 100, "output_tokens": 30, "total_tokens": 130,
                   "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 30,
                                            "cache_write_tokens_details": {"ttl_30m_tokens": 10, "ttl_12h_tokens": 15}},
                   "output_tokens_details": {"reasoning_tokens": 20}},
        )
    )  # fmt: skip
    assert usage == {
        "input": 30, "cacheRead": 40, "cacheWrite5m": 5, "cacheWrite30m": 10, "cacheWrite12h": 15, "output": 10,
        "reasoning": 20, "serverTools": {"webSearch": 3, "fileSearch": 1}, "tier": "priority",
    }  # fmt: skip
    assert RESPONSES.usage(body(status="failed", error={"code": "server_error"}, usage={"input_tokens": 1})) is None
