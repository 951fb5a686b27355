"""The secrets that keys are presented with, and what is kept of them.

A secret is ``ph_`` + 12 characters that identify the credential + ``_`` + 43 random characters (256 bits). The first
part is no secret: whoever finds a leaked piece of one can name the credential to revoke, and a scanner can recognise
the form (:data:`SECRET_PATTERN`). The city keeps only an HMAC-SHA256 digest under a *pepper*, a key of its own in a
file beside the database: a copy of the database alone opens nothing and allows no guessing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass, field
from pathlib import Path

from pharos.trust.faults import PEPPER_DAMAGED
from pharos.trust.private_files import read_private, write_private

PREFIX = "ph_"
_ID_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH = 12
_RANDOM_ALPHABET = string.ascii_letters + string.digits
_RANDOM_LENGTH = 43  # 43 * log2(62) = 256 bits
_ID = slice(len(PREFIX), len(PREFIX) + _ID_LENGTH)
_LENGTH = len(PREFIX) + _ID_LENGTH + 1 + _RANDOM_LENGTH

SECRET_PATTERN = re.compile(rf"\b{PREFIX}[a-z0-9]{{{_ID_LENGTH}}}_[A-Za-z0-9]{{{_RANDOM_LENGTH}}}\b")
"""Finds secrets in text, for redaction."""

PEPPER_FILE = "pepper"
_PEPPER_BYTES = 32
_BLOCK = 64
"""Bytes that SHA-256 takes at once."""


class Pepper:
    """The city's own key, under which the digests of secrets are made. Its text form shows nothing of it."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) != _PEPPER_BYTES:
            raise ValueError(f"a pepper has {_PEPPER_BYTES} bytes, not {len(key)}")
        # Both blocks of the key are hashed once: there is a digest in each call, and this makes it three times as fast.
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def digest(self, secret: str) -> bytes:
        """HMAC-SHA256 (RFC 2104) of the secret: 32 bytes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(secret.encode())
        outer.update(inner.digest())
        return outer.digest()

    def fingerprint(self) -> str:
        """Tells this pepper from others, and nothing of it: 128 bits of an HMAC of a constant, which is no secret's."""
        return self.digest("pharos/fingerprint").hex()[:32]

    def derived(self, purpose: str) -> bytes:
        """A key for one purpose, which says nothing about this one or those of other purposes: 32 bytes.

        The first block of HKDF-Expand (RFC 5869, section 2.3); the pepper is uniform, so there is nothing to extract.
        """
        return self.digest(f"pharos/key/{purpose}\x01")


def load_pepper(home: Path) -> Pepper:
    """The pepper of a home directory, made on the first start. Blocks.

    Raises ``PEPPER_DAMAGED`` where the file is not what was written: a new pepper would silently void every secret.
    """
    path = home / PEPPER_FILE
    key = read_private(path)
    if key is None:
        key = secrets.token_bytes(_PEPPER_BYTES)
        write_private(path, key)
    if len(key) != _PEPPER_BYTES:
        raise PEPPER_DAMAGED(f"The pepper file has {len(key)} bytes instead of {_PEPPER_BYTES}.")
    return Pepper(key)


@dataclass(frozen=True, slots=True)
class Minted:
    """A new secret: its credential's id, the text that is shown once, and the digest that is kept."""

    credential: str
    secret: str = field(repr=False)
    digest: bytes = field(repr=False)


def mint(pepper: Pepper) -> Minted:
    """Make a secret from the operating system's randomness."""
    credential = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))
    tail = "".join(secrets.choice(_RANDOM_ALPHABET) for _ in range(_RANDOM_LENGTH))
    secret = f"{PREFIX}{credential}_{tail}"
    return Minted(credential, secret, pepper.digest(secret))


def credential_of(secret: str) -> str | None:
    """The id of the credential that a secret claims to be; ``None`` for what has not the form of a secret."""
    if len(secret) == _LENGTH and secret.startswith(PREFIX) and secret.isascii():
        return secret[_ID]
    return None


def same(digest: bytes, other: bytes) -> bool:
    """Compare digests in constant time."""
    return hmac.compare_digest(digest, other)
