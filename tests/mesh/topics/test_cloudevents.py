"""CloudEvents 1.0: what comes in on one form goes out on any."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from pharos.core.event import Recorded
from pharos.core.fault import Fault
from pharos.core.wire import JsonObject
from pharos.mesh.topics import cloudevents
from pharos.mesh.topics.messages import NewMessage, envelope_of, event_of, message_of
from pharos.mesh.topics.names import Place

EVENT: dict[str, Any] = {
    "specversion": "1.0", "id": "7", "source": "/shop", "type": "order.placed", "subject": "o-7",
    "time": "2026-11-21T12:00:00Z", "datacontenttype": "application/json", "comexample": "x", "data": {"n": 1},
}  # fmt: skip


def structured(event: object) -> JsonObject:
    body = orjson.dumps(event)
    return cloudevents.read_request({"content-type": "application/cloudevents+json; charset=utf-8"}, body)[0]


def read(message: JsonObject) -> JsonObject:
    """As a reader would get it."""
    return {**message, "position": "p", "sequence": 1}


def test_structured_mode() -> None:
    assert structured(EVENT) == {
        "id": "7", "source": "/shop", "type": "order.placed", "subject": "o-7", "time": "2026-11-21T12:00:00Z",
        "contentType": "application/json", "extensions": {"comexample": "x"}, "data": {"n": 1},
    }  # fmt: skip


def test_binary_mode() -> None:
    headers = {
        "ce-specversion": "1.0", "ce-id": "7", "ce-source": "/shop", "ce-type": "order.placed", "ce-comexample": "x",
        "ce-subject": "Euro%20%E2%82%AC%20%F0%9F%98%80", "content-type": "application/json",
    }  # fmt: skip
    (message,) = cloudevents.read_request(headers, b'{"n":1}')
    assert message["subject"] == "Euro € 😀"  # the example of the HTTP binding, section 3.1.3.2
    assert message["data"] == {"n": 1}
    assert message["contentType"] == "application/json"
    assert message["extensions"] == {"comexample": "x"}


def test_quoted_header_values_are_unquoted() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": '"a\\"b"', "ce-source": "/s", "ce-type": "t"}
    assert cloudevents.read_request(headers, b"")[0]["id"] == 'a"b'


def test_binary_mode_carries_bytes_and_text() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}
    (image,) = cloudevents.read_request({**headers, "content-type": "image/png"}, b"\x89PNG")
    assert base64.b64decode(str(image["dataBase64"])) == b"\x89PNG"
    (text,) = cloudevents.read_request({**headers, "content-type": "text/plain"}, "grüße".encode())
    assert text["data"] == "grüße"
    out, body, media_type = cloudevents.binary(read(text))
    assert (body, media_type) == ("grüße".encode(), "text/plain")
    assert (b"ce-id", b"1") in out
    assert cloudevents.binary(read(image))[1:] == (b"\x89PNG", "image/png")


def test_batched_mode() -> None:
    headers = {"content-type": "application/cloudevents-batch+json"}
    assert cloudevents.read_request(headers, b"[]") == []
    both = cloudevents.read_request(headers, orjson.dumps([EVENT, {**EVENT, "id": "8"}]))
    assert [message["id"] for message in both] == ["7", "8"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"id": ""}, "/id"), ({"source": None}, "/source"), ({"type": 1}, "/type"),
        ({"specversion": "0.3"}, "/specversion"),
        ({"Bad": 1}, "/Bad"), ({"data_base64": "AA=="}, "/data_base64"),
        ({"data": None, "data_base64": "*"}, "/data_base64"),
    ],
)  # fmt: skip
def test_wrong_events_are_refused_where_they_are_wrong(change: dict[str, object], pointer: str) -> None:
    with pytest.raises(Fault) as refused:
        structured({**EVENT, **change})
    assert refused.value.code == "INVALID"
    assert refused.value.document.pointer == pointer


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "application/json"}, {"content-type": "application/cloudevents+avro"}],
)
def test_what_is_no_cloudevent_is_415(headers: dict[str, str]) -> None:
    with pytest.raises(Fault) as refused:
        cloudevents.read_request(headers, b"{}")
    assert (refused.value.code, refused.value.status) == ("NOT_A_CLOUDEVENT", 415)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=6,
)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
    lambda text: text == text.strip()
)


MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "data": JSON, "type": TEXT, "id": TEXT, "source": TEXT, "subject": TEXT, "dataSchema": TEXT,
        "contentType": st.one_of(st.sampled_from(["application/json", "text/plain", "a/b+json; x=1"]), TEXT),
        "dataBase64": st.one_of(st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode()), st.text()),
        "time": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        "extensions": st.dictionaries(
            st.text("abcxyz019", min_size=1, max_size=20), TEXT | st.booleans() | st.integers()
        ),
    },
)  # fmt: skip


@example({"data": 2**64})
@example({"extensions": {"a": 2**31}})
@given(MESSAGES)
def test_whatever_can_be_published_can_be_read_in_any_form(given_message: dict[str, Any]) -> None:
    try:
        message = NewMessage.model_validate(given_message)
    except ValidationError:
        return
    try:
        envelope = envelope_of(message)
    except Fault as fault:
        assert fault.code == "INVALID"
        return
    event = event_of(Place("default", "t"), envelope, datetime.now(UTC), subject=message.subject or "")
    read = message_of(Recorded(event, "p", 1)).to_json()
    for name, value in message.to_json().items():
        if name != "key" and value not in ({}, None):
            assert read[name] == value
    orjson.loads(cloudevents.structured(read))
    headers, body, media_type = cloudevents.binary(read)
    assert all(b"\n" not in name + value and b"\r" not in name + value for name, value in headers)
    assert media_type.isascii() and media_type.isprintable() and isinstance(body, bytes)


@given(id=TEXT, source=TEXT, type=TEXT, data=JSON, extension=TEXT, number=st.integers(-(2**31), 2**31 - 1))
def test_an_event_survives_any_form(id: str, source: str, type: str, data: object, extension: str, number: int) -> None:
    event = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": type,
        "data": data,
        "ext1": extension,
        "n": number,
    }
    message = structured(event)
    NewMessage.model_validate(message)
    again = orjson.loads(cloudevents.structured(read(message)))
    assert {name: value for name, value in again.items() if name not in ("pharosposition", "pharossequence")} == event
    headers, body, media_type = cloudevents.binary(read(message))
    lower = {name.decode(): value.decode("ascii") for name, value in headers}
    (back,) = cloudevents.read_request({**lower, "content-type": media_type}, body)
    assert (back["id"], back["source"], back["type"], back.get("data")) == (id, source, type, data)
    # Headers have no types: a number comes back as its text (CloudEvents 1.0.2, section 3.4).
    assert back["extensions"] == {"ext1": extension, "n": str(number)}
