"""Repeated writes: one key, one call, one answer, also across a restart.

The answer is stored in the transaction of the write, so there is no moment at which the write has happened and the key
is unknown. While the first call is under way, its repetitions wait for it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from pharos.control.faults import IDEMPOTENCY_MISMATCH, NOT_REPLAYABLE
from pharos.control.problems import invalid
from pharos.core.call import Call
from pharos.core.fault import Applicability, Fault, Fix, Problem
from pharos.core.wire import JsonObject
from pharos.store.faults import IDEMPOTENCY_RACE
from pharos.store.ports import Remember, Remembered, Store

KEPT = timedelta(hours=24)
"""How long an answer is kept under its key."""
PATIENCE = 10.0
"""Seconds a repetition waits for the first call."""
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Key:
    """A caller's key for one call. ``fingerprint`` says which call it is."""

    scope: str
    key: str
    fingerprint: str

    def remember(self, operation_id: str, answer: JsonObject | None, now: datetime) -> Remember:
        """The command that stores the answer; ``None`` where it must not be stored."""
        return Remember(self.scope, self.key, self.fingerprint, operation_id, answer, now + KEPT)


def key_of(scope: str, key: str, fingerprint: str) -> Key:
    """A checked key. Raises ``INVALID``."""
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        message = f"An idempotency key has 1 to {LONGEST_KEY} printable characters."
        raise invalid([Problem(pointer="/idempotencyKey", message=message)])
    return Key(scope, key, fingerprint)


def fingerprint_of(operation: str, arguments: JsonObject) -> str:
    """A digest of a call, the same for any order of members. Raises ``INVALID`` for what has no JSON form."""
    try:
        body = orjson.dumps([operation, arguments], option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise invalid(
            [Problem(pointer="", message="The input is not JSON: too deep, or text that is no Unicode.")]
        ) from None
    return hashlib.sha256(body).hexdigest()


@dataclass(slots=True)
class _Flight:
    """A call under way."""

    fingerprint: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Idempotency:
    """Knows the calls under way and reads the answers of those that ended."""

    def __init__(self, store: Store, patience: float = PATIENCE) -> None:
        self._store = store
        self._patience = patience
        self._flights: dict[tuple[str, str], _Flight] = {}

    async def once(self, key: Key, run: Callable[[], Awaitable[JsonObject]]) -> JsonObject:
        """The stored answer of ``key``, or that of ``run``, which must commit :meth:`Key.remember`.

        Raises ``IDEMPOTENCY_MISMATCH`` if the key belongs to another call, ``IDEMPOTENCY_RACE`` if the first call takes
        longer than a repetition waits, and ``NOT_REPLAYABLE`` if its answer held a secret.
        """
        async with self._turn(key):
            if (found := await self._found(key)) is not None:
                return _replay(found)
            try:
                return await run()
            except Fault as fault:
                # Another process, or a call whose caller left while it was being committed, was first.
                if fault.code != IDEMPOTENCY_RACE.code or (found := await self._found(key)) is None:
                    raise
                return _replay(found)

    async def each(self, key: Key, run: Callable[[bool], Awaitable[JsonObject]]) -> JsonObject:
        """The answer of ``run``, whose answers are not kept: it runs for a repetition too, and brings nothing about
        twice. It is told whether the call is the first, which it may note with :meth:`Key.remember`.

        Raises ``IDEMPOTENCY_MISMATCH`` if the key belongs to another call, and ``IDEMPOTENCY_RACE`` like :meth:`once`.
        """
        async with self._turn(key):
            first = await self._found(key) is None
            try:
                return await run(first)
            except Fault as fault:
                if not first or fault.code != IDEMPOTENCY_RACE.code or await self._found(key) is None:
                    raise
                return await run(False)

    async def _found(self, key: Key) -> Remembered | None:
        """What is known of the key. Raises ``IDEMPOTENCY_MISMATCH``."""
        found = await self._store.remembered(key.scope, key.key)
        if found is not None:
            _same(key, found.fingerprint)
        return found

    @asynccontextmanager
    async def _turn(self, key: Key) -> AsyncIterator[None]:
        """One after the other."""
        name = key.scope, key.key
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while (earlier := self._flights.get(name)) is not None:
            _same(key, earlier.fingerprint)
            try:
                async with asyncio.timeout_at(deadline):
                    await earlier.ended.wait()
            except TimeoutError:
                raise IDEMPOTENCY_RACE(
                    "The first call with this idempotency key is still being carried out.", retry_after=1
                ) from None
        self._flights[name] = flight = _Flight(key.fingerprint)
        try:
            yield
        finally:
            del self._flights[name]
            flight.ended.set()


def _same(key: Key, fingerprint: str) -> None:
    if fingerprint != key.fingerprint:
        raise IDEMPOTENCY_MISMATCH(pointer="/idempotencyKey")


def _replay(found: Remembered) -> JsonObject:
    if found.answer is not None:
        return found.answer
    raise NOT_REPLAYABLE(
        facts={"operation": found.operation_id},
        subject=found.operation_id,
        fixes=[
            Fix(
                id="undo",
                title="Undo the first call, then make a new one under a new key",
                applicability=Applicability.LIKELY,
                call=Call(operation="operations.undo", arguments={"id": found.operation_id}),
            )
        ],
    )
