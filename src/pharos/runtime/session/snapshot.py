"""A state as bytes and back, and its hash: two folds came to the same if their hashes are equal."""

from __future__ import annotations

import hashlib
from typing import Final

from pydantic import TypeAdapter, ValidationError

from pharos.runtime.session.state import State

_STATE: Final = TypeAdapter(State)


def dump(state: State) -> bytes:
    """The state as JSON. Equal states have equal bytes."""
    return _STATE.dump_json(state)


def load(data: bytes) -> State:
    """The state that was dumped. Raises ``ValueError`` for what another version has written."""
    try:
        return _STATE.validate_json(data, strict=False)
    except ValidationError as error:
        raise ValueError("not a state of this version") from error


def hash_of(state: State) -> str:
    """SHA-256 of the dumped state."""
    return hashlib.sha256(dump(state)).hexdigest()
