"""Where the city is and with which key to enter it.

An explicit value wins, then ``PHAROS_URL`` and ``PHAROS_KEY``, then what a city started in this directory leaves:
``http://127.0.0.1:7700`` and ``./.pharos/admin.key``. The key file is used only for an address of this machine, so that
a local administrator's key never travels to another host because of where a command happened to run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:7700"
KEY_FILE = Path(".pharos") / "admin.key"

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Target:
    """A city's address, and the secret that opens it (``None``: enter without one)."""

    url: str
    key: str | None = field(repr=False)
    key_source: str
    """Where the key was found, for diagnosis: ``argument``, ``PHAROS_KEY``, the path of the file, or ``none``."""


def find_target(
    url: str | None = None,
    key: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    directory: Path | None = None,
) -> Target:
    """The target that explicit values, the environment and ``directory`` (default: the current one) mean together.

    Raises ``INVALID_ADDRESS``.
    """
    url = (url or environ.get("PHAROS_URL") or DEFAULT_URL).rstrip("/")
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme in {"http", "https"} else None
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        host = None
    if not host:
        from pharos.client.faults import INVALID_ADDRESS

        meant = "" if "://" in url or url.startswith(("http:", "https:")) else f" Did you mean http://{url}?"
        raise INVALID_ADDRESS(f"{url!r} is not the address of a city; it looks like {DEFAULT_URL}.{meant}")
    if key:
        return Target(url, key, "argument")
    if key := environ.get("PHAROS_KEY"):
        return Target(url, key, "PHAROS_KEY")
    if host in _LOOPBACK:
        path = (directory or Path()) / KEY_FILE
        try:
            return Target(url, path.read_text("ascii").strip() or None, str(path))
        except (OSError, UnicodeError):
            pass
    return Target(url, None, "none")
