"""JSON Schemas of structured answers and strict tools, between two providers' subsets.

OpenAI's strict mode wants every object closed (``additionalProperties: false``) with all its properties required.
Anthropic's structured outputs want every object closed, know no recursion and no numeric or length limits. What only
narrows a value moves into the description, where the model reads it; what changes the shape of a value is refused with
its path. Sources: the two vendors' guides to structured outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.dialects.reading import pointer

MAX_DEPTH = 64
"""Levels of nesting beyond which a schema is refused."""

_KEPT = frozenset({
    "type", "title", "description", "enum", "const", "default", "required", "properties", "items", "anyOf", "allOf",
    "$ref", "$defs", "definitions", "additionalProperties", "format", "minItems",
})  # fmt: skip
_SHAPING = frozenset({
    "not", "if", "then", "else", "patternProperties", "propertyNames", "unevaluatedProperties", "dependentSchemas",
    "dependentRequired", "dependencies", "prefixItems", "additionalItems", "contains", "unevaluatedItems",
    "$dynamicRef", "$recursiveRef",
})  # fmt: skip
_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "$anchor", "examples", "deprecated", "readOnly", "writeOnly"})
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_DEFINITIONS = ("$defs", "definitions")


class UnsupportedSchema(ValueError):
    """A schema that the provider cannot be held to. ``at`` is the pointer of the part."""

    def __init__(self, at: str, message: str) -> None:
        super().__init__(f"{at}: {message}")
        self.at = at
        self.message = message


def is_strict_for_openai(schema: Json, depth: int = 0) -> bool:
    """Whether OpenAI's strict mode accepts the objects of the schema."""
    if depth > MAX_DEPTH:
        return False
    if isinstance(schema, list):
        return all(is_strict_for_openai(part, depth + 1) for part in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if _is_object(schema):
        named = set(properties) if isinstance(properties, dict) else set()
        required = schema.get("required")
        all_required = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        if schema.get("additionalProperties") is not False or named != all_required:
            return False
    return all(
        is_strict_for_openai(_schemas(key, part), depth + 1)
        for key, part in schema.items()
        if key not in ("enum", "const", "default", "required")
    )


def _is_object(schema: JsonObject) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def _schemas(key: str, value: Json) -> Json:
    """The schemas under a keyword: those of ``properties`` and of definitions stand under names."""
    return list(value.values()) if key in ("properties", *_DEFINITIONS) and isinstance(value, dict) else value


def for_anthropic(schema: JsonObject, at: str) -> tuple[JsonObject, list[str]]:
    """The schema in Anthropic's subset, and the pointers of what changed. Raises :class:`UnsupportedSchema`."""
    converted: list[str] = []
    whole = _Converter(schema, converted).convert(schema, at, 0)
    return whole, converted


class _Converter:
    def __init__(self, root: JsonObject, converted: list[str]) -> None:
        self.root = root
        self.converted = converted
        self._refs: list[str] = []
        self._checked: set[str] = set()

    def convert(self, schema: Json, at: str, depth: int) -> JsonObject:
        if depth > MAX_DEPTH:
            raise UnsupportedSchema(at, f"is nested deeper than {MAX_DEPTH} levels")
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise UnsupportedSchema(at, "must be a schema object")
        result: JsonObject = {}
        said: dict[str, Json] = {}
        for key, value in schema.items():
            here = pointer(at, key)
            if key in _SHAPING:
                raise UnsupportedSchema(here, "has no equivalent in Anthropic's structured outputs")
            if key in _ANNOTATIONS:
                continue
            if key in ("properties", *_DEFINITIONS) and isinstance(value, dict):
                result[key] = {name: self.convert(part, pointer(here, name), depth + 1) for name, part in value.items()}
            elif key in ("anyOf", "allOf", "oneOf") and isinstance(value, list):
                parts = [self.convert(part, f"{here}/{i}", depth + 1) for i, part in enumerate(value)]
                result["anyOf" if key == "oneOf" else key] = cast("list[Json]", parts)
                if key == "oneOf":
                    self.converted.append(here)
            elif key == "items":
                result[key] = self.convert(value, here, depth + 1)
            elif key == "$ref":
                self._check_reference(value, here)
                result[key] = value
            elif key == "additionalProperties":
                if value is not False:
                    raise UnsupportedSchema(here, "must be false: Anthropic's structured outputs know no open objects")
            elif key == "nullable":
                if value is True and isinstance(schema.get("type"), str):
                    result["type"] = [schema["type"], "null"]
                    self.converted.append(here)
            elif key not in _KEPT or self._is_limit(key, value):
                said[key] = value
                self.converted.append(here)
            elif key not in result:
                result[key] = value
        if _is_object(result):
            result["additionalProperties"] = False
            if "additionalProperties" not in schema:
                self.converted.append(at)
        if said:
            limits = dump(said).decode()
            description = result.get("description")
            result["description"] = f"{description}\n\n{limits}" if isinstance(description, str) else limits
        return result

    @staticmethod
    def _is_limit(key: str, value: Json) -> bool:
        return (key == "minItems" and value not in (0, 1)) or (key == "format" and value not in _FORMATS)

    def _check_reference(self, value: Json, at: str) -> None:
        """A reference must stay inside the schema and not come back to itself."""
        if not isinstance(value, str) or not value.startswith("#/"):
            raise UnsupportedSchema(at, "must be a reference into the schema's own definitions")
        if value in self._refs:
            raise UnsupportedSchema(at, "is recursive, which Anthropic's structured outputs do not know")
        if value in self._checked or len(self._refs) > MAX_DEPTH:
            return
        target: Json = self.root
        for segment in value[2:].split("/"):
            name = segment.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, dict) else None
        if target is None:
            raise UnsupportedSchema(at, "names no definition of the schema")
        self._refs.append(value)
        _each_reference(target, lambda inner: self._check_reference(inner, at), 0)
        self._refs.pop()
        self._checked.add(value)


def _each_reference(schema: Json, visit: Callable[[Json], None], depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                visit(value)
            elif key not in ("enum", "const", "default", "examples"):
                _each_reference(value, visit, depth + 1)
    elif isinstance(schema, list):
        for value in schema:
            _each_reference(value, visit, depth + 1)
