"""The small parts: the breaker, bounds and estimates, conversation marks, paths."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pharos.gateway.models.conversation import TURNS, Stitch
from pharos.gateway.models.dialects.registry import DIALECTS
from pharos.gateway.models.kinds import Breaker as Rule
from pharos.gateway.models.kinds import ModelSpec
from pharos.gateway.models.spending.bounds import attachments, bounds_of, estimated_usage, unpriceable
from pharos.gateway.models.upstream.breaker import Breaker
from pharos.gateway.models.upstream.provider import request_path

SPEC = ModelSpec.model_validate({"targets": [{"provider": "a", "model": "m"}]})


def test_the_breaker_opens_on_failures_in_a_row() -> None:
    breaker = Breaker(Rule(consecutive=3, open_ms=1000))
    for now in range(2):
        breaker.failed(now)
    breaker.succeeded(2)
    for now in range(3, 6):
        assert breaker.allows(now)
        breaker.failed(now)
    assert not breaker.allows(5.5)
    assert breaker.retry_in(5.5) == 0.5
    assert breaker.allows(6.0)


def test_the_breaker_opens_on_a_share_of_failures() -> None:
    breaker = Breaker(Rule(consecutive=100, ratio=0.5, minimum=10))
    for number in range(9):
        (breaker.failed if number % 2 else breaker.succeeded)(number / 10)
    assert breaker.allows(1)
    breaker.failed(1)
    assert not breaker.allows(1.1)


def test_one_probe_at_a_time_and_longer_each_time() -> None:
    breaker = Breaker(Rule(consecutive=1, open_ms=1000))
    breaker.failed(0)
    waits = []
    now = 0.0
    for _ in range(5):
        waits.append(breaker.retry_in(now))
        now += waits[-1]
        assert breaker.allows(now)
        breaker.begin()
        assert not breaker.allows(now), "one at a time"
        breaker.failed(now)
    assert waits == [1, 2, 4, 8, 8]
    now += 8
    breaker.begin()
    breaker.abandoned()
    assert breaker.allows(now), "a cancelled probe frees its place"
    breaker.begin()
    breaker.succeeded(now)
    assert breaker.state(now) == "closed"


def ask(body: dict[str, Any], dialect: str = "openai-chat") -> Any:
    return DIALECTS[dialect].ask(body)


@given(st.text(max_size=300), st.integers(1, 5))
def test_a_bound_is_never_below_the_bytes(text: str, choices: int) -> None:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": text}], "n": choices}
    raw = json.dumps(body).encode()
    bounds = bounds_of(raw, body, ask(body), SPEC, capped=True)
    assert bounds.input_tokens >= len(text.encode("utf-8", "surrogatepass"))
    assert bounds.output_tokens == choices * 4096
    assert bounds.set_output == 4096


def test_a_limit_is_set_only_where_it_must_be() -> None:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    raw = json.dumps(body).encode()
    assert bounds_of(raw, body, ask(body), SPEC, capped=False).set_output is None
    own = SPEC.model_copy(update={"max_output_tokens": 77})
    assert bounds_of(raw, body, ask(body), own, capped=False).set_output == 77
    said = {**body, "max_tokens": 5}
    assert bounds_of(raw, said, ask(said), own, capped=True).set_output is None
    assert bounds_of(raw, said, ask(said), own, capped=True).output_tokens == 5


def test_parts_that_bytes_do_not_bound() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://x"}}
    pdf = {"type": "document", "source": {"type": "file", "file_id": "f"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}, image]}
    new = {"type": "hologram"}
    video = {"type": "video_url", "video_url": {"url": "https://x"}}
    content = [{"type": "text", "text": "x"}, image, pdf, result, new, video, "odd"]
    body: dict[str, Any] = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}

    class Turns:
        turns = body["messages"]

    assert attachments(Turns()) == 1 + 8 + 1 + 1 + 16  # type: ignore[arg-type]


def test_what_tokens_do_not_show() -> None:
    assert unpriceable({"tools": [{"type": "function", "function": {"name": "web_search"}}]}) == ""
    assert unpriceable({"tools": [{"type": "custom", "name": "x"}, {"name": "y", "input_schema": {}}]}) == ""
    assert unpriceable({"tools": [{"type": "web_search_20260209", "name": "web_search"}]})
    assert unpriceable({"modalities": ["text", "audio"]})
    assert unpriceable({"mcp_servers": [{}]})
    assert unpriceable({"enable_search": False, "models": [], "prompt": None}) == ""
    assert unpriceable({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}) == ""
    assert unpriceable({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}, {"type": "novel"}]}})


def test_estimates_keep_what_was_reported() -> None:
    assert estimated_usage(None, 300, 30) == {"input": 100, "output": 10, "estimated": True}
    assert estimated_usage({"input": 7, "output": 1}, 300, 30) == {"input": 7, "output": 10, "estimated": True}
    assert estimated_usage({"cacheRead": 7, "output": 90}, 300, 30)["output"] == 90


def test_marks_tell_a_continuation() -> None:
    turns: list[Any] = [{"role": "system", "content": "S"}, {"role": "user", "content": "one"}]
    conversation = Stitch()
    first = conversation("", turns)["marks"]
    more = [*turns, {"role": "assistant", "content": "a"}, {"role": "user", "content": "two"}]
    second = conversation("", more)["marks"]
    assert first[-1] in second
    assert second[-1] not in first
    other = conversation("", [turns[0], {"role": "user", "content": "other"}])["marks"]
    assert other[-1] not in second
    long = [{"role": "user", "content": str(n)} for n in range(50)]
    assert len(conversation("", long)["marks"]) == TURNS
    assert all(len(mark) == 24 for mark in second)


def test_marks_tell_nothing_to_who_does_not_have_the_key_of_the_city() -> None:
    turns: list[Any] = [{"role": "user", "content": "yes"}]
    marks = {Stitch(key)("", turns)["marks"][0] for key in (b"", b"one" * 10, b"another")}
    assert len(marks) == 3
    assert Stitch(b"one")("", turns) == Stitch(b"one")("", turns), "the same at every start"


def test_marks_do_not_depend_on_cache_markers_or_key_order() -> None:
    conversation = Stitch()
    plain: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]
    marked: list[Any] = [
        {"content": [{"text": "x", "cache_control": {"type": "ephemeral"}, "type": "text"}], "role": "user"}
    ]
    assert conversation("", plain) == conversation("", marked)
    # Two lists whose texts run into each other differ.
    assert conversation("", ["ab", "c"])["marks"][-1] != conversation("", ["a", "bc"])["marks"][-1]


def test_paths() -> None:
    assert request_path("https://api.openai.com/v1", "/chat/completions") == "/v1/chat/completions"
    assert request_path("https://api.anthropic.com", "/v1/messages") == "/v1/messages"
    assert request_path("https://api.anthropic.com/v1/", "/v1/messages") == "/v1/messages"
    assert request_path("http://h:1/proxy/openai/v1", "/chat/completions") == "/proxy/openai/v1/chat/completions"
    assert request_path("http://h:1", "/chat/completions") == "/chat/completions"
