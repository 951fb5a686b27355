"""Tokens of an identity provider, where a key's secret would be."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey
from tests.server.certificates import make
from tests.trust.city import City, Hands, city, user
from tests.trust.issuers.identity_provider import b64, issuer, jwks, public_pem, token

from pharos.core.fault import NOT_ACCEPTED, UNAUTHENTICATED, Fault
from pharos.trust.authenticator import Identity
from pharos.trust.issuers import fetching
from pharos.trust.issuers.fetching import KEYS_READY
from pharos.trust.issuers.keys import UnusableKeys, parsed_keys
from pharos.trust.issuers.kinds import ISSUER
from pharos.trust.issuers.plane import issuer_plane


@asynccontextmanager
async def town_with(tmp_path: Path, *issuers: dict[str, Any]) -> AsyncIterator[City]:
    hands = Hands()
    hands.wall = time.time()
    async with city(tmp_path, hands) as town:
        plane = issuer_plane(town.index, town.authenticator, town.invoker.observe, hands.clock())
        town.directory.add(plane)
        async with plane.services[0]():
            await town.key("bot", models=["fast"])
            await town.key("admin", scopes=["*"])
            if issuers:
                await town.apply(*issuers)
            for each in issuers:
                await ready(town, each["metadata"]["name"])
            yield town


def json_text(value: object) -> bytes:
    return json.dumps(value).encode()


async def ready(town: City, name: str, status: str = "True") -> str:
    async with asyncio.timeout(20):
        while True:
            found = town.index.get(ISSUER, name)
            conditions = [c for c in found.status.conditions if c.type == KEYS_READY] if found else []
            if conditions and conditions[0].status == status:
                return conditions[0].message
            await asyncio.sleep(0.01)


def who(town: City, text: str) -> Identity | None:
    try:
        return town.authenticator.authenticate(text)
    except Fault as fault:
        assert fault.code == UNAUTHENTICATED.code
        return None


async def test_a_token_acts_as_the_key_it_is_granted(tmp_path: Path) -> None:
    grants = [{"key": "admin", "claims": {"groups": "ops", "azp": "console"}}, {"key": "bot", "claims": {"azp": "app"}}]
    async with town_with(tmp_path, issuer(grants=grants)) as town:
        for algorithm in ("RS256", "ES256", "EdDSA"):
            identity = town.who(token(algorithm, azp="app"))
            assert (identity.key.metadata.name, identity.user) == ("bot", "ann")
            assert identity.principal.id == "key/default/bot"
        assert town.who(token(azp="console", groups=["dev", "ops"])).key.metadata.name == "admin"
        assert town.who(token(azp="app", aud=["other", "pharos"])).key.metadata.name == "bot"
        with pytest.raises(Fault, match="grants nothing"):
            town.who(token(azp="console", groups=["dev"]))
        with pytest.raises(Fault, match="grants nothing"):
            town.who(token(azp=["no", 7]))


async def test_what_is_not_genuine_is_a_stranger(tmp_path: Path) -> None:
    foreign = ECKey.generate_key("P-256")
    async with town_with(tmp_path, issuer()) as town:
        good = token()
        assert who(town, good) is not None
        first, middle, last = good.split(".")
        for text in (
            token("none"),
            token("none", {"alg": "None"}),
            f"{b64({'alg': 'none'})}.{middle}.",
            token("HS256", {"kid": "RS256"}, key=public_pem()),  # a public key as a shared secret
            token(key=foreign),
            token(key=foreign, header={"jwk": foreign.as_dict(private=False)}),
            token(key=foreign, header={"jku": "https://evil.example/jwks"}),
            token(header={"alg": "RS256"}),
            token(header={"kid": "unknown"}),
            token(header={"crit": ["b64"], "b64": False}),
            token(header={"crit": []}),
            token(iss="https://login.example/"),
            token(iss=None),
            token(aud="other"),
            token(aud=None),
            token(aud={"pharos": 1}),
            f"{first}.{b64({'sub': 'root'})}.{last}",
            f"{first}.{middle}.{last}=",
            f"{first}.{middle}.{last[:-1]}",
            f"{first}.{middle}. {last}",
            f"{first}.{middle}",
            f"{good}.x",
            "..",
            "ph_" + good,
            "é.é.é",
            "x." * 20_000,
        ):
            with pytest.raises(Fault) as caught:
                town.who(text)
            assert caught.value.document.detail == NOT_ACCEPTED, text[:80]
        assert who(town, good) is not None


async def test_times_are_kept(tmp_path: Path) -> None:
    now = int(time.time())
    async with town_with(tmp_path, issuer(longestSeconds=3600)) as town:
        for claims, reason in (
            ({"exp": now - 60}, "expired"),
            ({"exp": None}, "does not say"),
            ({"exp": "soon"}, "does not say"),
            ({"exp": True}, "does not say"),
            ({"exp": now + 7200}, "longer than"),
            ({"nbf": now + 120}, "not good yet"),
            ({"iat": now + 120}, "not good yet"),
            ({"iat": "then"}, "not good yet"),
            ({"sub": "x" * 300}, "not a name"),
            ({"sub": 7}, "not a name"),
        ):
            with pytest.raises(Fault, match=reason):
                town.who(token(**claims))
        assert who(town, token(exp=now - 10))  # within the leeway
        short = token(exp=now + 60)
        assert who(town, short)
        town.hands.pass_(120)
        with pytest.raises(Fault, match="expired"):  # also one that was remembered
            town.who(short)


async def test_changes_of_key_and_issuer_count_at_once(tmp_path: Path) -> None:
    async with town_with(tmp_path, issuer()) as town:
        good = token()
        assert town.who(good).key.spec.models == ["fast"]
        await town.key("bot", models=["slow"])
        assert town.who(good).key.spec.models == ["slow"]
        await town.key("bot", models=["slow"], expiresAt="2020-01-01T00:00:00Z")
        with pytest.raises(Fault, match="has expired"):
            town.who(good)
        await town.key("bot")
        assert who(town, good)
        await town.apply(issuer(keys={"inline": jwks("RS256")}))
        assert who(town, good) is None
        await ready(town, "idp")
        async with asyncio.timeout(20):
            while who(town, token("RS256")) is None:
                await asyncio.sleep(0.01)
        await town.invoker.invoke("catalog.delete", {"kind": "Issuer", "name": "idp"}, user("root", "*"))
        assert who(town, token("RS256")) is None


async def test_nobody_grants_more_than_they_hold(tmp_path: Path) -> None:
    async with town_with(tmp_path) as town:
        lead = user("lead", "keys.grant", "models.call", "catalog.*")
        await town.apply(issuer("mine"), as_=lead)
        for document, code in (
            (issuer("a", grants=[{"key": "admin"}]), "RIGHTS_EXCEEDED"),
            (issuer("a", grants=[{"key": "bot"}, {"key": "later"}]), "FORBIDDEN"),
        ):
            with pytest.raises(Fault) as caught:
                await town.apply(document, as_=lead)
            assert caught.value.code == code
        with pytest.raises(Fault, match=r"keys\.grant"):
            await town.apply(issuer("b"), as_=user("bob", "catalog.*", "models.call"))


async def test_key_sets_that_are_none_are_refused(tmp_path: Path) -> None:
    private = {"keys": [ECKey.generate_key("P-256").as_dict(private=True)]}
    async with town_with(tmp_path) as town:
        for keys in (
            {"inline": private},
            {"inline": {"keys": []}},
            {"inline": {"keys": [{"kty": "oct", "k": b64(b"x" * 32)}]}},
            {"inline": {"keys": "none"}},
            {"url": "http://login.example/jwks"},
            {"url": "https://user:pw@login.example/jwks"},
            {"url": "https://login.example/", "file": "x"},
            {},
        ):
            with pytest.raises(Fault, match="INVALID") as caught:
                await town.apply(issuer(keys=keys))
            assert str(private["keys"][0]["d"]) not in json.dumps(caught.value.document.to_json())
        for algorithms in (["none"], ["HS256"], []):
            with pytest.raises(Fault, match="INVALID"):
                await town.apply(issuer(algorithms=algorithms))


async def test_keys_of_a_file_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FILE_PERIOD", 0.01)
    file = tmp_path / "jwks.json"
    file.write_text("{")
    async with town_with(tmp_path / "home") as town:
        await town.apply(issuer(keys={"file": str(file)}))
        assert await ready(town, "idp", "False") == "is not JSON"
        assert who(town, token()) is None
        file.write_text(json.dumps(jwks("ES256")))
        await ready(town, "idp")
        assert who(town, token())
        file.write_text(json.dumps(jwks("RS256")))
        async with asyncio.timeout(20):
            while who(town, token()) is not None:  # a key that its issuer took back
                await asyncio.sleep(0.01)
        assert who(town, token("RS256"))


async def test_keys_of_a_url_are_fetched_beside_the_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PERIOD", 0.02)
    monkeypatch.setattr(fetching, "SOON", 0.02)
    pair = make(tmp_path / "tls")
    monkeypatch.setenv("SSL_CERT_FILE", str(pair.certificate))
    answers = [b"HTTP/1.1 200 OK\r\n", json.dumps(jwks("ES256")).encode()]
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        head, body = answers
        writer.write(head + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
    try:
        async with town_with(tmp_path / "home", issuer(keys={"url": url})) as town:
            assert who(town, token())
            assert who(town, token("RS256")) is None
            answers[1] = json.dumps(jwks("ES256", "RS256")).encode()
            async with asyncio.timeout(20):
                while who(town, token("RS256")) is None:
                    await asyncio.sleep(0.01)
            # Out of reach, or lying: the keys that were known go on, and the condition says so.
            for head, body, reason in (
                (b"HTTP/1.1 503 X\r\n", b"", "status 503"),
                (b"HTTP/1.1 302 X\r\nlocation: https://evil.example/\r\n", b"", "status 302"),
                (b"HTTP/1.1 200 OK\r\n", b"x" * 300_000, "more than"),
                (b"HTTP/1.1 200 OK\r\n", b"<html>", "not JSON"),
            ):
                answers[:] = [head, body]
                async with asyncio.timeout(20):
                    while reason not in await ready(town, "idp", "False"):
                        await asyncio.sleep(0.01)
                assert who(town, token("RS256", nonce=reason))
    finally:
        server.close()
        await server.wait_closed()
    assert asked >= 5


CLAIMS = st.dictionaries(
    st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub"]),
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.lists(st.integers() | st.text()),
)
HEADERS = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit"]), st.none() | st.integers() | st.text() | st.lists(st.text())
)
JUNK = st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1"))


async def test_no_token_is_a_defect(tmp_path: Path) -> None:
    async with town_with(tmp_path, issuer()) as town:

        @settings(max_examples=200, deadline=None)
        @given(header=HEADERS, claims=CLAIMS, junk=JUNK)
        def check(header: dict[str, Any], claims: dict[str, Any], junk: str) -> None:
            changed = token(header=header, **claims)
            for text in (junk, f"{junk}.{junk}.{junk}", changed, token(**claims), token(header=header)):
                who(town, text)

        check()


NAMES = st.sampled_from(["keys", "kty", "crv", "n", "e", "x", "y", "alg", "use", "key_ops"])
# Small, as a defect is in the shape of a key: a large set took a hundred times as long to think up as to parse.
VALUES = st.recursive(
    st.none() | st.text() | st.integers() | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=4,
)


@given(
    st.binary(max_size=200)
    | st.fixed_dictionaries({"keys": st.lists(st.dictionaries(NAMES, VALUES), max_size=4)}).map(json_text)
)
def test_no_key_set_is_a_defect(text: bytes) -> None:
    with suppress(UnusableKeys):
        assert parsed_keys(text)
