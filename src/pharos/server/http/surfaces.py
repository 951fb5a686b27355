"""Which part of the city stands on which port.

By default one port has everything. With a port for administration, what calls go through (``/v1…``, ``/a2a…``,
``/agui…``) stays on the main one alone, and everything else, also what a later plane brings, is found on the other
alone: what nobody thought of is not exposed. What says whether the process lives, and what a fault code means, is on
both.
"""

from __future__ import annotations

from enum import Enum

_DATA = ("/v1", "/v1beta", "/a2a", "/agui", "/.well-known")
_COMMON = ("/healthz", "/readyz", "/faults")


class Surface(Enum):
    """A part of the city, as seen from one port."""

    WHOLE = "whole"
    DATA = "data"
    ADMIN = "admin"

    def has(self, path: str) -> bool:
        """Whether a route's path (exact, or ending in ``/*``) is part of it."""
        if self is Surface.WHOLE or _below(path, _COMMON):
            return True
        return _below(path, _DATA) is (self is Surface.DATA)


def _below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)
