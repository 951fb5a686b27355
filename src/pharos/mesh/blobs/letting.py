"""Blobs of the city's own records that are to go while the record stays: content that expires, deleted answers.

They belong to the city (namespace ``""``); see ``store/blobs.py`` for what that means.
"""

from __future__ import annotations

from collections.abc import Sequence

from pharos.core.event import Position
from pharos.core.fault import Fault
from pharos.store.blobs import Collect, GiveUp, Uncite
from pharos.store.faults import BLOB_CITED
from pharos.store.ports import Command, Store

CITY = ""
"""The namespace of blobs that only the city reads."""


async def let_go(store: Store, cited: Sequence[tuple[Position, str]], *told: Command) -> None:
    """Events let blobs go, each given as (position, digest); ``told`` is committed with that. Then the bytes go, now.

    What a crash leaves of it the collector finds.
    """
    await store.commit(*told, *(Uncite(position, digest) for position, digest in cited))
    await remove(store, [digest for _, digest in cited])


async def remove(store: Store, digests: Sequence[str]) -> None:
    """Remove blobs that no event cites any more, without grace. Others who have the same bytes keep them."""
    for digest in digests:
        try:
            await store.commit(GiveUp(CITY, digest))
        except Fault as fault:
            if fault.code != BLOB_CITED.code:
                raise
    if digests:
        await store.commit(Collect(tuple(digests)))
        await store.blobs.freed()
