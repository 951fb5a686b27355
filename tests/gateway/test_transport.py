"""The client pool: what it promises to those above it, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.gateway.upstream import Exchange, upstream

from pharos.gateway.models.upstream import pool as pool_module
from pharos.gateway.models.upstream.pool import PooledTransport
from pharos.gateway.models.upstream.transport import TransportError, UpstreamRequest, UpstreamResponse

REQUEST = UpstreamRequest("/v1/x", [("content-type", "application/json")], b'{"a":1}')


@pytest.fixture
async def pools() -> AsyncIterator[list[PooledTransport]]:
    made: list[PooledTransport] = []
    yield made
    for pool in made:
        await pool.aclose()


def pool_for(url: str, pools: list[PooledTransport], **options: float) -> PooledTransport:
    pool = PooledTransport(url, **{"connect_seconds": 30, "user_agent": "test", **options})  # type: ignore[arg-type]
    pools.append(pool)
    return pool


async def whole(response: UpstreamResponse) -> bytes:
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    await response.aclose()
    return b"".join(pieces)


async def test_chunks_arrive_when_they_are_sent(pools: list[PooledTransport]) -> None:
    """No read-ahead: each chunk is handed on before the provider sends the next one."""
    seen = asyncio.Queue[bytes]()

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for number in range(5):
            await exchange.chunk(b"chunk %d" % number)
            # Not sent before the other side confirms that it has this one.
            assert await asyncio.wait_for(seen.get(), 30) == b"chunk %d" % number
        await exchange.finish()

    async with upstream(script) as provider:
        response = await pool_for(provider.url, pools).send(REQUEST)
        while piece := await response.read():
            seen.put_nowait(piece)
        await response.aclose()


async def test_a_connection_is_used_again(pools: list[PooledTransport]) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.json({"n": 1})

    async with upstream(script) as provider:
        pool = pool_for(provider.url, pools)
        for _ in range(5):
            assert await whole(await pool.send(REQUEST)) == b'{"n": 1}'
        assert provider.connections == 1
        sent = provider.requests[0]
        assert sent.headers["host"] == provider.url.removeprefix("http://")
        assert sent.headers["accept-encoding"] == "identity"
        assert sent.body == REQUEST.body


async def test_each_request_has_its_own_headers(pools: list[PooledTransport]) -> None:
    """Those of the request before are known by their identity alone."""

    async def script(exchange: Exchange) -> None:
        await exchange.json({})

    usual, other = (("x-who", "usual"),), (("x-who", "other"), ("x-more", "1"))
    async with upstream(script) as provider:
        pool = pool_for(provider.url, pools)
        for headers in (usual, usual, other, usual, (("x-who", "usual"),)):
            await whole(await pool.send(UpstreamRequest("/", headers, b"{}")))
        sent = [(each.headers["x-who"], each.headers.get("x-more")) for each in provider.requests]
    assert sent == [("usual", None), ("usual", None), ("other", "1"), ("usual", None), ("usual", None)]


async def test_idle_connections_are_closed(pools: list[PooledTransport]) -> None:
    closed = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.json({})
        await exchange.until_left()
        closed.set()

    async with upstream(script) as provider:
        await whole(await pool_for(provider.url, pools, idle_seconds=0.1).send(REQUEST))
        await asyncio.wait_for(closed.wait(), 30)


@pytest.mark.parametrize("phase", ["before the head", "in the body"])
async def test_a_cancelled_request_stops_at_the_provider(pools: list[PooledTransport], phase: str) -> None:
    reached, stopped = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if phase == "in the body":
            await exchange.start()
            await exchange.chunk(b"x")
        reached.set()
        await exchange.until_left()
        stopped.set()

    async def use() -> None:
        response = await pool_for(provider.url, pools).send(REQUEST)
        try:
            while await response.read():
                pass
        finally:
            await response.aclose()

    async with upstream(script) as provider:
        task = asyncio.create_task(use())
        await asyncio.wait_for(reached.wait(), 30)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(stopped.wait(), 30)


async def test_a_connection_that_was_not_read_to_its_end_is_not_used_again(pools: list[PooledTransport]) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(b"rest of another answer")
        await exchange.until_left()

    async with upstream(script) as provider:
        pool = pool_for(provider.url, pools)
        for _ in range(2):
            response = await pool.send(REQUEST)
            await response.read()
            await response.aclose()
        assert provider.connections == 2


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw-deflate", "members"])
async def test_h30_compressed_bodies_are_decoded(pools: list[PooledTransport], encoding: str) -> None:
    text = b"data: hello\n\n" * 50
    raw = zlib.compressobj(wbits=-15)
    body = {
        "gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "raw-deflate": raw.compress(text) + raw.flush(),
        "members": gzip.compress(text[:100]) + gzip.compress(text[100:]),
    }[encoding]
    name = "deflate" if "deflate" in encoding else "gzip"

    async def script(exchange: Exchange) -> None:
        await exchange.whole(200, body, content_encoding=name)

    async with upstream(script) as provider:
        response = await pool_for(provider.url, pools).send(REQUEST)
        assert not {name for name, _ in response.headers} & {"content-length", "content-encoding"}
        assert await whole(response) == text


async def test_h30_a_compressed_stream_is_decoded_piece_by_piece(pools: list[PooledTransport]) -> None:
    seen = asyncio.Queue[bytes]()

    async def script(exchange: Exchange) -> None:
        await exchange.start(content_encoding="gzip")
        packer = zlib.compressobj(wbits=31)
        for number in range(3):
            await exchange.chunk(packer.compress(b"piece %d" % number) + packer.flush(zlib.Z_SYNC_FLUSH))
            assert await asyncio.wait_for(seen.get(), 30) == b"piece %d" % number
        await exchange.chunk(packer.flush())
        await exchange.finish()

    async with upstream(script) as provider:
        response = await pool_for(provider.url, pools).send(REQUEST)
        while piece := await response.read():
            seen.put_nowait(piece)
        await response.aclose()


LIES = {
    "not http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "short body": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
    "cut chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40\r\nhalf",
    "no last chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "not gzip": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nhalf",
    "unknown encoding": b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 4\r\n\r\nhalf",
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20_000,
    "nothing": b"",
    "bomb": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
    + gzip.compress(bytes(50_000_000)),
}


@pytest.mark.parametrize("lie", LIES)
async def test_what_is_not_an_answer_is_an_error(pools: list[PooledTransport], lie: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.raw(LIES[lie])
        exchange.open = False
        exchange.writer.close()

    async with upstream(script) as provider:
        with pytest.raises(TransportError) as caught:
            await whole(await pool_for(provider.url, pools).send(REQUEST))
        assert caught.value.phase == "read"


async def test_a_body_without_length_ends_with_its_connection(pools: list[PooledTransport]) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nall of it")
        exchange.open = False
        exchange.writer.close()

    async with upstream(script) as provider:
        assert await whole(await pool_for(provider.url, pools).send(REQUEST)) == b"all of it"


async def test_interim_answers_are_skipped(pools: list[PooledTransport]) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        await exchange.json({"real": True})

    async with upstream(script) as provider:
        response = await pool_for(provider.url, pools).send(REQUEST)
        assert response.status == 200
        assert response.header("link") == ""
        assert await whole(response) == b'{"real": true}'


async def test_redirects_are_not_followed(pools: list[PooledTransport]) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.whole(307, b"", location="http://127.0.0.1:1/elsewhere")

    async with upstream(script) as provider:
        response = await pool_for(provider.url, pools).send(REQUEST)
        assert response.status == 307
        assert len(provider.requests) == 1


async def test_bytes_after_an_answer_end_the_connection(pools: list[PooledTransport]) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.raw(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
        )

    async with upstream(script) as provider:
        pool = pool_for(provider.url, pools)
        for _ in range(2):
            response = await pool.send(REQUEST)
            assert await response.read() == b"ok"
            await response.aclose()
        assert provider.connections == 2, "the second answer is nobody's; its connection is not used again"


def certificate(directory: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "certificate.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


async def test_tls_trusts_whom_the_system_trusts(
    pools: list[PooledTransport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.json({"over": "tls"})

    path = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    async with upstream(script, tls=context) as provider:
        pool_module._trust.cache_clear()
        with pytest.raises(TransportError) as caught:
            await pool_for(provider.url, pools).send(REQUEST)
        assert caught.value.phase == "connect"
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        pool_module._trust.cache_clear()
        try:
            pool = pool_for(provider.url, pools)
            for _ in range(2):
                assert await whole(await pool.send(REQUEST)) == b'{"over": "tls"}'
            assert provider.connections == 1
        finally:
            pool_module._trust.cache_clear()


async def test_nothing_listens(pools: list[PooledTransport]) -> None:
    with pytest.raises(TransportError) as caught:
        await pool_for("http://127.0.0.1:1", pools).send(REQUEST)
    assert caught.value.phase == "connect"


async def test_connecting_has_a_deadline(pools: list[PooledTransport]) -> None:
    with socket.socket() as deaf, contextlib.ExitStack() as callers:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):  # with its queue full, the kernel answers no further caller
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        with pytest.raises(TransportError) as caught:
            await pool_for(f"http://127.0.0.1:{deaf.getsockname()[1]}", pools, connect_seconds=0.2).send(REQUEST)
    assert caught.value.phase == "connect"


async def test_an_idle_connection_closed_by_the_provider_is_told_apart(pools: list[PooledTransport]) -> None:
    first = True

    async def script(exchange: Exchange) -> None:
        nonlocal first
        if first:
            first = False
            await exchange.json({})
        else:
            exchange.cut()

    async with upstream(script) as provider:
        pool = pool_for(provider.url, pools)
        await whole(await pool.send(REQUEST))
        with pytest.raises(TransportError) as caught:
            await pool.send(REQUEST)
        assert caught.value.phase == "reused"
