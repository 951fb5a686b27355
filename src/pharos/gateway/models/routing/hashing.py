"""Consistent hashing with bounded loads, without a ring and without state.

Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights by ``-w / ln h``, Schindelhauer and Schomaker 2005):
each target has a number for each key, and the highest is first. A target that comes or goes moves only the keys that it
takes or held, and the rest of the order says who is next. The bound is that of Mirrokni, Thorup and Zadimoghaddam
(2018): nobody holds more than ``factor`` times its share of what is under way, so that one popular key cannot drown its
target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

_RANGE = 2.0**64


def salt_of(name: str) -> bytes:
    """What tells one target from another in :func:`score`."""
    return blake2b(name.encode(), digest_size=16).digest()


def score(key: bytes, salt: bytes, weight: int) -> float:
    """The number of a target for a key; the highest is first. ``weight`` is above 0."""
    number = int.from_bytes(blake2b(key, key=salt, digest_size=8).digest())
    return -weight / math.log((number + 0.5) / _RANGE)


def cap(active: int, weight: int, weights: int, factor: float, floor: int) -> int:
    """Most calls that a target of ``weight`` among ``weights`` has under way, when the group has ``active`` and one
    more comes. The caps of a group together are above ``active``, so that somebody always has room."""
    return max(floor, math.ceil(factor * (active + 1) * weight / weights))


def bounded(
    order: Sequence[int], active: Sequence[int], weights: Sequence[int], factor: float, floor: int
) -> tuple[int, Sequence[int]]:
    """Who takes a key, by index, and who was passed over because it is at its cap.

    ``order`` is that of the key's scores over the targets, which have ``active`` calls and ``weights``.
    """
    total, all_weights = sum(active), sum(weights)
    full: list[int] = []
    for index in order:
        if active[index] < cap(total, weights[index], all_weights, factor, floor):
            return index, full
        full.append(index)
    return order[0], ()  # not reached: see ``cap``
