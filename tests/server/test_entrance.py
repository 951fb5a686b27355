"""``pharos up`` with TLS by file, and with a port of its own for operations."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import ssl
from pathlib import Path

import httpx2
import pytest
from tests.server.certificates import Pair, make
from tests.server.processes import Running, up

from pharos.core.fault import Fault
from pharos.server.http.surfaces import Surface
from pharos.server.http.tls import Certificates, TlsFiles


def tls(pair: Pair) -> tuple[str, ...]:
    return ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))


def client(city: Running, pair: Pair) -> httpx2.AsyncClient:
    bearer = {"authorization": f"Bearer {city.admin}"}
    return httpx2.AsyncClient(base_url=city.url, headers=bearer, timeout=30, trust_env=False, verify=pair.trusting())


async def shown(port: int) -> str:
    """The certificate that a new connection is shown, in PEM."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return ssl.DER_cert_to_PEM_cert(found)


async def test_a_city_with_tls_takes_a_renewed_pair_without_a_restart(tmp_path: Path) -> None:
    pair = make(tmp_path / "a")
    renewed = make(tmp_path / "b")
    async with up(tmp_path / "city", *tls(pair)) as city:
        assert city.url.startswith("https://")
        async with client(city, pair) as http:
            assert (await http.get("/readyz")).json() == {"status": "ready"}
            version = await http.get("/api/system.version")
            assert version.status_code == 200
            assert len(version.content) > 10
            # Half of a pair is none: what was good stays.
            pair.certificate.write_bytes(renewed.certificate.read_bytes())
            city.signal(signal.SIGHUP)
            await heard(city, "is not the key of the certificate")
            assert await shown(city.port) != renewed.certificate.read_text()
            pair.key.write_bytes(renewed.key.read_bytes())
            city.signal(signal.SIGHUP)
            await heard(city, "read again")
            assert await shown(city.port) == renewed.certificate.read_text()
            # A connection that was there goes on.
            assert (await http.get("/readyz")).status_code == 200
        async with client(city, renewed) as http:
            assert (await http.get("/readyz")).status_code == 200
        with pytest.raises(httpx2.HTTPError):
            async with httpx2.AsyncClient(timeout=60, trust_env=False) as plain:
                await plain.get(city.url.replace("https", "http") + "/readyz")
        city.signal(signal.SIGTERM)
        assert await city.exit_code() == 0, city.said


async def heard(city: Running, text: str) -> None:
    """Wait until the log says so."""
    async with asyncio.timeout(20):
        while text not in "".join(city.err):
            await asyncio.sleep(0.01)


async def test_files_that_change_are_read_again(tmp_path: Path) -> None:
    pair, renewed = make(tmp_path / "a"), make(tmp_path / "b")
    certificates = Certificates(TlsFiles(pair.certificate, pair.key))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=certificates.context)
    port = server.sockets[0].getsockname()[1]
    following = asyncio.create_task(certificates.follow(look_seconds=0.01))
    try:
        assert await shown(port) == pair.certificate.read_text()
        for now, then in ((renewed.key, pair.key), (renewed.certificate, pair.certificate)):
            fresh = then.with_suffix(".new")
            fresh.write_bytes(now.read_bytes())
            fresh.replace(then)
        async with asyncio.timeout(20):
            while await shown(port) != renewed.certificate.read_text():
                await asyncio.sleep(0.01)
        pair.key.unlink()
        await asyncio.sleep(0.05)
        assert await shown(port) == renewed.certificate.read_text()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        server.close()
        await server.wait_closed()


def test_a_pair_that_is_none_is_refused_with_its_reason(tmp_path: Path) -> None:
    a, b, locked = make(tmp_path, "a"), make(tmp_path, "b"), make(tmp_path, "c", password=b"secret")
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    for certificate, key, reason in (
        (a.certificate, b.key, "is not the key of"),
        (locked.certificate, locked.key, "is encrypted"),
        (text, a.key, "is not PEM"),
        (tmp_path / "none", a.key, "none cannot be read"),
        (a.certificate, tmp_path / "none", "none cannot be read"),
    ):
        with pytest.raises(Fault, match=f"TLS_UNUSABLE: .*{reason}") as caught:
            Certificates(TlsFiles(certificate, key))
        assert caught.value.fixes


async def test_operations_on_a_port_of_their_own(tmp_path: Path) -> None:
    async with up(tmp_path / "city", "--admin-port", "0") as city:
        async with asyncio.timeout(20):
            while (found := re.search(r"PHAROS_URL=(\S+)", "".join(city.out))) is None:
                await asyncio.sleep(0.01)
        admin = found[1]
        bearer = {"authorization": f"Bearer {city.admin}"}
        async with httpx2.AsyncClient(trust_env=False, headers=bearer, timeout=30) as http:
            for path, on_main, on_admin in (
                ("/healthz", 200, 200),
                ("/readyz", 200, 200),
                ("/faults/NOT_FOUND", 200, 200),
                ("/v1/models", 200, 404),
                ("/v1beta/models", 200, 404),
                ("/", 404, 200),
                ("/openapi.json", 404, 200),
                ("/metrics", 404, 200),
                ("/api/system.version", 404, 200),
            ):
                assert (await http.get(city.url + path)).status_code == on_main, path
                assert (await http.get(admin + path)).status_code == on_admin, path
            assert (await http.post(f"{city.url}/mcp", content=b"{}")).status_code == 404
            assert (await http.post(f"{admin}/mcp", content=b"{}")).status_code == 400
            # No way around by spelling: the path is read once, before it is looked up.
            for path in ("/v1/../api/system.version", "/V1/../api/system.version", "//api/system.version", "/%61pi/x"):
                assert (await http.get(httpx2.URL(city.url).copy_with(raw_path=path.encode()))).status_code == 404
        city.signal(signal.SIGTERM)
        assert await city.exit_code() == 0, city.said


async def test_what_belongs_together_is_given_together(tmp_path: Path) -> None:
    for arguments in (("--tls-cert", "x.pem"), ("--admin-host", "127.0.0.1")):
        async with up(tmp_path / "city", *arguments, opens=False) as city:
            assert await city.exit_code() == 2
    assert not (tmp_path / "city").exists()
    async with up(tmp_path / "city", "--tls-cert", "x.pem", "--tls-key", "y.pem", "--json", opens=False) as city:
        assert await city.exit_code() == 1
        assert json.loads("".join(city.err))["code"] == "TLS_UNUSABLE"
    assert not (tmp_path / "city").exists()


def test_what_nobody_thought_of_is_for_administration() -> None:
    assert Surface.ADMIN.has("/new/*")
    assert not Surface.DATA.has("/new/*")
    assert not Surface.DATA.has("/v1x")
    assert Surface.WHOLE.has("/new/*")
