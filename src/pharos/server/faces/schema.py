"""JSON Schema of what operations take and give, as the faces publish it (draft 2020-12, wire names)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema

from pharos.control.plan import Plan
from pharos.core.operation import AnyOperation, Effect
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


def traits_of(operation: AnyOperation) -> Schema:
    """What a caller should know of an operation beside its schemas: rights, effects, the way back, cost."""
    return {
        "permission": operation.permission,
        "effect": operation.effect.value,
        "reversibility": operation.reversibility.value,
        "inverse": operation.inverse,
        "costClass": operation.cost.value,
        "typicalMs": operation.typical_ms,
    }


def input_schema(operation: AnyOperation) -> Schema:
    """Schema of the operation's input: an object, complete in itself."""
    return _schema(operation.input, "validation")


def output_schema(operation: AnyOperation) -> Schema:
    """Schema of what a call answers: an object, complete in itself.

    A write answers a dry run with its plan; a stream, which has no one answer, yields such objects.
    """
    if operation.effect is Effect.READ:
        return _schema(operation.output, "serialization")
    references, shared = models_json_schema(
        [(operation.output, "serialization"), (Plan, "serialization")], by_alias=True, schema_generator=WireSchema
    )
    return {"type": "object", "anyOf": [*references.values()], "$defs": shared["$defs"]}


def _schema(model: type[Wire], mode: JsonSchemaMode) -> Schema:
    schema = model.model_json_schema(by_alias=True, mode=mode, schema_generator=WireSchema)
    if "$ref" in schema:
        # A model that contains itself stands among the definitions; the root must still be an object for every reader.
        root = schema["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = {**root, "$defs": schema["$defs"]}
    return schema


class Components:
    """The schemas of many models as OpenAPI components: shared definitions, and references to them."""

    def __init__(self, inputs: Iterable[type[Wire]], outputs: Iterable[type[Wire]]) -> None:
        models: list[tuple[type[Wire], JsonSchemaMode]] = [
            *((model, "validation") for model in dict.fromkeys(inputs)),
            *((model, "serialization") for model in dict.fromkeys(outputs)),
        ]
        self._references, shared = models_json_schema(
            models, by_alias=True, schema_generator=WireSchema, ref_template="#/components/schemas/{model}"
        )
        self.definitions: Schema = shared.get("$defs", {})

    def input(self, model: type[Wire]) -> Schema:
        """Reference to the schema of an input."""
        return self._references[model, "validation"]

    def output(self, model: type[Wire]) -> Schema:
        """Reference to the schema of an output."""
        return self._references[model, "serialization"]
