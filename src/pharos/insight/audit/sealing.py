"""Seals chains: a moment after records were committed, the head after them is written to the log."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import cast

from pharos.core.event import START, Event
from pharos.core.fault import Fault
from pharos.core.tasks import running
from pharos.core.wire import JsonObject
from pharos.insight.audit.chain import SEALED, Head, Seal, extended, genesis, leaf_of, seals_of
from pharos.insight.audit.records import AUDIT
from pharos.mesh.auditing import CHAIN, chain_of
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Append, Store

_log = logging.getLogger(__name__)

LINGER = 0.2
"""Seconds between the first unsealed record and its seal, so that a busy chain is sealed in stretches."""
MOST = 256
"""Events under one seal."""
RETRY = 5.0
"""Seconds before a seal is tried again that could not be written."""


class Sealer:
    """Knows which chains have grown. Idle while nothing is recorded: it is told, it does not look."""

    def __init__(self, store: Store, *, linger: float = LINGER) -> None:
        self._store = store
        self._linger = linger
        self._grown: set[str] = set()
        self._wake = asyncio.Event()
        self._heads: dict[str, Head] = {}
        self._sealing = asyncio.Lock()

    def grew(self, namespace: str) -> None:
        """An event was committed to the chain of a namespace."""
        self._grown.add(namespace)
        self._wake.set()

    def service(self, runner: ProjectionRunner) -> AbstractAsyncContextManager[None]:
        """Seal what a former process left, then whatever grows, until the context is left."""
        return running(partial(self._serve, runner), "seal audit chains")

    async def _serve(self, runner: ProjectionRunner) -> None:
        await self._load(runner)
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._linger)
            self._wake.clear()
            grown, self._grown = self._grown, set()
            for namespace in grown:
                try:
                    await self.seal(namespace)
                except (Fault, ValueError) as error:  # a ValueError is an event that cannot be read
                    what = error.code if isinstance(error, Fault) else type(error).__name__
                    _log.error("the audit chain of %s could not be sealed: %s", namespace, what)
                    self._heads.pop(namespace, None)
                    await asyncio.sleep(RETRY)
                    await self._load(runner)

    async def _load(self, runner: ProjectionRunner) -> None:
        """Find how far each chain is sealed, and which are longer."""
        while True:
            try:
                await runner.caught_up(AUDIT)
                break
            except Fault as fault:
                _log.warning("how far the audit is sealed is not known yet: %s", fault.code)
                await asyncio.sleep(RETRY)
        rows = await self._store.views.query("SELECT namespace, sequence, head, position, seals FROM audit_seals")
        for namespace, sequence, head, position, seals in rows:
            self._heads[str(namespace)] = Head(
                int(sequence or 0), bytes.fromhex(str(head)), str(position), int(seals or 0)
            )
        after: str | None = None
        while True:
            topics, after = await self._store.log.topics(CHAIN, after)
            for topic in topics:
                namespace = topic.name.removeprefix(CHAIN)
                known = self._heads.get(namespace)
                if known is None or known.sequence < topic.sequence:
                    self.grew(namespace)
            if after is None:
                return

    async def seal(self, namespace: str) -> None:
        """Seal everything of a chain that is not. Raises what the store raises."""
        chain = chain_of(namespace)
        async with self._sealing:
            head = self._heads.get(namespace) or Head(0, genesis(chain), START, 0)
            while page := await self._store.log.read(chain, head.position, MOST):
                leaves = [leaf_of(recorded) for recorded in page]
                after = extended(head.head, leaves)
                last = page[-1]
                seal: Seal = {
                    "chain": chain,
                    "first": page[0].sequence,
                    "last": last.sequence,
                    "leaves": [leaf.hex() for leaf in leaves],
                    "previous": head.head.hex(),
                    "head": after.hex(),
                    "position": last.position,
                }
                event = Event(topic=seals_of(namespace), type=SEALED, data=cast("JsonObject", seal), subject=chain)
                await self._store.commit(Append(event, expected_sequence=head.seals))
                head = self._heads[namespace] = Head(last.sequence, after, last.position, head.seals + 1)
                if len(page) < MOST:
                    return
