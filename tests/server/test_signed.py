"""Requests signed with a shared secret, over real HTTP."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.upstream import answer, upstream
from tests.server.cities import Open, opened

from pharos.core.fault import Fault
from pharos.trust.signers import signatures

SECRET = "shared-canary-0123456789abcdef-0123456789"
CALL = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "hello"}]}).encode()
CHAT = "/v1/chat/completions"
PARTS = st.sampled_from(["sent_time", "sent_nonce", "sent_signer"])
_numbers = itertools.count()


def signed(
    method: str, target: str, body: bytes = b"", *, secret: str = SECRET, signer: str = "partner", **changed: Any
) -> dict[str, str]:
    """The header of a signed request; ``changed`` alters parts of it, ``sent_…`` after it was signed."""
    parts = {
        "time": str(int(time.time())),
        "nonce": f"nonce-{next(_numbers)}-{time.time_ns()}",
        "digest": hashlib.sha256(body).hexdigest(),
        **{name: str(value) for name, value in changed.items() if not name.startswith("sent_")},
    }
    lines = ["Pharos-HMAC-SHA256", signer, parts["time"], parts["nonce"], method, target, parts["digest"]]
    signature = hmac.digest(secret.encode(), "\n".join(lines).encode(), "sha256").hex()
    parts = {"signer": signer, **parts, "signature": signature}
    parts |= {name.removeprefix("sent_"): str(value) for name, value in changed.items() if name.startswith("sent_")}
    return {"authorization": "Pharos-HMAC-SHA256 " + ", ".join(f"{name}={value}" for name, value in parts.items())}


def document(kind: str, name: str, **spec: object) -> dict[str, object]:
    return {"apiVersion": "pharos/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@asynccontextmanager
async def city(home: Path) -> AsyncIterator[tuple[Open, httpx2.AsyncClient]]:
    """A city with a signer, and a client without credentials."""
    async with upstream(answer) as acme, opened(home) as city:
        documents = [
            document("Provider", "acme", dialect="openai-chat", baseUrl=f"{acme.url}/v1"),
            document("Model", "fast", targets=[{"provider": "acme", "model": "small"}]),
            document("Key", "bot", models=["fast"], scopes=["models.call", "ledger.read"]),
            document("Signer", "partner", key="bot", secret="partner"),
        ]
        async with city.http() as http:
            assert (await http.post("/api/catalog.apply", json={"documents": documents})).status_code == 200
            done = await http.post("/api/secrets.set", json={"name": "partner", "value": SECRET})
            assert done.status_code == 200, done.text
        async with httpx2.AsyncClient(base_url=city.served.url, timeout=30, trust_env=False) as http:
            yield city, http


async def test_a_signed_request_acts_as_its_key(tmp_path: Path) -> None:
    async with city(tmp_path) as (_, http):
        for _ in range(2):
            reply = await http.post(CHAT, content=CALL, headers=signed("POST", CHAT, CALL))
            assert reply.status_code == 200, reply.text
        stream = json.dumps({**json.loads(CALL), "stream": True}).encode()
        reply = await http.post(CHAT, content=stream, headers=signed("POST", CHAT, stream))
        assert reply.text.rstrip().endswith("data: [DONE]")
        target = "/api/ledger.list?limit=10"
        rows = (await http.get(target, headers=signed("GET", target))).json()["items"]
        assert {row["key"] for row in rows} == {"bot"}
        reply = await http.get("/v1/models", headers=signed("GET", "/v1/models", signer="default/partner"))
        assert reply.status_code == 200
        target = "/api/keys.list"
        assert (await http.get(target, headers=signed("GET", target))).status_code == 403
        assert (await http.get("/healthz")).status_code == 200
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


async def test_what_is_not_as_it_was_signed_is_refused(tmp_path: Path) -> None:
    now = int(time.time())
    async with city(tmp_path) as (_, http):
        once = signed("POST", CHAT, CALL)
        assert (await http.post(CHAT, content=CALL, headers=once)).status_code == 200
        for headers, body, said in (
            (once, CALL, "was made before"),
            (signed("POST", CHAT, CALL), CALL + b" ", "not the one that was signed"),
            (signed("POST", CHAT, CALL), b"", "not the one that was signed"),
            (signed("POST", CHAT, CALL, time=now - 1000), CALL, "seconds from the city's"),
            (signed("POST", CHAT, CALL, time=now + 1000), CALL, "seconds from the city's"),
            (signed("POST", CHAT, CALL, time=now - 60), CALL, "before the city"),
            (signed("GET", CHAT, CALL), CALL, ""),
            (signed("POST", "/v1/messages", CALL), CALL, ""),
            (signed("POST", f"{CHAT}?x=1", CALL), CALL, ""),
            (signed("POST", CHAT, CALL, secret=SECRET[:-1]), CALL, ""),
            (signed("POST", CHAT, CALL, secret=""), CALL, ""),
            (signed("POST", CHAT, CALL, secret="\0" * 32, signer="nobody"), CALL, ""),
            (signed("POST", CHAT, CALL, sent_nonce="another-nonce"), CALL, ""),
            (signed("POST", CHAT, CALL, time=now, sent_time=now + 1), CALL, ""),
            (signed("POST", CHAT, CALL, sent_digest="0" * 64), CALL, ""),
            (signed("POST", CHAT, CALL, nonce="short"), CALL, ""),
            (signed("POST", CHAT, CALL, sent_signature="x"), CALL, ""),
            ({"authorization": "Pharos-HMAC-SHA256"}, CALL, ""),
        ):
            reply = await http.post(CHAT, content=body, headers=headers)
            assert reply.status_code == 401, (said, reply.text)
            assert said in reply.text
            assert SECRET not in reply.text


async def test_changes_count_at_once(tmp_path: Path) -> None:
    async with city(tmp_path) as (open_city, http):

        async def status() -> int:
            return (await http.get("/v1/models", headers=signed("GET", "/v1/models"))).status_code

        async with open_city.http() as admin:
            assert await status() == 200
            await admin.post("/api/secrets.set", json={"name": "partner", "value": SECRET + "-new"})
            assert await status() == 401
            await admin.post("/api/secrets.set", json={"name": "partner", "value": "too-short"})
            headers = signed("GET", "/v1/models", secret="too-short")
            assert (await http.get("/v1/models", headers=headers)).status_code == 401
            await admin.post("/api/secrets.set", json={"name": "partner", "value": SECRET})
            assert await status() == 200
            await admin.post("/api/catalog.delete", json={"kind": "Signer", "name": "partner"})
            assert await status() == 401


async def test_who_may_set_secrets_cannot_sign_as_a_key_beyond_their_rights(tmp_path: Path) -> None:
    async with city(tmp_path) as (open_city, _), open_city.http() as admin:
        lesser = document("Key", "lesser", scopes=["providers.entrust", "keys.grant", "catalog.*"])
        await admin.post("/api/catalog.apply", json={"documents": [lesser]})
        secret = (await admin.post("/api/keys.issue", json={"key": "lesser"})).json()["secret"]
        async with open_city.http(secret) as http:
            done = await http.post("/api/secrets.set", json={"name": "partner", "value": SECRET})
            assert (done.status_code, done.json()["code"]) == (403, "RIGHTS_EXCEEDED")
            assert (await http.post("/api/secrets.set", json={"name": "other", "value": SECRET})).status_code == 200
            signer = document("Signer", "mine", key="bot", secret="other")
            done = await http.post("/api/catalog.apply", json={"documents": [signer]})
            assert (done.status_code, done.json()["code"]) == (403, "RIGHTS_EXCEEDED")


async def test_nothing_is_forgotten_to_make_room(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(signatures, "MOST_NONCES", 2)
    async with city(tmp_path) as (_, http):
        codes = [(await http.get("/v1/models", headers=signed("GET", "/v1/models"))).status_code for _ in range(3)]
        assert codes == [200, 200, 503]


async def test_no_header_is_a_defect(tmp_path: Path) -> None:
    async with city(tmp_path) as (open_city, _):
        found = open_city.city.app._signatures
        assert found is not None

        @settings(max_examples=300, deadline=None)
        @given(
            st.text(max_size=80),
            st.dictionaries(st.sampled_from(["sent_time", "sent_nonce", "sent_signer"]), st.text()),
        )
        def check(text: str, changed: dict[str, str]) -> None:
            for header in (text, f"Pharos-HMAC-SHA256 {text}", signed("GET", "/", **changed)["authorization"]):
                try:
                    found.end(found.admit(header, "GET", "/").ticket)
                except Fault as fault:
                    assert fault.code == "UNAUTHENTICATED"

        check()
