from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.federation.town import Town, town


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[Town]:
    """One agent, ``helper``, and two callers; gRPC is open, and webhooks of this machine may be told."""
    async with town(tmp_path / "home") as running:
        await running.agent()
        await running.key("caller")
        await running.key("stranger")
        await running.federation(grpc={"port": 0}, push={"allow": ["127.0.0.1/32"]})
        yield running
