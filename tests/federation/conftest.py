from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.federation.town import Town, furnished


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[Town]:
    """One agent, ``helper``, and two callers; gRPC is open, and webhooks of this machine may be told."""
    async with furnished(tmp_path / "home") as running:
        yield running
