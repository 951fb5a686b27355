"""What can be done in a city, as data: the operations with their inputs, for faces that must know them before a city
answers (the command line, its completion) and for calls by name.

``operations.json`` is written from the registry by ``make docs``. Reading it costs a millisecond and imports no plane.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Shape = Literal["string", "time", "integer", "number", "boolean", "map", "json", "text", "secret"]
"""How a value is written: ``time`` is a moment, ``map`` is text by text (labels), ``json`` what only JSON can say,
``text`` the content of a file, ``secret`` text that must not be seen."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One member of an operation's input."""

    name: str
    """Wire name."""
    shape: Shape
    many: bool = False
    """A list of such values."""
    required: bool = False
    default: str | int | float | bool | None = None
    choices: tuple[str, ...] = ()
    help: str = ""
    kind: str = ""
    """The kind of resource it names, where it is a typed reference."""


@dataclass(frozen=True, slots=True)
class Description:
    """One operation."""

    name: str
    summary: str
    description: str
    effect: Literal["read", "write", "destroy"]
    reversibility: str
    permission: str | None
    streaming: bool
    page: bool
    """Its output is a page of a list."""
    slow: bool
    """It usually takes long enough that a person wants to see that something goes on."""
    parameters: tuple[Parameter, ...]

    @property
    def noun(self) -> str:
        """The part before the dot."""
        return self.name.partition(".")[0]

    @property
    def verb(self) -> str:
        """The part after the dot."""
        return self.name.partition(".")[2]


@functools.cache
def descriptions() -> dict[str, Description]:
    """Every operation of this version, by name, sorted."""
    data: dict[str, Any] = json.loads(Path(__file__).with_name("operations.json").read_bytes())
    return {entry["name"]: _description(entry) for entry in data["operations"]}


@functools.cache
def kinds() -> tuple[dict[str, str], ...]:
    """Every kind of this version: ``name``, ``plural``, ``summary``."""
    data: dict[str, Any] = json.loads(Path(__file__).with_name("operations.json").read_bytes())
    return tuple(data["kinds"])


def is_write(name: str) -> bool:
    """Whether an operation may change something. One that this version does not know may."""
    known = descriptions().get(name)
    return known is None or known.effect != "read"


def _description(entry: dict[str, Any]) -> Description:
    parameters = tuple(
        Parameter(**{**parameter, "choices": tuple(parameter.get("choices", ()))}) for parameter in entry["parameters"]
    )
    return Description(**{**entry, "parameters": parameters})
