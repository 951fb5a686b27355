"""How values look outside the process: JSON with camelCase names, nothing unknown accepted.

``Wire`` is the base of every type that crosses a boundary (specs, operation inputs and outputs, problems). Python code
uses snake_case names; the wire uses their camelCase form; both are accepted as input.
"""

from __future__ import annotations

from typing import Final, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, JsonValue
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pharos.core.docstrings import attribute_docstrings

Json: TypeAlias = JsonValue
JsonObject: TypeAlias = dict[str, JsonValue]

T = TypeVar("T")

DEEPEST: Final = 128
"""Levels of what others may have us keep. Twice as many is more than JSON is written with here, so what is kept can
still be put into something."""


def is_deep(value: Json) -> bool:
    """Whether a value has more levels than that."""
    level: list[Json] = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
        if not level:
            return False
    return True


class Wire(BaseModel):
    """A typed value with a stable JSON form. Immutable; unknown fields are an error."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        ser_json_inf_nan="null",
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """With what the text below a field says of it, where the field itself says nothing."""
        built = handler(schema)
        properties = handler.resolve_ref_schema(built).get("properties", {})
        texts = attribute_docstrings(cls, Wire)
        for name, field in cls.model_fields.items():
            text, described = texts.get(name), properties.get(field.alias or name)
            if field.description is not None or text is None or described is None:
                continue
            if _said(described, handler) != text:  # its type does not say it already
                described["description"] = text
        return built

    def to_json(self) -> JsonObject:
        """The value as plain JSON data, with wire names; fields that are ``None`` are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _said(described: JsonSchemaValue, handler: GetJsonSchemaHandler) -> object:
    """What the schema of a field's type says of it."""
    try:
        return handler.resolve_ref_schema(described).get("description")
    except LookupError:
        return None  # a recursive type is named before it is described


class Page(Wire, Generic[T]):
    """One page of a list. ``next`` is the cursor that continues it, ``null`` on the last page."""

    items: list[T]
    next: str | None = Field(default=None)

    def to_json(self) -> JsonObject:
        """As :meth:`Wire.to_json`, but ``next`` is always present: its ``null`` says that the list ends here."""
        return {**super().to_json(), "next": self.next}
