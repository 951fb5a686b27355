"""The city's own ASGI server: what an application may say, and how it leaves."""

from __future__ import annotations

import asyncio

import pytest
from tests.server.serving import serving

from pharos.core.plane import Receive, Scope, Send

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, object]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_head_and_first_bytes_leave_together() -> None:
    """One write: a client that reads once has both."""

    read = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"one", more=True))
        await read.wait()
        await send(body(b"two"))

    async with serving(app) as served, await served.connect() as raw:
        await raw.write(GET)
        first = await raw.reader.read(65536)
        read.set()
        assert first.startswith(b"HTTP/1.1 200 OK\r\n") and first.endswith(b"\r\n\r\n3\r\none\r\n")
        assert await raw.rest() == b"3\r\ntwo\r\n0\r\n\r\n"


async def test_a_head_waits_for_no_body() -> None:
    released = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await released.wait()
        await send(body())

    async with serving(app) as served, await served.connect() as raw:
        await raw.write(GET)
        assert (await raw.head()).startswith(b"HTTP/1.1 200")
        released.set()
        assert await raw.rest() == b"0\r\n\r\n"


async def test_an_expecting_client_is_asked_for_its_body() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await send(start((b"content-length", b"3")))
        await send(body(message["body"]))

    async with serving(app) as served, await served.connect() as raw:
        await raw.write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n")
        assert await raw.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await raw.write(b"abc")
        assert (await raw.rest()).endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize(
    "header",
    [
        *((b"x", b"a\r\nset-cookie: b"), (b"x y", b"a"), (b"x:", b"a"), (b"", b"a")),
        *((b"x", b"a%cb" % octet) for octet in (0, 8, 10, 11, 13, 31, 127)),
    ],
)
async def test_a_header_cannot_become_two(header: tuple[bytes, bytes]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(header))
        await send(body(b"unsent"))

    async with serving(app) as served:
        answer = await served.exchange(GET)
        assert answer.startswith(b"HTTP/1.1 500") and b"set-cookie" not in answer and b"unsent" not in answer


async def test_what_may_stand_in_a_header_is_sent_as_it_is() -> None:
    visible = bytes(octet for octet in range(256) if octet == 9 or 32 <= octet != 127)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"x", b"a" + visible + b"b")))
        await send(body(b""))

    async with serving(app) as served:
        assert b"\r\nx: a" + visible + b"b\r\n" in await served.exchange(GET)


@pytest.mark.parametrize("length", [2, 4])
async def test_a_body_that_is_not_as_long_as_announced_is_cut(length: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"%d" % length)))
        await send(body(b"abc"))

    async with serving(app) as served, await served.connect() as raw:
        await raw.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not (await raw.rest()).endswith(b"abc")  # and the connection is closed, although it was to be kept


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_have_none(status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(status=status))
        await send(body(b"none of it"))

    async with serving(app) as served:
        head, _, rest = (await served.exchange(GET)).partition(b"\r\n\r\n")
        assert rest == b"" and b"transfer-encoding" not in head


async def test_head_is_get_without_the_body() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"3")))
        await send(body(b"abc"))

    async with serving(app) as served:
        answer = await served.exchange(GET.replace(b"GET", b"HEAD"))
        assert b"content-length: 3\r\n" in answer and answer.endswith(b"\r\n\r\n")


async def test_http_1_0_is_answered_and_closed() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["http_version"] == "1.0"
        await send(start((b"content-length", b"2")))
        await send(body(b"ok"))

    async with serving(app) as served:
        answer = await served.exchange(b"GET / HTTP/1.0\r\n\r\n")
        assert b"connection: close\r\n" in answer and answer.endswith(b"\r\n\r\nok")


async def test_an_application_that_says_nothing_is_answered_for() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return

    async with serving(app) as served:
        assert (await served.exchange(GET)).startswith(b"HTTP/1.1 500")


async def test_a_stream_that_breaks_off_does_not_look_whole() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"half", more=True))
        raise ValueError

    async with serving(app) as served:
        answer = await served.exchange(GET)
        assert answer.endswith(b"4\r\nhalf\r\n")


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"0")))
        await send(body())

    async with serving(app) as served, await served.connect() as raw:
        await raw.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await raw.head()
        (connection,) = served.server.server_state.connections
        connection._keep_alive = 0.1  # type: ignore[union-attr]
        assert await raw.rest() == b""
