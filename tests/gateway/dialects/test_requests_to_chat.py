"""Messages requests as a chat completions provider gets them. Names of tests cite the hard cases."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.dialects.wire import CHAT, MESSAGES, messages_body, pointers, sent

from pharos.core.fault import Fault
from pharos.gateway.models.dialects.naming import legal_id
from pharos.gateway.models.dialects.reading import TRANSLATION

PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
EPHEMERAL = {"type": "ephemeral"}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if content and isinstance(content[0], str) else list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content[0] if content and isinstance(content[0], str) else list(content)}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def use(id: str, name: str = "f", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": given}


def result(id: str, content: Any = None, **more: Any) -> dict[str, Any]:
    found = {"type": "tool_result", "tool_use_id": id, **more}
    return found if content is None else {**found, "content": content}


def to_chat(*messages: Any, model: str = "gpt-5", **more: Any) -> dict[str, Any]:
    return sent(MESSAGES, CHAT, messages_body(*messages, **more), model)[0]


def refused(*messages: Any, **more: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        to_chat(*messages, **more)
    assert caught.value.code == "INVALID"
    return caught.value


def test_a_plain_request() -> None:
    body, request = sent(
        MESSAGES, CHAT,
        messages_body(system="Be brief.", temperature=0.5, top_p=0.9, stop_sequences=["END"], stream=True,
                      metadata={"user_id": "u-1"}, tools=[TOOL], tool_choice={"type": "auto"}),
    )  # fmt: skip
    assert body == {
        "model": "target-1",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "max_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": TOOL["input_schema"]}}
        ],
        "tool_choice": "auto",
        "user": "u-1",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert (request.dropped, request.converted, request.renamed) == ([], [], {})


def test_h01_parallel_calls_and_their_results() -> None:
    body = to_chat(
        user("go"), assistant(text("Both."), use("a", x=1), use("b", "g")), user(result("b", "2"), result("a", "1"))
    )
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "Both.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]


def test_h07_the_users_words_follow_all_results() -> None:
    body = to_chat(user("go"), assistant(use("a")), user(text("so:"), result("a", [text("x"), text("y")]), text("ok?")))
    assert body["messages"][2:] == [
        {"role": "tool", "tool_call_id": "a", "content": "x\n\ny"},
        {"role": "user", "content": "so:\n\nok?"},
    ]


def test_h08_a_tool_error_is_marked_and_never_a_success() -> None:
    body = to_chat(
        user("go"), assistant(use("a"), use("b")), user(result("a", "no", is_error=True), result("b", is_error=True))
    )
    assert [m["content"] for m in body["messages"][2:]] == ["[tool error] no", "[tool error] "]
    back = CHAT.read_request(body).turns[2].blocks
    assert [block.error for block in back] == [True, True]  # type: ignore[union-attr]


def test_h09_an_image_of_a_result_follows_it_and_is_reported() -> None:
    body, request = sent(
        MESSAGES, CHAT,
        messages_body(
            user("go"), assistant(use("a"), use("b")),
            user(result("a", [text("seen"), PNG]), result("b", [PNG]), text("well?")),
        ),
    )  # fmt: skip
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "tool", "tool", "user"]
    assert body["messages"][2]["content"] == "seen"
    assert "b" in body["messages"][3]["content"]
    kinds = [part["type"] for part in body["messages"][4]["content"]]
    assert kinds == ["text", "image_url", "text", "image_url", "text"]
    assert request.converted == ["/messages/2/content/0/content/1", "/messages/2/content/1/content/0"]


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "any"}, "required", None),
        ({"type": "none"}, "none", None),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}, None),
        ({"type": "auto", "disable_parallel_tool_use": True}, "auto", False),
        ({"type": "any", "disable_parallel_tool_use": False}, "required", True),
    ],
)
def test_h10_tool_choice(choice: Any, expected: Any, parallel: Any) -> None:
    body = to_chat(tools=[TOOL], tool_choice=choice)
    assert body["tool_choice"] == expected
    assert body.get("parallel_tool_calls") == parallel


def test_h11_calls_in_the_history_need_no_tools() -> None:
    body = to_chat(user("go"), assistant(use("a")), user(result("a", "x")))
    assert "tools" not in body
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "/tools/0/type"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "/tools/0/type"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "/tools/0/defer_loading"),
        ({"tools": [{**TOOL, "allowed_callers": ["code_execution_20260120"]}]}, "/tools/0/allowed_callers"),
        ({"container": "c-1"}, "/container"),
        ({"mcp_servers": [{"name": "x"}]}, "/mcp_servers"),
    ],
)
def test_h12_what_runs_at_the_provider_is_refused_and_never_dropped(more: dict[str, Any], place: str) -> None:
    fault = refused(**more)
    assert pointers(fault) == [place]
    assert fault.document.rule == TRANSLATION


@pytest.mark.parametrize("kind", ["server_tool_use", "web_search_tool_result", "container_upload", "search_result"])
def test_h12_blocks_of_the_providers_tools_are_refused(kind: str) -> None:
    message = assistant({"type": kind}) if kind == "server_tool_use" else user({"type": kind})
    assert pointers(refused(user("x"), message)) == ["/messages/1/content/0/type"]


def test_h13_names_and_ids_are_legal_and_consistent() -> None:
    long = "mcp__" + "x" * 100
    body, request = sent(
        MESSAGES, CHAT,
        messages_body(user("go"), assistant(use("toolu_" + "1" * 60, long)), user(result("toolu_" + "1" * 60, "x")),
                      tools=[{**TOOL, "name": long}], tool_choice={"type": "tool", "name": long}),
    )  # fmt: skip
    name = body["tools"][0]["function"]["name"]
    assert len(name) <= 64
    assert request.renamed == {name: long}
    call = body["messages"][1]["tool_calls"][0]
    assert call["function"]["name"] == name == body["tool_choice"]["function"]["name"]
    assert call["id"] == body["messages"][2]["tool_call_id"]
    assert len(call["id"]) <= 40


def test_h13_an_id_of_the_chat_server_comes_back_as_it_was() -> None:
    wrapped = legal_id("functions.f:0")
    body = to_chat(user("go"), assistant(use(wrapped)), user(result(wrapped, "x")))
    assert body["messages"][1]["tool_calls"][0]["id"] == body["messages"][2]["tool_call_id"] == "functions.f:0"


def test_h15_h16_signed_and_redacted_thinking_stays_with_its_vendor() -> None:
    thinking = {"type": "thinking", "thinking": "secret", "signature": "SIG"}
    redacted = {"type": "redacted_thinking", "data": "opaque"}
    body, request = sent(MESSAGES, CHAT, messages_body(user("a"), assistant(thinking, redacted, text("b")), user("c")))
    assert body["messages"][1] == {"role": "assistant", "content": "b"}
    assert request.dropped == ["/messages/1/content/0", "/messages/1/content/1"]


def test_h16_unsigned_reasoning_goes_back_only_to_the_model_it_came_from() -> None:
    mine = {"type": "thinking", "thinking": "hm", "signature": "pharos:openai-chat/deepseek-reasoner:!"}
    body = messages_body(user("a"), assistant(mine, use("t")), user(result("t", "x")))
    same, request = sent(MESSAGES, CHAT, body, "deepseek-reasoner")
    assert same["messages"][1]["reasoning_content"] == "hm"
    assert request.dropped == []
    other, request = sent(MESSAGES, CHAT, body, "gpt-5")
    assert "reasoning_content" not in other["messages"][1]
    assert request.dropped == ["/messages/1/content/0"]


@pytest.mark.parametrize(
    ("more", "effort", "dropped", "converted"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low", [], ["/thinking/budget_tokens"]),
        ({"thinking": {"type": "enabled", "budget_tokens": 8000}}, "medium", [], ["/thinking/budget_tokens"]),
        ({"thinking": {"type": "enabled", "budget_tokens": 32000}}, "high", [], ["/thinking/budget_tokens"]),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, "xhigh", [], []),
        ({"thinking": {"type": "adaptive"}}, None, [], ["/thinking"]),
        ({"thinking": {"type": "disabled"}}, None, ["/thinking"], []),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, None,
         ["/output_config/effort", "/thinking"], []),
        ({"output_config": {"effort": "max"}}, "max", [], []),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, None, ["/thinking/display"], ["/thinking"]),
    ],
)  # fmt: skip
def test_h20_thinking_becomes_an_effort_word(more: Any, effort: Any, dropped: Any, converted: Any) -> None:
    body, request = sent(MESSAGES, CHAT, messages_body(**more))
    assert body.get("reasoning_effort") == effort
    assert (request.dropped, request.converted) == (dropped, converted)


@pytest.mark.parametrize(
    ("schema", "strict", "converted"),
    [
        ({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, True, []),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": False}, False, True),
        ({"type": "object", "properties": {}}, False, True),
        ({"type": "array", "items": {"type": "object", "properties": {"b": {}}}}, False, True),
        ({"type": "object", "properties": {"properties": {"type": "string"}}, "required": ["properties"],
          "additionalProperties": False}, True, []),
    ],
)  # fmt: skip
def test_h40_a_schema_is_strict_where_the_provider_can_be(schema: Any, strict: bool, converted: Any) -> None:
    body, request = sent(
        MESSAGES, CHAT, messages_body(output_config={"format": {"type": "json_schema", "schema": schema}})
    )
    wanted = {"name": "answer", "schema": schema, "strict": strict}
    assert body["response_format"] == {"type": "json_schema", "json_schema": wanted}
    assert request.converted == (["/output_config/format/schema"] if converted else [])


@pytest.mark.parametrize(("model", "member"), [("gpt-5", "max_completion_tokens"), ("mistral-large", "max_tokens")])
def test_h42_the_output_limit_has_the_name_the_model_knows(model: str, member: str) -> None:
    body = to_chat(model=model)
    assert body[member] == 100
    assert len([key for key in body if key.startswith("max_")]) == 1


def test_h43_system_text_keeps_its_order() -> None:
    body = to_chat(
        user("a"), {"role": "system", "content": [text("mid")]}, user("b"), system=[text("one"), text("two")]
    )
    assert [(m["role"], m["content"]) for m in body["messages"]] == [
        ("system", "one\n\ntwo"), ("user", "a"), ("system", "mid"), ("user", "b"),
    ]  # fmt: skip


def test_h44_a_prefill_is_passed_on_and_reported() -> None:
    body, request = sent(MESSAGES, CHAT, messages_body(user("a"), assistant("The answer is ")))
    assert body["messages"][-1] == {"role": "assistant", "content": "The answer is "}
    assert request.converted == ["/messages/1/content"]


def test_h45_images_and_documents() -> None:
    pdf = {
        "type": "document",
        "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
    }
    plain = {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "naïve"}}
    url = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    body, request = sent(MESSAGES, CHAT, messages_body(user(url, PNG, pdf, plain)))
    assert body["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        {"type": "text", "text": "T\n\nnaïve"},
    ]
    assert request.converted == ["/messages/0/content/3"]


@pytest.mark.parametrize(
    ("kind", "source", "place"),
    [
        ("image", {"type": "file", "file_id": "f"}, "source/file_id"),
        ("image", {"type": "url", "url": "ftp://x"}, "source/url"),
        ("image", {"type": "base64", "data": "x"}, "source/media_type"),
        ("image", None, "source/type"),
        ("document", {"type": "url", "url": "https://example.org/a.pdf"}, "source/url"),
        ("document", {"type": "file", "file_id": "f"}, "source/file_id"),
        ("document", {"type": "content", "content": []}, "source/content"),
    ],
)
def test_h45_what_cannot_be_passed_is_refused(kind: str, source: Any, place: str) -> None:
    assert pointers(refused(user({"type": kind, "source": source}))) == [f"/messages/0/content/0/{place}"]


def test_h46_parameters_without_counterpart_are_listed() -> None:
    more = {
        "top_k": 5, "speed": "fast", "inference_geo": "eu", "context_management": {"edits": []}, "brand_new": 1,
        "service_tier": "standard_only", "metadata": {"other": 1}, "output_config": {"new": 1},
        "stop_sequences": list("abcdef"),
    }  # fmt: skip
    body, request = sent(MESSAGES, CHAT, messages_body(**more))
    assert body.keys() == {"model", "messages", "max_tokens", "stop", "service_tier"}
    assert body["stop"] == list("abcd")
    assert body["service_tier"] == "default"
    assert sorted(request.dropped) == [
        "/brand_new", "/context_management", "/inference_geo", "/metadata/other", "/output_config/new", "/speed",
        "/stop_sequences/4", "/stop_sequences/5", "/top_k",
    ]  # fmt: skip


def test_h46_a_long_user_id_is_hashed_and_reported() -> None:
    body, request = sent(MESSAGES, CHAT, messages_body(metadata={"user_id": "u" * 65}))
    assert len(body["user"]) == 64
    assert body["user"] != "u" * 64
    assert request.converted == ["/metadata/user_id"]


def test_h47_unknown_members_of_blocks_are_reported() -> None:
    cited = text("x", citations=[{"type": "char_location"}], new=1)
    _, request = sent(MESSAGES, CHAT, messages_body(user(cited), tools=[{**TOOL, "input_examples": [{}]}]))
    assert sorted(request.dropped) == [
        "/messages/0/content/0/citations", "/messages/0/content/0/new", "/tools/0/input_examples",
    ]  # fmt: skip


def test_h48_markers_become_breakpoints_where_the_model_has_them() -> None:
    conversation = messages_body(
        user(text("a", cache_control=EPHEMERAL)), assistant(use("t")),
        user({**result("t", "r"), "cache_control": {**EPHEMERAL, "ttl": "1h"}}),
        system=[text("s", cache_control={**EPHEMERAL, "ttl": "1h"}), text("t")],
        tools=[{**TOOL, "cache_control": EPHEMERAL}],
    )  # fmt: skip
    body, request = sent(MESSAGES, CHAT, conversation, "gpt-5.6-mini")
    explicit = {"mode": "explicit"}
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "s", "prompt_cache_breakpoint": {**explicit, "ttl": "30m"}}, text("t"),
    ]  # fmt: skip
    assert body["messages"][1]["content"] == [text("a", prompt_cache_breakpoint=explicit)]
    assert body["messages"][3]["content"] == [text("r", prompt_cache_breakpoint={**explicit, "ttl": "30m"})]
    assert request.dropped == ["/tools/0/cache_control"]
    assert request.converted == ["/system/0/cache_control", "/messages/2/content/0/cache_control"]


@pytest.mark.parametrize("model", ["gpt-5.5", "gpt-4o", "gpt-35-turbo", "deepseek-chat"])
def test_h48_markers_are_reported_where_the_model_has_none(model: str) -> None:
    conversation = messages_body(
        user(text("a", cache_control=EPHEMERAL), text("b")), system=[text("s", cache_control=EPHEMERAL)]
    )
    body, request = sent(MESSAGES, CHAT, conversation, model)
    assert "breakpoint" not in str(body)
    assert body["messages"][1]["content"] == "a\n\nb"
    assert request.dropped == ["/system/0/cache_control", "/messages/0/content/0/cache_control"]


def test_h48_the_marker_of_the_whole_request_stands_on_its_last_block() -> None:
    body = to_chat(user("a"), user("b"), cache_control=EPHEMERAL, model="gpt-6")
    assert body["messages"][-1]["content"] == [text("b", prompt_cache_breakpoint={"mode": "explicit"})]


def test_all_problems_are_named_at_once() -> None:
    fault = refused(
        {"role": "user"}, {"role": "robot", "content": "x"}, "no", user({"type": "tool_result"}, {"no": "type"}),
        assistant(use("")),
        max_tokens=-1, temperature="hot", stop_sequences=[1], tools={}, tool_choice={"type": "maybe"}, system=[{}],
        thinking={"type": "hard"}, output_config={"effort": "utmost", "format": {}}, stream="yes",
        metadata={"user_id": 3},
    )  # fmt: skip
    assert set(pointers(fault)) == {
        "/messages/0/content", "/messages/1/role", "/messages/2", "/messages/3/content/0/tool_use_id",
        "/messages/3/content/1/type", "/messages/4/content/0/id", "/max_tokens", "/temperature", "/stop_sequences/0",
        "/tools", "/tool_choice/type", "/system/0/type", "/thinking/type", "/output_config/effort",
        "/output_config/format", "/stream", "/metadata/user_id",
    }  # fmt: skip


def test_filling_the_cache_is_not_an_answer() -> None:
    assert pointers(refused(max_tokens=0)) == ["/max_tokens"]
