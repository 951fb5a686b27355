"""Rights under attack: what a caller may not do in one step, they may not do in two."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.gateway.town import Town, chat, document
from tests.gateway.upstream import answer, upstream

from pharos.core.fault import Fault
from pharos.core.principal import Principal, PrincipalKind


def someone(name: str, *permissions: str) -> Principal:
    return Principal(PrincipalKind.USER, name, permissions=frozenset(permissions))


async def test_who_may_write_the_catalog_may_not_send_our_secrets_where_they_like(city: Town) -> None:
    """``apiKey`` names a file or variable of this machine, ``baseUrl`` who gets it: together they are a way out."""
    writer = someone("writer", "catalog.write")
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url, apiKey={"env": "HOME"})
        spec = {"dialect": "openai-chat", "baseUrl": f"{provider.url}/v1"}
        attacks = [
            document("Provider", "thief", {**spec, "apiKey": {"file": "/etc/hostname"}}),
            document("Provider", "thief", {**spec, "apiKey": {"env": "PATH"}}),
            document("Provider", "acme", {**spec, "baseUrl": "http://127.0.0.1:1/v1", "apiKey": {"env": "HOME"}}),
            document("Provider", "acme", {**spec, "apiKey": {"env": "PATH"}}),
        ]
        for attack in attacks:
            with pytest.raises(Fault) as refused:
                await city.invoke("catalog.apply", writer, documents=[attack])
            assert refused.value.code == "FORBIDDEN"
            assert refused.value.document.required_permission == "providers.entrust"
        # What sends no secret anywhere else is theirs to write.
        await city.invoke("catalog.apply", writer, documents=[document("Provider", "local", spec)])
        slower = {**spec, "apiKey": {"env": "HOME"}, "retries": {"attempts": 3}}
        await city.invoke("catalog.apply", writer, documents=[document("Provider", "acme", slower)])
        entrusted = someone("operator", "catalog.write", "providers.entrust")
        await city.invoke("catalog.apply", entrusted, documents=[attacks[1]])


async def test_an_approved_call_is_undone_only_by_who_may_make_it(city: Town) -> None:
    asker = someone("asker")
    writer = someone("writer", "approvals.decide", "catalog.write")
    schemer = someone("schemer", "approvals.decide", "operations.undo")
    asked = await city.invoke(
        "approvals.request",
        asker,
        operation="catalog.apply",
        arguments={"documents": [document("Budget", "b", {"limit": "1"})]},
    )
    approved = await city.invoke("approvals.approve", writer, name=asked["approval"]["name"])
    with pytest.raises(Fault) as refused:
        await city.invoke("operations.undo", schemer, id=approved["operation"])
    assert refused.value.code == "FORBIDDEN"
    assert refused.value.document.required_permission == "catalog.write"
    undoer = someone("undoer", "approvals.decide", "operations.undo", "catalog.write")
    await city.invoke("operations.undo", undoer, id=approved["operation"])


async def test_a_key_to_the_city_is_never_sent_to_a_provider(city: Town, tmp_path: Path) -> None:
    """Whoever may entrust providers with secrets still gets no key to the city itself, wherever it lies."""
    async with upstream(answer) as provider:
        secret = await city.key("admin", scopes=["*"])
        (tmp_path / "admin.key").write_text(f"{secret}\n")
        await city.provider("thief", provider.url, apiKey={"file": str(tmp_path / "admin.key")})
        await city.model("fast", "thief")
        reply = await city.chat("admin")
        assert reply.status >= 500
        assert reply.fault["code"] == "PROVIDER_CREDENTIAL"
        assert secret.encode() not in reply.body
        assert provider.requests == []


@pytest.mark.parametrize("change", ["revoked", "deleted", "narrowed", "lowered", "issued"])
async def test_what_changes_while_the_body_is_on_its_way_counts(city: Town, change: str) -> None:
    """A head that came before a revocation is no ticket for a body that comes after it."""
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.price()
        await city.model("fast", "acme")
        await city.budget("b", "1.00")
        secret = await city.key("bot", budgets=["b"])
        body = json.dumps(chat(max_tokens=5)).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", city.port)
        writer.write(f"{head}connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body[:-1])
        assert (await city.chat("bot", max_tokens=5)).status == 200  # the head before it has been read by now
        match change:
            case "revoked":
                await city.invoke("keys.revoke", key="bot")
            case "deleted":
                await city.invoke("catalog.delete", kind="Key", name="bot")
            case "narrowed":
                await city.apply(document("Key", "bot", {"models": [], "budgets": ["b"]}))
            case "lowered":
                await city.budget("b", "0.00001")
            case "issued":
                await city.invoke("keys.issue", key="bot")
        writer.write(body[-1:])
        status = int((await reader.readline()).split()[1])
        writer.transport.abort()
        expected = {"revoked": 401, "deleted": 401, "narrowed": 404, "lowered": 402, "issued": 200}
        assert status == expected[change]
        assert len(provider.requests) == (2 if change == "issued" else 1)
