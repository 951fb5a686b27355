"""Requests to and from Gemini: what is kept, what is changed by which rule, what is refused and where."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.gateway.dialects.gemini_wire import GEMINI, STREAMED, call, gemini_body, result, said, user
from tests.gateway.dialects.wire import CHAT, MESSAGES, chat_body, messages_body, pointers, sent

from pharos.core.fault import Fault
from pharos.gateway.models.answers.signatures import LIFETIME, Signatures
from pharos.gateway.models.dialects.canonical import ToolCall
from pharos.gateway.models.dialects.dialect import Edits
from pharos.gateway.models.dialects.gemini.proofs import SKIP, sealed, unsealed
from pharos.gateway.models.dialects.gemini.words import function_name

G3, G25, G2 = "gemini-3.5-flash", "gemini-2.5-flash", "gemini-2.0-flash"
HI = {"role": "user", "content": "hi"}


def function(name: str, **schema: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", **schema}}}


CALLS = {
    "role": "assistant",
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "c2", "type": "function", "function": {"name": "f", "arguments": ""}},
    ],
}
RESULTS = [
    {"role": "tool", "tool_call_id": "c2", "content": "two"},
    {"role": "tool", "tool_call_id": "c1", "content": "[tool error] one"},
]


# Tools.


def test_h2_no_arguments_are_an_empty_object() -> None:
    body, _ = sent(CHAT, GEMINI, chat_body(HI, CALLS, *RESULTS), G3)
    assert [part["functionCall"]["args"] for part in body["contents"][1]["parts"]] == [{"a": 1}, {}]


def test_h4_calls_without_ids_are_paired_by_order_and_keep_their_ids_in_every_turn() -> None:
    first = [user("hi"), said("Let me see.", call("f", {"a": 1}), call("g"), call("f", {"a": 2}))]
    results = {"role": "user", "parts": [result("f", {"output": "1"}), result("f", {"output": "2"}), result("g", {})]}
    body, _ = sent(GEMINI, CHAT, gemini_body(*first, results))
    ids = [each["id"] for each in body["messages"][1]["tool_calls"]]
    assert len(set(ids)) == 3
    told = {message["tool_call_id"]: message["content"] for message in body["messages"][2:]}
    assert told == {ids[0]: "1", ids[2]: "2", ids[1]: "{}"}
    later, _ = sent(GEMINI, CHAT, gemini_body(*first, results, said("Well."), user("go on")))
    assert [each["id"] for each in later["messages"][1]["tool_calls"]] == ids


def test_h4_ids_of_newer_models_are_kept() -> None:
    turns = [user("hi"), said(call("f", id="x"), call("f", id="y"))]
    results = {"role": "user", "parts": [result("f", {"output": "Y"}, "y"), result("f", {"output": "X"}, "x")]}
    body, _ = sent(GEMINI, MESSAGES, gemini_body(*turns, results))
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == ["y", "x"]
    back, _ = sent(MESSAGES, GEMINI, {**body, "model": "alias"}, G25)
    assert back["contents"][1]["parts"] == turns[1]["parts"]
    assert back["contents"][2]["parts"] == results["parts"]


def test_h4_a_result_that_answers_nothing_is_named() -> None:
    with pytest.raises(Fault) as refused:
        GEMINI.read_request(gemini_body(user("hi"), {"role": "user", "parts": [result("f", {})]}))
    assert pointers(refused.value) == ["/contents/1/parts/0/functionResponse"]


def test_h7_results_become_one_content_in_their_order() -> None:
    body, _ = sent(CHAT, GEMINI, chat_body(HI, CALLS, *RESULTS, {"role": "user", "content": "and?"}), G3)
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    parts = body["contents"][2]["parts"]
    assert [part["functionResponse"]["id"] for part in parts[:2]] == ["c2", "c1"]
    assert parts[2] == {"text": "and?"}


def test_h8_a_failed_tool_stays_failed() -> None:
    body, _ = sent(CHAT, GEMINI, chat_body(HI, CALLS, *RESULTS), G3)
    assert body["contents"][2]["parts"][1]["functionResponse"]["response"] == {"error": "one"}
    back, _ = sent(GEMINI, CHAT, body)
    assert back["messages"][-1]["content"] == "[tool error] one"
    to_messages, _ = sent(GEMINI, MESSAGES, body)
    assert to_messages["messages"][-1]["content"][1]["is_error"] is True


def test_h9_an_image_in_a_result_stays_there_or_follows_it() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    turns = [
        HI,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [image]}]},
    ]
    newer, request = sent(MESSAGES, GEMINI, messages_body(*turns), G3)
    [part] = newer["contents"][2]["parts"]
    assert part["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]
    assert "/messages/2/content/0/content/0" not in request.converted
    older, request = sent(MESSAGES, GEMINI, messages_body(*turns), G25)
    assert older["contents"][2]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    assert "/messages/2/content/0/content/0" in request.converted
    back, _ = sent(GEMINI, MESSAGES, newer)
    assert back["messages"][2]["content"][0]["content"] == [image]


@pytest.mark.parametrize(
    ("choice", "mode"),
    [
        ("none", {"mode": "NONE"}),
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_h10_tool_choice_both_ways(choice: Any, mode: Any) -> None:
    body, _ = sent(CHAT, GEMINI, chat_body(HI, tools=[function("f"), function("g")], tool_choice=choice), G3)
    assert body["toolConfig"]["functionCallingConfig"] == mode
    back, _ = sent(GEMINI, CHAT, body)
    assert back["tool_choice"] == choice


def test_h10_what_no_provider_can_keep_is_refused() -> None:
    with pytest.raises(Fault) as refused:
        sent(CHAT, GEMINI, chat_body(HI, tools=[function("f")], parallel_tool_calls=False), G3)
    assert pointers(refused.value) == ["/parallel_tool_calls"]
    body, _ = sent(CHAT, GEMINI, chat_body(HI, parallel_tool_calls=False), G3)
    assert "tools" not in body


def test_h10_some_of_the_functions() -> None:
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}}
    tools = [{"functionDeclarations": [{"name": name} for name in "fgh"]}]
    body, request = sent(GEMINI, CHAT, gemini_body(tools=tools, toolConfig=config))
    assert ([tool["function"]["name"] for tool in body["tools"]], body["tool_choice"]) == (["f", "g"], "required")
    assert request.converted == ["/toolConfig/functionCallingConfig/allowedFunctionNames"]


def test_h11_calls_in_the_history_need_no_declarations() -> None:
    body, _ = sent(CHAT, GEMINI, chat_body(HI, CALLS, *RESULTS), G3)
    assert "tools" not in body
    back, _ = sent(GEMINI, MESSAGES, body)
    assert [tool["name"] for tool in back["tools"]] == ["f"]


@pytest.mark.parametrize("tool", ["googleSearch", "codeExecution", "urlContext", "googleMaps"])
def test_h12_tools_of_the_provider_are_refused_elsewhere_and_pass_at_home(tool: str) -> None:
    body = gemini_body(tools=[{tool: {}}])
    with pytest.raises(Fault) as refused:
        GEMINI.read_request(body)
    assert pointers(refused.value) == [f"/tools/0/{tool}"]
    raw = orjson.dumps(body)
    assert GEMINI.edit(raw, body, Edits("gemini-x")) == raw
    assert GEMINI.ask(body).unpriced == f"the tool {tool}"


@pytest.mark.parametrize("name", ["files.read", "a:b", "1st", "ä", "x" * 70, "with space", "-x", "_ok"])
def test_h13_names_are_spelled_and_restored(name: str) -> None:
    body, request = sent(CHAT, GEMINI, chat_body(HI, tools=[function(name)]), G3)
    spelled = body["tools"][0]["functionDeclarations"][0]["name"]
    assert spelled == function_name(name)
    assert spelled.replace(".", "").replace(":", "").replace("-", "").replace("_", "").isalnum()
    assert len(spelled) <= 64
    assert spelled[0].isalpha() or spelled[0] == "_"
    answer = {"candidates": [{"content": {"parts": [call(spelled)]}, "finishReason": "STOP"}]}
    [block] = GEMINI.read_answer(answer, request.renamed).blocks
    assert isinstance(block, ToolCall)
    assert block.name == name


# Thinking.


def test_h16_another_vendors_thoughts_do_not_reach_gemini() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    turns = [HI, {"role": "assistant", "content": [thinking, {"type": "text", "text": "Ho."}]}, HI]
    body, request = sent(MESSAGES, GEMINI, messages_body(*turns), G3)
    assert body["contents"][1]["parts"] == [{"text": "Ho."}]
    assert request.dropped == ["/messages/1/content/0"]


def test_h14_anthropics_thoughts_come_back_through_a_gemini_client() -> None:
    parts = [
        {"text": "Hm", "thought": True},
        {"text": ".", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": sealed("anthropic/claude-x", "c2ln")},
        {"text": "", "thought": True, "thoughtSignature": sealed("anthropic/claude-x", "~b3BhcXVl")},
        {"text": "Ho."},
    ]
    body, request = sent(GEMINI, MESSAGES, gemini_body(user("hi"), said(*parts), user("go on")))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "text", "text": "Ho."},
    ]
    assert request.dropped == []


def test_h16_on_the_diagonal_foreign_thoughts_are_taken_out() -> None:
    proof = sealed("anthropic/claude-x", "c2ln")
    foreign = said({"text": "Hm.", "thought": True}, {"text": "", "thought": True, "thoughtSignature": proof}, "Ho.")
    own = said({"text": "Hm.", "thought": True}, call("f", thoughtSignature="b3du"))
    body = gemini_body(
        user("hi"), foreign, user("x"), own, said({"thought": True, "text": "", "thoughtSignature": proof})
    )
    raw = orjson.dumps(body, option=orjson.OPT_INDENT_2)
    edited = GEMINI.edit(raw, body, Edits("gemini-x"))
    contents = orjson.loads(edited)["contents"]
    assert contents[1] == said("Ho.")
    assert contents[3] == own
    assert contents[4] == said("-")
    assert orjson.dumps(own, option=orjson.OPT_INDENT_2).replace(b"\n", b"\n    ") in edited


@pytest.mark.parametrize("alphabet", ["standard", "urlsafe"])
def test_h18_a_sealed_proof_survives_the_sdk(alphabet: str) -> None:
    """The SDK decodes signatures and writes them again in the other alphabet."""
    proof = sealed("openai-chat/gpt?>~", "ß\xff")
    if alphabet == "urlsafe":
        proof = proof.replace("+", "-").replace("/", "_")
    assert unsealed(proof) == ("openai-chat/gpt?>~", "ß\xff")
    assert unsealed("EqQBCg==") == ("", "EqQBCg==")


def test_h18_signatures_are_kept_by_call_id_for_a_while_and_for_one_key() -> None:
    now = 0.0
    vault = Signatures(lambda: now, most_bytes=2000)
    vault.keep("key", "c1", "SIGNATURE")
    request = CHAT.read_request(chat_body(HI, CALLS, *RESULTS))
    vault.restore("key", request)
    body = GEMINI.write_request(request, G3, 100)
    parts = body["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["SIGNATURE", None]
    other = CHAT.read_request(chat_body(HI, CALLS, *RESULTS))
    vault.restore("another key", other)
    assert GEMINI.write_request(other, G3, 100)["contents"][1]["parts"][0]["thoughtSignature"] == SKIP
    now = LIFETIME + 1
    assert vault.find("key", "c1") == ""
    for number in range(100):
        vault.keep("key", f"x{number}", "S" * 100)
    assert len(vault) < 10


def test_h18_a_call_nobody_signed_bears_the_word_for_it() -> None:
    body, request = sent(CHAT, GEMINI, chat_body(HI, CALLS, *RESULTS), G3)
    assert [part.get("thoughtSignature") for part in body["contents"][1]["parts"]] == [SKIP, None]
    assert request.converted == ["/messages/1/tool_calls/0"]
    older, request = sent(CHAT, GEMINI, chat_body(HI, CALLS, *RESULTS), G25)
    assert "thoughtSignature" not in older["contents"][1]["parts"][0]
    assert request.converted == []


@pytest.mark.parametrize(
    ("effort", "model", "config", "converted"),
    [
        ("minimal", G3, {"thinkingLevel": "MINIMAL"}, False),
        ("xhigh", G3, {"thinkingLevel": "XHIGH"}, False),
        ("max", G3, {"thinkingLevel": "XHIGH"}, True),
        ("minimal", "gemini-3-pro-preview", {"thinkingLevel": "LOW"}, True),
        ("medium", "gemini-3-pro-preview", {"thinkingLevel": "HIGH"}, True),
        ("medium", "gemini-3.1-pro", {"thinkingLevel": "MEDIUM"}, False),
        ("low", G25, {"thinkingBudget": 1024}, True),
        ("max", G25, {"thinkingBudget": 24576}, True),
        ("max", "gemini-2.5-pro", {"thinkingBudget": 32768}, True),
    ],
)
def test_h20_effort_to_levels_and_budgets(effort: str, model: str, config: Any, converted: bool) -> None:
    body, request = sent(CHAT, GEMINI, chat_body(HI, reasoning_effort=effort), model)
    assert body["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, **config}
    assert request.converted == (["/reasoning_effort"] if converted else [])


def test_h20_fixed_budgets_become_levels() -> None:
    for budget, level in ((2000, "LOW"), (10_000, "MEDIUM"), (30_000, "HIGH")):
        thinking = {"type": "enabled", "budget_tokens": budget}
        body, request = sent(MESSAGES, GEMINI, messages_body(HI, thinking=thinking, max_tokens=40_000), G3)
        assert body["generationConfig"]["thinkingConfig"]["thinkingLevel"] == level
        assert request.converted == ["/thinking/budget_tokens"]
        body, request = sent(MESSAGES, GEMINI, messages_body(HI, thinking=thinking, max_tokens=40_000), G25)
        clamped = min(budget, 24_576)
        assert body["generationConfig"]["thinkingConfig"]["thinkingBudget"] == clamped
        assert request.converted == (["/thinking/budget_tokens"] if clamped != budget else [])


@pytest.mark.parametrize(
    ("budget", "limit", "thinking", "converted"),
    [(2_000, 4_000, 2_000, False), (512, 4_000, 1_024, True), (30_000, 4_000, 3_999, True), (512, 1_024, None, False)],
)
def test_h20_a_budget_that_anthropic_does_not_take_is_clamped(
    budget: int, limit: int, thinking: int | None, converted: bool
) -> None:
    config = {"thinkingConfig": {"thinkingBudget": budget}, "maxOutputTokens": limit}
    body, request = sent(GEMINI, MESSAGES, gemini_body(generationConfig=config))
    at = "/generationConfig/thinkingConfig"
    assert body.get("thinking", {}).get("budget_tokens") == thinking
    assert request.converted == ([f"{at}/thinkingBudget"] if converted else [])
    assert request.dropped == ([] if thinking else [at])


def test_h20_no_thinking() -> None:
    for model, config, reported in (
        (G25, {"thinkingBudget": 0}, []),
        ("gemini-2.5-pro", {"thinkingBudget": 128}, ["/reasoning_effort"]),
        (G3, {"thinkingLevel": "MINIMAL"}, ["/reasoning_effort"]),
    ):
        body, request = sent(CHAT, GEMINI, chat_body(HI, reasoning_effort="none"), model)
        assert (body["generationConfig"]["thinkingConfig"], request.converted) == (config, reported)
    body, request = sent(CHAT, GEMINI, chat_body(HI, reasoning_effort="high"), G2)
    assert "generationConfig" not in body
    assert request.dropped == ["/reasoning_effort"]


def test_h20_levels_and_budgets_to_effort() -> None:
    def asked(**config: Any) -> tuple[Any, Any]:
        return sent(GEMINI, CHAT, gemini_body(generationConfig={"thinkingConfig": config}))

    assert asked(thinkingLevel="high")[0]["reasoning_effort"] == "high"
    body, request = asked(thinkingBudget=10_000)
    assert (body["reasoning_effort"], request.converted) == (
        "medium", ["/generationConfig/thinkingConfig/thinkingBudget"],
    )  # fmt: skip
    body, request = asked(thinkingBudget=0)
    assert ("reasoning_effort" in body, request.dropped) == (False, ["/generationConfig/thinkingConfig"])
    body, request = asked(thinkingBudget=-1, includeThoughts=True)
    assert ("reasoning_effort" in body, request.converted) == (False, ["/generationConfig/thinkingConfig"])


# Structured output and parameters.


def schema(body: dict[str, Any]) -> Any:
    return body["generationConfig"]["responseJsonSchema"]


def structured(inner: dict[str, Any], **more: Any) -> dict[str, Any]:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": inner}}
    return chat_body(HI, response_format=wanted, **more)


def test_h40_schemas_are_converted_or_refused_with_the_path() -> None:
    inner = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/definitions/A"},
            "b": {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
            "c": {"const": "x"},
            "d": {"type": "integer", "nullable": True},
            "e": {"allOf": [{"type": "string", "format": "date"}]},
        },
        "required": ["a"],
        "additionalProperties": False,
        "definitions": {"A": {"type": "number", "exclusiveMinimum": 0}},
    }
    body, request = sent(CHAT, GEMINI, structured(inner), G3)
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert schema(body) == {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/A"},
            "b": {"anyOf": [{"type": "string", "description": '{"maxLength":3}'}, {"type": "null"}]},
            "c": {"enum": ["x"]},
            "d": {"type": ["integer", "null"]},
            "e": {"type": "string", "format": "date"},
        },
        "required": ["a"],
        "additionalProperties": False,
        "$defs": {"A": {"type": "number", "description": '{"exclusiveMinimum":0}'}},
    }
    at = "/response_format/json_schema/schema"
    assert f"{at}/properties/b/oneOf/0/maxLength" in request.converted
    for wrong, where in (
        ({"not": {}}, f"{at}/not"),
        ({"type": "object", "patternProperties": {}}, f"{at}/patternProperties"),
        ({"allOf": [{}, {}]}, f"{at}/allOf"),
        ({"properties": {"a": {"$ref": "http://x"}}}, f"{at}/properties/a/$ref"),
    ):
        with pytest.raises(Fault) as refused:
            sent(CHAT, GEMINI, structured(wrong), G3)
        assert pointers(refused.value) == [where]


def test_h40_geminis_own_schema_form_is_read() -> None:
    own = {
        "type": "OBJECT", "propertyOrdering": ["b", "a"], "required": ["a"],
        "properties": {
            "a": {"type": "STRING", "nullable": True, "enum": ["x", "y"], "format": "enum"},
            "b": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
            "nullable": {"anyOf": [{"type": "NUMBER"}], "nullable": True},
        },
    }  # fmt: skip
    config = {"response_mime_type": "application/json", "response_schema": own}
    body, _ = sent(GEMINI, CHAT, gemini_body(generation_config=config))
    assert body["response_format"]["json_schema"]["schema"] == {
        "type": "object", "required": ["a"],
        "properties": {
            "a": {"type": ["string", "null"], "enum": ["x", "y", None]},
            "b": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
            "nullable": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        },
    }  # fmt: skip


def test_h41_schema_and_tools_together_where_the_model_cannot() -> None:
    asked = structured({"type": "object"}, tools=[function("f")])
    body, _ = sent(CHAT, GEMINI, asked, G3)
    assert "tools" in body
    with pytest.raises(Fault) as refused:
        sent(CHAT, GEMINI, asked, G25)
    assert pointers(refused.value) == ["/response_format/json_schema/schema"]


def test_h42_the_limit_is_passed_on_and_none_is_made_up() -> None:
    body, _ = sent(CHAT, GEMINI, chat_body(HI, max_completion_tokens=7, max_tokens=9), G3)
    assert body["generationConfig"] == {"maxOutputTokens": 7}
    assert "generationConfig" not in sent(CHAT, GEMINI, chat_body(HI), G3)[0]
    assert sent(GEMINI, MESSAGES, gemini_body())[0]["max_tokens"] == 4096


def test_h43_system_text_has_one_place() -> None:
    turns = [{"role": "system", "content": "A"}, HI, {"role": "developer", "content": "B"}, HI]
    body, request = sent(CHAT, GEMINI, chat_body(*turns), G3)
    assert body["systemInstruction"] == {"parts": [{"text": "A"}, {"text": "B"}]}
    assert [content["role"] for content in body["contents"]] == ["user"]
    assert request.converted == ["/messages/2/content"]


def test_h44_neighbours_and_empty_text() -> None:
    turns = [HI, HI, {"role": "assistant", "content": ""}, {"role": "assistant", "content": "x"}]
    body, _ = sent(CHAT, GEMINI, chat_body(*turns), G3)
    assert body["contents"] == [user("hi", "hi"), said("x")]


def test_h45_media_both_ways() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "image_url", "image_url": {"url": "https://example.org/x.webp?a=1"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
    ]
    body, _ = sent(CHAT, GEMINI, chat_body({"role": "user", "content": parts}), G3)
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"fileData": {"mimeType": "image/webp", "fileUri": "https://example.org/x.webp?a=1"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
    ]
    urlsafe = {"inline_data": {"mime_type": "image/png", "data": "_-8"}}
    back, _ = sent(GEMINI, CHAT, gemini_body({"parts": [urlsafe]}))
    assert back["messages"][0]["content"][0]["image_url"]["url"] == "data:image/png;base64,/+8="
    for part, where in (
        ({"inlineData": {"mimeType": "audio/wav", "data": "AA=="}}, "/contents/0/parts/0/inlineData"),
        (
            {
                "fileData": {
                    "mimeType": "image/png",
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x",
                }
            },
            "/contents/0/parts/0/fileData/fileUri",
        ),
        ({"fileData": {"mimeType": "video/mp4", "fileUri": "gs://x"}}, "/contents/0/parts/0/fileData/fileUri"),
        ({"executableCode": {"code": "1"}}, "/contents/0/parts/0/executableCode"),
        ({"novel": {}}, "/contents/0/parts/0"),
    ):
        with pytest.raises(Fault) as refused:
            GEMINI.read_request(gemini_body({"parts": [part]}))
        assert pointers(refused.value) == [where]


def test_h46_parameters_are_mapped_or_named() -> None:
    asked = chat_body(
        HI, seed=1, presence_penalty=0.5, frequency_penalty=0.25, top_p=0.9, top_k=5, temperature=2.5,
        stop=list("abcd"), logit_bias={"1": 1}, logprobs=True, user="u", service_tier="flex",
    )  # fmt: skip
    body, request = sent(CHAT, GEMINI, asked, G3)
    assert body["generationConfig"] == {
        "temperature": 2, "topP": 0.9, "topK": 5, "stopSequences": list("abcd"), "seed": 1, "presencePenalty": 0.5,
        "frequencyPenalty": 0.25,
    }  # fmt: skip
    assert body["serviceTier"] == "flex"
    assert sorted(request.dropped) == ["/logit_bias", "/logprobs", "/user"]
    assert request.converted == ["/temperature"]
    many = messages_body(HI, stop_sequences=list("abcdef"))
    body, request = sent(MESSAGES, GEMINI, many, G3)
    assert (body["generationConfig"]["stopSequences"], request.dropped) == (list("abcde"), ["/stop_sequences/5"])


def test_h46_a_gemini_clients_parameters_elsewhere() -> None:
    config = {
        "seed": 1, "presencePenalty": 1.0, "topK": 40.0, "topP": 0.5, "mediaResolution": "HIGH",
        "responseLogprobs": True,        "stopSequences": list("abcde"), "temperature": 1.5,
    }  # fmt: skip
    safety = [{"category": "X", "threshold": "Y"}]
    body, request = sent(
        GEMINI, MESSAGES, gemini_body(generationConfig=config, safetySettings=safety, labels={"a": "b"})
    )
    assert (body["top_k"], body["top_p"], body["temperature"]) == (40, 0.5, 1)
    assert sorted(request.dropped) == [
        "/generationConfig/mediaResolution", "/generationConfig/presencePenalty", "/generationConfig/responseLogprobs",
        "/generationConfig/seed", "/labels", "/safetySettings",
    ]  # fmt: skip
    assert request.converted == ["/generationConfig/temperature"]
    body, request = sent(GEMINI, CHAT, gemini_body(generationConfig=config))
    assert (body["seed"], body["presence_penalty"], body["stop"]) == (1, 1.0, list("abcd"))
    assert "/generationConfig/stopSequences/4" in request.dropped


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"cachedContent": "cachedContents/x"}, "/cachedContent"),
        ({"generationConfig": {"candidateCount": 2}}, "/generationConfig/candidateCount"),
        ({"generationConfig": {"responseModalities": ["AUDIO"]}}, "/generationConfig/responseModalities/0"),
        ({"generationConfig": {"responseMimeType": "text/x.enum"}}, "/generationConfig/responseMimeType"),
    ],
)
def test_h35_h46_what_no_other_dialect_has_is_refused_by_name(more: Any, where: str) -> None:
    with pytest.raises(Fault) as refused:
        GEMINI.read_request(gemini_body(**more))
    assert pointers(refused.value) == [where]


def test_h48_markers_are_named_where_the_provider_has_none() -> None:
    mark = {"type": "ephemeral"}
    asked = messages_body(
        {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": mark}]},
        system=[{"type": "text", "text": "s", "cache_control": mark}],
        tools=[{"name": "f", "input_schema": {"type": "object"}, "cache_control": mark}],
    )
    _, request = sent(MESSAGES, GEMINI, asked, G3)
    assert sorted(request.dropped) == [
        "/messages/0/content/0/cache_control", "/system/0/cache_control", "/tools/0/cache_control",
    ]  # fmt: skip


# What governance reads, and the declared edits.


def test_h47_the_diagonal_keeps_every_byte() -> None:
    raw = b'{ "contents":[{"parts":[{"text":"\\u0041"}]}],\n "novel": 1.50, "generation_config":{"topK":1e1} }'
    body = orjson.loads(raw)
    assert GEMINI.edit(raw, body, Edits("gemini-x")) is raw
    limited = GEMINI.edit(raw, body, Edits("gemini-x", max_output=9))
    assert limited == raw.replace(b'{"topK"', b'{"maxOutputTokens":9,"topK"')
    bare = b'{"contents":[{"parts":[{"text":"x"}]}]}'
    assert orjson.loads(GEMINI.edit(bare, orjson.loads(bare), Edits("g", max_output=9)))["generationConfig"] == {
        "maxOutputTokens": 9
    }
    for config in (b"null", b"{}", b'{"maxOutputTokens":0}', b'{"max_output_tokens":null}'):
        raw = b'{"model":"models/alias","generationConfig":%b,"contents":[]}' % config
        edited = orjson.loads(GEMINI.edit(raw, orjson.loads(raw), Edits("g", max_output=9)))
        assert set(edited["generationConfig"].values()) == {9}
        assert edited["model"] == "models/g"


def test_both_spellings_count_and_never_together() -> None:
    ask = GEMINI.ask(gemini_body(generation_config={"max_output_tokens": 5, "candidate_count": 3}))
    assert (ask.max_output, ask.choices, ask.model, ask.stream) == (15, 3, "alias", False)
    assert STREAMED.ask(gemini_body()).stream is True
    with pytest.raises(Fault) as refused:
        GEMINI.ask(gemini_body(generation_config={}, generationConfig={"maxOutputTokens": 1}))
    assert pointers(refused.value) == ["/generationConfig"]
    with pytest.raises(Fault) as refused:
        GEMINI.read_request(gemini_body({"parts": [{"inlineData": {}, "inline_data": {}}]}))
    assert "/contents/0/parts/0/inlineData" in pointers(refused.value)


def test_what_bytes_do_not_bound_is_counted() -> None:
    parts = [
        {"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": ""}}, {"fileData": {"fileUri": "x"}},
        {"inline_data": {"mime_type": "video/mp4", "data": ""}},
        result("f", {}, parts=[{"inlineData": {"mimeType": "image/png"}}]),
        {"fileData": {"mimeType": "application/pdf", "fileUri": "x"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "x"}},
        {"text": "x", "thought": True, "thoughtSignature": "s"}, {"novel": {"id": "x"}},
    ]  # fmt: skip
    assert GEMINI.ask(gemini_body({"parts": parts})).attached == 1 + 16 + 16 + 1 + 8 + 8 + 0 + 1
    assert GEMINI.ask(gemini_body(cachedContent="x")).unpriced == "cachedContent"
    assert GEMINI.ask(gemini_body(generationConfig={"responseModalities": ["TEXT", "IMAGE"]})).unpriced == (
        "an answer of IMAGE"
    )


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["/contents"]),
        ({"contents": "x"}, ["/contents"]),
        ({"contents": [1]}, ["/contents/0"]),
        (gemini_body(generationConfig=[]), ["/generationConfig"]),
        (gemini_body(generationConfig={"maxOutputTokens": "9"}), ["/generationConfig/maxOutputTokens"]),
        (gemini_body(generationConfig={"candidateCount": 0}), ["/generationConfig/candidateCount"]),
        (gemini_body(tools=[1]), ["/tools/0"]),
        (gemini_body(tools="x"), ["/tools"]),
    ],
)
def test_wrong_members_are_named(body: Any, where: list[str]) -> None:
    with pytest.raises(Fault) as refused:
        GEMINI.ask(body)
    assert pointers(refused.value) == where
