"""What a provider refuses: requests that its real API would answer with an error.

The simulator is strict so that a client, or a gateway that translates, learns here and not in production that it sends
something no provider accepts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pharos.core.wire import Json, JsonObject

T = TypeVar("T")


class Refused(Exception):
    """A request that is not answered. ``place`` is where the error is, in the protocol's own notation."""

    def __init__(self, status: int, message: str, *, place: str = "", type: str | None = None, code: str | None = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.place = place
        self.type = type
        self.code = code


def invalid(place: str, message: str) -> Refused:
    """A 400 about the value at ``place``."""
    return Refused(400, message, place=place)


def text_at(value: Json, place: str, *, empty: bool = False) -> str:
    """The value as a string; refuses everything else, and unless ``empty``, the empty string."""
    if not isinstance(value, str):
        raise invalid(place, f"{place}: expected a string, got {_kind(value)}")
    if not value and not empty:
        raise invalid(place, f"{place}: must not be empty")
    return value


def object_at(value: Json, place: str) -> JsonObject:
    """The value as an object."""
    if not isinstance(value, dict):
        raise invalid(place, f"{place}: expected an object, got {_kind(value)}")
    return value


def list_at(value: Json, place: str, *, empty: bool = False) -> list[Json]:
    """The value as an array; unless ``empty``, with at least one element."""
    if not isinstance(value, list):
        raise invalid(place, f"{place}: expected an array, got {_kind(value)}")
    if not value and not empty:
        raise invalid(place, f"{place}: must have at least one element")
    return value


def number_at(value: Json, place: str, low: float, high: float) -> float:
    """The value as a number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(place, f"{place}: expected a number, got {_kind(value)}")
    if not low <= value <= high:
        raise invalid(place, f"{place}: must be from {low:g} to {high:g}, not {value:g}")
    return value


def integer_at(value: Json, place: str, low: int, high: int = 2**53) -> int:
    """The value as an integer from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(place, f"{place}: expected an integer, got {_kind(value)}")
    if not low <= value <= high:
        raise invalid(place, f"{place}: must be from {low} to {high}, not {value}")
    return value


def flag_at(value: Json, place: str) -> bool:
    """The value as a boolean."""
    if not isinstance(value, bool):
        raise invalid(place, f"{place}: expected a boolean, got {_kind(value)}")
    return value


def one_of(value: Json, place: str, allowed: Sequence[str]) -> str:
    """The value as one of some words."""
    if not isinstance(value, str) or value not in allowed:
        raise invalid(place, f"{place}: must be one of {', '.join(allowed)}")
    return value


def unknown_members(body: Mapping[str, Json], known: frozenset[str]) -> list[str]:
    """Members of a request that the protocol does not have."""
    return [name for name in body if name not in known]


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
    return "an object"
