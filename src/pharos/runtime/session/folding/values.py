"""Reading what events carry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pharos.core.wire import Json
from pharos.mesh.money import nanos_of
from pharos.runtime.session.state import Limits

Data = Mapping[str, Json]


def text(data: Data, name: str) -> str:
    """A text that must be there. Raises ``KeyError`` and ``TypeError``."""
    value = data[name]
    if type(value) is not str:
        raise TypeError(f"{name} is not a text")
    return value


def number(data: Data, name: str) -> int:
    """An integer that must be there. Raises ``KeyError`` and ``TypeError``."""
    value = data[name]
    if type(value) is not int:
        raise TypeError(f"{name} is not an integer")
    return value


def mapping(data: Data, name: str) -> dict[str, Json]:
    """An object that must be there. Raises ``KeyError`` and ``TypeError``."""
    value = data[name]
    if type(value) is not dict:
        raise TypeError(f"{name} is not an object")
    return value


def texts(data: Data, name: str) -> tuple[str, ...]:
    """A list of texts that must be there. Raises ``KeyError`` and ``TypeError``."""
    value = data[name]
    if type(value) is not list:
        raise TypeError(f"{name} is not a list")
    return tuple(map(str, value))


def time(data: Data, name: str) -> datetime:
    """A time that must be there. Raises ``KeyError`` and ``ValueError``."""
    return datetime.fromisoformat(text(data, name))


def later(data: Data, name: str) -> datetime | None:
    """A time that may be there."""
    return datetime.fromisoformat(text(data, name)) if name in data else None


def money(data: Data, name: str) -> int:
    """An amount in billionths; 0 where it is absent or not known. Raises ``ValueError``."""
    value = data.get(name)
    return 0 if value is None else nanos_of(str(value))


def limits(bounds: Data) -> Limits:
    """The limits that ``bounds`` say. Raises ``TypeError`` for one that is no number."""
    standard = Limits()
    cost = nanos_of(text(bounds, "cost")) if "cost" in bounds else standard.cost
    return Limits(
        steps=int(_number(bounds, "steps", standard.steps)),
        cost=cost,
        seconds=_number(bounds, "seconds", 0.0) if "seconds" in bounds else standard.seconds,
        repeats=int(_number(bounds, "repeats", standard.repeats)),
        stalls=int(_number(bounds, "stalls", standard.stalls)),
        parallel=int(_number(bounds, "parallel", standard.parallel)),
        depth=int(_number(bounds, "depth", standard.depth)),
        children=int(_number(bounds, "children", standard.children)),
        model_retries=int(_number(bounds, "modelRetries", standard.model_retries)),
        tool_retries=int(_number(bounds, "toolRetries", standard.tool_retries)),
        model_seconds=_number(bounds, "modelSeconds", standard.model_seconds),
        tool_seconds=_number(bounds, "toolSeconds", standard.tool_seconds),
        approval_seconds=_number(bounds, "approvalSeconds", standard.approval_seconds),
    )


def _number(bounds: Data, name: str, standard: float) -> float:
    value = bounds.get(name, standard)
    if type(value) is not int and type(value) is not float:
        raise TypeError(f"the limit {name} is not a number")
    return value
