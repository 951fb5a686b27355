"""The declared edits of a request's bytes: what is asked for changes, no other byte does."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.gateway.dialects.wire import CHAT, MESSAGES

from pharos.core.fault import Fault
from pharos.gateway.models.dialects.dialect import Dialect, Edits
from pharos.gateway.models.dialects.splice import edited, elements, members

BOTH = pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)

_KEYS = st.sampled_from(["model", "mod\\u0065l", "\\u006dodel", "a", "messages", 'm\\"odel', "Model", "", "é", "x\\\\"])
_SPACE = st.sampled_from(["", "", "", " ", "\n", "\t ", "\r\n"])
_SCALARS = st.sampled_from(
    ['"model"', '"\\"model\\":\\"x\\""', '"x"', "1", "-0.0", "1e400", "123456789012345678901234567890", "true", "null",
     '"\\\\"', '"{\\"model\\":"', '"漢\\u6f22"', '"}"']
)  # fmt: skip


def _object(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.tuples(_SPACE, _KEYS, _SPACE, _SPACE, values, _SPACE).map(
        lambda m: f'{m[0]}"{m[1]}"{m[2]}:{m[3]}{m[4]}{m[5]}'
    )
    return st.tuples(_SPACE, st.lists(member, max_size=5)).map(lambda o: "{" + (",".join(o[1]) or o[0]) + "}")


def _array(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    item = st.tuples(_SPACE, values, _SPACE).map("".join)
    return st.tuples(_SPACE, st.lists(item, max_size=4)).map(lambda a: "[" + (",".join(a[1]) or a[0]) + "]")


_VALUES = st.recursive(_SCALARS, lambda inner: _object(inner) | _array(inner), max_leaves=8)
_BODIES = st.tuples(_SPACE, _object(_VALUES), _SPACE).map("".join)

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[ \t\r\n]+|[^\s{}\[\],:"]+')


def reference(text: str, name: str) -> str:
    """The same edit by tokens: another way to find the same places."""
    depth, key, value, out = 0, "", False, []
    for token in _TOKEN.findall(text):
        if token in "{[":
            depth += 1
            if value and key == "model" and depth == 2:
                out.append(name)
        top = depth == 1 or (depth == 2 and token in "{[")
        inside = value and key == "model"
        if token in "}]":
            depth -= 1
        if depth == 1 and token == ":":
            value = True
            out.append(token)
        elif (depth == 1 and token == ",") or depth == 0:
            value, key = False, ""
            out.append(token)
        elif depth == 1 and not value and token.startswith('"'):
            key = json.loads(token)
            out.append(token)
        elif inside and top and not token.isspace() and token not in "{[}]":
            out.append(name)
        elif not inside or (top and token.isspace() and depth == 1):
            out.append(token)
    return "".join(out)


@given(_BODIES)
@example('{"a":{"model":"x"},"mod\\u0065l":"m"}')
@example('{"model":"a","model":"b"}')
@example('{"x":"\\"model\\":\\"m\\"","model":"m"}')
@example('{"a":"ends with \\"model","model":"model"}')
@example('{"model" : "model", "b":["model"]}')
@example('{"model": "model"}')
@example('{"a":"\\n","model": "model"}')
@example('{"model":\t"model","a":"\\u0020"}')
def test_only_the_top_level_model_changes(text: str) -> None:
    raw = text.encode()
    body = orjson.loads(raw) if "1e400" not in text else json.loads(text)
    if not any(member.key == "model" for member in members(text)):
        return
    assert edited(raw, body, {"model": b'"new"'}).decode() == reference(text, '"new"')


@BOTH
@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"model":"a","messages":[]}', b'{"model":"n/1","messages":[]}'),
        (b'{"messages":[{"model":"a"}],"model":"a"}', b'{"messages":[{"model":"a"}],"model":"n/1"}'),
        (b' {\n "model" :\t"a" , "messages":[1.10, 1E5]}\n', b' {\n "model" :\t"n/1" , "messages":[1.10, 1E5]}\n'),
        (b'{"mod\\u0065l":"a","messages":[]}', b'{"mod\\u0065l":"n/1","messages":[]}'),
        (b'{"model":"\\u0061","messages":[]}', b'{"model":"n/1","messages":[]}'),
        (
            b'{"model":"a","x":1,"model":"b","x":2,"messages":[]}',
            b'{"model":"n/1","x":1,"model":"n/1","x":2,"messages":[]}',
        ),
        (b'{"messages":["\\"model\\":\\"a\\""],"model":"a"}', b'{"messages":["\\"model\\":\\"a\\""],"model":"n/1"}'),
        (b'{"user":"say \\"model","model":"a","messages":[]}', b'{"user":"say \\"model","model":"n/1","messages":[]}'),
    ],
)
def test_every_other_byte_stays(dialect: Dialect, raw: bytes, expected: bytes) -> None:
    assert dialect.edit(raw, orjson.loads(raw), Edits("n/1")) == expected


def edit(dialect: Dialect, text: str, **edits: Any) -> str:
    raw = text.encode()
    return dialect.edit(raw, orjson.loads(raw), Edits("m2", **edits)).decode()


def test_usage_is_asked_for_only_in_the_stream_options() -> None:
    assert edit(CHAT, '{"model":"m","messages":[]}', ask_usage=True) == (
        '{"model":"m2","stream_options":{"include_usage":true},"messages":[]}'
    )
    assert edit(CHAT, '{"stream_options":null,"model":"m", "messages":[]}', ask_usage=True) == (
        '{"stream_options":{"include_usage":true},"model":"m2", "messages":[]}'
    )
    assert edit(
        CHAT, '{"stream_options": {"include_usage":false,"x":1}, "model":"m","messages":[]}', ask_usage=True
    ) == ('{"stream_options": {"include_usage":true,"x":1}, "model":"m2","messages":[]}')
    assert edit(MESSAGES, '{"model":"m","messages":[]}', ask_usage=True) == '{"model":"m2","messages":[]}'


@pytest.mark.parametrize(
    ("dialect", "model", "member"),
    [
        (CHAT, "gpt-6-astra", "max_completion_tokens"),
        (CHAT, "o3-mini", "max_completion_tokens"),
        (CHAT, "openai/gpt-5", "max_completion_tokens"),
        (CHAT, "deepseek-chat", "max_tokens"),
        (CHAT, "qwen-o1", "max_tokens"),
        (MESSAGES, "claude-x", "max_tokens"),
    ],
)
def test_h42_an_output_limit_is_set_by_the_name_the_model_knows(dialect: Dialect, model: str, member: str) -> None:
    raw = b'{"messages":[],"model":"m"}'
    found = dialect.edit(raw, orjson.loads(raw), Edits(model, max_output=7))
    assert found == b'{"messages":[],"model":"%b","%b":7}' % (model.encode(), member.encode())


def test_a_limit_that_stands_there_as_null_is_replaced_and_not_repeated() -> None:
    assert edit(CHAT, '{"model":"m","max_tokens":null,"messages":[]}', max_output=9) == (
        '{"model":"m2","max_tokens":9,"messages":[]}'
    )
    assert edit(MESSAGES, '{"max_tokens" : null,"model":"m","messages":[]}', max_output=9) == (
        '{"max_tokens" : 9,"model":"m2","messages":[]}'
    )


def test_a_model_name_is_written_as_json() -> None:
    raw = b'{"model":"m","messages":[]}'
    found = CHAT.edit(raw, orjson.loads(raw), Edits('quote " and \\ and é'))
    assert orjson.loads(found)["model"] == 'quote " and \\ and é'


@BOTH
def test_a_body_nested_too_deep_for_the_scanner_is_refused(dialect: Dialect) -> None:
    # How deep the scanner can go differs from one Python to the next; this is beyond all of them.
    raw = b'{"mod\\u0065l":"m","messages":[' + b"[" * 200_000 + b"]" * 200_000 + b"]}"
    with pytest.raises(Fault, match="INVALID"):
        dialect.edit(raw, {"model": "m", "messages": [[]]}, Edits("x"))


def test_h16_reasoning_of_another_dialect_is_taken_out_of_a_messages_body() -> None:
    mine = '{"type":"thinking","thinking":"t","signature":"SIG"}'
    foreign = '{"type":"thinking","thinking":"u","signature":"pharos:openai-chat/deepseek:!"}'
    # Other servers of the dialect sign nothing and want theirs back.
    unsigned = '{"type":"thinking","thinking":"v","signature":""}'
    opaque = '{"type":"redacted_thinking","data":"pharos:gemini/pro:xyz"}'
    text = '{"type":"text","text":"a"}'
    body = (
        f'{{"messages":[ {{"role":"assistant","content":[{foreign},{mine},{unsigned},{opaque},{text}]}} ,'
        f'{{"role":"user", "content":"x"}},{{"role":"assistant","content":[{foreign}]}}],"model":"m"}}'
    )
    assert edit(MESSAGES, body) == (
        f'{{"messages":[ {{"role":"assistant","content":[{mine},{unsigned},{text}]}} ,'
        '{"role":"user", "content":"x"},{"role":"assistant","content":[{"type":"text","text":"-"}]}],"model":"m2"}'
    )


def test_h16_reasoning_of_another_dialect_is_taken_out_of_a_chat_body() -> None:
    ours = '[{"type":"reasoning.text","text":"t","signature":"S","format":"pharos:anthropic/claude","index":0}]'
    theirs = '[{"type":"reasoning.text","text":"t","format":"some-router-v1"}]'
    body = (
        f'{{"model":"m","messages":[{{"role":"assistant","content":"a","reasoning_content":"t","reasoning_details":{ours}}}'
        f', {{"role":"assistant","content":"b", "reasoning_content":"t","reasoning_details":{theirs}}}]}}'
    )
    assert edit(CHAT, body) == (
        '{"model":"m2","messages":[{"role":"assistant","content":"a"}'
        f', {{"role":"assistant","content":"b", "reasoning_content":"t","reasoning_details":{theirs}}}]}}'
    )


def test_the_scanner_refuses_what_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"no \{"):
        list(members("[]"))
    with pytest.raises(ValueError, match=r"no \["):
        list(elements("{}", 0))
