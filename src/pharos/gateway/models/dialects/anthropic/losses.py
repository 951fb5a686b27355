"""What becomes of a messages request that is served by another dialect."""

from __future__ import annotations

from pharos.gateway.models.dialects.dialect import Loss

LOSSES: tuple[Loss, ...] = ()
