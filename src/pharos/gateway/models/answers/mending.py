"""A stream that does not end where its provider fails: the body of models that resume or restart.

It keeps what the client was sent, within bounds. When the stream breaks, the attempt layer is asked for another answer
that joins it; where there is none, or none could, the error of the client's dialect ends the stream as ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from pharos.core.fault import Fault
from pharos.gateway.models.answers.continuation import Continuation, resumable, said_of
from pharos.gateway.models.answers.streaming import Broken
from pharos.gateway.models.call import Body, Call, Relay, Write, relay_of
from pharos.gateway.models.dialects.canonical import Failure
from pharos.gateway.models.dialects.continuing import CONTINUING
from pharos.mesh.facts import Usage, added

MAX_KEPT = 2 * 1024 * 1024
"""Bytes of a stream that are kept; one that breaks later ends with an error."""

MOST_MENDS = 3
"""How often one answer is gone on with."""


class Breakable(Body, Protocol):
    """A stream that is heard: see :class:`~pharos.gateway.models.answers.streaming.AnswerStream`."""

    breaks: bool

    @property
    def usage(self) -> Usage: ...

    def give_up(self, fault: Fault) -> bytes: ...


Mend = Callable[[Failure, Continuation], Awaitable[Breakable]]
"""Asks for an answer that joins the one that failed. Raises the fault that the client is to get if there is none."""


class Mended:
    """See :class:`~pharos.gateway.models.call.Body`."""

    __slots__ = ("_broken", "_call", "_kept", "_mend", "_mends", "_room", "_stream", "_used")

    def __init__(self, call: Call, stream: Breakable, mend: Mend) -> None:
        stream.breaks = True
        self._call = call
        self._stream = stream
        self._mend = mend
        self._mends = 0
        self._kept: list[bytes] = []
        self._room = MAX_KEPT
        self._used: Usage = {}
        self._broken: Broken | None = None

    def __aiter__(self) -> Mended:
        return self

    async def __anext__(self) -> bytes:
        while True:
            try:
                if self._broken is not None:
                    broken, self._broken = self._broken, None
                    if (last := await self._go_on(broken)) is not None:
                        return last
                chunk = await self._stream.__anext__()
            except Broken as broken:
                self._broken = broken
                chunk = broken.out
                if not chunk:
                    continue
            self._keep(chunk)
            return chunk

    @property
    def relay(self) -> Relay | None:
        """That of the stream that is heard."""
        return self._relay if self._broken is None and relay_of(self._stream) is not None else None

    async def _relay(self, write: Write) -> None:
        relay = relay_of(self._stream)
        if relay is None or self._broken is not None:
            return

        def kept(chunk: bytes) -> bool:
            self._keep(chunk)
            return write(chunk)

        await relay(kept)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _keep(self, chunk: bytes) -> None:
        self._room -= len(chunk)
        if self._room >= 0:
            self._kept.append(chunk)

    async def _go_on(self, broken: Broken) -> bytes | None:
        """Ask for the rest of the answer; returns the end of the stream where there will be none."""
        await self._stream.aclose()
        call = self._call
        if call.gone:  # a provider that is read to its end for the numbers: nobody waits for an answer
            return self._stream.give_up(broken.fault)
        self._used = added(self._used, self._stream.usage)
        continuation = self._continuation()
        if continuation is None:
            return self._stream.give_up(broken.fault)
        self._mends += 1
        try:
            stream = await self._mend(broken.failure, continuation)
        except Fault as fault:
            return self._stream.give_up(fault)
        stream.breaks = True
        self._stream = stream
        return None

    def _continuation(self) -> Continuation | None:
        call = self._call
        kind = call.model.resilience.mends
        if kind == "error" or self._room < 0 or self._mends >= MOST_MENDS:
            return None
        try:
            said = said_of(call.dialect, CONTINUING[call.dialect.name], b"".join(self._kept))
            if said is None or (kind == "resume" and not resumable(call, said)):
                return None
            return Continuation(call, said, kind, self._used)
        except ValueError:
            return None
