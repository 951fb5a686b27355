from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from a2a.utils.proto_utils import validate_proto_required_fields
from a2a.utils.signing import InvalidSignaturesError, create_signature_verifier
from hypothesis import given
from hypothesis import strategies as st
from jwt import PyJWK
from tests.federation.town import Town, town

from pharos.core.fault import Fault
from pharos.gateway.federation.cards.canonical import NotCanonical, canonical
from pharos.gateway.federation.cards.keys import FILE, CardKeys


def verifier(keys: dict) -> object:
    """The check of the official SDK with a published key set."""
    known = {key["kid"]: PyJWK(key) for key in keys["keys"]}

    def provide(kid: str | None, jku: str | None) -> PyJWK:
        from jwt.exceptions import PyJWTError

        if kid not in known:
            raise PyJWTError("no such key")
        return known[kid]

    return create_signature_verifier(provide, ["ES256"])


async def test_card_disc_001_card_struct_001_the_card_has_what_a_card_must(city: Town) -> None:
    card = await city.card()
    validate_proto_required_fields(card)
    assert card.name == "helper" and card.description == "Helps."
    assert card.capabilities.streaming and card.capabilities.push_notifications
    assert card.capabilities.extended_agent_card


async def test_card_proto_001_card_proto_002_bind_field_001_every_binding_is_declared(city: Town) -> None:
    card = await city.card()
    interfaces = {each.protocol_binding: each for each in card.supported_interfaces}
    assert set(interfaces) == {"JSONRPC", "HTTP+JSON", "GRPC"}
    assert interfaces["JSONRPC"].url == city.agent_url()
    assert interfaces["GRPC"].tenant == "default/helper"
    assert {each.protocol_version for each in card.supported_interfaces} == {"1.0"}


async def test_the_only_agent_stands_at_the_root(city: Town) -> None:
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        answer = await http.get(f"{city.url}/.well-known/agent-card.json")
        assert answer.json()["name"] == "helper"
        await city.agent("other")
        assert (await http.get(f"{city.url}/.well-known/agent-card.json")).status_code == 404
        await city.federation(agent="other")
        assert (await http.get(f"{city.url}/.well-known/agent-card.json")).json()["name"] == "other"


async def test_card_sign_001_to_003_the_official_verifier_accepts_the_signature(city: Town) -> None:
    card = await city.card()
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        keys = (await http.get(f"{city.url}/a2a/keys.json")).json()
    verify = verifier(keys)
    verify(card)
    card.description = "Does something else."
    with pytest.raises(InvalidSignaturesError):
        verify(card)


async def test_card_sign_004_a_revoked_key_is_published_no_more(city: Town) -> None:
    before = await city.card()
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        await city.invoke("cards.rotate")
        keys = (await http.get(f"{city.url}/a2a/keys.json")).json()
        verifier(keys)(before)
        verifier(keys)(await city.card())
        rotated = await city.invoke("cards.rotate", revoke=True)
        keys = (await http.get(f"{city.url}/a2a/keys.json")).json()
    assert [key["kid"] for key in keys["keys"]] == [rotated["key"]] == rotated["published"]
    assert "d" not in keys["keys"][0]
    with pytest.raises(InvalidSignaturesError):
        verifier(keys)(before)
    verifier(keys)(await city.card())


async def test_card_cache_001_to_003_caches_are_told_and_obeyed(city: Town) -> None:
    url = f"{city.agent_url()}/.well-known/agent-card.json"
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        first = await http.get(url)
        assert "max-age=" in first.headers["cache-control"] and first.headers["last-modified"]
        again = await http.get(url, headers={"if-none-match": f'"x", W/{first.headers["etag"]}'})
        assert again.status_code == 304 and not again.content
        await city.agent(description="Helps more.")
        changed = await http.get(url, headers={"if-none-match": first.headers["etag"]})
        assert changed.status_code == 200 and changed.headers["etag"] != first.headers["etag"]


async def test_card_ext_001_the_extended_card_is_for_callers_with_a_key(city: Town) -> None:
    await city.agent(output={"type": "object", "properties": {"answer": {"type": "string"}}})
    async with city.http(None) as http:
        assert (await http.get(f"{city.agent_url()}/extendedAgentCard")).status_code == 401
    async with city.http() as http:
        card = (await http.get(f"{city.agent_url()}/extendedAgentCard")).json()
    assert "JSON Schema" in card["skills"][0]["description"] and card["signatures"]
    assert "JSON Schema" not in (await city.card()).skills[0].description


async def test_a_private_agent_is_not_there(city: Town) -> None:
    await city.agent("inner", labels={"federation": "private"})
    async with city.http() as http:
        assert (await http.get(f"{city.agent_url('inner')}/.well-known/agent-card.json")).status_code == 404
        assert (await http.get(f"{city.agent_url('inner')}/tasks")).status_code == 404


async def test_a_card_is_signed_for_no_host_that_a_stranger_names(city: Town) -> None:
    url = f"{city.agent_url()}/.well-known/agent-card.json"
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        for host in ("evil.example", f"evil.example:{city.port}", "127.0.0.1:1", "[", "localhost@evil.example"):
            card = (await http.get(url, headers={"host": host})).json()
            assert card["supportedInterfaces"][0]["url"] == city.agent_url(), host
        local = (await http.get(url, headers={"host": f"localhost:{city.port}"})).json()
        assert local["supportedInterfaces"][0]["url"].startswith(f"http://localhost:{city.port}/")
        await city.federation(url="https://agents.example/", organization="Example")
        declared = (await http.get(url, headers={"host": "evil.example"})).json()
    assert declared["supportedInterfaces"][0]["url"] == "https://agents.example/a2a/default/helper"
    assert declared["provider"] == {"organization": "Example", "url": "https://agents.example"}


async def test_keys_survive_a_restart_and_damage_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with town(home) as first:
        await first.agent()
        before = await first.card()
        shown = await first.invoke("cards.get", agent="helper")
        assert shown["card"]["name"] == "helper"
        with pytest.raises(Fault, match=r"There is no Agent 'helpr'\. Did you mean helper\?"):
            await first.invoke("cards.get", agent="helpr")
    assert (home / FILE).stat().st_mode & 0o077 == 0
    keys = CardKeys(home)
    verifier(keys.public())(before)
    (home / FILE).write_bytes(b"{}")
    with pytest.raises(Fault, match="CARD_KEYS_DAMAGED"):
        CardKeys(home)


def test_the_example_of_rfc_8785() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '€$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    assert (
        canonical(value)
        == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


def test_names_are_ordered_by_utf_16() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\u00f6"]
    ordered = [*json.loads(canonical(dict.fromkeys(names)))]
    assert ordered == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_back_as_it_was(number: float) -> None:
    assert float(canonical(number)) == number


@pytest.mark.parametrize("value", [float("nan"), 2**53, "\ud800", {"\ud800": 1}])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(NotCanonical):
        canonical(value)  # type: ignore[arg-type]


def test_depth_is_bounded() -> None:
    value: object = 1
    for _ in range(5_000):
        value = [value]
    with pytest.raises(NotCanonical):
        canonical(value)  # type: ignore[arg-type]
