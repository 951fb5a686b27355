"""Whether a semantic cache may answer, and from which similarity on: what it would have got wrong is measured first."""

from __future__ import annotations

import math
from collections import deque

Z = 1.645
"""Of a one-sided interval of 95 %."""

MOST_SAMPLES = 2_000
"""The latest comparisons that count."""


class Calibration:
    """Comparisons of what a cache would have answered with what the provider did answer."""

    def __init__(self, threshold: float, samples: int, max_false_hits: float) -> None:
        self._least = threshold
        self._samples = samples
        self._max = max_false_hits
        self._seen: deque[tuple[float, bool]] = deque(maxlen=MOST_SAMPLES)
        self.threshold: float | None = None
        """Similarity from which on it may answer; ``None``: it may not."""

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def wrong(self) -> int:
        """Comparisons in which the cache would have been wrong."""
        return sum(not agreed for _, agreed in self._seen)

    @property
    def false_hits(self) -> float:
        """Upper end of the interval for the share of wrong answers, at the threshold or, if there is none, overall."""
        least = self.threshold or 0.0
        counted = [agreed for similarity, agreed in self._seen if similarity >= least]
        return upper_bound(len(counted) - sum(counted), len(counted))

    def add(self, similarity: float, agreed: bool) -> None:
        """One more comparison."""
        self._seen.append((similarity, agreed))
        self.threshold = self._threshold()

    def _threshold(self) -> float | None:
        """The least similarity at which enough comparisons at or above it were right."""
        found = None
        count = wrong = 0
        ranked = sorted(self._seen, reverse=True)
        for place, (similarity, agreed) in enumerate(ranked):
            count += 1
            wrong += not agreed
            # Comparisons of one similarity are on the same side of any threshold.
            if place + 1 < len(ranked) and ranked[place + 1][0] == similarity:
                continue
            if count >= self._samples and upper_bound(wrong, count) <= self._max:
                found = similarity
        # Where all that was seen qualifies, what was asked for does; it is never below that.
        if found is not None and found == ranked[-1][0]:
            return self._least
        return found


def upper_bound(wrong: int, count: int) -> float:
    """Upper end of Wilson's score interval for the share ``wrong / count``; 1 where nothing was seen.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if not count:
        return 1.0
    share, z2 = wrong / count, Z * Z
    middle = share + z2 / (2 * count)
    spread = Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    return min((middle + spread) / (1 + z2 / count), 1.0)
