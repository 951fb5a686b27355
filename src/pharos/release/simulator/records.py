"""What reached the simulator: a bounded memory of requests, so that a test can assert what a provider was sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pharos.core.wire import JsonObject
from pharos.release.simulator.conversation import credential

COUNT_LIMIT = 1_000
BYTES_LIMIT = 64 * 1024 * 1024
"""Bodies kept, all together. The oldest records go first."""

SECRET_HEADERS = frozenset({"authorization", "x-api-key", "x-goog-api-key", "proxy-authorization", "cookie"})

Outcome: TypeAlias = Literal["running", "answered", "refused", "failed", "left"]
"""``answered`` as a provider would; ``refused`` with an error status; ``failed`` as the script's fault says; ``left``:
the client went away first."""


@dataclass(slots=True)
class Received:
    """One request. ``outcome``, ``rule`` and ``sent_bytes`` are filled in as it is answered."""

    number: int
    """From 1, in the order of arrival."""
    at: float
    """Unix time in seconds."""
    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name; secrets included."""
    body: JsonObject | None
    """The JSON object sent; ``None`` if it was none."""
    size: int
    """Length of the body in bytes."""
    model: str = ""
    stream: bool = False
    rule: str = ""
    status: int = 0
    """Response status; 0 where the script sent none."""
    sent_bytes: int = 0
    """Of the response body."""
    outcome: Outcome = "running"

    @property
    def key(self) -> str:
        """The credential sent, as ``Authorization: Bearer`` or ``x-api-key``."""
        return credential(self.headers)

    def to_json(self) -> JsonObject:
        """The record as JSON. Of a secret only the last four characters are shown."""
        return {
            "number": self.number,
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "headers": {name: _shown(name, value) for name, value in self.headers.items()},
            "body": self.body,
            "size": self.size,
            "model": self.model,
            "stream": self.stream,
            "rule": self.rule,
            "status": self.status,
            "sentBytes": self.sent_bytes,
            "outcome": self.outcome,
        }


class Records:
    """The newest requests, at most :data:`COUNT_LIMIT` and :data:`BYTES_LIMIT` of bodies."""

    def __init__(self, count_limit: int = COUNT_LIMIT, bytes_limit: int = BYTES_LIMIT) -> None:
        self._kept: deque[Received] = deque()
        self._count_limit = count_limit
        self._bytes_limit = bytes_limit
        self._bytes = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, record: Received) -> None:
        """Keep a record, and forget the oldest ones beyond the limits."""
        self._kept.append(record)
        self._bytes += record.size
        while len(self._kept) > 1 and (len(self._kept) > self._count_limit or self._bytes > self._bytes_limit):
            self._bytes -= self._kept.popleft().size
        self.changed()

    def changed(self) -> None:
        """Wake those who wait for a record to come or to change."""
        self._changed.set()
        self._changed = asyncio.Event()

    def after(self, number: int = 0, limit: int = COUNT_LIMIT) -> Sequence[Received]:
        """Records with a higher number, oldest first."""
        found = [record for record in self._kept if record.number > number]
        return found[:limit]

    @property
    def last(self) -> Received:
        """The newest record. Raises ``LookupError`` if there is none."""
        if not self._kept:
            raise LookupError("the simulator has received nothing")
        return self._kept[-1]

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._bytes = 0

    async def wait_for(self, holds: Callable[[Received], bool], seconds: float = 5.0) -> Received:
        """The first record of which ``holds`` is true, now or as it comes. Raises ``TimeoutError``."""
        async with asyncio.timeout(seconds):
            while True:
                if (found := next(filter(holds, self._kept), None)) is not None:
                    return found
                await self._changed.wait()


def _shown(name: str, value: str) -> str:
    if name not in SECRET_HEADERS:
        return value
    scheme, space, secret = value.rpartition(" ")
    return f"{scheme}{space}…{secret[-4:] if len(secret) > 8 else ''}"
