"""Reading a script: YAML in, a typed :class:`Script` or one fault that lists everything that is wrong with it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pharos.core.fault import INVALID, NOT_FOUND, TOO_LARGE, Fault, Problem
from pharos.core.wire import Json
from pharos.release.simulator.script import Script

SIZE_LIMIT = 4 * 1024 * 1024
"""Largest script, in bytes."""


class _UniqueKeys(yaml.SafeLoader):
    """YAML as data only, and a key that stands twice in a mapping is an error, not a silent loss of the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key_node.value!r} stands here twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def load_script(path: Path) -> Script:
    """Read a script from a file; its default name is the file's.

    Raises ``NOT_FOUND``, ``TOO_LARGE``, or ``INVALID`` with every problem and its JSON pointer.
    """
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise TOO_LARGE(
                f"The script {path} is larger than {SIZE_LIMIT} bytes.", subject=str(path), facts={"limit": SIZE_LIMIT}
            )
        data = path.read_bytes()
    except OSError as error:
        raise NOT_FOUND(f"The script {path} cannot be read: {error.strerror}.", subject=str(path)) from error
    name = re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("._-")[:64].strip("._-")
    return parse_script(data, name or "script", subject=str(path))


def parse_script(text: str | bytes, name: str = "script", *, subject: str = "script") -> Script:
    """Read a script from YAML (or JSON) text. ``name`` is used where the script gives none, ``subject`` in the fault.

    Raises ``INVALID`` with every problem and its JSON pointer.
    """
    try:
        document = yaml.load(text, _UniqueKeys)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise INVALID(
            f"{subject} is not YAML.", subject=subject, problems=[Problem(pointer="", message=_yaml_reason(error))]
        ) from error
    if document is None:
        document = {}
    if isinstance(document, dict):
        document.setdefault("name", name)
    try:
        return Script.model_validate(document)
    except ValidationError as error:
        problems = list(_problems(error, document))
        noun = "problem" if len(problems) == 1 else "problems"
        raise INVALID(f"{subject} has {len(problems)} {noun}.", subject=subject, problems=problems) from error


def _yaml_reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem or 'not YAML'}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return " ".join(str(error).split())


def _problems(error: ValidationError, document: Json) -> Iterator[Problem]:
    for detail in error.errors(include_url=False, include_input=False):
        pointer = _pointer(detail["loc"], document, missing=detail["type"] == "missing")
        name = str(detail["loc"][-1]) if detail["loc"] else ""
        unknown = detail["type"] == "extra_forbidden"
        near = difflib.get_close_matches(name, _VOCABULARY, n=1) if unknown else []
        message = f"There is no field {name!r} here" if unknown else _plain(detail["msg"])
        yield Problem(pointer=pointer, message=message, suggestion=near[0] if near else None)


def _plain(message: str) -> str:
    """Pydantic's message without the words of Python."""
    message = re.sub(r" or instance of \w+", "", message.removeprefix("Value error, "))
    return message.replace("a valid dictionary", "a mapping").replace("using 'kind' ", "")


def _pointer(location: Sequence[int | str], document: Json, *, missing: bool) -> str:
    """The JSON pointer of an error. Pydantic's locations also name union members, which the document does not have."""
    here = document
    parts: list[str] = []
    for index, part in enumerate(location):
        match here, part:
            case dict(), str() if part in here:
                here = here[part]
            case list(), int() if part < len(here):
                here = here[part]
            case dict(), _ if missing and index == len(location) - 1:
                pass
            case _:
                continue
        parts.append(str(part).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{part}" for part in parts)


def _words(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    seen.add(model)
    for name, field in model.model_fields.items():
        yield field.alias or name
        for inner in _models(field.annotation):
            if inner not in seen:
                yield from _words(inner, seen)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


_VOCABULARY: Sequence[str] = sorted(set(_words(Script, set())))
"""Every field name a script can have, to suggest the nearest one."""

__all__ = ["Fault", "load_script", "parse_script"]
