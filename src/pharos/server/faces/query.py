"""Reads over GET: a query string becomes an operation's input, by the input's own schema.

Scalars are written plainly (``limit=10``, ``dead=true``), lists by repetition (``kind=Model&kind=Key``), maps in the
deep-object style of OpenAPI (``labels[team]=a``); anything can also be given as JSON (``labels={"team":"a"}``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from pharos.core.fault import INVALID, Problem
from pharos.core.wire import Json, JsonObject
from pharos.server.faces.schema import Schema

_MAX_PARAMETERS = 1000


def parameters(query: bytes) -> list[tuple[str, str]]:
    """The decoded parameters of a query string. Raises ``INVALID`` where there are too many or they are no UTF-8."""
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:  # also UnicodeDecodeError
        raise INVALID("The query string cannot be read.") from error


def arguments(query: list[tuple[str, str]], schema: Schema) -> JsonObject:
    """The input that ``query`` means under ``schema``.

    What the schema does not know is passed on as it is, so that one place, the operation's own validation, says what is
    wrong with it.
    """
    known: Mapping[str, Schema] = schema.get("properties", {})
    found: JsonObject = {}
    for name, value in query:
        base, bracket, rest = name.partition("[")
        if bracket and rest.endswith("]") and base in known:
            entries = found.setdefault(base, {})
            if not isinstance(entries, dict):
                raise _twice(base)
            entries[rest[:-1]] = value
        elif name in known and "array" in (types := _types(known[name], schema)):
            items = found.setdefault(name, [])
            given = _json(value) if value.startswith("[") else _scalar(value, _item_types(known[name], schema))
            if isinstance(items, list):
                items.extend(given if isinstance(given, list) else [given])
        elif name in found:
            raise _twice(name)
        else:
            types = _types(known[name], schema) if name in known else frozenset({"string"})
            found[name] = _scalar(value, types)
    return found


def _twice(name: str) -> Exception:
    return INVALID(problems=[Problem(pointer=f"/{name}", message="given more than once, but it is not a list")])


def _scalar(value: str, types: frozenset[str]) -> Json:
    """Text where text is accepted, otherwise the JSON it spells, otherwise text again, for validation to refuse."""
    return value if "string" in types else _json(value)


def _json(value: str) -> Json:
    try:
        parsed: Json = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    return parsed


def _types(schema: Schema, root: Schema) -> frozenset[str]:
    """The JSON types a schema accepts, through references and alternatives."""
    schema = _resolve(schema, root)
    if "anyOf" in schema or "oneOf" in schema:
        options: list[Schema] = schema.get("anyOf") or schema["oneOf"]
        return frozenset().union(*(_types(option, root) for option in options))
    if "enum" in schema or "const" in schema:
        values: list[Any] = schema.get("enum") or [schema["const"]]
        return frozenset({"string"}) if any(isinstance(value, str) for value in values) else frozenset()
    kind = schema.get("type")
    return frozenset({kind} if isinstance(kind, str) else kind or ())


def _item_types(schema: Schema, root: Schema) -> frozenset[str]:
    schema = _resolve(schema, root)
    for option in (schema, *schema.get("anyOf", ())):
        if "items" in (option := _resolve(option, root)):
            return _types(option["items"], root)
    return frozenset()


def _resolve(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema
