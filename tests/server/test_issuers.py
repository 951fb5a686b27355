"""A token of an identity provider through the whole city: operations, models, and limits of its end user."""

from __future__ import annotations

from pathlib import Path

from tests.gateway.upstream import answer, upstream
from tests.server.cities import opened
from tests.trust.issuers.identity_provider import issuer, token

CALL = {"model": "fast", "messages": [{"role": "user", "content": "hello"}], "user": "someone-else"}


def document(kind: str, name: str, **spec: object) -> dict[str, object]:
    return {"apiVersion": "pharos/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


async def test_end_users_of_tokens_have_their_own_limits(tmp_path: Path) -> None:
    async with upstream(answer) as acme, opened(tmp_path) as city:
        documents = [
            document("Provider", "acme", dialect="openai-chat", baseUrl=f"{acme.url}/v1"),
            document("Model", "fast", targets=[{"provider": "acme", "model": "small"}]),
            document("Key", "bot", models=["fast"], perUser={"requestsPerMinute": 1}, scopes=["models.call"]),
            issuer(),
        ]
        async with city.http() as http:
            assert (await http.post("/api/catalog.apply", json={"documents": documents})).status_code == 200
            report = (await http.get("/api/system.doctor")).json()
            assert not [c for c in report["checks"] if c["check"] == "conditions" and c["state"] != "ok"], report
        ann = token(sub="ann")
        for secret, claimed, status in (
            (ann, "x", 200),
            (ann, "y", 429),  # what the body or a header says of the user does not count
            (token(sub="ann", jti="2"), "z", 429),
            (token(sub="bob"), "x", 200),
        ):
            async with city.http(secret) as http:
                headers = {"x-pharos-user": claimed}
                reply = await http.post("/v1/chat/completions", json=CALL, headers=headers)
                assert reply.status_code == status, reply.text
                assert (await http.get("/v1/models")).status_code == 200
                assert (await http.get("/api/ledger.list")).status_code == 403
        async with city.http(token(sub="ann", aud="other")) as http:
            for path in ("/v1/models", "/api/system.operations"):
                assert (await http.get(path)).status_code == 401
        async with city.http() as http:
            (rows,) = [(await http.get("/api/ledger.list")).json()["items"]]
            assert {row["key"] for row in rows} == {"bot"}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and ann.encode() in path.read_bytes()]
