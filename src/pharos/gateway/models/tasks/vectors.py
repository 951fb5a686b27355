"""Embeddings between dialects: what is asked, what comes back, and what a dialect must know of both."""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pharos.core.wire import Json, JsonObject
from pharos.mesh.facts import Usage

Vector = list[float]


@dataclass(slots=True)
class Texts:
    """Texts to be turned into vectors, one for each, in their order."""

    texts: Sequence[str]
    dimensions: int | None = None
    base64: bool = False
    """The client wants each vector as base64 of little-endian 32-bit floats."""
    dropped: list[str] = field(default_factory=list)
    """Pointers of what does not reach the provider."""
    dimensions_at: str = "/dimensions"


class Vectors(NamedTuple):
    """The vectors, in the order of the texts."""

    vectors: Sequence[Vector]
    usage: Usage | None
    model: str


class EmbeddingForm(Protocol):
    """How one vendor's API asks for embeddings."""

    @property
    def vendor(self) -> str:
        """Two forms of one vendor differ in nothing but what the URL says."""

    # As the client's.

    def read_request(self, body: JsonObject) -> Texts:
        """What is asked. Raises ``INVALID`` where another vendor's model cannot be asked for it."""

    def write_answer(self, texts: Texts, answer: Vectors, model: str) -> JsonObject:
        """The answer, with ``model`` as the name the client asked for."""

    # As the provider's.

    def place(self, model: str) -> str:
        """Path of a call under the provider's base URL."""

    def write_request(self, texts: Texts, model: str) -> JsonObject:
        """The body."""

    def read_answer(self, body: JsonObject, count: int) -> Vectors:
        """Read an answer for ``count`` texts. Raises ``ValueError`` where it is not one."""

    # Where both sides are one vendor's.

    def edit(self, raw: bytes, body: JsonObject, model: str) -> bytes:
        """``raw`` with the provider's name of the model; every other byte stays."""

    def usage(self, body: JsonObject) -> Usage | None:
        """Usage of an answer; ``None`` if it has none. Raises ``ValueError`` where it is no answer."""

    def answered_model(self, body: JsonObject) -> str:
        """The model an answer names."""


def floats(value: Json) -> Vector:
    """A vector as numbers, or as base64 of little-endian 32-bit floats. Raises ``ValueError`` for anything else."""
    if isinstance(value, str):
        raw = b64decode(value, validate=True)
        if len(raw) % 4:
            raise ValueError("a vector is not made of 32-bit floats")
        numbers = array("f", raw)
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tolist()
    if not isinstance(value, list) or not all(type(number) is float or type(number) is int for number in value):
        raise ValueError("a vector is not a list of numbers")
    return [float(number) for number in value if isinstance(number, int | float)]


def packed(vector: Vector) -> str:
    """The inverse: base64 of little-endian 32-bit floats."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()
