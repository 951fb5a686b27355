"""The keys of federation: ``HOME/card.keys``, which its owner alone may read. With them a city signs the cards of its
agents, and seals what callers leave with it (tokens of their webhooks).

One of the signing keys is active. A key that was replaced stays published, so that cards which others still hold can be
checked, until it is revoked: then it is gone from the set, and what it signed is signed by nobody.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, Literal

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry
from pydantic import Field, ValidationError

from pharos.core.wire import JsonObject, Wire
from pharos.gateway.federation.faults import CARD_KEYS_DAMAGED
from pharos.trust.envelope import KEY_BYTES, SealBroken, Sealed, opened, seal
from pharos.trust.private_files import read_private, write_private

FILE = "card.keys"
ALGORITHM: Literal["ES256"] = "ES256"
"""ECDSA on P-256 with SHA-256 (RFC 7518, section 3.4): the signature every A2A SDK can check."""

_BOX = "federation"


class _File(Wire):
    active: str
    keys: dict[str, dict[str, str]] = Field(min_length=1)
    """Private keys in the form of RFC 7517, by id, oldest first."""
    box: str
    """The key that seals, in base64."""


class CardKeys:
    """The signing keys. Making and revoking blocks: it writes and syncs the file before it returns."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._keys: dict[str, ECKey] = {}
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
        key = ECKey.generate_key("P-256")
        id = key.thumbprint()
        kept = {} if revoke else self._keys
        self._write({**kept, id: key}, id)
        return id

    def conceal(self, value: str, subject: str) -> JsonObject:
        """Seal a text for ``subject``: under another name it does not open."""
        return seal(value, subject, _BOX, self._box).to_json()

    def reveal(self, sealed: JsonObject, subject: str) -> str:
        """What was sealed. Raises :class:`~pharos.trust.envelope.SealBroken`."""
        try:
            return opened(Sealed.model_validate(sealed), subject, self._box)
        except ValidationError:
            raise SealBroken("it is not what this city sealed") from None

    def sign(self, payload: bytes, where: str) -> tuple[str, str]:
        """A detached JWS (RFC 7515, appendix F) of the payload: its protected header and the signature, both in
        base64url. ``where`` is the URL of the key set."""
        header: JsonObject = {"alg": ALGORITHM, "jku": where, "kid": self._active, "typ": "JOSE"}
        protected = encoded(orjson.dumps(header))
        text = f"{protected}.{encoded(payload)}".encode()
        algorithm: Any = JWSRegistry.algorithms[ALGORITHM]
        return protected, encoded(algorithm.sign(text, self._keys[self._active]))

    def public(self) -> JsonObject:
        """The key set that others check cards with (RFC 7517)."""
        keys = [
            {**{name: str(value) for name, value in key.as_dict(private=False).items()}, "kid": id, "alg": ALGORITHM}
            for id, key in self._keys.items()
        ]
        return {"keys": [{**key, "use": "sig"} for key in keys]}

    def _read(self, content: bytes) -> None:
        try:
            file = _File.model_validate_json(content)
            keys = {id: ECKey.import_key(dict(key)) for id, key in file.keys.items()}
            box = base64.b64decode(file.box, validate=True)
            if file.active not in keys or len(box) != KEY_BYTES or not all(key.is_private for key in keys.values()):
                raise ValueError("a key is missing")
        except (ValidationError, JoseError, ValueError) as error:
            raise CARD_KEYS_DAMAGED() from error
        self._keys, self._active, self._box = keys, file.active, box

    def _write(self, keys: dict[str, ECKey], active: str) -> None:
        private = {
            id: {name: str(value) for name, value in key.as_dict(private=True).items()} for id, key in keys.items()
        }
        box = self._box or os.urandom(KEY_BYTES)
        file = _File(active=active, keys=private, box=base64.b64encode(box).decode())
        write_private(self._path, file.model_dump_json().encode() + b"\n")
        self._keys, self._active, self._box = keys, active, box


def encoded(data: bytes) -> str:
    """base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """The inverse of :func:`encoded`. Raises ``ValueError``."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
