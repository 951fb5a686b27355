"""From pydantic's errors to problems: one JSON pointer each, the nearest accepted name, and never the input itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pharos.control.plain_words import NO_OBJECT, in_plain_words
from pharos.control.wording import HIDDEN, looks_secret, nearest, without_secrets
from pharos.core.fault import INVALID, Fault, Problem

MOST_PROBLEMS = 200
"""More than these are counted, not listed."""

MOST_MEMBERS = 8
"""So many members of an object are named to who gave something else."""

MOST_CHOICES = 24
"""So many values are named to who gave none."""

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], data: object) -> M:
    """``data`` as a ``model``. Raises ``INVALID`` with every problem at once."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # Not chained: the text of pydantic's error repeats the input, and a traceback may be logged.
        problems = problems_of(error, model, data)
    raise invalid(problems)


def invalid(problems: Sequence[Problem]) -> Fault:
    """``INVALID`` with at most :data:`MOST_PROBLEMS` of the given problems."""
    count = len(problems)
    detail = problems[0].message if count == 1 else f"{count} problems; the first: {problems[0].message}"
    listed = list(problems[:MOST_PROBLEMS])
    return INVALID(detail, problems=listed, pointer=problems[0].pointer, facts={"problems": count})


def problems_of(error: ValidationError, model: type[BaseModel], data: object, prefix: str = "") -> list[Problem]:
    """The error's places, each once. ``prefix`` is the pointer of ``data`` itself.

    Those beyond :data:`MOST_PROBLEMS`, which are counted and not listed, are left in pydantic's words: to find ours
    takes some fifty microseconds, in which nothing else goes on, and there may be tens of thousands.
    """
    found: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        if len(found) >= MOST_PROBLEMS:
            pointer = "/".join((prefix, *map(str, detail["loc"])))
            found.setdefault(pointer, Problem(pointer=pointer, message=detail["msg"]))
            continue
        path = _path(detail, data)
        pointer = prefix + "".join(f"/{escape(segment)}" for segment in path)
        problem = Problem(
            pointer=pointer,
            message=_message(detail, model, path),
            suggestion=_suggestion(detail, model, path),
        )
        known = found.get(pointer)
        if known is None:
            found[pointer] = problem
        elif problem.message not in known.message:
            # The members of a union each say what they would have taken.
            either = f"{known.message.removesuffix('.')}; or: {problem.message}"
            found[pointer] = Problem(pointer=pointer, message=either, suggestion=known.suggestion or problem.suggestion)
    return list(found.values())


def escape(segment: object) -> str:
    """One segment of a JSON pointer (RFC 6901, section 3), hidden if it looks like a secret."""
    text = str(segment)
    if looks_secret(text[:4096]):
        return HIDDEN
    return text[:128].replace("~", "~0").replace("/", "~1")


def _path(detail: ErrorDetails, data: object) -> list[str | int]:
    """The place within ``data``. Pydantic's own place also names members of unions; those are not in the data."""
    path: list[str | int] = []
    at: Any = data
    last = len(detail["loc"]) - 1
    for number, segment in enumerate(detail["loc"]):
        if isinstance(at, dict):
            if segment in at:
                at = at[segment]
            elif (spelt := _snake(segment)) in at:
                at, segment = at[spelt], spelt
            elif not (number == last and detail["type"] == "missing"):
                continue
        elif isinstance(at, list | tuple) and isinstance(segment, int) and segment < len(at):
            at = at[segment]
        elif not (number == last and detail["type"] == "missing"):
            continue
        path.append(segment)
    return path


def _snake(segment: object) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: "_" + m[1].lower(), str(segment))


def _message(detail: ErrorDetails, model: type[BaseModel], path: Sequence[str | int]) -> str:
    if detail["type"] == "missing" and (choices := _choices_at(model, path)):
        return f"This field is required: one of {', '.join(choices)}."
    owners = _types_at(model, path) if detail["type"] in NO_OBJECT else set()
    if len(owners) == 1:  # What stands where an object belongs mostly wants to be one of its members.
        members = [info.alias or name for owner in owners for name, info in owner.model_fields.items()]
        more = " …" if len(members) > MOST_MEMBERS else ""
        return f"Must be an object; its members: {', '.join(members[:MOST_MEMBERS])}{more}."
    return without_secrets(in_plain_words(detail))


def _suggestion(detail: ErrorDetails, model: type[BaseModel], path: Sequence[str | int]) -> str | None:
    if detail["type"] == "extra_forbidden":
        owners = _types_at(model, path[:-1])
        names = {info.alias or name for owner in owners for name, info in owner.model_fields.items()}
        return nearest(str(path[-1]), names)
    expected = detail.get("ctx", {}).get("expected") or detail.get("ctx", {}).get("expected_tags")
    if isinstance(expected, str) and isinstance(detail["input"], str):
        choices = re.findall(r"'([^']*)'", expected)
        return nearest(detail["input"], choices) if len(choices) > 1 else None
    return None


def _choices_at(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The values that the field at ``path`` may have, where they are few and named."""
    found: list[str] = []
    for owner in _types_at(model, path[:-1]):
        for name, info in owner.model_fields.items():
            if path[-1] in (name, info.alias):
                found += _choices_in(info.annotation)
    return list(dict.fromkeys(found))[:MOST_CHOICES]


def _choices_in(annotation: object) -> Iterator[str]:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from (str(member.value) for member in annotation)
    elif get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    elif get_origin(annotation) in (Union, UnionType, Annotated):
        for inner in get_args(annotation):
            yield from _choices_in(inner)


def _types_at(model: type[BaseModel], path: Sequence[str | int]) -> set[type[BaseModel]]:
    """The models that may stand at ``path``: several where a union allows it."""
    models: set[type[BaseModel]] = {model}
    for segment in path:
        inside = [
            info.annotation
            for owner in models
            for name, info in owner.model_fields.items()
            if segment in (name, info.alias)
        ]
        # A list index or a key of a mapping leads to what the container holds: the models found already.
        if inside:
            models = {found for annotation in inside for found in _models_in(annotation)}
    return models


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for inner in get_args(annotation):
        yield from _models_in(inner)
