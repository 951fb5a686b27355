"""Request bodies with every member a dialect knows: legal ones, and ones that are nearly right."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]

_WORDS = st.sampled_from(["a", "", " ", "漢", "x" * 70, "f", "call:1", "[tool error] no"])
_NAMES = st.sampled_from(["f", "g", "files.read", "x" * 70])
_IDS = st.sampled_from(["c1", "c2", "functions.f:0", "t" * 50])
_ODD = st.sampled_from([None, 0, 1, -1, 0.5, 2, True, False, "", "auto", [], {}, [1], {"a": 1}, "x" * 99])
_CACHE = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
_BREAK = st.sampled_from([{"mode": "explicit"}, {"mode": "explicit", "ttl": "30m"}, {"mode": "explicit", "ttl": "12h"}])
_JSON = st.sampled_from(["{}", "", '{"a":1}', '{"a":', "[1]", '{"INVALID_JSON":"x"}'])
_SCHEMAS = st.sampled_from(
    [
        {}, {"type": "object"}, {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}},
        {"type": "object", "properties": {}, "additionalProperties": False}, {"oneOf": [{"type": "string"}]},
        {"properties": {"a": {"type": "array", "items": {"type": "object"}, "minItems": 3}}},
        {"type": "string", "nullable": True},
    ]
)  # fmt: skip
_WRONG_SCHEMAS = st.sampled_from(
    [{"type": "object", "additionalProperties": True}, {"not": {}}, {"$ref": "#"}, {"anyOf": [True, 3]}]
)


def bodies(dialect: str, *, legal: bool = False) -> Strategy:
    """Bodies of one dialect. ``legal``: none that the dialect's reader refuses, or nearly none."""
    return _Chat(legal).body() if dialect == "openai-chat" else _Messages(legal).body()


class _Bodies:
    def __init__(self, legal: bool) -> None:
        self.legal = legal
        self.schemas = self.of(_SCHEMAS, _WRONG_SCHEMAS)
        self.switch = self.of(st.booleans(), _ODD)
        self.number = self.of(st.sampled_from([0, 0.5, 1, 1.7]), _ODD)
        self.count = self.of(st.integers(1, 3000), _ODD)

    def of(self, right: Strategy, wrong: Strategy) -> Strategy:
        return right if self.legal else st.one_of(right, right, right, wrong)

    def object(self, required: dict[str, Any], **optional: Any) -> Strategy:
        return st.fixed_dictionaries(required, optional={**optional, "novel": _ODD})

    def typed(self, kind: str, required: dict[str, Any] | None = None, **optional: Any) -> Strategy:
        return self.object({"type": st.just(kind), **(required or {})}, **optional)

    def wrong(self, **members: Any) -> dict[str, Any]:
        """Members that only nearly right bodies have."""
        return {} if self.legal else members

    @staticmethod
    def several(strategy: Strategy, least: int = 0, most: int = 3) -> Strategy:
        return st.lists(strategy, min_size=least, max_size=most)


class _Chat(_Bodies):
    def body(self) -> Strategy:
        named = {"type": "function", "function": {"name": "f"}}
        allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named]}}
        choices = st.sampled_from(["auto", "none", "required", named, allowed])
        efforts = st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"])
        options = st.sampled_from([{"include_usage": True}, {"include_obfuscation": True}, {"x": 1}])
        return self.object(
            {"model": st.just("m"), "messages": self.several(self.message(), least=self.legal, most=6)},
            tools=self.several(self.tool()), response_format=self.form(), stop=_WORDS | self.several(_WORDS, most=6),
            tool_choice=self.of(choices, st.sampled_from([{"type": "custom"}, 7])),
            reasoning_effort=self.of(efforts, st.just("utmost")), max_tokens=self.count, temperature=self.number,
            max_completion_tokens=self.count, top_p=self.number, top_k=self.count, stream=st.booleans(),
            parallel_tool_calls=self.switch, stream_options=self.of(options, _ODD), user=_WORDS,
            safety_identifier=_WORDS, seed=_ODD, service_tier=_ODD, metadata=_ODD, logit_bias=_ODD, prediction=_ODD,
            verbosity=_ODD,
            **self.wrong(n=_ODD, functions=_ODD, function_call=_ODD, modalities=_ODD, audio=_ODD,
                         web_search_options=_ODD, moderation=_ODD),
        )  # fmt: skip

    def message(self) -> Strategy:
        content = _WORDS | self.several(self.part())
        texts = _WORDS | self.several(self.typed("text", {"text": _WORDS}, prompt_cache_breakpoint=_BREAK))
        call = self.object(
            {"id": _IDS, "function": st.fixed_dictionaries({"name": _NAMES}, optional={"arguments": _JSON})},
            type=self.of(st.just("function"), st.just("custom")),
        )
        block = st.fixed_dictionaries({"thinking": _WORDS}, optional={"data": _WORDS, "signature": _WORDS})
        return self.of(
            st.one_of(
                self.object({"role": st.sampled_from(["system", "developer"]), "content": texts}, name=_WORDS),
                self.object({"role": st.just("user"), "content": content}, name=_WORDS),
                self.object(
                    {"role": st.just("assistant")}, content=texts, tool_calls=self.several(call), refusal=_WORDS,
                    reasoning_content=_WORDS, reasoning_details=self.several(self.detail()),
                    thinking_blocks=self.several(block), **self.wrong(audio=_ODD, function_call=_ODD),
                ),
                self.object({"role": st.just("tool"), "tool_call_id": _IDS, "content": texts}),
            ),
            st.sampled_from([{"role": "function", "name": "f", "content": "x"}, {"role": "robot"}, 1]),
        )  # fmt: skip

    def part(self) -> Strategy:
        marks = {"prompt_cache_breakpoint": _BREAK, "cache_control": _CACHE}
        urls = self.of(
            st.sampled_from(["https://example.org/a", "data:image/png;base64,AA=="]),
            st.sampled_from(["file:///x", "data:text/plain,x", ""]),
        )
        image = st.fixed_dictionaries({"url": urls}, optional={"detail": st.sampled_from(["low", "auto"])})
        data = self.of(
            st.sampled_from(["JVBE", "data:text/plain;base64,eA=="]),
            st.sampled_from(["data:a/zip;base64,AA==", "data:text/x;base64,!"]),
        )
        file = st.fixed_dictionaries({"file_data": data}, optional={"filename": _WORDS, **self.wrong(file_id=_WORDS)})
        return self.of(
            st.one_of(
                self.typed("text", {"text": _WORDS}, **marks),
                self.typed("image_url", {"image_url": image | urls}, **marks),
                self.typed("file", {"file": file}, **marks),
            ),
            st.one_of(self.typed("input_audio", input_audio=_ODD), self.typed("refusal", {"refusal": _WORDS}), _ODD),
        )

    def detail(self) -> Strategy:
        forms = ["pharos:anthropic/m", "pharos:gemini/m", "anthropic-claude-v1", "other"]
        return st.fixed_dictionaries(
            {"type": st.just("reasoning.text")},
            optional={
                "text": _WORDS, "signature": st.sampled_from(["S", ""]), "data": st.just("D"),
                "index": st.integers(-1, 9), "format": st.sampled_from(forms),
            },
        )  # fmt: skip

    def tool(self) -> Strategy:
        function = self.object({"name": _NAMES}, description=_WORDS, parameters=self.schemas, strict=st.booleans())
        kind = self.of(st.just("function"), st.just("custom"))
        return self.object({"function": function}, type=kind, cache_control=_CACHE)

    def form(self) -> Strategy:
        schema = st.fixed_dictionaries(
            {"schema": self.schemas}, optional={"name": _WORDS, "strict": st.booleans(), "description": _WORDS}
        )
        return st.one_of(
            st.fixed_dictionaries({"type": st.just("json_schema"), "json_schema": schema}),
            self.of(st.sampled_from([{"type": "json_object"}, {"type": "text"}]), st.just({"type": "xml"})),
        )


class _Messages(_Bodies):
    def body(self) -> Strategy:
        text = self.typed("text", {"text": _WORDS}, citations=_ODD, cache_control=_CACHE)
        choice = st.one_of(
            self.object(
                {"type": self.of(st.sampled_from(["auto", "any", "none"]), st.just("maybe"))},
                disable_parallel_tool_use=st.booleans(),
            ),
            self.object({"type": st.just("tool"), "name": _NAMES}),
        )
        kinds = self.of(st.sampled_from(["enabled", "adaptive", "disabled", "between_tools"]), st.just("hard"))
        thinking = st.fixed_dictionaries(
            {"type": kinds},
            optional={
                "budget_tokens": self.of(st.integers(1, 40_000), _ODD),
                "display": st.sampled_from(["omitted", "summarized"]),
            },
        )
        form = st.fixed_dictionaries({"type": st.just("json_schema"), "schema": self.schemas})
        config = self.object(
            {}, effort=self.of(st.sampled_from(["low", "xhigh", "max"]), st.just("utmost")), format=self.of(form, _ODD)
        )
        return self.object(
            {
                "model": st.just("m"), "max_tokens": self.count,
                "messages": self.several(self.message(text), least=self.legal, most=6),
            },
            system=_WORDS | self.several(text), tools=self.several(self.tool()), tool_choice=choice, thinking=thinking,
            output_config=config, stop_sequences=self.several(_WORDS, most=6), temperature=self.number,
            top_p=self.number, top_k=self.count, stream=st.booleans(), metadata=self.object({}, user_id=_WORDS),
            service_tier=st.sampled_from(["auto", "standard_only", "novel"]), cache_control=_CACHE,
            speed=st.sampled_from(["standard", "fast"]), context_management=_ODD,
            **self.wrong(container=_ODD, mcp_servers=_ODD),
        )  # fmt: skip

    def message(self, text: Strategy) -> Strategy:
        plain = st.one_of(
            text,
            self.typed("image", {"source": self.source("image")}, transformations=_ODD, cache_control=_CACHE),
            self.typed("document", {"source": self.source("document")}, title=_WORDS, context=_WORDS,
                       cache_control=_CACHE),
        )  # fmt: skip
        inside = self.of(plain, st.one_of(self.typed("tool_result", {"tool_use_id": _IDS}), _ODD))
        given = st.one_of(
            plain,
            self.typed("tool_result", {"tool_use_id": _IDS}, content=_WORDS | self.several(inside),
                       is_error=st.booleans(), cache_control=_CACHE),
        )  # fmt: skip
        return self.of(
            st.one_of(
                self.object({"role": st.just("user"), "content": _WORDS | self.several(given)}),
                self.object({"role": st.just("assistant"), "content": _WORDS | self.several(self.said(text))}),
                self.object({"role": st.just("system"), "content": _WORDS | self.several(text)}),
            ),
            st.sampled_from([{"role": "robot", "content": "x"}, {"role": "user"}, 1]),
        )

    def said(self, text: Strategy) -> Strategy:
        signatures = st.sampled_from(["S", "", "pharos:openai-chat/gpt-5:!"])
        inputs = self.of(
            st.sampled_from([{}, {"a": 1}, {"INVALID_JSON": '{"a'}, {"INVALID_JSON": 1}]), st.sampled_from([3, "x"])
        )
        return self.of(
            st.one_of(
                text,
                self.typed("thinking", {"thinking": _WORDS}, signature=signatures),
                self.typed("redacted_thinking", {"data": st.sampled_from(["D", "pharos:gemini/x:D"])}),
                self.typed("tool_use", {"id": _IDS, "name": _NAMES}, input=inputs, cache_control=_CACHE),
            ),
            st.one_of(self.typed("server_tool_use"), _ODD),
        )

    def source(self, kind: str) -> Strategy:
        right: dict[str, list[Any]] = {
            "image": [
                {"type": "base64", "media_type": "image/png", "data": "AA=="},
                {"type": "url", "url": "https://example.org/y"},
            ],
            "document": [
                {"type": "text", "media_type": "text/plain", "data": "naïve"},
                {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            ],
        }
        wrong = [{"type": "url", "url": "x"}, {"type": "file", "file_id": "f"}, {"type": "content"}, {}, 3]
        return self.of(st.sampled_from(right[kind]), st.sampled_from(wrong))

    def tool(self) -> Strategy:
        return self.object(
            {"name": _NAMES}, input_schema=self.schemas, description=_WORDS, strict=st.booleans(),
            cache_control=_CACHE, input_examples=_ODD, type=self.of(st.just("custom"), st.just("web_search_20250305")),
            **self.wrong(
                defer_loading=st.booleans(),
                allowed_callers=st.sampled_from([["direct"], ["code_execution_20260120"]]),
            ),
        )  # fmt: skip
