"""The head of an answer leaves together with the first bytes of its body.

uvicorn writes them one after the other, which costs each answer a system call and each client a wake-up more. The
transport that an answer is given here holds its head back until something follows, at most until the event loop has run
what is due now.
"""

from __future__ import annotations

import asyncio

_INTERIM = b"HTTP/1.1 1"


class JoiningTransport:
    """What uvicorn's response cycle needs of a transport, on top of the connection's own."""

    __slots__ = ("_begun", "_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._begun = False

    def write(self, data: bytes) -> None:
        """Write, in order; the first piece may wait for the second."""
        if self._head:
            data, self._head = self._head + data, b""
        elif not self._begun and not data.startswith(_INTERIM):
            self._begun = True
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close the connection when everything is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)
