"""What every plane can stand on: the first things of a city, opened before any plane is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.core.plane import Plane
from pharos.store.ports import Store


@dataclass(frozen=True, slots=True)
class Ground:
    """Given to each plane of a third party, too."""

    home: Path
    store: Store
    directory: Directory
    index: Index
    invoker: Invoker


Factory = Callable[[Ground], Plane]
"""What an entry point of the group ``pharos.planes`` names."""
