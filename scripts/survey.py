"""What a city offers, looked at in a real one that is opened for the purpose and thrown away."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pharos.core.fault import FaultCode
from pharos.core.operation import AnyOperation
from pharos.core.resource import AnyKind
from pharos.server.city import open_city


@dataclass(frozen=True, slots=True)
class Survey:
    """What the planes of this distribution bring."""

    operations: Sequence[AnyOperation]
    kinds: Sequence[AnyKind]
    faults: Sequence[tuple[str, Sequence[FaultCode]]]
    """By the plane that declares them."""


def survey() -> Survey:
    """Open a city and look around. Planes of third parties are part of it, if any are installed."""
    return asyncio.run(_survey())


async def _survey() -> Survey:
    with tempfile.TemporaryDirectory(prefix="pharos-survey-") as home:
        async with open_city(Path(home)) as city:
            directory = city.directory
            faults: dict[str, list[FaultCode]] = {}
            for listed in directory.faults.values():
                faults.setdefault(listed.plane, []).append(listed.code)
            return Survey(
                operations=list(directory.operations.values()),
                kinds=[directory.kinds[name] for name in directory.kinds],
                faults=sorted(faults.items()),
            )
