"""Public keys of an issuer (JSON Web Key Set, RFC 7517), and the check of a signature with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from pharos.core.wire import JsonObject

# joserfc is imported where a key is: most cities have no issuer, and it brings all of cryptography's key types along.

MOST_KEYS = 64
LEAST_RSA_BITS = 2048

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_FITS = {
    ("RSA", ""): frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
}
"""Which signatures a key can make, by its type and curve: what a token says of itself decides nothing."""


class UnusableKeys(Exception):
    """The text of a key set is none, or has no key that can be used."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key."""

    id: str
    """Its ``kid``; empty if it has none."""
    fits: frozenset[str]
    """Algorithms it can be used with."""
    _key: Any

    def signed(self, algorithm: str, text: bytes, signature: bytes) -> bool:
        """Whether it made the signature."""
        from joserfc.errors import JoseError
        from joserfc.jws import JWSRegistry

        try:
            return bool(JWSRegistry.algorithms[algorithm].verify(text, signature, self._key))
        except (JoseError, ValueError):
            return False


def public_keys(document: object) -> tuple[PublicKey, ...]:
    """The keys of a set that can check signatures. Others in it are passed over, as RFC 7517 (section 5) asks.

    Raises :class:`UnusableKeys` where none is left, and for a set with a private key in it: it would be no secret.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise UnusableKeys("must be a JSON Web Key Set: an object with the list keys")
    if len(listed) > MOST_KEYS:
        raise UnusableKeys(f"has more than {MOST_KEYS} keys")
    found = [key for entry in listed if isinstance(entry, dict) and (key := _public_key(entry)) is not None]
    if not found:
        raise UnusableKeys("has no public key for signatures (RSA of 2048 bits or more, EC P-256/384/521, Ed25519)")
    return tuple(found)


def parsed_keys(text: bytes) -> tuple[PublicKey, ...]:
    """As :func:`public_keys`, from the text of a set."""
    try:
        return public_keys(orjson.loads(text))
    except orjson.JSONDecodeError:
        raise UnusableKeys("is not JSON") from None


def _public_key(entry: JsonObject) -> PublicKey | None:
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    types: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    if _PRIVATE & entry.keys():
        raise UnusableKeys("has a private or shared key in it; give public keys alone")
    kind, curve, id = entry.get("kty"), entry.get("crv", ""), entry.get("kid", "")
    if not isinstance(kind, str) or not isinstance(curve, str) or not isinstance(id, str):
        return None
    fits = _FITS.get((kind, "" if kind == "RSA" else curve))
    if fits is None or entry.get("use", "sig") != "sig":
        return None
    operations = entry.get("key_ops")
    if isinstance(operations, list) and "verify" not in operations:
        return None
    if "alg" in entry:
        fits = frozenset({str(entry["alg"])}) & fits
    try:
        key = types[kind].import_key({name: value for name, value in entry.items() if isinstance(value, str)})
        if isinstance(key, RSAKey) and key.public_key.key_size < LEAST_RSA_BITS:
            return None
    except (JoseError, ValueError, TypeError):
        return None
    return PublicKey(id, fits, key) if fits else None
