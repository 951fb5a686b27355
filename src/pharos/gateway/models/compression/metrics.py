"""What compression measures of itself, for ``GET /metrics``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pharos.core.plane import Series
from pharos.core.resource import ResourceId
from pharos.gateway.models.compression.originals import Originals


class Tally:
    """What was saved of the calls of one model. Bytes are of UTF-8."""

    __slots__ = ("calls", "saved", "seen", "texts")

    def __init__(self) -> None:
        self.calls = 0
        self.texts = 0
        self.seen = 0
        self.saved = 0


Tallies = dict[tuple[ResourceId, str], Tally]
"""By model and mode."""


def series(tallies: Tallies, originals: Originals) -> tuple[Series, ...]:
    """The series of all models."""

    def each(read: Callable[[Tally], float]) -> Callable[[], Iterator[tuple[tuple[str, ...], float]]]:
        return lambda: (
            ((f"{model.namespace}/{model.name}", mode), read(tally)) for (model, mode), tally in tallies.items()
        )

    labels = ("model", "mode")
    return (
        Series("pharos_compression_calls", "Calls whose texts were looked at.", each(lambda t: t.calls), labels),
        Series("pharos_compression_texts", "Texts that became smaller.", each(lambda t: t.texts), labels),
        Series(
            "pharos_compression_seen_bytes", "Bytes of texts that were large enough.", each(lambda t: t.seen), labels
        ),
        Series("pharos_compression_saved_bytes", "Bytes that were left out.", each(lambda t: t.saved), labels),
        Series(
            "pharos_compression_kept_bytes",
            "Memory of what was left out.",
            lambda: (((), originals.held),),
            counts=False,
        ),
    )
