"""The master keys of a city: ``HOME/master.keys``, which its owner alone may read.

One of them is active and seals; the others are there for what they sealed before. The file appears with the first
secret, is replaced as a whole, and loses a key only when nothing is sealed under it any more. It belongs into every
backup of the home, and into none of the database alone: each is worth nothing without the other.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from pydantic import Field, ValidationError

from pharos.core.ids import uuid7
from pharos.core.wire import Wire
from pharos.trust.faults import MASTER_KEYS_DAMAGED
from pharos.trust.private_files import read_private, write_private
from pharos.trust.sealed.envelope import KEY_BYTES, SealBroken, Sealed, opened, rewrapped, seal

FILE = "master.keys"


class _File(Wire):
    active: str
    keys: dict[str, str] = Field(min_length=1)
    """By id, in base64."""


class Keyring:
    """The master keys. Making and dropping keys blocks: it writes and syncs the file before it returns."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._keys: dict[str, bytes] = {}
        self._active = ""
        self.damaged = ""
        """Why the file cannot be used; then nothing is sealed, and the file is not touched."""
        content = read_private(self._path)
        if content is not None:
            self._read(content)

    @property
    def active(self) -> str:
        """Id of the key that seals; empty before the first."""
        return self._active

    @property
    def ids(self) -> frozenset[str]:
        """Ids of all keys."""
        return frozenset(self._keys)

    def ensure(self) -> None:
        """Have a key that seals. Raises ``MASTER_KEYS_DAMAGED``, ``OSError``."""
        if not self._active:
            self.add()

    def add(self) -> str:
        """Make a new key the active one. Raises ``MASTER_KEYS_DAMAGED``, ``OSError``."""
        if self.damaged:
            raise MASTER_KEYS_DAMAGED(f"{FILE}: {self.damaged}.")
        id = f"mk-{uuid7()}"
        self._write({**self._keys, id: os.urandom(KEY_BYTES)}, id)
        return id

    def drop(self, ids: frozenset[str]) -> None:
        """Forget keys that seal nothing any more; never the active one. Raises ``OSError``."""
        kept = {id: key for id, key in self._keys.items() if id not in ids or id == self._active}
        if len(kept) < len(self._keys):
            self._write(kept, self._active)

    def seal(self, value: str, subject: str) -> Sealed:
        """Seal under the active key, which there must be."""
        return seal(value, subject, self._active, self._keys[self._active])

    def open(self, sealed: Sealed, subject: str) -> str:
        """What is sealed. Raises :class:`SealBroken`."""
        return opened(sealed, subject, self._key(sealed))

    def rewrap(self, sealed: Sealed, subject: str) -> Sealed:
        """The same under the active key. Raises :class:`SealBroken`."""
        return rewrapped(sealed, subject, self._key(sealed), self._active, self._keys[self._active])

    def _key(self, sealed: Sealed) -> bytes:
        key = self._keys.get(sealed.key)
        if key is None:
            why = self.damaged or f"there is no key {sealed.key} in it"
            raise SealBroken(f"its master key is not in {FILE}: {why}")
        return key

    def _read(self, content: bytes) -> None:
        try:
            file = _File.model_validate_json(content)
            keys = {id: base64.b64decode(key, validate=True) for id, key in file.keys.items()}
        except (ValidationError, ValueError):
            self.damaged = "it is not what this city wrote"
            return
        if file.active not in keys or any(len(key) != KEY_BYTES for key in keys.values()):
            self.damaged = "a key in it is missing or cut short"
            return
        self._keys, self._active = keys, file.active

    def _write(self, keys: dict[str, bytes], active: str) -> None:
        file = _File(active=active, keys={id: base64.b64encode(key).decode() for id, key in keys.items()})
        write_private(self._path, file.model_dump_json().encode() + b"\n")
        self._keys, self._active = keys, active
