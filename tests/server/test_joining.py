"""An answer's head and the first bytes of its body are one write; order and closing stay as they are."""

from __future__ import annotations

import asyncio

import pytest

from pharos.server.joining import JoiningTransport


class Socket(asyncio.Transport):
    """Remembers what was written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def socket() -> Socket:
    return Socket()


async def joining(socket: Socket) -> JoiningTransport:
    return JoiningTransport(socket, asyncio.get_running_loop())


async def test_head_and_first_bytes_leave_together(socket: Socket) -> None:
    transport = await joining(socket)
    transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
    transport.write(b"one")
    transport.write(b"two")
    assert socket.writes == [b"HTTP/1.1 200 OK\r\n\r\none", b"two"]


async def test_a_head_without_body_waits_for_nothing(socket: Socket) -> None:
    transport = await joining(socket)
    transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    await asyncio.sleep(0)
    assert socket.writes == [b"HTTP/1.1 204 No Content\r\n\r\n"]
    transport.write(b"later")
    assert socket.writes[-1] == b"later"


async def test_an_interim_answer_leaves_at_once(socket: Socket) -> None:
    transport = await joining(socket)
    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert socket.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
    transport.write(b"body")
    assert socket.writes[1:] == [b"HTTP/1.1 200 OK\r\n\r\nbody"]


async def test_closing_writes_what_waits(socket: Socket) -> None:
    transport = await joining(socket)
    transport.write(b"HTTP/1.1 500 Oh\r\n\r\n")
    transport.close()
    assert socket.writes == [b"HTTP/1.1 500 Oh\r\n\r\n"]
    assert transport.is_closing()
    await asyncio.sleep(0)
    assert len(socket.writes) == 1
