"""CloudEvents 1.0 over HTTP: from their forms on the wire to messages and back.

Structured mode is the JSON format in a body of its own media type, batched mode an array of those, binary mode the data
as the body and the attributes in ``ce-`` headers (CloudEvents 1.0.2: JSON format, HTTP protocol binding). What the city
adds when a message is read are the extensions ``pharosposition`` and ``pharossequence``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Final, cast
from urllib.parse import unquote

import orjson

from pharos.core.fault import INVALID, Fault, Problem
from pharos.core.wire import Json, JsonObject
from pharos.mesh.topics.faults import NOT_A_CLOUDEVENT
from pharos.mesh.topics.messages import ATTRIBUTES

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
JSON: Final = "application/json"

POSITION: Final = "pharosposition"
SEQUENCE: Final = "pharossequence"

_OWN: Final = frozenset({POSITION, SEQUENCE})
_MEMBERS: Final = {
    "id": "id",
    "source": "source",
    "type": "type",
    "subject": "subject",
    "time": "time",
    "datacontenttype": "contentType",
    "dataschema": "dataSchema",
}
"""Attributes and the members of a message they become."""

_REQUIRED: Final = ("specversion", "id", "source", "type")
_EXTENSION = re.compile(r"[a-z0-9]{1,20}")
_JSON_TYPE = re.compile(r"[^/]+/(?:[^;]+\+)?json\s*(?:;|$)", re.IGNORECASE)
_PLAIN = re.compile(r"[^\x21-\x7e]|[\"%]")


def read_request(headers: Mapping[str, str], body: bytes) -> list[JsonObject]:
    """The messages of a request, as input of ``topics.publish``. Raises ``NOT_A_CLOUDEVENT`` and ``INVALID``.

    ``headers`` by their names in lower case.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == STRUCTURED:
        return [_structured(_json(body, "a JSON object"), "")]
    if media_type == BATCH:
        events = _json(body, "a JSON array")
        if not isinstance(events, list):
            raise INVALID("A batch is a JSON array of events.", pointer="")
        return [_structured(event, f"/{number}") for number, event in enumerate(events)]
    if media_type.startswith("application/cloudevents"):
        raise NOT_A_CLOUDEVENT(f"Of the formats of CloudEvents only JSON is understood, not {media_type[:100]}.")
    if "ce-specversion" in headers:
        return [_binary(headers, body)]
    raise NOT_A_CLOUDEVENT()


def _json(body: bytes, what: str) -> Json:
    try:
        value: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise INVALID(f"The body is not JSON; it must be {what}.", pointer="") from None
    return value


def _structured(event: Json, pointer: str) -> JsonObject:
    if not isinstance(event, dict):
        raise INVALID("An event is a JSON object.", pointer=pointer)
    # A member that is null is as good as absent (JSON format, section 2.2).
    given = {name: value for name, value in event.items() if value is not None or name == "data"}
    data = {name: given.pop(name) for name in ("data", "data_base64") if name in given}
    message = _message(given, pointer)
    if "data_base64" in data:
        if data.get("data") is not None:
            raise INVALID("Give data or data_base64, not both.", pointer=f"{pointer}/data_base64")
        message["dataBase64"] = _base64(data["data_base64"], f"{pointer}/data_base64")
    elif "data" in data:
        message["data"] = data["data"]
    return message


def _binary(headers: Mapping[str, str], body: bytes) -> JsonObject:
    attributes: dict[str, Json] = {
        name[3:]: _decoded(value) for name, value in headers.items() if name.startswith("ce-")
    }
    content_type = headers.get("content-type")
    attributes.pop("datacontenttype", None)
    if content_type:
        attributes["datacontenttype"] = content_type
    message = _message(attributes, "")
    if not body:
        return message
    if content_type and _JSON_TYPE.match(content_type):
        message["data"] = _json(body, "JSON, as its content type says")
    elif content_type and content_type.lower().startswith("text/") and (text := _text(body)) is not None:
        message["data"] = text
    else:
        message["dataBase64"] = base64.b64encode(body).decode()
    return message


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _message(attributes: Mapping[str, Json], pointer: str) -> JsonObject:
    """The attributes as members of a message."""
    problems = [
        Problem(pointer=f"{pointer}/{name}", message="is required, and is a text that is not empty")
        for name in _REQUIRED
        if not isinstance(attributes.get(name), str) or not attributes[name]
    ]
    if not problems and attributes["specversion"] != "1.0":
        problems.append(Problem(pointer=f"{pointer}/specversion", message="must be 1.0", suggestion="1.0"))
    message: JsonObject = {}
    extensions: JsonObject = {}
    for name, value in attributes.items():
        if name in _MEMBERS:
            message[_MEMBERS[name]] = value
        elif name != "specversion" and name not in _OWN:
            if _EXTENSION.fullmatch(name) is None or name in ATTRIBUTES:
                wrong = "is not the name of an extension: lower-case letters and digits, at most 20"
                problems.append(Problem(pointer=f"{pointer}/{name[:64]}", message=wrong))
            extensions[name] = value
    if problems:
        raise _invalid(problems)
    if extensions:
        message["extensions"] = extensions
    return message


def _invalid(problems: list[Problem]) -> Fault:
    return INVALID(
        f"Not a CloudEvent 1.0: {problems[0].pointer} {problems[0].message}.",
        problems=problems,
        pointer=problems[0].pointer,
    )


def _base64(value: Json, pointer: str) -> str:
    try:
        return base64.b64encode(base64.b64decode(str(value), validate=True)).decode()
    except (binascii.Error, ValueError):
        raise INVALID("data_base64 is not base64 (RFC 4648, section 4).", pointer=pointer) from None


def _decoded(value: str) -> str:
    """A header's value as the attribute it stands for (HTTP binding, section 3.1.3.2): first unquoted, then decoded."""
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return unquote(value, errors="replace")


def _encoded(value: str) -> str:
    """An attribute as a header's value: what is no visible ASCII character, quotes and percent signs become ``%XX``."""
    return _PLAIN.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), value)


def event_of(message: JsonObject) -> JsonObject:
    """A message, as ``topics.read`` answers it, in the JSON format."""
    event: JsonObject = {"specversion": "1.0"}
    for name, member in _MEMBERS.items():
        if member in message:
            event[name] = message[member]
    event.update(cast("JsonObject", message.get("extensions", {})))
    if "traceparent" in message:
        event.setdefault("traceparent", message["traceparent"])
    event[POSITION], event[SEQUENCE] = message["position"], message["sequence"]
    if "dataBase64" in message:
        event["data_base64"] = message["dataBase64"]
    elif "data" in message:
        event["data"] = message["data"]
    return event


def structured(message: JsonObject) -> bytes:
    """A message in structured mode."""
    return orjson.dumps(event_of(message))


def batch(messages: Iterable[JsonObject]) -> bytes:
    """Messages in batched mode."""
    return orjson.dumps([event_of(message) for message in messages])


def binary(message: JsonObject) -> tuple[list[tuple[bytes, bytes]], bytes, str]:
    """A message in binary mode: headers, body, and the media type of the body (``""``: it has none)."""
    event = event_of(message)
    data, encoded = event.pop("data", None), event.pop("data_base64", None)
    content_type = event.pop("datacontenttype", None)
    headers = [(f"ce-{name}".encode(), _encoded(_canonical(value)).encode()) for name, value in event.items()]
    if encoded is not None:
        return headers, base64.b64decode(str(encoded)), str(content_type or "")
    if "data" not in message:
        return headers, b"", str(content_type or "")
    if isinstance(data, str) and content_type is not None and not _JSON_TYPE.match(str(content_type)):
        return headers, data.encode(), str(content_type)
    return headers, orjson.dumps(data), str(content_type or JSON)


def _canonical(value: Json) -> str:
    """The text form of an attribute (CloudEvents 1.0.2, section 3.4)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
