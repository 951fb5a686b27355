"""What the city observes of its secrets, and the end of master keys that seal nothing any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import ValidationError

from pharos.control.index import Index
from pharos.control.observing import judged, note
from pharos.core.operation import Observe
from pharos.core.resource import AnyResource, ResourceId
from pharos.core.tasks import running
from pharos.trust.sealed.envelope import SealBroken
from pharos.trust.sealed.vault import SECRET, Vault, secret_status

_log = logging.getLogger(__name__)

READABLE = "Readable"
"""Type of the condition that a secret opens."""

GRACE_SECONDS = 300.0
"""How long an old master key outlives its last use: no decision that began with it is committed after that."""


class SecretUpkeep:
    """Keeps the conditions of secrets true, and the ring of master keys short."""

    def __init__(self, index: Index, vault: Vault, observe: Observe, *, grace: float = GRACE_SECONDS) -> None:
        self._index = index
        self._vault = vault
        self._observe = observe
        self._grace = grace
        self._changed = asyncio.Event()
        index.subscribe(self._follow)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Look, until left. What a crash left of a rotation is finished first: now nobody else is at work."""
        await self._drop(self._unused())
        async with running(self._run, "pharos-secrets"):
            yield

    async def look(self) -> None:
        """Observe every secret once."""
        for secret in self._index.all(SECRET):
            problem = ""
            try:
                self._vault.reveal(secret.id)
            except SealBroken as error:
                problem = str(error)
            await note(self._observe, secret, judged(READABLE, problem, good="Sealed", bad="Broken"))

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            await self.look()
            unused = self._unused()
            try:
                async with asyncio.timeout(self._grace if unused else None):
                    await self._changed.wait()
            except TimeoutError:
                await self._drop(unused & self._unused())

    def _unused(self) -> frozenset[str]:
        """Ids of master keys that are not active and that no secret names."""
        used: set[str] = set()
        for secret in self._index.all(SECRET):
            try:
                sealed = secret_status(secret).sealed
            except ValidationError:
                return frozenset()  # Which key it needs cannot be read: none is given up.
            if sealed is not None:
                used.add(sealed.key)
        return self._vault.ring.ids - used - {self._vault.ring.active}

    async def _drop(self, ids: frozenset[str]) -> None:
        if not ids:
            return
        try:
            await asyncio.to_thread(self._vault.ring.drop, ids)
        except OSError as error:
            _log.warning("old master keys could not be dropped: %s", error.strerror)
        else:
            _log.info("dropped %d master keys that seal nothing any more", len(ids))

    def _follow(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind == SECRET.name:
            self._changed.set()
