"""Connectors that installed packages bring: found by their entry points, made once, when the city opens.

The groups are those of :data:`pharos.mesh.connectors.GROUPS`. A plugin that is installed and broken stops the city with
a fault that names it: sessions that count on it would fail later, one by one, for a reason nobody sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, Protocol, cast

from pharos.core.fault import Fault
from pharos.mesh.connectors import GROUPS, MemoryConnector, PersonConnector, SandboxConnector, ToolConnector
from pharos.runtime.tools.faults import PLUGIN_BROKEN

Sort = Literal["tool", "memory", "sandbox", "agent", "person"]

_METHODS: Mapping[str, tuple[str, ...]] = {
    "tool": ("tools", "call", "lookup"),
    "memory": ("recall", "remember"),
    "sandbox": ("run",),
    "agent": ("give", "end", "cancel"),
    "person": ("ask", "withdraw"),
}


class Installed(Protocol):
    """What ``importlib.metadata.entry_points()`` returns, under its names in Python 3.11 and later."""

    def select(self, *, group: str) -> Iterable[EntryPoint]: ...


def tool_plugins(installed: Installed | None = None) -> Mapping[str, ToolConnector]:
    """Sources of tools, by the names of their entry points. Raises ``PLUGIN_BROKEN``."""
    return cast("Mapping[str, ToolConnector]", plugins("tool", installed))


def memory_plugins(installed: Installed | None = None) -> Mapping[str, MemoryConnector]:
    """Memories, by name. Raises ``PLUGIN_BROKEN``."""
    return cast("Mapping[str, MemoryConnector]", plugins("memory", installed))


def sandbox_plugins(installed: Installed | None = None) -> Mapping[str, SandboxConnector]:
    """Sandboxes, by name. Raises ``PLUGIN_BROKEN``."""
    return cast("Mapping[str, SandboxConnector]", plugins("sandbox", installed))


def person_plugins(installed: Installed | None = None) -> Mapping[str, PersonConnector]:
    """Ways to people, by name. Raises ``PLUGIN_BROKEN``."""
    return cast("Mapping[str, PersonConnector]", plugins("person", installed))


def plugins(sort: Sort, installed: Installed | None = None) -> Mapping[str, object]:
    """The connectors of a sort, by the names of their entry points. ``installed`` are all there are, where somebody has
    looked already: to look takes 10 ms. Raises ``PLUGIN_BROKEN``."""
    found: dict[str, object] = {}
    origins: dict[str, EntryPoint] = {}
    for entry in (entry_points() if installed is None else installed).select(group=GROUPS[sort]):
        if entry.name in found:
            raise _broken(entry, sort, f"so does {_package(origins[entry.name])}: one name, two connectors")
        found[entry.name] = _made(entry, sort)
        origins[entry.name] = entry
    return found


def _made(entry: EntryPoint, sort: Sort) -> object:
    try:
        connector: object = entry.load()()
    except Exception as error:  # a stranger's code: whatever it raises
        raise _broken(entry, sort, f"{type(error).__name__}: {error}") from error
    missing = [name for name in _METHODS[sort] if not callable(getattr(connector, name, None))]
    if missing:
        raise _broken(entry, sort, f"its {type(connector).__name__} has no {', '.join(missing)}")
    return connector


def _broken(entry: EntryPoint, sort: Sort, why: str) -> Fault:
    package = _package(entry)
    return PLUGIN_BROKEN(
        f"{package} brings the {sort} {entry.name!r}, which cannot be used: {why[:500]}",
        subject=package,
        facts={"package": package, "group": GROUPS[sort], "entry": entry.name, "value": entry.value},
    )


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "(an unknown package)"
