"""JSON Schema of what operations take and give, as the faces publish it (draft 2020-12, wire names)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema

from pharos.core.operation import AnyOperation
from pharos.core.wire import Wire

Schema = dict[str, Any]


class WireSchema(GenerateJsonSchema):
    """Pydantic's generator, told how values look on the wire.

    Field titles only repeat the names, and every schema here is read by models that pay for each token. A field that
    may be null is left out when it is (``Wire.to_json``), so in an output it is never required.
    """

    def field_title_should_be_set(self, schema: object) -> bool:
        return False

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        """The schema of one model."""
        built = super().model_schema(schema)
        built.pop("title", None)
        if self.mode == "serialization" and "required" in built:
            nullable = {name for name, value in built.get("properties", {}).items() if _may_be_null(value)}
            built["required"] = [name for name in built["required"] if name not in nullable]
            if not built["required"]:
                del built["required"]
        return built


def _may_be_null(schema: Schema) -> bool:
    return schema.get("type") == "null" or any(_may_be_null(option) for option in schema.get("anyOf", ()))


def input_schema(operation: AnyOperation) -> Schema:
    """Schema of the operation's input: an object, complete in itself."""
    return _schema(operation.input, "validation")


def output_schema(operation: AnyOperation) -> Schema:
    """Schema of the operation's output (of each of its outputs, where it streams)."""
    return _schema(operation.output, "serialization")


def _schema(model: type[Wire], mode: Literal["validation", "serialization"]) -> Schema:
    schema = model.model_json_schema(by_alias=True, mode=mode, schema_generator=WireSchema)
    if "$ref" in schema:
        # A model that contains itself stands among the definitions; the root must still be an object for every reader.
        root = schema["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = {**root, "$defs": schema["$defs"]}
    return schema


def components(
    models: Iterable[tuple[type[Wire], JsonSchemaMode]],
) -> tuple[dict[tuple[type[Wire], str], Schema], Schema]:
    """References to many models' schemas, by model and mode, and the shared definitions they refer to."""
    references, shared = models_json_schema(
        [*models], by_alias=True, schema_generator=WireSchema, ref_template="#/components/schemas/{model}"
    )
    return {(model, mode): schema for (model, mode), schema in references.items()}, shared.get("$defs", {})  # type: ignore[misc]
