"""What the caches measure of themselves, for ``GET /metrics``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pharos.core.plane import Series
from pharos.gateway.models.caching.shelf import Shelf, Shelves
from pharos.mesh.money import NANOS

_LABELS = ("model",)


def series(shelves: Shelves) -> tuple[Series, ...]:
    """The series of all models' caches."""

    def each(read: Callable[[Shelf], float]) -> Callable[[], Iterator[tuple[tuple[str, ...], float]]]:
        return lambda: (((f"{shelf.model.namespace}/{shelf.model.name}",), read(shelf)) for shelf in shelves)

    return (
        Series(
            "pharos_cache_hits", "Calls answered with an answer that was kept.", each(lambda s: s.tally.hits), _LABELS
        ),
        Series("pharos_cache_misses", "Calls for which nothing was kept.", each(lambda s: s.tally.misses), _LABELS),
        Series(
            "pharos_cache_coalesced",
            "Calls that followed another one that was under way.",
            each(lambda s: s.tally.coalesced),
            _LABELS,
        ),
        Series(
            "pharos_cache_similar",
            "Calls answered with the answer to a question that means the same.",
            each(lambda s: s.tally.similar),
            _LABELS,
        ),
        Series("pharos_cache_evictions", "Answers that gave way to others.", each(lambda s: s.tally.evicted), _LABELS),
        Series(
            "pharos_cache_saved",
            "What calls answered by the caches would have cost, in units of the currency.",
            each(lambda s: s.tally.saved / NANOS),
            _LABELS,
        ),
        Series("pharos_cache_entries", "Answers kept.", each(len), _LABELS, counts=False),
        Series("pharos_cache_bytes", "Memory of the answers kept.", each(lambda s: s.held), _LABELS, counts=False),
    )
