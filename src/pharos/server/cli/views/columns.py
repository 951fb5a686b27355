"""The columns of lists."""

from __future__ import annotations

from pharos.server.cli.views.cells import Column

COLUMNS: dict[str, tuple[Column, ...]] = {}
