"""Arguments of tool calls: JSON text in one dialect, an object in another."""

from __future__ import annotations

import orjson

from pharos.core.wire import JsonObject

INVALID_JSON = "INVALID_JSON"
"""Key under which Anthropic's documentation has malformed arguments travel ("fine-grained tool streaming")."""


def to_object(text: str) -> JsonObject:
    """Arguments as an object. Text that is not one (cut off by the output limit) is wrapped, never repaired.

    No text at all means a call without arguments.
    """
    if not text.strip():
        return {}
    try:
        value = orjson.loads(text)
    except ValueError:
        return {INVALID_JSON: text}
    return value if isinstance(value, dict) else {INVALID_JSON: text}


def to_text(value: JsonObject) -> str:
    """The inverse of :func:`to_object`. Raises ``ValueError`` for an object too deep to be written."""
    if len(value) == 1 and isinstance(wrapped := value.get(INVALID_JSON), str):
        return wrapped
    return dump(value).decode()


def dump(value: object) -> bytes:
    """JSON bytes of ``value``. Raises ``ValueError`` where it cannot be written (nesting, numbers beyond 64 bits)."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise ValueError(f"cannot be written as JSON: {error}") from error


def is_writable(body: JsonObject) -> bool:
    """Whether any part of the body can be written again, a few levels deeper than it was: what parses can be nested
    four times deeper than what the serialiser takes."""
    try:
        orjson.dumps([[[[[[body]]]]]])
    except TypeError:
        return False
    return True


def is_whole(text: str) -> bool:
    """Whether ``text`` is a complete JSON object, to which nothing can be added."""
    if not text.rstrip().endswith("}"):
        return False
    try:
        return isinstance(orjson.loads(text), dict)
    except ValueError:
        return False
