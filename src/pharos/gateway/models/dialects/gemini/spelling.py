"""The two spellings of every member: ``maxOutputTokens`` and ``max_output_tokens``.

The service reads both (protobuf's JSON form: the lower camel case name, or the name in the definition). So must we, or
a limit in the other spelling would not count. A member that stands in both is refused: which one counts would be the
provider's choice. Pointers always name the first spelling.
"""

from __future__ import annotations

import re
from functools import cache

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.reading import Reading, pointer

_CAPITAL = re.compile(r"[A-Z]")
_UNDERSCORE = re.compile(r"_([a-z0-9])")

_FREE = frozenset({
    "args", "response", "parametersJsonSchema", "responseJsonSchema", "responseSchemaJson", "labels", "partMetadata",
    "enum", "default", "example", "required", "propertyOrdering", "_responseJsonSchema",
})  # fmt: skip
"""Members whose content is the client's own, to be left as it is."""


@cache
def snake(name: str) -> str:
    """``maxOutputTokens`` as ``max_output_tokens``."""
    return _CAPITAL.sub(lambda found: f"_{found[0].lower()}", name)


def camel(name: str) -> str:
    """The inverse of :func:`snake`."""
    return _UNDERSCORE.sub(lambda found: found[1].upper(), name) if "_" in name[1:] else name


def spelled(holder: JsonObject, name: str) -> str:
    """The spelling in which a member is there; the first one if it is not there."""
    other = snake(name)
    return other if other != name and other in holder and name not in holder else name


def member(holder: JsonObject, name: str, reading: Reading, at: str = "") -> Json:
    """A member, however it is spelled."""
    other = snake(name)
    if other == name or other not in holder:
        return holder.get(name)
    if name in holder:
        reading.wrong(pointer(at, name), f"stands there twice, also as {other}")
    return holder[other]


def normal(value: Json, reading: Reading, at: str = "", *, names: bool = True) -> Json:
    """The value with every member in the first spelling. ``names``: its own members are the dialect's."""
    if isinstance(value, list):
        return [normal(item, reading, pointer(at, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    result: JsonObject = {}
    for key, inner in value.items():
        name = camel(key) if names else key
        here = pointer(at, name)
        if name in result:
            reading.wrong(here, "stands there twice, in two spellings")
        free = names and name in _FREE
        result[name] = inner if free else normal(inner, reading, here, names=not (names and name in _MAPS))
    return result


_MAPS = frozenset({"properties", "defs", "$defs"})
"""Members whose keys are the client's own and whose values are the dialect's."""
