"""Signatures of tool calls, kept for clients whose dialect has no field for them.

A Gemini model signs its calls, and refuses a conversation in which the signature of a call is missing. A client of
another dialect sends the call back with its id and nothing else; so the signature waits here, under the caller's key
and the call's id. It lives in memory, for hours and up to a bound; one that is gone is no loss but of quality: the
dialect then has a word that says that nobody signed.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from pharos.gateway.models.dialects.canonical import Request, ToolCall, Turn
from pharos.gateway.models.dialects.naming import plain_id

LIFETIME = 24 * 3600.0
"""Seconds a signature is kept."""

MOST_BYTES = 64 * 1024 * 1024
"""All signatures together. The oldest go first."""

LONGEST = 1024 * 1024
"""A longer one is not kept."""

_OVERHEAD = 300
"""Bytes an entry takes beside its signature."""


class _Kept(NamedTuple):
    signature: str
    until: float


class Signatures:
    """The signatures of one city's calls. ``clock`` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most_bytes: int = MOST_BYTES) -> None:
        self._clock = clock
        self._most = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, holder: str, call: str, signature: str) -> None:
        """Keep the signature of a call that ``holder`` is told of under this id."""
        if len(signature) > LONGEST:
            return
        now = self._clock()
        self._drop((holder, call))
        self._kept[holder, call] = _Kept(signature, now + LIFETIME)
        self._bytes += len(signature) + _OVERHEAD
        while self._kept:
            oldest = next(iter(self._kept))
            if self._bytes <= self._most and self._kept[oldest].until > now:
                break
            self._drop(oldest)

    def find(self, holder: str, call: str) -> str:
        """The signature; empty if there is none."""
        kept = self._kept.get((holder, call))
        return kept.signature if kept is not None and kept.until > self._clock() else ""

    def restore(self, holder: str, request: Request) -> None:
        """Give the calls in a request their signatures back."""
        if not self._kept:
            return
        for place, turn in enumerate(request.turns):
            if turn.role == "assistant" and any(isinstance(block, ToolCall) for block in turn.blocks):
                blocks = [
                    replace(block, signature=found)
                    if isinstance(block, ToolCall) and (found := self.find(holder, plain_id(block.id)))
                    else block
                    for block in turn.blocks
                ]
                request.turns[place] = Turn(turn.role, tuple(blocks))

    def _drop(self, key: tuple[str, str]) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.signature) + _OVERHEAD
