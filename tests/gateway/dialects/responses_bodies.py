"""Bodies of responses requests: legal ones, and ones that are nearly right."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.gateway.dialects.bodies import (
    _BREAK,
    _IDS,
    _JSON,
    _NAMES,
    _ODD,
    _WORDS,
    Strategy,
    _Bodies,
)

_F = {"type": "function", "name": "f"}
_SEALED = st.sampled_from(["gAAAA", "pharos:anthropic/claude-1:SIG", "pharos:openai-chat/m:!", "pharos:gemini/x:~D"])


def responses_bodies(*, legal: bool = False) -> Strategy:
    """Bodies of the dialect. ``legal``: none that its reader refuses, or nearly none."""
    return _Responses(legal).body()


class _Responses(_Bodies):
    def body(self) -> Strategy:
        items = self.several(self.item(), least=1, most=5)
        # A body of something but a system's words, so that every provider has a turn to answer.
        given = st.builds(lambda more: [{"role": "user", "content": "hi"}, *more], items)
        return self.object(
            {"model": st.just("alias"), "input": self.of(st.just("hi") | given, st.sampled_from(["", [], None, 3]))},
            instructions=self.of(_WORDS, _ODD), stream=self.switch, store=self.switch, temperature=self.number,
            top_p=self.number, max_output_tokens=self.count, parallel_tool_calls=self.switch,
            top_logprobs=st.integers(0, 5), truncation=st.sampled_from(["auto", "disabled"]),
            metadata=st.just({"a": "b"}),
            previous_response_id=st.just("resp_1"), user=_WORDS, safety_identifier=_WORDS, prompt_cache_key=_WORDS,
            prompt_cache_retention=st.just("24h"), service_tier=st.sampled_from(["auto", "default", "flex"]),
            include=self.of(st.just(["reasoning.encrypted_content", "message.output_text.logprobs"]), _ODD),
            stream_options=self.of(st.just({"include_obfuscation": False, "novel": 1}), _ODD),
            max_tool_calls=st.integers(1, 3), context_management=st.just([{"type": "compaction"}]),
            reasoning=self.reasoning(), text=self.text(), tools=self.several(self.tool()),
            tool_choice=self.of(
                st.sampled_from(
                    ["auto", "none", "required", _F, {"type": "allowed_tools", "mode": "auto", "tools": [_F]}]
                ),
                st.one_of(_ODD, st.just({"type": "web_search"}))),
            **self.wrong(conversation=_ODD, background=_ODD, prompt=_ODD, moderation=_ODD),
        )  # fmt: skip

    def reasoning(self) -> Strategy:
        return self.of(
            self.object(
                {},
                effort=self.of(st.sampled_from(["none", "minimal", "low", "high", "max"]), _ODD),
                summary=st.sampled_from(["auto", "detailed"]),
                generate_summary=st.just("concise"),
            ),
            _ODD,
        )

    def text(self) -> Strategy:
        forms = st.one_of(
            st.just({"type": "text"}),
            st.just({"type": "json_object"}),
            self.typed(
                "json_schema", {"name": _NAMES, "schema": self.schemas}, strict=st.booleans(), description=_WORDS
            ),
        )
        return self.of(self.object({}, format=self.of(forms, _ODD), verbosity=st.sampled_from(["low", "high"])), _ODD)

    def tool(self) -> Strategy:
        function = self.typed(
            "function", {"name": _NAMES, "parameters": self.schemas}, strict=st.booleans(), description=_WORDS,
            output_schema=self.schemas, **self.wrong(defer_loading=st.booleans(), allowed_callers=_ODD),
        )  # fmt: skip
        grammar = st.just({"type": "grammar", "syntax": "lark", "definition": "x"})
        custom = self.typed("custom", {"name": _NAMES}, description=_WORDS, format=grammar)
        return self.of(function | custom, st.one_of(_ODD, self.typed("web_search")))

    def item(self) -> Strategy:
        parts = self.part()
        output = _WORDS | self.several(parts)
        said = _WORDS | self.several(
            self.object({"type": st.just("output_text"), "text": _WORDS}, annotations=st.just([]))
        )
        return self.of(
            st.one_of(
                self.object({"role": st.just("user"), "content": output}, type=st.just("message")),
                self.object({"role": st.sampled_from(["system", "developer"]), "content": _WORDS}),
                self.object({"role": st.just("assistant"), "content": said}, phase=st.just("commentary")),
                self.typed("function_call", {"call_id": _IDS, "name": _NAMES, "arguments": _JSON}, id=st.just("fc")),
                self.typed("custom_tool_call", {"call_id": _IDS, "name": _NAMES, "input": _WORDS}),
                self.typed("function_call_output", {"call_id": _IDS, "output": output}),
                self.typed("custom_tool_call_output", {"call_id": _IDS, "output": output}),
                self.typed("reasoning", {"summary": self.several(self.summary())}, encrypted_content=_SEALED),
            ),
            st.one_of(_ODD, self.typed("item_reference", {"id": _IDS}), self.typed("web_search_call"),
                      self.object({"role": _ODD, "content": _ODD})),
        )  # fmt: skip

    @staticmethod
    def summary() -> Strategy:
        return st.fixed_dictionaries({"type": st.just("summary_text"), "text": _WORDS})

    def part(self) -> Strategy:
        mark = {"prompt_cache_breakpoint": _BREAK}
        images = st.sampled_from(["https://example.org/x.png", "data:image/png;base64,AA=="])
        files = st.sampled_from(["data:application/pdf;base64,JVBE", "data:text/plain;base64,aGk=", "JVBE"])
        return self.of(
            st.one_of(
                self.typed("input_text", {"text": _WORDS}, **mark),
                self.typed("input_image", {"image_url": images}, detail=st.just("high"), **mark),
                self.typed("input_file", {"file_data": files}, filename=st.just("a.pdf"), **mark),
            ),
            st.one_of(_ODD, self.typed("input_audio"), self.typed("input_image", {"file_id": _IDS}),
                      self.typed("input_file", {"file_url": _WORDS}), self.typed("computer_screenshot")),
        )  # fmt: skip
