"""Lines in a row that differ only in times, ids and numbers: which of them tell nothing that the others do not.

Of such a run the first and the last line stay, and every line with a number that stands out: rare among few values
(a status of 500 among 200s), the least or the largest of its column, or far from the middle half of it (Tukey's outer
fences). A line that speaks of trouble is never part of a run.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import re2

LEAST_RUN = 6
LEAST_LEFT_OUT = 3
LONGEST = 2_000
"""Characters of a line that is looked at."""

FEW = 16
"""Different values up to which a column of numbers counts as one of codes."""

RARE = 20
"""A code is rare if not more than one in so many lines has it."""

SAMPLE = 512
"""Values by which the middle half of a column is found."""

# One after the other, each over many lines at once; what one has found the next one does not see.
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
)
_ID = re.compile(r"0[xX][0-9a-fA-F]+|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b[0-9a-f]{16,}\b")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")

_VARIABLE = b"0123456789abcdefABCDEFxXTZ-+:., "
"""Everything that may stand in a variable. Lines that differ in anything else are not alike, which is found at once."""

_TROUBLE = re2.compile(
    r"(?i)error|exception|fail|fatal|panic|traceback|warn|critical|severe|alert|emerg|denied|refus|reject|timeout"
    r"|timed out|abort|kill|crash|corrupt|invalid|unable|cannot|can't|could not|unexpected|unhandled|missing"
    r"|not found|lost|leak|overflow|deadlock|segfault|stack|\b(?:err|crit|oom)\b"
)


def foldable(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Spans ``[start, stop)`` of lines that may be left out, in order. Behind each and before each a line like them
    stays."""
    rough = [line.encode().translate(None, _VARIABLE) for line in lines]
    return [span for start, stop in _runs(rough) for span in _among(lines, start, stop)]


def _runs(shapes: Sequence[bytes | str | None]) -> Iterator[tuple[int, int]]:
    """Where so many of the same follow each other; ``None`` is like nothing."""
    start = 0
    for index in range(1, len(shapes) + 1):
        if index < len(shapes) and shapes[index] == shapes[start]:
            continue
        if index - start >= LEAST_RUN and shapes[start] is not None:
            yield start, index
        start = index


def _among(lines: Sequence[str], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The spans among lines that are roughly alike."""
    named = _ID.sub("\0i", _TIME.sub("\0t", "\n".join(lines[start:stop])))
    numbers = named.split("\n")
    shapes: list[str | None] = [*_NUMBER.sub("\0n", named).split("\n")]
    for index, line in enumerate(lines[start:stop]):
        if not line.strip() or len(line) > LONGEST or _TROUBLE.search(line) is not None:
            shapes[index] = None
    for begin, end in _runs(shapes):
        yield from _inside(numbers[begin:end], start + begin)


def _inside(run: Sequence[str], start: int) -> Iterator[tuple[int, int]]:
    """The spans of one run that tell nothing new."""
    kept = sorted({0, len(run) - 1, *_outliers(run)})
    for before, after in itertools.pairwise(kept):
        if after - before > LEAST_LEFT_OUT:
            yield start + before + 1, start + after


def _outliers(run: Sequence[str]) -> set[int]:
    rows = [[float(number) for number in _NUMBER.findall(line)] for line in run]
    outliers: set[int] = set()
    for column in zip(*rows, strict=True):
        counts = Counter(column)
        if len(counts) == 1:
            continue
        if len(counts) <= FEW:
            rare = {value for value, count in counts.items() if count * RARE <= len(column)}
            outliers.update(index for index, value in enumerate(column) if value in rare)
        outliers.add(column.index(min(column)))
        outliers.add(column.index(max(column)))
        sample = sorted(column[:: -(-len(column) // SAMPLE)])
        low, high = sample[len(sample) // 4], sample[len(sample) * 3 // 4]
        reach = 3 * (high - low)
        if len(counts) > FEW or reach:
            outliers.update(index for index, value in enumerate(column) if not low - reach <= value <= high + reach)
    return outliers
