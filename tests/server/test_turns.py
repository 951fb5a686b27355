"""Requests of one connection take turns in one task, and a whole answer leaves in one piece."""

from __future__ import annotations

import asyncio

import pytest
from tests.server.serving import Raw, serving

from pharos.core.plane import RESPOND, ASGIApp, Receive, Scope, Send
from pharos.server.http.encoding import Encoding

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def answer(send: Send, text: bytes = b"ok") -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


async def ask(raw: Raw, expected: bytes = b"ok") -> None:
    await raw.write(ASK)
    async with asyncio.timeout(30):
        head = await raw.head()
        assert head.startswith(b"HTTP/1.1 200"), head
        assert await raw.reader.readexactly(len(expected)) == expected


def noting(tasks: list[asyncio.Task[object]], finish: asyncio.Event | None = None) -> ASGIApp:
    """Answers, and notes the task it answers in; after its first answer it goes on until ``finish``."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await answer(send)
        if finish is not None and len(tasks) == 1:
            await finish.wait()

    return app


async def test_requests_of_a_connection_share_a_task() -> None:
    tasks: list[asyncio.Task[object]] = []
    app = noting(tasks)
    async with serving(app) as served:
        async with await served.connect() as raw:
            for _ in range(3):
                await ask(raw)
        async with await served.connect() as other:
            await ask(other)
    one, two, three, four = tasks
    assert one is two is three is not four


async def test_a_task_ends_with_its_connection() -> None:
    tasks: list[asyncio.Task[object]] = []
    app = noting(tasks)
    async with serving(app) as served:
        async with await served.connect() as raw:
            await ask(raw)
            assert not tasks[0].done()
            assert not served.server.server_state.tasks, "a connection without a request is nothing to wait for"
        async with asyncio.timeout(30):
            await asyncio.wait(tasks)
    assert not tasks[0].cancelled()


async def test_work_after_an_answer_holds_no_request_up() -> None:
    """An application that goes on after its answer keeps its task; the next request gets another one."""
    finish = asyncio.Event()
    tasks: list[asyncio.Task[object]] = []
    app = noting(tasks, finish)
    async with serving(app) as served, await served.connect() as raw:
        await ask(raw)
        await ask(raw)
        await ask(raw)
        first, second, third = tasks
        assert first is not second and second is third
        assert served.server.server_state.tasks == {first}, "what is not done is waited for when the city ends"
        finish.set()
        async with asyncio.timeout(30):
            await asyncio.wait({first})
        assert first.done() and not second.done()
        await ask(raw)
        assert tasks[3] is second


async def test_a_whole_answer_leaves_in_one_piece() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope[RESPOND](200, [(b"content-length", b"2"), (b"x-a", b"b")], b"ok")
        assert not scope[RESPOND](200, [], b""), "there is one answer"
        assert (await receive())["type"] == "http.disconnect"

    async with serving(app) as served, await served.connect() as raw:
        await raw.write(LAST)
        piece = await raw.reader.read(65_536)
        assert piece.startswith(b"HTTP/1.1 200 OK\r\n") and piece.endswith(b"x-a: b\r\nconnection: close\r\n\r\nok")


@pytest.mark.parametrize("headers", [[(b"content-length", b"3")], [(b"content-length", b"2"), (b"x", b"a\r\nb: c")]])
async def test_a_whole_answer_is_held_to_the_same_rules(headers: list[tuple[bytes, bytes]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[RESPOND](200, headers, b"ok")

    async with serving(app) as served:
        whole = await served.exchange(LAST)
        assert not whole.endswith(b"ok") and b"b: c" not in whole


async def test_a_whole_answer_waits_for_nobody_who_reads_slowly() -> None:
    """``respond`` does not write while the peer is behind; the application says it by ``send``, which waits."""
    refused = asyncio.Event()
    first = b"x" * 30_000_000

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/large":
            await answer(send, first)
            return
        if not scope[RESPOND](200, [(b"content-length", b"2")], b"ok"):
            refused.set()
            await answer(send)

    async with serving(app) as served, await served.connect() as raw:
        await raw.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)
        async with asyncio.timeout(60):
            await refused.wait()
            rest = await raw.rest()
        assert rest.endswith(b"\r\n\r\nok") and rest.count(b"HTTP/1.1 200") == 2


async def test_an_answer_that_may_be_changed_on_its_way_has_no_short_cut() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert RESPOND not in scope
        await answer(send)

    async with serving(Encoding(app, "answers")) as served:
        assert (await served.exchange(LAST)).endswith(b"ok")
