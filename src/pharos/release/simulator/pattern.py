"""Regular expressions that cannot hang: matched in time linear in the text, whatever the pattern.

The engine is the Rust ``regex`` crate that pydantic brings along. It has no backreferences and no look-around, which is
what makes the promise possible; a pattern that needs them is refused when the script is read.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError, SchemaError, SchemaValidator, core_schema

PATTERN_LIMIT = 2_000
"""Longest pattern, in characters."""

SUBJECT_LIMIT = 262_144
"""Characters of a text that a pattern is tried on, from its beginning."""


class LinearPattern:
    """A compiled pattern. It matches when it is found anywhere in the text, like ``re.search``."""

    __slots__ = ("_validator", "source")

    def __init__(self, source: str) -> None:
        """Compile ``source``; raises ``ValueError`` with the engine's explanation."""
        if len(source) > PATTERN_LIMIT:
            raise ValueError(f"a pattern has at most {PATTERN_LIMIT} characters, this one has {len(source)}")
        try:
            self._validator = SchemaValidator(core_schema.str_schema(pattern=source, regex_engine="rust-regex"))
        except SchemaError as error:
            reason = str(error).rpartition("error: ")[2] or str(error)
            raise ValueError(f"not a pattern of the linear-time engine: {' '.join(reason.split())}") from error
        self.source = source

    def found_in(self, text: str) -> bool:
        """Whether the pattern occurs in the first :data:`SUBJECT_LIMIT` characters of ``text``."""
        return self._validator.isinstance_python(text[:SUBJECT_LIMIT])

    def __repr__(self) -> str:
        return f"LinearPattern({self.source!r})"


def _compile(value: object) -> LinearPattern:
    if isinstance(value, LinearPattern):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return LinearPattern(value)


def _source(pattern: LinearPattern) -> str:
    return pattern.source


Pattern: TypeAlias = Annotated[
    LinearPattern,
    BeforeValidator(_compile),
    PlainSerializer(_source),
    WithJsonSchema({"type": "string", "format": "regex", "maxLength": PATTERN_LIMIT}),
]
"""A field that is written as a string and read as a :class:`LinearPattern`."""
