"""What an answer of OpenAI's API must look like, whatever was asked: the checks of ``fuzz_openai.py``.

Each check returns what it found as sentences; none raises. The description of the API is the caller's, none is here.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import jsonschema
from schemathesis.core.transport import Response

JSON = "application/json"
EVENTS = "text/event-stream"

_ENDS = {"response.completed", "response.incomplete", "response.failed", "error"}
"""Events after which a stream of responses is over; one of chat completions ends with ``[DONE]`` or an error."""


class Contract:
    """What one operation may answer with success: schemas of the description, by media type.

    The description is stricter than the service in three places, which its SDKs know: null stands for what is only
    called optional, ``nullable`` is still written as in OpenAPI 3.0, and embeddings asked for in base64 are texts.
    """

    def __init__(self, description: Mapping[str, Any], path: str, method: str) -> None:
        content = description["paths"][path][method].get("responses", {}).get("200", {}).get("content", {})
        components = description.get("components", {})
        self._validators = {
            kind: jsonschema.Draft202012Validator(_forgiving({**media["schema"], "components": components}))
            for kind, media in content.items()
            if "schema" in media
        }

    def violations(self, kind: str, value: Any) -> Iterator[str]:
        """The one violation that says most."""
        validator = self._validators.get(kind)
        if validator is not None and (error := jsonschema.exceptions.best_match(validator.iter_errors(value))):
            place = "/".join(map(str, error.absolute_path))
            yield f"not as described: /{place}: {error.message[:300]}"


def _forgiving(schema: Any) -> Any:
    """The schema, in which members that may be absent may be null."""
    if isinstance(schema, list):
        return [_forgiving(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    forgiving = {name: _forgiving(item) for name, item in schema.items()}
    if forgiving.pop("nullable", False) is True:
        return {"anyOf": [forgiving, {"type": "null"}]}
    members = forgiving.get("properties")
    if isinstance(members, dict) and isinstance(needed := schema.get("required", []), list):
        forgiving["properties"] = {
            name: item if name in needed else {"anyOf": [item, {"type": "null"}]} for name, item in members.items()
        }
    return forgiving


def found(response: Response, contract: Contract, broken: bool) -> Iterator[str]:
    """Everything that is wrong with one answer. ``broken``: the body was no JSON."""
    kind = (response.headers.get("content-type") or [""])[0].partition(";")[0].strip()
    if response.status_code >= 500:
        yield f"status {response.status_code}: {_code(response)}"
    elif broken and response.status_code < 400:
        yield f"status {response.status_code} for a body that is not JSON"
    if response.status_code >= 400:
        if kind != JSON:
            yield f"an error of type {kind or 'nothing'!r}"
        yield from error_shape(_parsed(response.content))
    elif kind == EVENTS:
        yield from _stream(response.content, contract)
    elif kind != JSON:
        yield f"an answer of type {kind or 'nothing'!r}"
    else:
        yield from contract.violations(JSON, _unpacked(_parsed(response.content)))


def error_shape(body: Any) -> Iterator[str]:
    """``{"error": {"message", "type", "param", "code"}}``: texts, where ``param`` and ``code`` may be null."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        yield "an error without the object 'error'"
        return
    for name in ("message", "type"):
        if not isinstance(error.get(name), str) or not error[name]:
            yield f"an error whose {name!r} is not a text"
    for name in ("param", "code"):
        if name not in error or not isinstance(error[name], str | None):
            yield f"an error whose {name!r} is neither a text nor null"


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _unpacked(body: Any) -> Any:
    """An answer of embeddings, with those in base64 as lists of numbers."""
    items = body.get("data") if isinstance(body, dict) else None
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(packed := item.get("embedding"), str):
            with suppress(ValueError, struct.error):
                data = base64.b64decode(packed, validate=True)
                item["embedding"] = list(struct.unpack(f"<{len(data) // 4}f", data))
    return body


def _code(response: Response) -> str:
    """The fault's code and words, or what stands in their place."""
    body = _parsed(response.content)
    fault = body.get("pharos") if isinstance(body, dict) else None
    if not isinstance(fault, dict):
        return response.content[:200].decode(errors="replace")
    return f"{fault.get('code')} {fault.get('detail', '')}"


def _stream(content: bytes, contract: Contract) -> Iterator[str]:
    """Every event is JSON and one of those described, and the last one ends the stream."""
    ended = False
    for frame in content.replace(b"\r\n", b"\n").split(b"\n\n"):
        data = b"\n".join(line[5:].lstrip() for line in frame.split(b"\n") if line.startswith(b"data:"))
        if not data:
            continue  # a comment, which keeps the connection alive
        if ended:
            yield "an event after the end of the stream"
            return
        if data == b"[DONE]":
            ended = True
            continue
        event = _parsed(data)
        if not isinstance(event, dict):
            yield "an event that is not a JSON object"
            continue
        if "error" in event and "type" not in event:
            ended = True
            yield from error_shape(event)
            continue
        ended = event.get("type") in _ENDS
        for violation in contract.violations(EVENTS, event):
            yield f"an event {event.get('type', '')!r} {violation}"
    if not ended:
        yield "a stream without an end"
