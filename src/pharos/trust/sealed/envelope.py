"""Sealing: a secret under a key of its own, and that key under a master key.

Every secret is encrypted with AES-256-GCM (NIST SP 800-38D) under a *data key* that encrypts nothing else, and the data
key likewise under a *master key*. To change the master key only the data keys are wrapped anew. Both are bound to the
name of what is sealed (associated data): a sealed secret that is moved to another name does not open.
"""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pharos.core.wire import Wire

KEY_BYTES = 32
_NONCE_BYTES = 12
_VALUE, _DATA_KEY = b"pharos/secret/1", b"pharos/data-key/1"


class SealBroken(Exception):
    """What is sealed does not open. The text says why, never what."""


class Sealed(Wire):
    """A sealed secret: nothing in it tells the secret without the master key."""

    key: str
    """Id of the master key."""
    wrapped: str
    """The data key under the master key: nonce and ciphertext, in base64."""
    value: str
    """The secret under the data key: nonce and ciphertext, in base64."""


def seal(value: str, subject: str, key: str, master: bytes) -> Sealed:
    """Seal ``value`` for ``subject`` under the master key with the id ``key``."""
    data = os.urandom(KEY_BYTES)
    wrapped = _encrypted(master, data, _bound(_DATA_KEY, subject, key))
    return Sealed(key=key, wrapped=wrapped, value=_encrypted(data, value.encode(), _bound(_VALUE, subject)))


def opened(sealed: Sealed, subject: str, master: bytes) -> str:
    """The secret. Raises :class:`SealBroken`."""
    data = _decrypted(master, sealed.wrapped, _bound(_DATA_KEY, subject, sealed.key))
    return _decrypted(data, sealed.value, _bound(_VALUE, subject)).decode()


def rewrapped(sealed: Sealed, subject: str, master: bytes, key: str, new: bytes) -> Sealed:
    """The same under another master key; the secret itself is not touched. Raises :class:`SealBroken`."""
    data = _decrypted(master, sealed.wrapped, _bound(_DATA_KEY, subject, sealed.key))
    return sealed.model_copy(update={"key": key, "wrapped": _encrypted(new, data, _bound(_DATA_KEY, subject, key))})


def _bound(*parts: bytes | str) -> bytes:
    return b"\0".join(part if isinstance(part, bytes) else part.encode() for part in parts)


def _encrypted(key: bytes, data: bytes, bound: bytes) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, data, bound)).decode()


def _decrypted(key: bytes, text: str, bound: bytes) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], bound)
    except (ValueError, InvalidTag):
        raise SealBroken("it was altered, or sealed under another key of the same name") from None
