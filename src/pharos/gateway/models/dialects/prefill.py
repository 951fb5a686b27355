"""Putting the beginning of an answer behind the messages of a request, byte for byte around it."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.dialects.splice import edited, members, replaced


def with_message(raw: bytes, name: str, message: JsonObject) -> bytes:
    """``raw``, a request whose messages stand in the array ``name``, which is not empty, with one message more.

    Raises ``ValueError`` where it has none.
    """
    text = raw.decode()
    # Of a key that is there twice the last counts, as it does for who parsed it.
    spans = [member for member in members(text) if member.key == name]
    if not spans or text[spans[-1].end - 1] != "]":
        raise ValueError(f"no {name}")
    last = spans[-1].end - 1
    return replaced(text, [(last, last, f",{dump(message).decode()}")]).encode()


def with_values(raw: bytes, body: JsonObject, values: Mapping[str, Json]) -> bytes:
    """``raw``, which parses to ``body``, with these top-level members."""
    if not values:
        return raw
    return edited(raw, body, {"model": orjson.dumps(body["model"]), **{k: orjson.dumps(v) for k, v in values.items()}})
