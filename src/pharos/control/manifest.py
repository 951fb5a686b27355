"""Documents to typed resources: everything that is wrong, at once, each with the place it is at.

A problem's pointer is relative to its document; where there are several documents, their index comes first
(``/1/spec/targets/0/weight``). What only the city writes (uid, times, status) is not taken from a document; a revision
is: it means "this is the revision I have seen", and the change is refused if it is no longer the present one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pharos.control.kinds import Kinds, bare, resource_type
from pharos.control.problems import invalid, problems_of
from pharos.control.reading import check_plain, read_documents
from pharos.control.wording import nearest, quoted
from pharos.core.fault import Problem
from pharos.core.resource import NAME_PATTERN, AnyKind, AnyResource, ResourceId, references
from pharos.core.wire import Json

_NAME = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource as someone wants it to be."""

    resource: AnyResource
    """Without status, uid, times and revision."""
    expected: int | None
    """The revision that the author has seen, if the document names one."""
    pointer: str
    """Of the document: empty where it is the only one."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a set of documents declares."""

    declared: tuple[Declared, ...]
    warnings: tuple[str, ...]


def parse_manifest(text: str, kinds: Kinds) -> Manifest:
    """Read YAML or JSON text. Raises ``INVALID`` with all problems, or ``TOO_LARGE``."""
    return _parse(read_documents(text), kinds)


def parse_documents(documents: Sequence[Json], kinds: Kinds) -> Manifest:
    """Read documents that are plain data already. Raises ``INVALID`` with all problems, or ``TOO_LARGE``."""
    check_plain(list(documents))
    return _parse(documents, kinds)


def _parse(documents: Sequence[Json], kinds: Kinds) -> Manifest:
    declared: list[Declared] = []
    warnings: list[str] = []
    problems: list[Problem] = []
    first_at: dict[ResourceId, str] = {}
    for index, document in enumerate(documents):
        pointer = f"/{index}" if len(documents) > 1 else ""
        found = _declared(document, pointer, kinds)
        if not isinstance(found, Declared):
            problems += found
            continue
        id = found.resource.id
        if id in first_at:
            where = first_at[id] or "/"
            problems.append(
                Problem(pointer=f"{pointer}/metadata/name", message=f"{id} is declared at {where} already.")
            )
            continue
        first_at[id] = pointer
        declared.append(found)
        if isinstance(document, dict) and document.get("status"):
            warnings.append(f"{id}: the status was ignored; the city writes it.")
    if problems:
        raise invalid(problems)
    return Manifest(tuple(declared), tuple(warnings))


def _declared(document: Json, pointer: str, kinds: Kinds) -> Declared | list[Problem]:
    if not isinstance(document, dict):
        return [Problem(pointer=pointer, message="A document is an object with kind, metadata and spec.")]
    kind = _kind(document.get("kind"), f"{pointer}/kind", kinds)
    if isinstance(kind, Problem):
        return [kind]
    envelope = resource_type(kind)
    data: dict[str, Any] = {**document, "status": {}}
    try:
        resource = envelope.model_validate(data)
    except ValidationError as error:
        return problems_of(error, envelope, data, pointer)
    problems = [
        Problem(pointer=f"{pointer}/spec{place}", message=message) for place, message in kind.check(resource.spec)
    ]
    problems += [
        Problem(pointer=f"{pointer}{place}", message=f"Not the name of a {target.kind}: {quoted(target.name)}.")
        for place, target in references(resource)
        if not (_NAME.fullmatch(target.name) and _NAME.fullmatch(target.namespace))
    ]
    if resource.metadata.revision < 0:
        problems.append(Problem(pointer=f"{pointer}/metadata/revision", message="A revision is not negative."))
    if problems:
        return problems
    return Declared(bare(resource), resource.metadata.revision or None, pointer)


def _kind(name: Json, pointer: str, kinds: Kinds) -> AnyKind | Problem:
    if name is None:
        return Problem(pointer=pointer, message="This field is required.")
    if not isinstance(name, str):
        return Problem(pointer=pointer, message="A kind is named by text.")
    kind = kinds.get(name)
    if kind is None:
        close = nearest(name, kinds)
        return Problem(pointer=pointer, message=f"There is no kind {quoted(name)}.", suggestion=close)
    return kind
