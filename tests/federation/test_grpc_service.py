"""gRPC is served where its packages are, and a city opens where they are not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.federation.town import Town, town

from pharos.gateway.federation.bindings import grpc_service
from pharos.gateway.federation.bindings.grpc_service import READY
from pharos.gateway.federation.kinds import FEDERATION


async def told(city: Town, status: str) -> str:
    """What is said of gRPC once it is so."""
    async with asyncio.timeout(20):
        while True:
            found = city.index.get(FEDERATION, "default")
            for each in found.status.conditions if found is not None else ():
                if each.type == READY and each.status == status:
                    return each.message
            await asyncio.sleep(0.01)


async def test_a_city_opens_where_grpc_cannot_be_loaded_and_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_service, "_AGAIN_SECONDS", 0.02)
    with monkeypatch.context() as broken:
        broken.setattr(grpc_service, "_DOOR", "pharos.gateway.federation.no_door")
        async with town(tmp_path) as city:
            await city.federation(grpc={"port": 0})
            assert "no_door" in await told(city, "False")
        async with asyncio.timeout(20) as opening, town(tmp_path) as city:
            opening.reschedule(None)
            broken.undo()
            await told(city, "True")
