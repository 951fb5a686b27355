"""Schemas: Gemini's own form (an OpenAPI subset) read, and JSON Schema written for ``parametersJsonSchema`` and
``responseJsonSchema``.

Source: the Gemini API reference (``Schema``; the list of JSON Schema members that ``responseJsonSchema`` takes). What
only narrows a value moves into the description, where the model reads it; what changes the shape of a value is refused
with its path where an answer must keep to it, and moves into the description where a function's arguments only should.
"""

from __future__ import annotations

from typing import cast

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.dialects.reading import pointer
from pharos.gateway.models.dialects.schemas import MAX_DEPTH, UnsupportedSchema

_KEPT = frozenset({
    "type", "format", "title", "description", "enum", "minimum", "maximum", "minItems", "maxItems", "required",
    "propertyOrdering", "$id", "$anchor",
})  # fmt: skip
_SHAPING = frozenset({
    "not", "if", "then", "else", "patternProperties", "propertyNames", "unevaluatedProperties", "dependentSchemas",
    "dependentRequired", "dependencies", "additionalItems", "contains", "unevaluatedItems", "$dynamicRef",
    "$recursiveRef",
})  # fmt: skip
_ANNOTATIONS = frozenset({"$schema", "$comment", "examples", "deprecated", "readOnly", "writeOnly", "default"})
_NUMBERS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})


def from_gemini(schema: Json, depth: int = 0) -> JsonObject:
    """A ``Schema`` of the dialect as JSON Schema: types in lower case, ``nullable`` as a type, numbers as numbers."""
    if depth > MAX_DEPTH or not isinstance(schema, dict):
        return {}
    result: JsonObject = {}
    for key, value in schema.items():
        match key:
            case "type" if isinstance(value, str):
                if value.upper() != "TYPE_UNSPECIFIED":
                    result["type"] = value.lower()
            case "type" if isinstance(value, list):
                result["type"] = [kind.lower() if isinstance(kind, str) else kind for kind in value]
            case "nullable" | "propertyOrdering" | "example":
                pass
            case "properties" | "defs" | "$defs" if isinstance(value, dict):
                name = "properties" if key == "properties" else "$defs"
                result[name] = {part: from_gemini(inner, depth + 1) for part, inner in value.items()}
            case "items":
                result["items"] = from_gemini(value, depth + 1)
            case "anyOf" if isinstance(value, list):
                result["anyOf"] = [from_gemini(inner, depth + 1) for inner in value]
            case "ref" | "$ref" if isinstance(value, str):
                result["$ref"] = value.replace("#/defs/", "#/$defs/")
            case "additionalProperties" if isinstance(value, dict):
                result[key] = from_gemini(value, depth + 1)
            case "format" if value == "enum":
                pass
            case _ if key in _NUMBERS and isinstance(value, str) and value.isascii() and value.isdigit():
                result[key] = int(value[:18])
            case _:
                result[key] = value
    if schema.get("nullable") is True:
        _make_nullable(result)
    return result


def _make_nullable(schema: JsonObject) -> None:
    kind, options, words = schema.get("type"), schema.get("anyOf"), schema.get("enum")
    if isinstance(kind, str) and kind != "null":
        schema["type"] = [kind, "null"]
    elif isinstance(options, list):
        schema["anyOf"] = [*options, {"type": "null"}]
    if isinstance(words, list) and None not in words:
        schema["enum"] = [*words, None]


def for_gemini(schema: JsonObject, at: str, *, exact: bool) -> tuple[JsonObject, list[str]]:
    """JSON Schema in the dialect's subset, and the pointers of what changed.

    ``exact``: the value must keep to it. Raises :class:`UnsupportedSchema` where it then cannot.
    """
    converted: list[str] = []
    return _Converter(converted, exact=exact).convert(schema, at, 0), converted


class _Converter:
    def __init__(self, converted: list[str], *, exact: bool) -> None:
        self.converted = converted
        self.exact = exact

    def convert(self, schema: Json, at: str, depth: int) -> JsonObject:
        if depth > MAX_DEPTH:
            raise UnsupportedSchema(at, f"is nested deeper than {MAX_DEPTH} levels")
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            if not self.exact:
                self.converted.append(at)
                return {}
            raise UnsupportedSchema(at, "must be a schema object")
        if isinstance(reference := schema.get("$ref"), str):
            return self._reference(reference, schema, at, depth)
        result: JsonObject = {}
        said: JsonObject = {}
        for key, value in schema.items():
            self._member(key, value, schema, result, said, pointer(at, key), depth)
        if said:
            limits = dump(said).decode()
            description = result.get("description")
            result["description"] = f"{description}\n\n{limits}" if isinstance(description, str) else limits
        return result

    def _member(
        self, key: str, value: Json, schema: JsonObject, result: JsonObject, said: JsonObject, here: str, depth: int
    ) -> None:
        match key:
            case "properties" | "$defs" | "definitions" if isinstance(value, dict):
                name = "properties" if key == "properties" else "$defs"
                result[name] = {
                    part: self.convert(inner, pointer(here, part), depth + 1) for part, inner in value.items()
                }
            case "anyOf" | "oneOf" | "prefixItems" if isinstance(value, list):
                parts = [self.convert(part, f"{here}/{i}", depth + 1) for i, part in enumerate(value)]
                name = "prefixItems" if key == "prefixItems" else "anyOf"
                result[name] = cast("list[Json]", parts)
                if key == "oneOf":
                    self.converted.append(here)
            case "allOf" if isinstance(value, list) and len(value) == 1:
                for name, inner in self.convert(value[0], f"{here}/0", depth + 1).items():
                    result.setdefault(name, inner)
                self.converted.append(here)
            case "items" if isinstance(value, dict | bool):
                result[key] = self.convert(value, here, depth + 1)
            case "additionalProperties" if isinstance(value, dict):
                result[key] = self.convert(value, here, depth + 1)
            case "additionalProperties" if isinstance(value, bool):
                result[key] = value
            case "const":
                result["enum"] = [value]
                self.converted.append(here)
            case "nullable":
                if value is True and isinstance(kind := schema.get("type"), str) and kind != "null":
                    result["type"] = [kind, "null"]
                    self.converted.append(here)
            case _ if key in _ANNOTATIONS:
                pass
            case _ if key in _KEPT:
                result.setdefault(key, value)
            case _:
                if self.exact and (key in _SHAPING or key in ("allOf", "items", "properties")):
                    raise UnsupportedSchema(here, "has no equivalent in Gemini's structured outputs")
                said[key] = value
                self.converted.append(here)

    def _reference(self, reference: str, schema: JsonObject, at: str, depth: int) -> JsonObject:
        """A reference: nothing may stand beside it but definitions and the like."""
        if not reference.startswith("#") and self.exact:
            raise UnsupportedSchema(pointer(at, "$ref"), "must be a reference into the schema's own definitions")
        result: JsonObject = {"$ref": reference.replace("#/definitions/", "#/$defs/")}
        for key, value in schema.items():
            if key in ("$defs", "definitions") and isinstance(value, dict):
                here = pointer(at, key)
                result["$defs"] = {
                    part: self.convert(inner, pointer(here, part), depth + 1) for part, inner in value.items()
                }
            elif key.startswith("$"):
                continue
            elif key not in _ANNOTATIONS and key not in ("title", "description"):
                self.converted.append(pointer(at, key))
        return result
