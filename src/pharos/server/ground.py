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

HERE = "http://127.0.0.1"
"""The URL of a city that has not been told where it is reached."""

Pem = Callable[[], tuple[bytes, bytes]]
"""The private key and the certificate chain that count now, both as PEM."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Given to each plane of a third party, too."""

    home: Path
    store: Store
    directory: Directory
    index: Index
    invoker: Invoker
    url: str = HERE
    """Where the city is reached, as far as it knows by itself: without a slash at the end."""
    tls: Pem | None = None
    """What it shows to who connects with TLS, where it has it."""


Factory = Callable[[Ground], Plane]
"""What an entry point of the group ``pharos.planes`` names."""
