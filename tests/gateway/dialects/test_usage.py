"""Token counts: no class counted twice, and totals that re-add in every dialect."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from anthropic.types import Usage as AnthropicUsage
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CompletionUsage
from tests.gateway.dialects.wire import CHAT, MESSAGES

from pharos.gateway.models.dialects.anthropic import words as anthropic_words
from pharos.gateway.models.dialects.openai_chat import words as chat_words
from pharos.mesh.facts import Usage, prompt_of, tokens_of

_COUNT = st.integers(0, 10**9)
_RARE = ("inputAudio", "inputImage", "toolPrompt", "cacheReadAudio", "cacheWrite30m", "cacheWrite12h", "outputAudio")
_ALL = st.fixed_dictionaries(
    {"input": _COUNT, "output": _COUNT},
    optional=dict.fromkeys((*_RARE, "outputImage", "cacheRead", "cacheWrite5m", "cacheWrite1h", "reasoning"), _COUNT),
)
_USAGES = st.fixed_dictionaries(
    {"input": _COUNT, "output": _COUNT},
    optional={"cacheRead": _COUNT, "cacheWrite5m": _COUNT, "cacheWrite1h": _COUNT, "reasoning": _COUNT},
)


def total(usage: Usage) -> int:
    return sum(count for count in usage.values() if type(count) is int)


def nonzero(usage: Any) -> dict[str, int]:
    return {name: count for name, count in usage.items() if count}


@given(_USAGES)
def test_totals_re_add_in_chat(usage: Usage) -> None:
    written = chat_words.write_usage(usage)
    strict = CompletionUsage.model_validate(written)
    assert strict.total_tokens == strict.prompt_tokens + strict.completion_tokens == total(usage)
    back = chat_words.read_usage(written)
    assert back is not None
    assert total(back) == total(usage)
    # The dialect has one write class.
    expected = dict(usage)
    expected["cacheWrite5m"] = usage.get("cacheWrite5m", 0) + usage.get("cacheWrite1h", 0)
    expected["cacheWrite1h"] = 0
    assert nonzero(back) == nonzero(expected)


@given(_USAGES)
def test_totals_re_add_in_messages(usage: Usage) -> None:
    written = anthropic_words.write_usage(usage)
    strict = AnthropicUsage.model_validate(written)
    read, made = strict.cache_read_input_tokens or 0, strict.cache_creation_input_tokens or 0
    assert strict.input_tokens + read + made + strict.output_tokens == total(usage)
    assert nonzero(anthropic_words.read_usage(written)) == nonzero(usage)


@given(_USAGES)
def test_totals_re_add_through_both(usage: Usage) -> None:
    once = chat_words.read_usage(chat_words.write_usage(usage))
    assert once is not None
    assert nonzero(anthropic_words.read_usage(anthropic_words.write_usage(once))) == nonzero(once)


@given(_ALL)
def test_totals_re_add_whatever_the_classes(usage: Usage) -> None:
    """The total of every dialect is the sum of the canonical classes, and stays so when read back."""
    prompt, everything = prompt_of(usage), tokens_of(usage)
    assert everything == total(usage)
    chat = CompletionUsage.model_validate(chat_words.write_usage(usage))
    assert (chat.prompt_tokens, chat.completion_tokens, chat.total_tokens) == (prompt, everything - prompt, everything)
    messages = AnthropicUsage.model_validate(anthropic_words.write_usage(usage))
    read, made = messages.cache_read_input_tokens or 0, messages.cache_creation_input_tokens or 0
    assert messages.input_tokens + read + made == prompt and messages.output_tokens == everything - prompt
    for back in (
        chat_words.read_usage(chat_words.write_usage(usage)),
        anthropic_words.read_usage(anthropic_words.write_usage(usage)),
    ):
        assert back is not None and (prompt_of(back), tokens_of(back)) == (prompt, everything)


def test_modalities_tools_and_tiers_stand_apart() -> None:
    details = {"cached_tokens": 60, "audio_tokens": 25, "image_tokens": 30}
    usage = {
        "prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": details,
        "completion_tokens_details": {"audio_tokens": 8, "reasoning_tokens": 4},
    }  # fmt: skip
    # Of the 55 tokens of audio and images, 15 must have been cached: the fresh ones are no more than 40.
    assert CHAT.usage({"usage": usage, "service_tier": "default"}) == {
        "input": 0, "cacheRead": 60, "inputAudio": 25, "inputImage": 15, "output": 8, "outputAudio": 8, "reasoning": 4,
        "tier": "standard",
    }  # fmt: skip
    given = {
        "input_tokens": 1,
        "output_tokens": 2,
        "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0},
    }
    assert MESSAGES.usage({"usage": given | {"service_tier": "batch"}}) == {
        "input": 1, "output": 2, "serverTools": {"webSearch": 3}, "tier": "batch",
    }  # fmt: skip
    for tier, speed, served in (("standard", "fast", "fast"), ("priority", "standard", "priority"), (None, None, "")):
        found = MESSAGES.usage({"usage": given | {"service_tier": tier, "speed": speed}})
        assert found is not None and found.get("tier", "") == served
    streamed = anthropic_words.merged({"input_tokens": 1, "service_tier": "priority"}, given)
    assert anthropic_words.read_usage(streamed) == {
        "input": 1,
        "output": 2,
        "serverTools": {"webSearch": 3},
        "tier": "priority",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
             "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
             "completion_tokens_details": {"reasoning_tokens": 15}},
            {"input": 30, "cacheRead": 60, "cacheWrite5m": 10, "output": 5, "reasoning": 15},
        ),
        ({"prompt_tokens": 3, "completion_tokens": 4}, {"input": 3, "output": 4}),
        ({"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 8},
         {"input": 2, "cacheRead": 8, "output": 1}),
        # Counted apart: reasoning beside completion tokens, told by the total; cached beside prompt tokens.
        ({"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 90,
          "completion_tokens_details": {"reasoning_tokens": 30}}, {"input": 10, "output": 50, "reasoning": 30}),
        ({"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 30}},
         {"input": 10, "output": 5, "reasoning": 30}),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 40}},
         {"input": 10, "cacheRead": 40, "output": 5}),
        # Numbers that are none.
        ({"prompt_tokens": -4, "completion_tokens": 5}, {"input": 0, "output": 5}),
        ({"prompt_tokens": 4, "completion_tokens": 10**12}, None),
        ({"prompt_tokens": 4.0, "completion_tokens": 5}, {"input": 4, "output": 5}),
        ({"prompt_tokens": 4, "completion_tokens": 5, "prompt_tokens_details": None}, {"input": 4, "output": 5}),
        ({"prompt_tokens": "4"}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)  # fmt: skip
def test_chat_counts(given: Any, expected: Any) -> None:
    assert CHAT.usage({"usage": given}) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10,
             "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 3},
             "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 15}},
            {"input": 30, "cacheRead": 60, "cacheWrite5m": 7, "cacheWrite1h": 3, "output": 5, "reasoning": 15},
        ),
        ({"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 9},
         {"input": 1, "cacheWrite5m": 9, "output": 2}),
        ({"input_tokens": 1, "output_tokens": 2, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
         {"input": 1, "cacheWrite1h": 9, "output": 2}),
        ({"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 5}},
         {"input": 1, "output": 0, "reasoning": 2}),
        ({"input_tokens": 1, "output_tokens": None, "cache_read_input_tokens": None}, {"input": 1, "output": 0}),
        ({"input_tokens": True}, None),
        (7, None),
    ],
)  # fmt: skip
def test_messages_counts(given: Any, expected: Any) -> None:
    assert MESSAGES.usage({"usage": given}) == expected


SUMMARISED = {
    "input_tokens": 23_000, "output_tokens": 1_000,
    "iterations": [
        {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500, "cache_read_input_tokens": 7,
         "cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 5}},
        {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000},
    ],
}  # fmt: skip
"""What Anthropic tells of a call in which it shortened the conversation: the totals are of the answer alone."""


def test_what_was_read_to_shorten_a_conversation_is_counted() -> None:
    expected = {"input": 203_000, "output": 4_500, "cacheRead": 7, "cacheWrite1h": 5}
    assert MESSAGES.usage({"usage": SUMMARISED}) == expected
    totals = {key: value for key, value in SUMMARISED.items() if key != "input_tokens"}
    streamed = anthropic_words.merged({"input_tokens": 23_000, "output_tokens": 1, "iterations": None}, totals)
    assert anthropic_words.read_usage(streamed) == expected
    alone = {"input_tokens": 0, "output_tokens": 0, "iterations": SUMMARISED["iterations"][:1]}
    assert MESSAGES.usage({"usage": alone}) == {**expected, "input": 180_000, "output": 3_500}


def test_what_other_models_did_in_a_call_is_told_beside_its_cost() -> None:
    rounds = [{"type": kind, "model": "x", "input_tokens": 9} for kind in ("advisor_message", "fallback_message")]
    usage = MESSAGES.usage({"usage": {"input_tokens": 1, "output_tokens": 2, "iterations": [*rounds, rounds[0], 7]}})
    assert usage == {"input": 1, "output": 2, "serverTools": {"advisor": 2, "fallback": 1}}


@pytest.mark.parametrize("odd", [7, "x", {}, [[]], [{"type": []}], [{"type": "compaction"}], [None]])
def test_rounds_that_are_none_count_nothing(odd: Any) -> None:
    assert MESSAGES.usage({"usage": {"input_tokens": 1, "output_tokens": 2, "iterations": odd}}) == {
        "input": 1, "output": 2,
    }  # fmt: skip


def test_later_counts_of_a_stream_replace_and_never_add() -> None:
    start = {"input_tokens": 100, "cache_read_input_tokens": 50, "output_tokens": 1,
             "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 20},
             "cache_creation_input_tokens": 20}  # fmt: skip
    merged = anthropic_words.merged(start, {"output_tokens": 40, "input_tokens": 0, "unknown": "x" * 100})
    assert merged == {**start, "output_tokens": 40}
    later = anthropic_words.merged(merged, {"output_tokens": 60, "cache_creation_input_tokens": 25})
    assert anthropic_words.read_usage(later) == {
        "input": 100, "cacheRead": 50, "cacheWrite5m": 5, "cacheWrite1h": 20, "output": 60,
    }  # fmt: skip
    assert anthropic_words.merged({}, {"input_tokens": 0}) == {"input_tokens": 0}


_NAMES = st.sampled_from(
    ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "input_tokens", "cached_tokens",
     "completion_tokens_details", "output_tokens", "cache_creation", "usage", "reasoning_tokens", "thinking_tokens",
     "output_tokens_details"]
)  # fmt: skip


@given(
    st.recursive(
        st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    )
)
def test_no_usage_object_breaks_the_count(value: Any) -> None:
    for dialect in (CHAT, MESSAGES):
        usage = dialect.usage({"usage": value})
        assert usage is None or all(type(count) is int and count >= 0 for count in usage.values())
        orjson.dumps(usage)
