"""An identity provider: makes keys and signs tokens."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

ISS, AUD = "https://login.example", "pharos"

_KEYS: dict[str, Any] = {
    "RS256": RSAKey.generate_key(2048),
    "ES256": ECKey.generate_key("P-256"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
}


def b64(data: bytes | object) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwks(*algorithms: str) -> dict[str, Any]:
    names = algorithms or tuple(_KEYS)
    return {"keys": [{**_KEYS[name].as_dict(private=False), "kid": name, "use": "sig"} for name in names]}


def token(algorithm: str = "ES256", header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
    """A signed token; a claim that is ``None`` is left out, a header that is, too."""
    now = int(time.time())
    full = {"iss": ISS, "aud": AUD, "sub": "ann", "iat": now, "exp": now + 600, **claims}
    head = {"alg": algorithm, "kid": algorithm, "typ": "JWT", **(header or {})}
    text = ".".join(b64({n: v for n, v in part.items() if v is not None}) for part in (head, full))
    if algorithm == "none":
        return f"{text}."
    if algorithm.startswith("HS"):
        return f"{text}.{b64(hmac.digest(key, text.encode(), 'sha256'))}"
    return f"{text}.{b64(JWSRegistry.algorithms[algorithm].sign(text.encode(), key or _KEYS[algorithm]))}"


def public_pem(algorithm: str = "RS256") -> bytes:
    return bytes(_KEYS[algorithm].as_pem(private=False))


def issuer(name: str = "idp", **spec: Any) -> dict[str, Any]:
    full = {
        "issuer": ISS,
        "audience": [AUD],
        "keys": {"inline": jwks()},
        "algorithms": ["RS256", "ES256", "EdDSA"],
        "grants": [{"key": "bot"}],
        **spec,
    }
    return {"apiVersion": "pharos/v1", "kind": "Issuer", "metadata": {"name": name}, "spec": full}
