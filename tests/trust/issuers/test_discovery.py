"""An issuer given by its URL alone: where its keys are is its own word (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.server.certificates import make
from tests.trust.issuers.identity_provider import issuer, jwks, token
from tests.trust.issuers.test_tokens import ready, town_with, who

from pharos.core.fault import Fault
from pharos.trust.issuers import fetching
from pharos.trust.issuers.discovery import can_be_discovered, configuration_url, key_set_url
from pharos.trust.issuers.keys import UnusableKeys

CONFIGURATION = "/realm/.well-known/openid-configuration"


@dataclass
class Provider:
    """An identity provider that answers by path."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@asynccontextmanager
async def provider(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    """One over https whose issuer is ``…/realm``."""
    pair = make(folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(pair.certificate))
    found = Provider()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        found.asked.append(path)
        body = json.dumps(found.answers.get(path)).encode()
        status = b"200 OK" if path in found.answers else b"404 X"
        writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    found.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/realm"
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()


def discovered(url: str) -> dict[str, Any]:
    """An issuer without keys of its own."""
    document = issuer(issuer=url)
    del document["spec"]["keys"]
    return document


async def test_keys_are_found_by_the_url_of_the_issuer_and_looked_for_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PERIOD", 0.02)
    monkeypatch.setattr(fetching, "SOON", 0.02)
    async with provider(tmp_path / "tls", monkeypatch) as idp:
        root = idp.url.removesuffix("/realm")
        idp.answers = {
            CONFIGURATION: {"issuer": idp.url, "jwks_uri": f"{root}/keys"},
            "/keys": jwks("ES256"),
        }
        async with town_with(tmp_path / "home", discovered(idp.url)) as town:
            assert idp.asked[:2] == [CONFIGURATION, "/keys"]
            assert who(town, token(iss=idp.url))
            assert who(town, token(iss=f"{idp.url}/")) is None
            # The keys have moved. Where they were they still are: somebody may be on the way there.
            idp.answers |= {
                CONFIGURATION: {"issuer": idp.url, "jwks_uri": f"{root}/moved"},
                "/moved": jwks("RS256"),
            }
            async with asyncio.timeout(20):
                while who(town, token("RS256", iss=idp.url)) is None:
                    await asyncio.sleep(0.01)
            # A configuration of somebody else's counts for nothing: the keys that were known go on.
            idp.answers |= {
                CONFIGURATION: {"issuer": f"{idp.url}/", "jwks_uri": f"{root}/evil"},
                "/evil": jwks("EdDSA"),
            }
            assert "is not that of" in await ready(town, "idp", "False")
            assert who(town, token("RS256", iss=idp.url, jti="2"))
            assert who(town, token("EdDSA", iss=idp.url)) is None
            assert "/evil" not in idp.asked


async def test_an_issuer_whose_keys_are_at_no_address_stops_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with provider(tmp_path / "tls", monkeypatch) as idp:
        idp.answers = {CONFIGURATION: {"issuer": idp.url, "jwks_uri": "https://999.1.1.1/keys"}}
        lost = discovered(idp.url)
        lost["metadata"]["name"] = "lost"
        async with town_with(tmp_path / "home", issuer()) as town:
            await town.apply(lost)
            assert "https://999.1.1.1/keys cannot be fetched" in await ready(town, "lost", "False")


async def test_a_source_that_never_shakes_hands_costs_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.2)
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        left.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    gc.disable()  # which would close it, in its own time
    try:
        with pytest.raises(UnusableKeys, match="cannot be fetched"):
            await fetching._fetched(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks")
        async with asyncio.timeout(20):
            await left.wait()
    finally:
        gc.enable()
        server.close()
        await server.wait_closed()


async def test_an_issuer_that_leads_nowhere_says_where_its_keys_are(tmp_path: Path) -> None:
    async with town_with(tmp_path) as town:
        for name in ("login", "http://login.example", "https://login.example/?a=b", "https://u:p@login.example"):
            with pytest.raises(Fault, match="INVALID") as caught:
                await town.apply(discovered(name))
            assert "in keys" in json.dumps(caught.value.document.to_json())


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://login.example", "https://login.example/.well-known/openid-configuration"),
        ("https://login.example/", "https://login.example/.well-known/openid-configuration"),
        ("https://login.example/realm/a", "https://login.example/realm/a/.well-known/openid-configuration"),
    ],
)
def test_where_a_configuration_is(issuer: str, url: str) -> None:
    assert can_be_discovered(issuer)
    assert configuration_url(issuer) == url


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"issuer": "https://login.example"},
        {"issuer": "https://login.example", "jwks_uri": "http://login.example/keys"},
        {"issuer": "https://login.example", "jwks_uri": 7},
        {"issuer": "https://login.example/", "jwks_uri": "https://login.example/keys"},
        {"issuer": "https://LOGIN.example", "jwks_uri": "https://login.example/keys"},
    ],
)
def test_configurations_that_name_no_keys(document: object) -> None:
    with pytest.raises(UnusableKeys):
        key_set_url(json.dumps(document).encode(), "https://login.example")
