"""The keys of federation: ``HOME/card.keys``, which its owner alone may read. With them a city signs the cards of its
agents, and seals what callers leave with it (tokens of their webhooks).

One of the signing keys is active. A key that was replaced stays published, so that cards which others still hold can be
checked, until it is revoked: then it is gone from the set, and what it signed is signed by nobody.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any, Final, Literal

import orjson
from pydantic import Field, ValidationError

from pharos.core.wire import JsonObject, Wire
from pharos.gateway.federation.faults import CARD_KEYS_DAMAGED
from pharos.trust.private_files import read_private, write_private
from pharos.trust.sealed.envelope import KEY_BYTES, SealBroken, Sealed, opened, seal

FILE = "card.keys"
ALGORITHM: Literal["ES256"] = "ES256"
"""ECDSA on P-256 with SHA-256 (RFC 7518, section 3.4): the signature every A2A SDK can check."""

_BOX = "federation"

_PUBLIC: Final = ("kty", "crv", "x", "y")
"""Members of a key that everybody may know (RFC 7518, section 6.2.1)."""

Jwk = dict[str, str]
"""A private key in the form of RFC 7517."""


class _File(Wire):
    active: str
    keys: dict[str, Jwk] = Field(min_length=1)
    """By id, oldest first."""
    box: str
    """The key that seals, in base64."""


class CardKeys:
    """The signing keys. Making and revoking blocks: it writes and syncs the file before it returns."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._keys: dict[str, Jwk] = {}
        self._active = ""
        self._box = b""
        content = read_private(self._path)
        if content is not None:
            self._read(content)

    @property
    def active(self) -> str:
        """Id of the key that signs; empty before the first."""
        return self._active

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all keys that are published, oldest first."""
        return tuple(self._keys)

    def ensure(self) -> None:
        """Have a key that signs. Raises ``OSError``."""
        if not self._active:
            self.rotate()

    def rotate(self, *, revoke: bool = False) -> str:
        """Sign with a new key from now on; ``revoke``: publish none of the others any more. Raises ``OSError``."""
        from joserfc.jwk import ECKey  # with the first key: most cities sign no card

        key = ECKey.generate_key("P-256")
        id = key.thumbprint()
        kept = {} if revoke else self._keys
        self._write({**kept, id: {name: str(value) for name, value in key.as_dict(private=True).items()}}, id)
        return id

    def conceal(self, value: str, subject: str) -> JsonObject:
        """Seal a text for ``subject``: under another name it does not open."""
        return seal(value, subject, _BOX, self._box).to_json()

    def reveal(self, sealed: JsonObject, subject: str) -> str:
        """What was sealed. Raises :class:`~pharos.trust.sealed.envelope.SealBroken`."""
        try:
            return opened(Sealed.model_validate(sealed), subject, self._box)
        except ValidationError:
            raise SealBroken("it is not what this city sealed") from None

    def sign(self, payload: bytes, where: str) -> tuple[str, str]:
        """A detached JWS (RFC 7515, appendix F) of the payload: its protected header and the signature, both in
        base64url. ``where`` is the URL of the key set."""
        from joserfc.jwk import ECKey
        from joserfc.jws import JWSRegistry

        header: JsonObject = {"alg": ALGORITHM, "jku": where, "kid": self._active, "typ": "JOSE"}
        protected = encoded(orjson.dumps(header))
        text = f"{protected}.{encoded(payload)}".encode()
        algorithm: Any = JWSRegistry.algorithms[ALGORITHM]
        return protected, encoded(algorithm.sign(text, ECKey.import_key(dict(self._keys[self._active]))))

    def public(self) -> JsonObject:
        """The key set that others check cards with (RFC 7517)."""
        return {
            "keys": [
                {**{name: key[name] for name in _PUBLIC}, "kid": id, "alg": ALGORITHM, "use": "sig"}
                for id, key in self._keys.items()
            ]
        }

    def _read(self, content: bytes) -> None:
        try:
            file = _File.model_validate_json(content)
            box = base64.b64decode(file.box, validate=True)
            whole = all(id == thumbprint(key) and key.get("d") for id, key in file.keys.items())
            if file.active not in file.keys or len(box) != KEY_BYTES or not whole:
                raise ValueError("a key is missing or is another")
        except (ValidationError, ValueError) as error:
            raise CARD_KEYS_DAMAGED() from error
        self._keys, self._active, self._box = file.keys, file.active, box

    def _write(self, keys: dict[str, Jwk], active: str) -> None:
        box = self._box or os.urandom(KEY_BYTES)
        file = _File(active=active, keys=keys, box=base64.b64encode(box).decode())
        write_private(self._path, file.model_dump_json().encode() + b"\n")
        self._keys, self._active, self._box = keys, active, box


def thumbprint(key: Jwk) -> str:
    """What names a key (RFC 7638). Empty for one that is not whole."""
    if not all(name in key for name in _PUBLIC):
        return ""
    members = {name: key[name] for name in sorted(_PUBLIC)}
    return encoded(hashlib.sha256(orjson.dumps(members)).digest())


def encoded(data: bytes) -> str:
    """base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """The inverse of :func:`encoded`. Raises ``ValueError``."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
