"""Schemas that dialects differ about."""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]

NOTHING = {"type": "object", "properties": {}}
LOOSE = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "x-unit": "m"}}}
"""No strict subset has its limits, nor an object that is open."""
CANNOT = {"type": "object", "properties": {"a": {"not": {}}, "b": {"$ref": "#/$defs/none"}}}


def deep(depth: int) -> Body:
    schema: Body = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return schema
