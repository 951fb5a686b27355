"""The sending half of one request: writes, waits and breaks off, and notices at once when the client is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from pharos.core.plane import Receive, Scope, Send

EXTENSION = "pharos.simulator"
"""ASGI extension of the simulator's own server: ``close`` sends what is buffered and ends the TCP connection."""

_CLOSE_SECONDS = 5.0


class Gone(Exception):
    """The client has gone, or the script has cut the connection: nothing more can be sent."""


class Connection:
    """One response. Every method raises :class:`Gone` once the client has left. Use as an async context manager."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, write_bytes: int | None = None) -> None:
        self._receive = receive
        self._send = send
        self._close: Callable[[], None] | None = (scope.get("extensions") or {}).get(EXTENSION, {}).get("close")
        self._gone = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self.write_bytes = write_bytes
        """Size of the pieces in which bodies are written; ``None``: as they come."""
        self.cut_at: int | None = None
        """Length of the body at which the connection is cut."""
        self.clean_cut = False
        self.status = 0
        self.sent = 0
        self.left = False
        """Whether the client went away before the script was done."""

    async def __aenter__(self) -> Connection:
        self._watcher = asyncio.create_task(self._watch(), name="simulator-disconnect")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()

    async def start(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Send the response's status and headers."""
        self._check()
        self.status = status
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, data: bytes) -> None:
        """Send a part of the body, in pieces if asked to; cuts the connection where the script says so."""
        size = self.write_bytes or len(data) or 1
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            cut = self.cut_at is not None and self.sent + len(piece) >= self.cut_at
            if cut and self.cut_at is not None:
                piece = piece[: self.cut_at - self.sent]
            self._check()
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            self.sent += len(piece)
            # A long stream shares the event loop: in a test the client lives on the same one.
            await asyncio.sleep(0)
            if cut:
                await self.cut(clean=self.clean_cut)

    async def end(self) -> None:
        """End the response as HTTP wants it."""
        self._check()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def pause(self, milliseconds: float) -> None:
        """Wait, unless the client leaves meanwhile."""
        self._check()
        if milliseconds > 0:
            try:
                async with asyncio.timeout(milliseconds / 1000):
                    await self._gone.wait()
            except TimeoutError:
                return
            self._check()

    async def cut(self, *, clean: bool = False) -> None:
        """End the connection in the middle; always raises :class:`Gone`. ``clean``: end only the HTTP response."""
        if clean:
            await self.end()
        elif self._close is not None:
            self._close()
            # What is buffered goes out first. A client that reads nothing must not hold the request for ever.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._gone.wait()
        else:
            # Another server than ours: an application that fails is how ASGI says that a response is broken off.
            raise ConnectionAbortedError("the script cuts the answer here")
        raise Gone

    def _check(self) -> None:
        if self._gone.is_set():
            self.left = True
            raise Gone
