"""Whether a remote agent's card is its owner's word, looked at anew before every task.

The card is fetched from the declared URL and nowhere else (a redirect is no card). It must be signed with a key that
the resource pins, or, where none is pinned, with one that the card's own host publishes *now*, so that a key that was
revoked there opens nothing here. Its interfaces must lead to that host, or to one that the resource names. What a card
said a moment ago counts for nothing: between two tasks it may have changed.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import httpx
import orjson
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import ParseDict, ParseError

from pharos.core.fault import Fault
from pharos.core.resource import Resource
from pharos.core.wire import Json, JsonObject
from pharos.gateway.federation.cards.canonical import NotCanonical
from pharos.gateway.federation.cards.card import payload_of
from pharos.gateway.federation.cards.keys import decoded, encoded
from pharos.gateway.federation.faults import CARD_UNTRUSTED, REMOTE_UNREACHABLE
from pharos.gateway.federation.kinds import RemoteAgentSpec
from pharos.trust.issuers.keys import PublicKey, UnusableKeys, public_keys

LARGEST: Final = 256 * 1024
"""Bytes of a card or a key set."""
_MOST_SIGNATURES: Final = 16


async def trusted_card(agent: Resource[RemoteAgentSpec], http: httpx.AsyncClient) -> pb.AgentCard:
    """The card, with those interfaces alone that may be used. Raises ``CARD_UNTRUSTED``, ``REMOTE_UNREACHABLE``,
    ``DESTINATION_FORBIDDEN``."""
    spec = agent.spec
    document = await _fetched(spec.card, http, "the card")
    if not isinstance(document, dict):
        _refuse("malformed", "The card is not a JSON object.")
    if not spec.unsigned:
        await _check(document, spec, http)
    try:
        card = pb.AgentCard()
        ParseDict(document, card, ignore_unknown_fields=True)
    except (ParseError, RecursionError, ValueError):
        _refuse("malformed", "The card is not one of A2A 1.0.")
    chosen = [
        each
        for each in card.supported_interfaces
        if each.protocol_binding in spec.bindings and each.protocol_version.split(".")[0] == "1"
    ]
    if not chosen:
        _refuse("no-interface", f"The card offers none of {', '.join(spec.bindings)} in A2A 1.")
    hosts = {urlsplit(spec.card).netloc, *spec.hosts}
    for each in chosen:
        scheme, host = _origin(each.url)
        if scheme not in ("https", "http") or host not in hosts:
            where = each.url[:200]
            _refuse("elsewhere", f"The card leads to {where}, which is neither its own host nor one that is named.")
    del card.supported_interfaces[:]
    card.supported_interfaces.extend(chosen)
    return card


async def _check(document: JsonObject, spec: RemoteAgentSpec, http: httpx.AsyncClient) -> None:
    """Raise ``CARD_UNTRUSTED`` unless one of the signatures is good."""
    signatures = document.get("signatures")
    if not isinstance(signatures, list) or not signatures:
        _refuse("unsigned", "The card is not signed.")
    try:
        payload = encoded(payload_of(document))
    except NotCanonical as error:
        _refuse("malformed", f"The card cannot be what was signed: {error}.")
    pinned = public_keys(spec.pin.keys) if spec.pin is not None else None
    known: dict[str, tuple[PublicKey, ...]] = {}
    for entry in signatures[:_MOST_SIGNATURES]:
        found = _signature(entry)
        if found is None:
            continue
        header, text, signature = found
        keys = pinned
        if keys is None:
            where = header.get("jku")
            if not isinstance(where, str) or _origin(where) != _origin(spec.card):
                continue  # a key set that somebody else publishes proves nothing
            if where not in known:
                known[where] = await _keys(where, http)
            keys = known[where]
        if _signed(header, f"{text}.{payload}".encode(), signature, keys):
            return
    _refuse("signature", "No signature of the card is by a key that counts now: it was altered, or its key revoked.")


def _signature(entry: Json) -> tuple[JsonObject, str, bytes] | None:
    """The protected header of a signature, its text, and the signature itself."""
    if not isinstance(entry, dict):
        return None
    text, signature = entry.get("protected"), entry.get("signature")
    if not isinstance(text, str) or not isinstance(signature, str):
        return None
    try:
        header: Any = orjson.loads(decoded(text))
        raw = decoded(signature)
    except ValueError:
        return None
    # ``crit`` names what must be understood (RFC 7515, section 4.1.11); nothing of it is.
    return (header, text, raw) if isinstance(header, dict) and "crit" not in header else None


def _signed(header: JsonObject, text: bytes, signature: bytes, keys: tuple[PublicKey, ...]) -> bool:
    algorithm, id = header.get("alg"), header.get("kid")
    return isinstance(algorithm, str) and any(
        key.signed(algorithm, text, signature)
        for key in keys
        if algorithm in key.fits and isinstance(id, str) and key.id == id
    )


async def _keys(url: str, http: httpx.AsyncClient) -> tuple[PublicKey, ...]:
    document = await _fetched(url, http, "the key set")
    try:
        return public_keys(document)
    except UnusableKeys as error:
        _refuse("keys", f"The key set of the card's host {error}.")


async def _fetched(url: str, http: httpx.AsyncClient, what: str) -> Json:
    try:
        async with http.stream("GET", url, headers={"accept": "application/json"}) as answer:
            if 300 <= answer.status_code < 400:
                _refuse("redirected", f"Where {what} is declared to be there is a redirect; it is not followed.")
            if answer.status_code != 200:
                raise REMOTE_UNREACHABLE(f"Asked for {what}, {urlsplit(url).netloc} answers {answer.status_code}.")
            body = b""
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > LARGEST:
                    _refuse("malformed", f"There is more than {LARGEST} bytes where {what} should be.")
        document: Json = orjson.loads(body)
        return document
    except httpx.HTTPError as error:
        raise REMOTE_UNREACHABLE(f"{urlsplit(url).netloc} does not answer ({type(error).__name__}).") from None
    except orjson.JSONDecodeError:
        _refuse("malformed", f"What is where {what} should be is not JSON.")


def _origin(url: str) -> tuple[str, str]:
    """Scheme and host, with its port, of a URL; empty for what is none that can be asked."""
    try:
        parts = urlsplit(url)
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        return "", ""
    return parts.scheme, parts.netloc


def _refuse(reason: str, detail: str) -> NoReturn:
    fault: Fault = CARD_UNTRUSTED(detail, facts={"reason": reason})
    raise fault
