"""JSON Schema (draft 2020-12) of what agents and tools promise: which schemas may be declared, and what fits one.

A schema is written by whoever declares an agent or a tool, and judges text that a model wrote. So nothing is fetched
for it, its patterns take linear time whatever the text (RE2), items are told apart in linear time, and
a judgement has a bounded number of steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
import re2

from pharos.control.problems import escape
from pharos.control.wording import quoted
from pharos.core.wire import Json, JsonObject

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

MOST_STEPS: Final = 200_000
"""Taken to judge one value: one for each rule that is applied and each member of it."""
_REFERENCE: Final = 20
"""Steps that it is worth to follow a reference."""
_SAID: Final = 64
"""Characters about a misfit that are worth a step: each repeats the value."""
MOST_NAMED: Final = 8
"""Misfits of a value that are named."""
LONGEST_MISFIT: Final = 300
"""Characters of what is said of one."""
LARGEST: Final = 65_536
"""Bytes of a schema."""

_UNJUDGED: Final = "is too large, or nested too deeply, to be judged"

_Rule = Callable[[Any, Any, Any, Any], "Iterator[ValidationError] | None"]

_taken: ContextVar[list[int]] = ContextVar("steps taken")


def problems_of_schema(schema: JsonObject) -> Sequence[tuple[str, str]]:
    """Why a schema cannot be declared, each with its place in it."""
    try:
        if len(orjson.dumps(schema)) > LARGEST:
            return [("", f"is larger than {LARGEST} bytes")]
        return _problems(schema)
    except (orjson.JSONEncodeError, RecursionError):
        return [("", "is nested too deeply")]


def _problems(schema: JsonObject) -> Sequence[tuple[str, str]]:
    if (dialect := schema.get("$schema", DIALECT)) != DIALECT:
        return [("/$schema", f"is {quoted(dialect)}; schemas are read as {DIALECT}")]
    wrong: dict[str, str] = {}
    for error in _meta().iter_errors(schema):
        # The standard is made of several schemas, and each says what it thinks of a place.
        wrong.setdefault(_place(error), error.message[:LONGEST_MISFIT])
    return [*wrong.items()] or [*_refused(schema, schema, "")] or [*_endless(schema)]


def misfits(schema: JsonObject, value: Json, most: int = MOST_STEPS) -> Sequence[str]:
    """Where a value is not what the schema says, in words for whoever wrote it; none: it fits, or nobody can say,
    since the schema is none, or refers to what is not there. ``most``: steps that may be taken."""
    from referencing.exceptions import Unresolvable

    judge = _judge(orjson.dumps(schema))
    mark = _taken.set([0, most])
    found: list[str] = []
    try:
        for error in judge.iter_errors(value):
            found.append(f"{_place(error) or '/'}: {error.message[:LONGEST_MISFIT]}")
            if len(found) == MOST_NAMED:
                break
    except (RecursionError, _TooManyError):
        found.append(f"/: it {_UNJUDGED}")
    except (Unresolvable, AttributeError, TypeError):
        pass  # a reference led nowhere, or to what is no schema
    finally:
        _taken.reset(mark)
    return found


class _TooManyError(Exception):
    """More steps than a value is worth."""


@cache
def _kind() -> type[Draft202012Validator]:
    # With the first schema: the package takes longer to import than a city without any takes to open.
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    def counted(name: str, rule: _Rule) -> _Rule:
        least = _REFERENCE if name == "$ref" else 1

        def judged(validator: Any, said: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
            taken = _taken.get()
            taken[0] += least + (len(said) if isinstance(said, list | dict) else 0)
            if taken[0] > taken[1]:
                raise _TooManyError
            for error in rule(validator, said, value, schema) or ():
                taken[0] += len(error.message) // _SAID
                yield error

        return judged

    rules: dict[str, _Rule] = {**Draft202012Validator.VALIDATORS, "pattern": _pattern, "uniqueItems": _unique_items}
    extended = cast("Callable[..., type[Draft202012Validator]]", extend)
    return extended(Draft202012Validator, {name: counted(name, rule) for name, rule in rules.items()})


def _pattern(validator: Any, pattern: str, value: object, schema: object) -> Iterator[ValidationError]:
    from jsonschema import ValidationError

    # One that RE2 does not take can only be in the schema of a tool that is installed: it is passed over.
    if isinstance(value, str) and (linear := _linear(pattern)) is not None and linear.search(value) is None:
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _unique_items(validator: Any, unique: object, value: object, schema: object) -> Iterator[ValidationError]:
    """The package compares each item with each other one where they are objects."""
    from jsonschema import ValidationError

    if unique and isinstance(value, list) and len(set(map(_identity, value))) < len(value):
        yield ValidationError(f"{value!r} has non-unique elements")


def _identity(value: Json) -> Hashable:
    """What is equal for values that are, as JSON Schema has it: 1 is 1.0 and not true, and members have no order."""
    if isinstance(value, dict):
        return frozenset((name, _identity(one)) for name, one in value.items())
    if isinstance(value, list):
        return tuple(map(_identity, value))
    return (bool, value) if isinstance(value, bool) else value


@lru_cache(maxsize=512)
def _judge(written: bytes) -> Draft202012Validator:
    from referencing import Registry

    schema = orjson.loads(written)
    # A registry of its own, which has nothing: the one there is else fetches what a reference names.
    return _kind()(schema if _sound(schema) else True, registry=Registry())


def _sound(schema: JsonObject) -> bool:
    """Whether values can be judged by it. Those of tools come with their code, and nobody looked at them before."""
    try:
        return bool(_meta().is_valid(schema))
    except RecursionError:
        return False


@cache
def _meta() -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(Draft202012Validator.META_SCHEMA)


@lru_cache(maxsize=1_024)
def _linear(pattern: str) -> re.Pattern[str] | None:
    """The pattern as RE2 has it; ``None``: it has none like it."""
    options = re2.Options()
    options.log_errors = False
    try:
        compiled: re.Pattern[str] = re2.compile(pattern, options)
    except re2.error:
        return None
    return compiled


_ELSEWHERE: Final = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are no schemas."""
_NAMED: Final = frozenset({"$defs", "definitions", "dependentSchemas", "properties"})
"""Keywords with schemas under names of their own."""
_SEVERAL: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
"""Keywords with a list of schemas."""
_ONE: Final = frozenset(
    {
        "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then",
        "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
"""Keywords with one schema."""


def _refused(root: JsonObject, schema: Json, at: str) -> Iterator[tuple[str, str]]:
    """What the standard allows, and a schema that strangers' text is judged by does not need."""
    if not isinstance(schema, dict):
        return
    for name, value in schema.items():
        here = f"{at}/{escape(name)}"
        match name:
            case "$ref":
                if not (isinstance(value, str) and _leads(root, value)):
                    yield here, f"{quoted(value)} is not a place in this schema (#/$defs/…)"
            case "$dynamicRef" | "$recursiveRef" | "$id" | "$anchor" | "$dynamicAnchor":
                yield here, "schemas are referred to by $ref and their place alone"
            case "patternProperties":
                yield here, "properties are named; those of any name have one schema, additionalProperties"
            case "pattern":
                if _linear(str(value)) is None:
                    yield here, "is no pattern of RE2 (https://github.com/google/re2/wiki/Syntax)"
            case _ if name in _NAMED and isinstance(value, dict):
                for inner, one in value.items():
                    yield from _refused(root, one, f"{here}/{escape(inner)}")
            case _ if name not in _ELSEWHERE:
                several = value if isinstance(value, list) else ()
                yield from _refused(root, value, here)
                for place, one in enumerate(several):
                    yield from _refused(root, one, f"{here}/{place}")


def _leads(root: Json, reference: str) -> bool:
    """Whether a reference is a pointer to a schema in ``root``: what else is there was not looked at as one."""
    if reference != "#" and not reference.startswith("#/"):
        return False
    found = root
    parts = iter(reference[2:].split("/") if reference != "#" else ())
    for part in parts:
        if not isinstance(found, dict):
            return False
        found = found.get(part)
        if part in _ONE:
            continue
        name = next(parts, "").replace("~1", "/").replace("~0", "~")
        if part in _NAMED and isinstance(found, dict):
            found = found.get(name)
        elif part in _SEVERAL and isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return False
    return isinstance(found, dict | bool)


def _endless(schema: JsonObject) -> Iterator[tuple[str, str]]:
    """A schema that refers to itself on the spot never comes to an end, whatever the value."""
    if any(misfit.endswith(_UNJUDGED) for misfit in misfits(schema, {})):
        yield "", "refers to itself without going deeper into the value"


def _place(error: ValidationError) -> str:
    return "".join(f"/{escape(part)}" for part in error.absolute_path)
