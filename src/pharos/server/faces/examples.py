"""A small valid value for a JSON Schema: the examples in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pharos.server.faces.schema import Schema

_BY_FORMAT = {"date-time": "2026-11-21T12:00:00Z", "uuid": "019aa5c0-0000-7000-8000-000000000000"}
_DEEPEST = 6


def example_of(schema: Schema, definitions: Schema, depth: int = 0) -> Any:
    """An example: what the schema itself gives (``examples``, ``const``, ``enum``), otherwise its required parts."""
    if "$ref" in schema:
        return example_of(definitions[schema["$ref"].rpartition("/")[2]], definitions, depth)
    for given in (schema.get("examples"), schema.get("enum")):
        if given:
            return given[0]
    if "const" in schema:
        return schema["const"]
    for options in (schema.get("anyOf"), schema.get("oneOf"), schema.get("allOf")):
        if options:
            return example_of(options[0], definitions, depth + 1)
    match schema.get("type"):
        case "object":
            required = schema.get("required", ()) if depth < _DEEPEST else ()
            members = schema.get("properties", {})
            return {name: example_of(members.get(name, {}), definitions, depth + 1) for name in required}
        case "array":
            return [example_of(schema.get("items", {}), definitions, depth + 1)] if schema.get("minItems") else []
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return False
        case "null":
            return None
    return _BY_FORMAT.get(schema.get("format", ""), "example")
