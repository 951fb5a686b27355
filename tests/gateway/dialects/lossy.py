"""Requests of which every line of the loss tables becomes true somewhere: for each dialect, whole bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.gateway.dialects.lossy_gemini import GEMINI
from tests.gateway.dialects.lossy_schemas import CANNOT, LOOSE, Body, deep

_HELLO = {"role": "user", "content": "Hello."}
_TEXT_FILE = "data:text/plain;base64,aGk="
_LONG = "u" * 70
_CITED = [{"type": "char_location", "cited_text": "x"}]
_MARK = {"mode": "explicit"}
_HOUR = {"type": "ephemeral", "ttl": "1h"}
_SHORT = {"type": "ephemeral"}


# OpenAI chat completions.


def _chat(*messages: Any, **members: Any) -> Body:
    return {"model": "m", "messages": [_HELLO, *messages], **members}


def _function(**members: Any) -> Body:
    return {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": {}}, **members},
    }


def _form(schema: Any, **members: Any) -> Body:
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, **members}}


_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_RESULT = {"role": "tool", "tool_call_id": "c1", "content": "done"}
_ALLOWED = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
}


def _part(mark: Any = None, **members: Any) -> Body:
    return {"type": "text", "text": "x", **({"prompt_cache_breakpoint": mark} if mark else {}), **members}


_CHAT: Sequence[Body] = (
    _chat(
        {"role": "user", "name": "ann", "novel": 1, "content": [
            {"type": "text", "text": "x", "novel": 1},
            {"type": "image_url", "image_url": {"url": "https://example.org/a", "detail": "low"}},
        ]},
        {"role": "assistant", "content": "a", "reasoning": "r", "reasoning_content": "r",
         "reasoning_details": [{"type": "reasoning.text", "text": "r"}], "thinking_blocks": [{"thinking": "t"}]},
        _HELLO,
        logit_bias={"1": 1}, logprobs=True, top_logprobs=2, seed=1, verbosity="low", metadata={"a": "b"}, store=True,
        prediction={"type": "content", "content": "x"}, prompt_cache_key="k", prompt_cache_options={"mode": "explicit"},
        prompt_cache_retention="24h", service_tier="scale", frequency_penalty=1, presence_penalty=1, top_k=5, top_p=0.5,
        stop=[" ", "a", "b", "c", "d", "e"], stream=True, stream_options={"include_obfuscation": True}, novel=1,
        temperature=3, user=_LONG, safety_identifier=_LONG, max_tokens=3000,
    ),
    _chat(
        {"role": "assistant", "content": "a", "reasoning": "r"}, {"role": "assistant", "reasoning_content": "r"},
        _HELLO, {"role": "assistant", "content": "a", "thinking_blocks": [{"thinking": "t"}]}, _HELLO,
        safety_identifier=_LONG,
    ),
    _chat(reasoning_effort="high", temperature=0.5, top_p=0.5, top_k=5, max_tokens=3000, max_completion_tokens=3000),
    _chat(reasoning_effort="minimal", temperature=1.7), _chat(reasoning_effort="none"), _chat(reasoning_effort="low"),
    _chat(reasoning_effort="xhigh", max_tokens=10), _chat(max_completion_tokens=10),
    _chat(reasoning_effort="high", tools=[_function()], tool_choice="required"),
    _chat(response_format={"type": "json_object"}),
    _chat(response_format=_form({}, description="d")),
    _chat(response_format=_form(LOOSE, strict=True, description="d")),
    _chat(response_format=_form({"type": "object", "properties": {}}, strict=True)),
    _chat(response_format=_form(CANNOT, strict=True)), _chat(response_format=_form(deep(100), strict=True)),
    _chat(response_format=_form({"type": "object", "oneOf": [{"type": "object", "minProperties": 2}]}, strict=True)),
    _chat(tools=[_function(strict=True, parameters=LOOSE)], tool_choice=_ALLOWED),
    _chat(tools=[_function(parameters=CANNOT, strict=True)]), _chat(tools=[_function(parameters=deep(100))]),
    _chat(tools=[_function()], response_format=_form(LOOSE)), _chat(tools=[_function()], parallel_tool_calls=False),
    _chat(tools=[_function()], response_format={"type": "json_object"}),
    # Marks.
    _chat({"role": "user", "content": [_part(cache_control=_SHORT), _part(cache_control=_HOUR)]}),
    _chat(tools=[{**_function(), "cache_control": _SHORT}, {**_function(name="g"), "cache_control": _HOUR}]),
    _chat(
        {"role": "user", "content": [_part(_MARK)] * 3 + [_part(cache_control=_SHORT), _part(cache_control=_HOUR)]},
        tools=[{**_function(), "cache_control": _SHORT}, {**_function(name="g"), "cache_control": _HOUR}],
    ),
    _chat(
        {"role": "user", "content": [_part(cache_control=_SHORT)] * 6},
        tools=[{**_function(), "cache_control": _SHORT}, {**_function(name="g"), "cache_control": _SHORT}],
    ),
    _chat({"role": "user", "content": [_part({**_MARK, "ttl": "12h"}), _part({**_MARK, "ttl": "30m"}), _part(_MARK)]}),
    _chat({"role": "user", "content": [_part({**_MARK, "ttl": "30m"}), _part({**_MARK, "ttl": "1h"})]}),
    _chat({"role": "user", "content": [_part({**_MARK, "ttl": "30m"}), _part({**_MARK, "ttl": "12h"})]}),
    _chat({"role": "user", "content": [_part(cache_control=_SHORT), _part(_MARK), _part(cache_control=_HOUR)]}),
    _chat({"role": "assistant", "content": [_part(_MARK)], "tool_calls": [_CALL]},
          {**_RESULT, "content": [_part(_MARK)]}, {"role": "system", "content": [_part(_MARK)]}),
    _chat({"role": "user", "content": "x", "prompt_cache_breakpoint": _MARK}),
    _chat(tools=[{**_function(), "prompt_cache_breakpoint": _MARK}]),
    # What moves.
    _chat({"role": "system", "content": "later"}, _HELLO, {"role": "system", "content": [_part()]}, _HELLO),
    _chat({"role": "user", "content": [{"type": "file", "file": {"file_data": _TEXT_FILE, "filename": "a.txt"}}]}),
    _chat({"role": "assistant", "content": "I"}), _chat({"role": "assistant", "content": [_part()]}),
    _chat({"role": "assistant", "tool_calls": [_CALL]}), _chat({"role": "assistant", "refusal": "no"}),
    _chat({"role": "assistant", "content": None, "refusal": "no"}, _HELLO),
    _chat({"role": "assistant", "content": "a", "tool_calls": [_CALL]}, _RESULT),
    _chat({"role": "assistant", "reasoning_details": [
        {"type": "reasoning.encrypted", "data": "gAAAA", "format": "openai-responses-v1", "id": "rs_1"}]}),
    _chat({"role": "assistant", "thinking_blocks": [{"thinking": "t", "signature": "S"}]}),
    # What is refused.
    _chat(n=2), _chat(functions=[{"name": "f"}]), _chat(function_call="auto"), _chat(modalities=["audio"]),
    _chat(audio={"voice": "x"}), _chat(web_search_options={}), _chat(moderation={"a": 1}),
    _chat(tools=[{"type": "custom", "custom": {"name": "f"}}], tool_choice={"type": "custom", "custom": {"name": "f"}}),
    _chat({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": ""}}]}),
    _chat({"role": "function", "name": "f", "content": "x"}),
    _chat({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}),
    _chat({"role": "assistant", "audio": {"id": "a"}}),
    _chat({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]}),
    _chat({"role": "user", "content": [{"type": "file", "file": {"file_data": "data:a/zip;base64,AA=="}}]}),
    _chat({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}),
    {"model": "m", "messages": [{"role": "assistant", "content": ""}]},
    {"model": "m", "messages": [{"role": "system", "content": "s"}]},
)  # fmt: skip


# Anthropic messages.


def _messages(*messages: Any, **members: Any) -> Body:
    return {"model": "m", "max_tokens": 3000, "messages": [_HELLO, *messages], **members}


def _user(*blocks: Any, **members: Any) -> Body:
    return {"role": "user", "content": [*blocks], **members}


def _assistant(*blocks: Any) -> Body:
    return {"role": "assistant", "content": [*blocks]}


def _block(mark: Any = None, **members: Any) -> Body:
    return {"type": "text", "text": "x", **({"cache_control": mark} if mark else {}), **members}


def _tool(**members: Any) -> Body:
    return {"name": "f", "input_schema": {"type": "object"}, **members}


def _output(schema: Any) -> Body:
    return {"format": {"type": "json_schema", "schema": schema}}


_OURS = {"type": "thinking", "thinking": "t", "signature": "pharos:gemini/x:~D"}
"""What nothing can be marked on, and Gemini takes back."""
_USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
_TEXT_DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}}


def _outcome(*blocks: Any, **members: Any) -> Body:
    return {"type": "tool_result", "tool_use_id": "t1", "content": [*blocks], **members}


def _after_use(*blocks: Any, **members: Any) -> tuple[Body, Body]:
    return _assistant(_USE), _user(_outcome(*blocks, **members))


_SOURCES = (
    {"type": "document", "source": {"type": "file", "file_id": "f"}},
    {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
    {"type": "document", "source": {"type": "content", "content": [_IMAGE]}},
)

_MESSAGES: Sequence[Body] = (
    _messages(
        _user(_block(citations=_CITED), novel=1),
        _assistant({"type": "thinking", "thinking": "t", "signature": "S"}, _USE),
        _user(_outcome(_block(citations=_CITED))), top_k=5, stop_sequences=["a", "b", "c", "d", "e", "f"], novel=1,
        speed="fast", thinking={"type": "enabled", "budget_tokens": 2000, "display": "omitted"}, service_tier="batch",
        output_config={"novel": 1}, metadata={"user_id": _LONG, "novel": 1}, system=[_block(citations=_CITED)],
        tools=[_tool(eager_input_streaming=True)],
    ),
    _messages(temperature=3), _messages(max_tokens=5),
    _messages(thinking={"type": "disabled"}, output_config={"effort": "high"}),
    _messages(thinking={"type": "adaptive"}), _messages(thinking={"type": "between_tools", "budget_tokens": 2000}),
    _messages(thinking={"type": "enabled", "budget_tokens": 90_000}, max_tokens=100_000),
    _messages(output_config={"effort": "max"}), _messages(output_config={"effort": "low"}),
    _messages(output_config=_output(LOOSE)), _messages(output_config=_output(CANNOT)),
    _messages(output_config=_output(deep(100))),
    _messages(output_config=_output(LOOSE), tools=[_tool()]),
    _messages(tools=[_tool(strict=True, input_schema=LOOSE)]),
    _messages(tools=[_tool(input_schema=CANNOT)]), _messages(tools=[_tool(input_schema=deep(100))]),
    _messages(tools=[_tool()], tool_choice={"type": "auto", "disable_parallel_tool_use": True}),
    # Marks.
    *(
        body
        for mark in (_SHORT, _HOUR)
        for body in (
            _messages(
                _user(_block(mark)), _assistant(_block(mark), {**_USE, "cache_control": mark}),
                _user({**_outcome(_block(mark)), "cache_control": mark}), _user(_block(mark), cache_control=mark),
                system=[_block(mark)], tools=[_tool(cache_control=mark)],
            ),
            _messages(cache_control=mark), _messages(cache_control=mark, system="s"),
            _messages({"role": "assistant", "content": "x"}, cache_control=mark),
            {"model": "m", "max_tokens": 5, "messages": [_assistant(_OURS)], "cache_control": mark, "system": "s"},
            _messages(*_after_use(_block()), cache_control=mark),
            _messages(_assistant(_USE), _user({**_outcome(), "content": "x"}), cache_control=mark),
        )
    ),
    # What moves.
    _messages(*_after_use(_IMAGE, _TEXT_DOCUMENT)), _messages(_user(_TEXT_DOCUMENT)), _messages(_assistant(_block())),
    _messages({"role": "assistant", "content": "I"}), _messages({"role": "system", "content": "later"}, _HELLO),
    _messages({"role": "system", "content": [_block()]}, _HELLO),
    _messages(_assistant({"type": "redacted_thinking", "data": "D"}), _HELLO),
    # What is refused.
    _messages(container="c"), _messages(mcp_servers=[{"url": "x"}]), _messages(thread={"id": "t"}),
    _messages(max_tokens=0), _messages(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
    _messages(tools=[_tool(defer_loading=True, allowed_callers=["code_execution_20250825"])]),
    _messages(_assistant({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
    _messages(_assistant({**_USE, "toolset_name": "x"})),
    _messages(*_after_use({"type": "search_result", "source": "s", "title": "t", "content": []})),
    *(_messages(_user(source)) for source in _SOURCES), *(_messages(*_after_use(source)) for source in _SOURCES),
    {"model": "m", "max_tokens": 5, "messages": [{"role": "assistant", "content": ""}]},
)  # fmt: skip


# OpenAI responses.


def _asked(*items: Any, **members: Any) -> Body:
    return {"model": "m", "input": [_HELLO, *items], **members}


def _declared(**members: Any) -> Body:
    return {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, **members}


def _said(mark: Any = None, **members: Any) -> Body:
    return {"type": "input_text", "text": "x", **({"prompt_cache_breakpoint": mark} if mark else {}), **members}


def _told(*output: Any) -> tuple[Body, Body]:
    called = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    return called, {"type": "function_call_output", "call_id": "c1", "output": [*output]}


def _named(schema: Any, **members: Any) -> Body:
    return {"format": {"type": "json_schema", "name": "s", "schema": schema, **members}}


_PICTURE = {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "high"}
_OF_TOOLS = {"type": "computer_screenshot", "image_url": "data:image/png;base64,AA=="}
_SOUND = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
_ZIP = {"type": "input_file", "file_data": "data:a/zip;base64,AA==", "filename": "a.zip"}
_READ = {"type": "input_file", "file_data": _TEXT_FILE, "filename": "a.txt"}

_RESPONSES: Sequence[Body] = (
    _asked(
        _user({**_PICTURE, "novel": 1}), {"role": "assistant", "content": "a", "phase": "commentary"},
        *_told({**_PICTURE, "novel": 1}), {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}, _HELLO,
        include=["message.output_text.logprobs"], max_tool_calls=3, context_management=[{"type": "compaction"}],
        truncation="auto", top_logprobs=2, stream_options={"include_obfuscation": False, "novel": 1}, novel=1,
        reasoning={"summary": "auto", "generate_summary": "auto", "novel": 1}, tools=[
            _declared(novel=1, output_schema={"type": "object"}, **{"async": True}),
        ],
        text={"novel": 1, "verbosity": "low", **_named(LOOSE, description="d", strict=True)}, prompt_cache_key="k",
        prompt_cache_options={"mode": "explicit"}, prompt_cache_retention="24h", service_tier="scale", user=_LONG,
        safety_identifier=_LONG, temperature=3,
    ),
    _asked(text={"verbosity": "low"}, user=_LONG, reasoning={"summary": "auto"}), _asked(safety_identifier=_LONG),
    _asked(reasoning={"effort": "none"}), _asked(reasoning={"effort": "minimal"}, temperature=0.5, top_p=0.5),
    _asked(reasoning={"effort": "high"}, temperature=0.5, top_p=0.5, max_output_tokens=3000),
    _asked(reasoning={"effort": "xhigh"}, max_output_tokens=10), _asked(temperature=1.7),
    _asked(reasoning={"effort": "high"}, tools=[_declared()], tool_choice="required"),
    _asked(text={"format": {"type": "json_object"}}), _asked(text=_named({})),
    _asked(text=_named(LOOSE, strict=True)), _asked(text=_named({"type": "object", "properties": {}}, strict=True)),
    _asked(text=_named(CANNOT, strict=True)), _asked(text=_named(deep(100), strict=True)),
    _asked(text={"format": {"type": "json_object"}}, tools=[_declared()]),
    _asked(text=_named(LOOSE), tools=[_declared()]), _asked(tools=[_declared()], parallel_tool_calls=False),
    _asked(tools=[_declared(strict=True, parameters=LOOSE)]), _asked(tools=[_declared(parameters=deep(100))]),
    _asked(tools=[_declared(parameters=CANNOT, strict=True)]),
    _asked(tools=[_declared()], tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [
        {"type": "function", "name": "f"}]}),
    _asked(tools=[{"type": "custom", "name": "f", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}]),
    # Marks.
    *(
        body
        for mark in (_MARK, {**_MARK, "ttl": "30m"}, {**_MARK, "ttl": "12h"})
        for body in (
            _asked(_user(_said(mark)), *_told(_said(mark))), _asked(*_told(_said(_MARK), _said(mark), _said(_MARK))),
            _asked(_user(_said({**_MARK, "ttl": "30m"}), _said(mark))), _asked(_user(_said(_MARK), _said(mark))),
            _asked(*_told(_said({**_MARK, "ttl": "30m"}), _said(mark))),
            _asked(_user(*[_said(mark)] * 6)), _asked(*_told(*[_said(mark)] * 6)),
        )
    ),
    # What moves.
    _asked({"role": "system", "content": "later"}, _HELLO, {"role": "system", "content": [_said()]}, _HELLO),
    _asked(_user(_READ)), _asked(*_told(_PICTURE, _READ)), _asked({"role": "assistant", "content": "I"}),
    _asked({"role": "assistant", "content": [{"type": "output_text", "text": "I", "annotations": []}]}),
    _asked({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}),
    _asked(_told()[0]), _asked(*_told(_said())), _asked({**_told()[1], "output": "x"}),
    _asked({"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "x"},
           {"type": "custom_tool_call_output", "call_id": "c1", "output": [_PICTURE, _READ]}),
    # What is refused.
    *({"model": "m", "input": "x", name: {"id": "x"}} for name in ("conversation", "prompt", "moderation")),
    {"model": "m", "input": "x", "background": True},
    _asked(tools=[{"type": "web_search"}], tool_choice={"type": "web_search"}),
    _asked(tools=[_declared(defer_loading=True, allowed_callers=["programmatic"])]),
    _asked({"type": "web_search_call", "id": "w", "status": "completed"}),
    _asked({"type": "item_reference", "id": "i"}),
    *(
        body
        for part in (_OF_TOOLS, _SOUND, _ZIP, {"type": "input_image", "file_id": "f"},
                     {"type": "input_file", "file_id": "f"}, {"type": "input_file", "file_url": "https://a.b/c"})
        for body in (_asked(_user(part)), _asked(*_told(part)))
    ),
    {"model": "m", "input": [{"role": "user", "content": ""}]},
    {"model": "m", "input": [{"role": "system", "content": "s"}]},
)  # fmt: skip

LOSSY: Mapping[str, Sequence[Body]] = {
    "openai-chat": _CHAT,
    "anthropic": _MESSAGES,
    "openai-responses": _RESPONSES,
    "gemini": GEMINI,
}
