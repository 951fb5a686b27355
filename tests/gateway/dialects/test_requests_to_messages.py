"""Chat requests as a messages provider gets them. Names of tests cite the hard cases of the gateway's specification."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.gateway.dialects.wire import CHAT, MESSAGES, chat_body, pointers, sent

from pharos.core.fault import Fault
from pharos.gateway.models.dialects.naming import plain_id
from pharos.gateway.models.dialects.reading import TRANSLATION

PNG = "iVBORw0KGgo="
TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {}}}},
}


def call(id: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(content: Any = "hi") -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(**more: Any) -> dict[str, Any]:
    return {"role": "assistant", **more}


def tool(id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}


def to_messages(*messages: Any, model: str = "claude-opus-4-6", **more: Any) -> dict[str, Any]:
    return sent(CHAT, MESSAGES, chat_body(*messages, **more), model)[0]


def refused(*messages: Any, **more: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        to_messages(*messages, **more)
    assert caught.value.code == "INVALID"
    return caught.value


def test_a_plain_request() -> None:
    body, request = sent(
        CHAT, MESSAGES,
        chat_body({"role": "system", "content": "Be brief."}, user(), temperature=0.5, top_p=0.9, stop=["END"],
                  max_completion_tokens=50, stream=True, user="u-1", tools=[TOOL], tool_choice="auto"),
    )  # fmt: skip
    assert body == {
        "model": "target-1",
        "max_tokens": 50,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "f", "description": "d", "input_schema": TOOL["function"]["parameters"]}],
        "tool_choice": {"type": "auto"},
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
        "stream": True,
    }
    assert (request.dropped, request.converted, request.renamed) == ([], [], {})


def test_h02_a_call_without_arguments_has_an_empty_object_as_input() -> None:
    for nothing in ("", "{}", "  "):
        body = to_messages(user(), assistant(tool_calls=[call("c1", arguments=nothing)]), tool("c1", "ok"))
        assert body["messages"][1]["content"][0]["input"] == {}


def test_h03_cut_off_arguments_are_wrapped_and_never_repaired() -> None:
    cut = '{"city": "Par'
    body = to_messages(user(), assistant(tool_calls=[call("c1", arguments=cut)]), tool("c1", "ok"))
    sent_input = body["messages"][1]["content"][0]["input"]
    assert sent_input == {"INVALID_JSON": cut}
    again = MESSAGES.read_request(body)
    assert again.turns[1].blocks[0].arguments == cut  # type: ignore[union-attr]


def test_h07_several_tool_messages_become_one_user_turn_in_order() -> None:
    body = to_messages(
        user(),
        assistant(content="Let me see.", tool_calls=[call("c1"), call("c2"), call("c3")]),
        tool("c1", "one"), tool("c2", [{"type": "text", "text": "two"}]), tool("c3", ""),
        user("and?"),
    )  # fmt: skip
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": "one"},
        {"type": "tool_result", "tool_use_id": "c2", "content": "two"},
        {"type": "tool_result", "tool_use_id": "c3"},
        {"type": "text", "text": "and?"},
    ]


def test_h07_results_stand_before_what_the_user_said_between_them() -> None:
    body = to_messages(
        user(), assistant(tool_calls=[call("c1"), call("c2")]), tool("c1", "one"), user("hm"), tool("c2", "two")
    )
    kinds = [block["type"] for block in body["messages"][2]["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]


def test_h08_a_marked_tool_error_is_an_error_again() -> None:
    body = to_messages(user(), assistant(tool_calls=[call("c1")]), tool("c1", "[tool error] no such city"))
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": "no such city", "is_error": True}
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("none", None, {"type": "none"}),
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, None, {"type": "tool", "name": "f"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        ("auto", True, {"type": "auto"}),
        (None, None, None),
    ],
)
def test_h10_tool_choice(choice: Any, parallel: Any, expected: Any) -> None:
    body = to_messages(tools=[TOOL], tool_choice=choice, parallel_tool_calls=parallel)
    assert body.get("tool_choice") == expected


def test_h10_allowed_tools_are_the_only_ones_declared() -> None:
    other = {"type": "function", "function": {"name": "g"}}
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    body, request = sent(
        CHAT, MESSAGES,
        chat_body(tools=[TOOL, other], tool_choice={"type": "allowed_tools", "allowed_tools": allowed}),
    )  # fmt: skip
    assert [one["name"] for one in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": "any"}
    assert request.converted == ["/tool_choice/allowed_tools"]


def test_h10_a_choice_without_tools_is_not_sent() -> None:
    assert "tool_choice" not in to_messages(tool_choice="auto")


def test_h11_calls_in_the_history_get_declarations() -> None:
    body = to_messages(user(), assistant(tool_calls=[call("1", "b"), call("2", "a")]), tool("1", "x"), tool("2", "y"))
    assert [one["name"] for one in body["tools"]] == ["a", "b"]
    assert body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "free"}}]}, "/tools/0/type"),
        ({"web_search_options": {}}, "/web_search_options"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "free"}}}, "/tool_choice/type"),
        ({"functions": [{"name": "old"}]}, "/functions"),
        ({"modalities": ["text", "audio"]}, "/modalities"),
        ({"moderation": {"model": "m"}}, "/moderation"),
    ],
)
def test_h12_what_runs_at_the_provider_is_refused_and_never_dropped(more: dict[str, Any], place: str) -> None:
    fault = refused(**more)
    assert pointers(fault) == [place]
    assert fault.document.rule == TRANSLATION
    assert fault.document.pointer == place


def test_h12_a_custom_call_in_the_history_is_refused() -> None:
    custom = {"id": "c", "type": "custom", "custom": {"name": "free", "input": "x"}}
    assert pointers(refused(user(), assistant(tool_calls=[custom]))) == ["/messages/1/tool_calls/0/type"]


def test_h13_names_the_provider_would_refuse_are_renamed_alike_everywhere() -> None:
    names = ["files.read", "files_read", "a" * 80, "a" * 79 + "b", "tool with spaces", "работа"]
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    body, request = sent(
        CHAT, MESSAGES,
        chat_body(
            user(), assistant(tool_calls=[call("c", "files.read")]), tool("c", "x"), tools=tools,
            tool_choice={"type": "function", "function": {"name": "files.read"}},
        ),
    )  # fmt: skip
    declared = [one["name"] for one in body["tools"]]
    assert len(set(declared)) == len(names)
    assert all(name.isascii() and len(name) <= 64 and name.replace("_", "").isalnum() for name in declared)
    assert [request.renamed.get(name, name) for name in declared] == names
    assert body["messages"][1]["content"][0]["name"] == declared[0] == body["tool_choice"]["name"]
    assert declared[1] == "files_read"


def test_h13_ids_the_provider_would_refuse_are_wrapped_alike_in_call_and_result() -> None:
    body = to_messages(user(), assistant(tool_calls=[call("functions.f:0")]), tool("functions.f:0", "x"))
    wrapped = body["messages"][1]["content"][0]["id"]
    assert wrapped == body["messages"][2]["content"][0]["tool_use_id"]
    assert wrapped.replace("_", "").replace("-", "").isalnum()
    assert plain_id(wrapped) == "functions.f:0"


def test_h14_signed_thinking_comes_back_where_it_was() -> None:
    details = [
        {
            "type": "reasoning.text",
            "text": "first",
            "signature": "S1",
            "format": "pharos:anthropic/claude-1",
            "index": 0,
        },
        {"type": "reasoning.encrypted", "data": "R1", "format": "pharos:anthropic/claude-1", "index": 2},
    ]
    body = to_messages(
        user(),
        assistant(content="I look.", reasoning_content="first", reasoning_details=details, tool_calls=[call("c1")]),
        tool("c1", "x"),
    )
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "first", "signature": "S1"},
        {"type": "text", "text": "I look."},
        {"type": "redacted_thinking", "data": "R1"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
    ]


def test_h14_thinking_blocks_of_other_gateways_are_read_too() -> None:
    blocks = [{"type": "thinking", "thinking": "t", "signature": "S"}, {"type": "redacted_thinking", "data": "D"}]
    body = to_messages(user(), assistant(content="a", thinking_blocks=blocks), user())
    assert body["messages"][1]["content"][:2] == blocks


@pytest.mark.parametrize("form", ["pharos:gemini/pro", "google-gemini-v1", ""])
def test_h16_a_foreign_signature_is_stripped_and_reported(form: str) -> None:
    detail = {"type": "reasoning.text", "text": "secret", "signature": "G", "format": form}
    body, request = sent(
        CHAT, MESSAGES, chat_body(user(), assistant(content="a", reasoning_details=[detail]), user("b"))
    )
    assert body["messages"][1] == {"role": "assistant", "content": "a"}
    assert request.dropped == ["/messages/1/reasoning_details/0"]


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
def test_h17_unsigned_reasoning_is_dropped_and_not_faked(member: str) -> None:
    body, request = sent(CHAT, MESSAGES, chat_body(user(), assistant(content="a", **{member: "hm"}), user("b")))
    assert "hm" not in str(body)
    assert request.dropped == [f"/messages/1/{member}"]


@pytest.mark.parametrize(
    ("word", "thinking", "effort", "converted"),
    [
        ("none", {"type": "disabled"}, None, []),
        ("minimal", {"type": "adaptive"}, "low", ["/reasoning_effort"]),
        ("low", {"type": "adaptive"}, "low", []),
        ("medium", {"type": "adaptive"}, "medium", []),
        ("high", {"type": "adaptive"}, "high", []),
        ("xhigh", {"type": "adaptive"}, "xhigh", []),
        ("max", {"type": "adaptive"}, "max", []),
    ],
)
def test_h20_effort_words(word: str, thinking: Any, effort: Any, converted: list[str]) -> None:
    body, request = sent(CHAT, MESSAGES, chat_body(reasoning_effort=word), "claude-opus-4-7")
    assert body["thinking"] == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert request.converted == converted


@pytest.mark.parametrize(
    ("model", "early"),
    [
        ("claude-3-7-sonnet-20250219", True), ("claude-sonnet-4-20250514", True), ("claude-opus-4-1", True),
        ("claude-sonnet-4-5-20250929", True), ("anthropic.claude-3-5-haiku-20241022-v1:0", True),
        ("claude-opus-4-6", False), ("claude-sonnet-5", False), ("claude-opus-4-10", False), ("glm-5", False),
    ],
)  # fmt: skip
def test_h20_models_that_think_by_budget_get_one(model: str, early: bool) -> None:
    body, _ = sent(CHAT, MESSAGES, chat_body(reasoning_effort="medium", max_tokens=9000), model)
    assert body["thinking"] == ({"type": "enabled", "budget_tokens": 8192} if early else {"type": "adaptive"})
    small, request = sent(CHAT, MESSAGES, chat_body(reasoning_effort="high", max_tokens=4000), model)
    assert small["thinking"].get("budget_tokens", 0) < 4000
    tiny, request = sent(CHAT, MESSAGES, chat_body(reasoning_effort="high", max_tokens=500), model)
    assert ("thinking" in tiny, "/reasoning_effort" in request.dropped) == (not early, early)


def test_h21_a_forced_call_wins_over_thinking() -> None:
    body, request = sent(CHAT, MESSAGES, chat_body(reasoning_effort="high", tools=[TOOL], tool_choice="required"))
    assert "thinking" not in body
    assert request.dropped == ["/reasoning_effort"]


def test_h21_sampling_is_left_out_while_the_model_thinks() -> None:
    body, request = sent(CHAT, MESSAGES, chat_body(reasoning_effort="low", temperature=0.2, top_p=0.5, top_k=4))
    assert body.keys().isdisjoint({"temperature", "top_p", "top_k"})
    assert request.dropped == ["/temperature", "/top_p", "/top_k"]
    kept, request = sent(CHAT, MESSAGES, chat_body(reasoning_effort="low", temperature=1, top_p=0.97))
    assert (kept["temperature"], kept["top_p"], request.dropped) == (1, 0.97, [])


def test_h35_more_than_one_choice_is_refused_with_the_field_named() -> None:
    assert pointers(refused(n=2)) == ["/n"]
    assert to_messages(n=1)["max_tokens"] == 4096


def test_h40_a_schema_goes_to_the_structured_output() -> None:
    schema = {
        "type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "description": "count"},
                                         "o": {"oneOf": [{"type": "string"}, {"type": "null"}]}},
        "required": ["n"], "$schema": "http://json-schema.org/draft-07/schema#",
    }  # fmt: skip
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    body, request = sent(CHAT, MESSAGES, chat_body(response_format=form))
    at = "/response_format/json_schema/schema"
    assert body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "description": 'count\n\n{"minimum":1}'},
                "o": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
            "required": ["n"],
            "additionalProperties": False,
        },
    }
    assert request.converted == [f"{at}/properties/n/minimum", f"{at}/properties/o/oneOf", at]


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "object", "additionalProperties": {"type": "string"}}, "/additionalProperties"),
        ({"type": "object", "properties": {"a": {"not": {}}}}, "/properties/a/not"),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": [{"$ref": "#/$defs/n"}]}}}, "/$ref"),
        ({"$ref": "http://example.org/s"}, "/$ref"),
        ({"$ref": "#/$defs/gone"}, "/$ref"),
        ({"type": "array", "items": [{"type": "string"}]}, "/items"),
        ({"properties": {"a/b": {"if": {}}}}, "/properties/a~1b/if"),
    ],
)
def test_h40_a_schema_that_cannot_be_kept_is_refused_with_its_path(schema: Any, place: str) -> None:
    fault = refused(response_format={"type": "json_schema", "json_schema": {"schema": schema}})
    assert pointers(fault) == [f"/response_format/json_schema/schema{place}"]
    assert fault.document.rule == TRANSLATION


def test_h40_references_without_recursion_are_kept() -> None:
    schema = {
        "type": "object", "properties": {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#/$defs/x"}},
        "additionalProperties": False, "$defs": {"x": {"type": ["string", "null"], "format": "date"}},
    }  # fmt: skip
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body, request = sent(CHAT, MESSAGES, chat_body(response_format=form))
    assert body["output_config"]["format"]["schema"] == schema
    assert request.converted == []


def test_h40_a_strict_tool_outside_the_subset_is_sent_without_strict() -> None:
    function = {"name": "f", "strict": True, "parameters": {"type": "object", "patternProperties": {"x": {}}}}
    body, request = sent(CHAT, MESSAGES, chat_body(tools=[{"type": "function", "function": function}]))
    assert body["tools"] == [{"name": "f", "input_schema": function["parameters"]}]
    assert request.converted == ["/tools/0/function/strict"]


def test_h41_schema_and_tools_together_are_both_sent() -> None:
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "object", "additionalProperties": False}}}
    body = to_messages(tools=[TOOL], response_format=form)
    assert body["tools"]
    assert body["output_config"]["format"]["type"] == "json_schema"


def test_h41_json_mode_has_no_counterpart_and_is_reported() -> None:
    body, request = sent(CHAT, MESSAGES, chat_body(response_format={"type": "json_object"}))
    assert "output_config" not in body
    assert request.dropped == ["/response_format"]


def test_h42_the_output_limit_the_provider_demands() -> None:
    assert to_messages()["max_tokens"] == 4096
    assert to_messages(max_tokens=7)["max_tokens"] == 7
    assert to_messages(max_tokens=7, max_completion_tokens=9)["max_tokens"] == 9


def test_h43_system_text_keeps_its_order() -> None:
    messages = [
        {"role": "system", "content": "one"}, {"role": "developer", "content": [{"type": "text", "text": "two"}]},
        user("a"), {"role": "system", "content": "three"}, user("b"),
    ]  # fmt: skip
    body = to_messages(*messages)
    assert body["system"] == [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert [(m["role"], m["content"]) for m in body["messages"]] == [("user", "a"), ("system", "three"), ("user", "b")]
    early, request = sent(CHAT, MESSAGES, chat_body(*messages), "claude-sonnet-4-5")
    assert [block["text"] for block in early["system"]] == ["one", "two", "three"]
    assert early["messages"] == [{"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]}]
    assert request.converted == ["/messages/3/content"]


def test_h44_neighbours_empty_text_and_trailing_space() -> None:
    body = to_messages(
        user("a"), user([{"type": "text", "text": ""}, {"type": "text", "text": " \n"}]), user("b"),
        assistant(content=""), assistant(content="c"), assistant(content="Sure: \n"),
    )  # fmt: skip
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "Sure:"}]},
    ]
    assert pointers(refused({"role": "system", "content": "only"})) == ["/messages"]


def test_h45_images_and_files() -> None:
    text_file = base64.b64encode("naïve".encode()).decode()
    body, request = sent(
        CHAT, MESSAGES,
        chat_body(user([
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            {"type": "file", "file": {"file_data": f"data:text/markdown;charset=utf-8;base64,{text_file}"}},
        ])),
    )  # fmt: skip
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}
    assert body["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "document", "source": pdf, "title": "a.pdf"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "naïve"}},
    ]
    assert request.dropped == ["/messages/0/content/0/image_url/detail"]


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "/messages/0/content/0/image_url/url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,raw"}}, "/messages/0/content/0/image_url/url"),
        ({"type": "image_url"}, "/messages/0/content/0/image_url/url"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "/messages/0/content/0/file/file_id"),
        ({"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}, "/messages/0/content/0"),
        ({"type": "video"}, "/messages/0/content/0/type"),
    ],
)
def test_h45_what_cannot_be_passed_is_refused(part: Any, place: str) -> None:
    assert pointers(refused(user([part]))) == [place]


def test_h45_a_file_of_another_type_is_refused() -> None:
    part = {"type": "file", "file": {"file_data": "data:application/zip;base64,UEs="}}
    assert refused(user([part])).document.pointer == "/messages/0/content/0"


def test_h46_parameters_without_counterpart_are_listed() -> None:
    more = {
        "seed": 1, "logprobs": True, "top_logprobs": 3, "logit_bias": {"1": 2}, "presence_penalty": 0.5,
        "frequency_penalty": 1, "verbosity": "low", "store": True, "metadata": {"a": "b"}, "service_tier": "flex",
        "prompt_cache_key": "k", "stop": ["a", "\n\n", "b"], "brand_new": {"x": 1}, "a/b~c": 1,
    }  # fmt: skip
    body, request = sent(CHAT, MESSAGES, chat_body(**more))
    assert body.keys() == {"model", "max_tokens", "messages", "stop_sequences"}
    assert body["stop_sequences"] == ["a", "b"]
    escaped = {"a/b~c": "/a~1b~0c"}
    expected = {escaped.get(key, f"/{key}") for key in more if key != "stop"} | {"/stop/1"}
    assert set(request.dropped) == expected


def test_h46_what_asks_for_nothing_is_not_listed() -> None:
    neutral = {
        "seed": None, "logprobs": False, "presence_penalty": 0, "frequency_penalty": 0.0, "store": False,
        "logit_bias": {}, "modalities": ["text"], "n": 1, "function_call": "none", "functions": [], "stop": None,
        "service_tier": "auto", "response_format": {"type": "text"}, "stream_options": {"include_usage": True},
    }  # fmt: skip
    body, request = sent(CHAT, MESSAGES, chat_body(**neutral))
    assert body.keys() == {"model", "max_tokens", "messages"}
    assert (request.dropped, request.converted) == ([], [])


def test_h46_temperature_beyond_the_range_is_clamped_and_reported() -> None:
    body, request = sent(CHAT, MESSAGES, chat_body(temperature=1.7))
    assert body["temperature"] == 1
    assert request.converted == ["/temperature"]


def test_h46_service_tiers_with_a_counterpart_are_kept() -> None:
    assert to_messages(service_tier="default")["service_tier"] == "standard_only"


def test_h47_unknown_members_of_messages_are_reported() -> None:
    part = {"type": "text", "text": "x", "new": 1}
    _, request = sent(CHAT, MESSAGES, chat_body({"role": "user", "name": "bo", "content": [part], "x": 1}))
    assert sorted(request.dropped) == ["/messages/0/content/0/new", "/messages/0/name", "/messages/0/x"]


def test_h48_cache_marks_become_markers() -> None:
    body, request = sent(
        CHAT, MESSAGES,
        chat_body(
            {"role": "system", "content": [
                {"type": "text", "text": "s", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}]},
            user([{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]),
            assistant(tool_calls=[call("c")]),
            tool("c", [{"type": "text", "text": "r", "cache_control": {"type": "ephemeral"}}]),
            tools=[{**TOOL, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        ),
    )  # fmt: skip
    short, long = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
    assert body["tools"][0]["cache_control"] == long
    assert body["system"] == [{"type": "text", "text": "s", "cache_control": long}]
    assert body["messages"][0]["content"] == [{"type": "text", "text": "a", "cache_control": short}]
    assert body["messages"][2]["content"][0]["content"] == [{"type": "text", "text": "r", "cache_control": short}]
    assert request.converted == ["/messages/0/content/0/prompt_cache_breakpoint/ttl"]


def test_h48_of_more_than_four_marks_the_most_valuable_stay() -> None:
    def marked(text: str) -> dict[str, Any]:
        return {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}

    body, request = sent(
        CHAT, MESSAGES,
        chat_body(
            {"role": "system", "content": [marked("s1"), marked("s2")]},
            *(user([marked(f"u{i}")]) if i % 2 == 0 else assistant(content=[marked(f"a{i}")]) for i in range(5)),
            tools=[{**TOOL, "cache_control": {"type": "ephemeral"}}],
        ),
    )  # fmt: skip
    texts = [*body["system"], *(block for message in body["messages"] for block in message["content"])]
    kept = [block["text"] for block in texts if isinstance(block, dict) and "cache_control" in block]
    assert kept == ["s2", "a3", "u4"]
    assert "cache_control" in body["tools"][0]
    assert request.dropped == [f"/messages/{place}/cache_control" for place in
                               ("0/content/0", "1/content/0", "2/content/0", "3/content/0")]  # fmt: skip


def test_h48_a_long_lifetime_never_follows_a_short_one() -> None:
    parts = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]
    body, request = sent(CHAT, MESSAGES, chat_body(user(parts)))
    assert [block["cache_control"] for block in body["messages"][0]["content"]] == [{"type": "ephemeral"}] * 2
    assert request.converted == ["/messages/0/content/1/cache_control"]


def test_all_problems_are_named_at_once() -> None:
    fault = refused(
        {"role": "user", "content": 7}, {"role": "robot", "content": "x"}, "no", assistant(tool_calls=[{"id": 1}]),
        {"role": "tool", "content": "x"},
        max_tokens=-1, temperature="hot", stop=[1], tools={}, tool_choice="maybe", response_format={"type": "xml"},
        reasoning_effort="utmost", stream="yes", n=0,
    )  # fmt: skip
    assert set(pointers(fault)) == {
        "/messages/0/content", "/messages/1/role", "/messages/2", "/messages/3/tool_calls/0/id",
        "/messages/3/tool_calls/0/function/name", "/messages/4/tool_call_id", "/max_tokens", "/temperature", "/stop",
        "/tools", "/tool_choice", "/response_format", "/reasoning_effort", "/stream", "/n",
    }  # fmt: skip
    assert fault.document.rule is None
