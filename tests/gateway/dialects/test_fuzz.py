"""Arbitrary input: a clear refusal or an answer, never another exception; and translations that settle."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gateway.dialects.bodies import bodies
from tests.gateway.dialects.wire import CHAT, MESSAGES

from pharos.core.fault import Fault
from pharos.gateway.models.answers import sse
from pharos.gateway.models.dialects.dialect import Dialect, Edits

BOTH = pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)
# PHAROS_FUZZ=5000 makes a campaign of it.
SLOW = settings(
    max_examples=int(os.environ.get("PHAROS_FUZZ", "60")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

_KEYS = st.sampled_from(
    ["model", "messages", "role", "content", "type", "text", "tools", "function", "name", "arguments", "tool_calls",
     "id", "system", "input", "source", "tool_choice", "stop", "stop_sequences", "stream", "stream_options", "metadata",
     "thinking", "output_config", "response_format", "json_schema", "schema", "n", "choices", "delta", "finish_reason",
     "usage", "index", "error", "message", "code", "reasoning_details", "signature", "data", "content_block", "user",
     "assistant", "tool", "tool_result", "tool_use", "image", "image_url", "url", "format", "partial_json"]
)  # fmt: skip
_SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | _KEYS | st.text()
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6), max_leaves=12
)
_OBJECTS = st.dictionaries(_KEYS, _JSON, max_size=8)


def as_parsed(value: Any) -> Any:
    """What a parser makes of it: no lone surrogates, no infinities."""
    try:
        return orjson.loads(orjson.dumps(value))
    except TypeError:
        return {}


@BOTH
@SLOW
@given(value=_OBJECTS)
def test_any_object_is_read_or_refused_with_its_place(dialect: Dialect, value: Any) -> None:
    body = as_parsed(value)
    for read in (dialect.ask, dialect.read_request):
        try:
            read(body)
        except Fault as fault:
            assert fault.code == "INVALID"
            assert fault.document.problems
            assert all(problem.pointer == "" or problem.pointer[0] == "/" for problem in fault.document.problems)


@BOTH
@SLOW
@given(value=_OBJECTS, kind=st.sampled_from(
    ["", "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
     "message_stop", "error", "ping"]), event=st.text(max_size=5))  # fmt: skip
def test_any_frame_is_read_or_refused(dialect: Dialect, value: Any, kind: str, event: str) -> None:
    body = as_parsed({**value, "type": kind} if kind else value)
    data = orjson.dumps(body)
    frame = sse.Frame(event, data, data)
    reader, watcher = dialect.reader(), dialect.watcher(True)
    for _ in range(2):
        for look in (reader.read, watcher.see):
            with contextlib.suppress(ValueError):
                look(frame)
    assert watcher.output_bytes >= 0
    assert watcher.usage is None or isinstance(watcher.usage, dict)


@BOTH
@given(data=st.binary(max_size=64))
def test_any_bytes_of_a_frame_are_read_or_refused(dialect: Dialect, data: bytes) -> None:
    for look in (dialect.reader().read, dialect.watcher(False).see):
        with contextlib.suppress(ValueError):
            look(sse.Frame("", data, data))


@BOTH
@SLOW
@given(value=_OBJECTS)
def test_any_answer_is_read_or_refused(dialect: Dialect, value: Any) -> None:
    body = as_parsed(value)
    dialect.usage(body)
    dialect.answered_model(body)
    try:
        answer = dialect.read_answer({"type": "message", **body})
    except ValueError:
        return
    for target in (CHAT, MESSAGES):
        orjson.dumps(target.write_answer(answer, "alias"))


@SLOW
@given(bodies("openai-chat", legal=True))
def test_a_chat_request_settles(body: dict[str, Any]) -> None:
    _settles(CHAT, CHAT, body)
    _settles(CHAT, MESSAGES, body)


@SLOW
@given(bodies("anthropic", legal=True))
def test_a_messages_request_settles(body: dict[str, Any]) -> None:
    _settles(MESSAGES, MESSAGES, body)
    _settles(MESSAGES, CHAT, body)


def _settles(client: Dialect, provider: Dialect, body: dict[str, Any]) -> None:
    """Written, read and written again, a request is the same: nothing is lost twice."""
    try:
        written = provider.write_request(client.read_request(body), "target", 1000)
    except Fault as fault:
        assert fault.code == "INVALID"
        return
    orjson.dumps(written)
    once = provider.read_request(as_parsed(written))
    twice = provider.write_request(once, "target", 1000)
    assert as_parsed(twice) == as_parsed(written)
    assert provider.read_request(as_parsed(twice)) == once


@SLOW
@given(bodies("openai-chat") | bodies("anthropic"), st.integers(0, 3))
def test_an_edited_body_is_the_body_with_the_edits(body: dict[str, Any], indent: int) -> None:
    body = {**body, "model": "m"}
    raw = orjson.dumps(body, option=orjson.OPT_INDENT_2) if indent else orjson.dumps(body)
    for dialect in (CHAT, MESSAGES):
        edited = orjson.loads(dialect.edit(raw, as_parsed(body), Edits("other")))
        expected = as_parsed({**body, "model": "other"})
        edited.pop("messages", None), expected.pop("messages", None)
        assert edited == expected
