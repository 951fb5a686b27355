"""Names, ids and marks that travel through another dialect and come back; readings that stay bounded."""

from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.dialects.wire import CHAT, MESSAGES, chat_body, chat_stream, events, messages_body

from pharos.core.fault import Fault
from pharos.gateway.models.dialects import arguments, naming, parts
from pharos.gateway.models.dialects.canonical import Answer, Finish, Text
from pharos.gateway.models.dialects.dialect import Edits
from pharos.gateway.models.dialects.reading import MAX_PROBLEMS

_TEXT = st.text(max_size=80)


@given(_TEXT, _TEXT)
def test_h13_legal_names_are_legal_stable_and_distinct(one: str, other: str) -> None:
    for limit in (40, 64):
        assert re.fullmatch(rf"[a-zA-Z0-9_-]{{1,{limit}}}", naming.legal(one, limit))
        assert naming.legal(naming.legal(one, limit), limit) == naming.legal(one, limit)
        assert one == other or naming.legal(one, limit) != naming.legal(other, limit)


@given(_TEXT)
def test_h13_ids_come_back(identity: str) -> None:
    spelled = naming.legal_id(identity)
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", spelled)
    if not identity.startswith("pharos_id_"):
        assert naming.plain_id(spelled) == identity
    assert isinstance(naming.plain_id("pharos_id_" + identity), str)


@given(st.text(alphabet="abz019-./:", max_size=20), st.text(alphabet="azAZ09+/=", max_size=20))
def test_h14_marks_come_back(model: str, signature: str) -> None:
    origin = naming.origin_of("openai-chat", model)
    mark = naming.marked(origin, signature)
    assert naming.is_marked(mark)
    assert naming.unmarked(mark) == (origin, signature)
    assert naming.unmarked(signature) == ("", signature)


@given(st.text(max_size=40))
def test_h02_arguments_become_an_object_and_come_back(text: str) -> None:
    value = arguments.to_object(text)
    assert isinstance(value, dict)
    back = arguments.to_text(value)
    if value and list(value) == [arguments.INVALID_JSON]:
        assert back == text
    else:
        assert orjson.loads(back) == value


@given(st.text(max_size=40))
def test_any_text_may_stand_where_a_data_uri_may(text: str) -> None:
    found = parts.data_uri("data:" + text)
    assert found is None or parts.as_data_uri(*found).startswith("data:")


def test_a_thousand_wrong_messages_are_refused_with_the_first_of_them() -> None:
    for dialect in (CHAT, MESSAGES):
        for read in (dialect.ask, dialect.read_request):
            with pytest.raises(Fault) as caught:
                read({"model": "m", "messages": [1] * 1000})
            assert len(caught.value.document.problems) == MAX_PROBLEMS


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)
def test_what_parses_and_cannot_be_written_again_is_refused(dialect: object) -> None:
    deep = orjson.loads(b'{"a":' * 600 + b"1" + b"}" * 600)
    body = chat_body(tools=[{"function": {"name": "f", "parameters": deep}}])
    if dialect is MESSAGES:
        body = messages_body(tools=[{"name": "f", "input_schema": deep}])
    target, source = (MESSAGES, CHAT) if dialect is CHAT else (CHAT, MESSAGES)
    with pytest.raises(Fault, match="too deeply"):
        target.write_request(source.read_request(body), "m", 10)


def test_an_edit_that_would_write_too_deep_a_member_is_refused() -> None:
    deep = '{"a":' * 300 + "1" + "}" * 300
    raw = f'{{"model":"m","messages":[],"stream_options":{deep}}}'.encode()
    with pytest.raises(Fault, match="too deeply"):
        CHAT.edit(raw, orjson.loads(raw), Edits("x", ask_usage=True))
    ours = '"reasoning_details":[{"format":"pharos:anthropic/m"}]'
    raw = f'{{"model":"m","messages":[{{"role":"assistant",{ours},"x":{deep}}}]}}'.encode()
    with pytest.raises(Fault, match="too deeply"):
        CHAT.edit(raw, orjson.loads(raw), Edits("x"))


def test_an_answer_without_an_id_gets_one_of_its_own() -> None:
    nameless = Answer("", "m", (Text("x"),), Finish.STOP, {"input": 1, "output": 1})
    for dialect in (CHAT, MESSAGES):
        ids = {str(dialect.write_answer(nameless, "alias")["id"]) for _ in range(3)}
        assert len(ids) == 3
    call = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}
    stream = chat_stream(call).replace(b'"chatcmpl-1"', b'""')
    ids = {
        event.id for _ in range(3) for event in events(CHAT.reader(), stream) if getattr(event, "kind", "") == "tool"
    }
    assert len(ids) == 3
