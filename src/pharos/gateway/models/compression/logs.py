"""Lines in a row that differ only in times, ids and numbers: which of them tell nothing that the others do not.

Of such a run the first and the last line stay, and every line with a number that stands out: rare among few values
(a status of 500 among 200s), the least or the largest of its column, or far from the middle half of it (Tukey's outer
fences). A line that speaks of trouble is never part of a run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

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

_VARIABLE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)"
    r"|(?P<id>0[xX][0-9a-fA-F]+|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b[0-9a-f]{16,}\b)"
    r"|(?P<number>\d+(?:\.\d+)?)"
)
_TROUBLE = re.compile(
    r"error|exception|fail|fatal|panic|traceback|warn|critical|severe|alert|emerg|denied|refus|reject|timeout|timed out"
    r"|abort|kill|crash|corrupt|invalid|unable|cannot|can't|could not|unexpected|unhandled|missing|not found|lost|leak"
    r"|overflow|deadlock|segfault|stack|\b(?:err|crit|oom)\b",
    re.I,
)
_BLANK = {"time": "\0t", "id": "\0i", "number": "\0n"}


def foldable(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Spans ``[start, stop)`` of lines that may be left out, in order. Behind each and before each a line like them
    stays."""
    spans: list[tuple[int, int]] = []
    start = 0
    shape = _shape(lines[0]) if lines else None
    for index in range(1, len(lines) + 1):
        following = _shape(lines[index]) if index < len(lines) else None
        if following is not None and following == shape:
            continue
        if shape is not None and index - start >= LEAST_RUN:
            spans += _inside(lines, start, index)
        start, shape = index, following
    return spans


def _shape(line: str) -> str | None:
    """What a line has in common with those that differ from it only in variables; ``None``: it is left alone."""
    if not line.strip() or len(line) > LONGEST or _TROUBLE.search(line) is not None:
        return None
    return _VARIABLE.sub(lambda found: _BLANK[str(found.lastgroup)], line)


def _inside(lines: Sequence[str], start: int, stop: int) -> list[tuple[int, int]]:
    """The spans of one run that tell nothing new."""
    kept = {0, stop - start - 1, *_outliers(lines[start:stop])}
    spans: list[tuple[int, int]] = []
    begin: int | None = None
    for index in range(stop - start):
        if index in kept:
            if begin is not None and index - begin >= LEAST_LEFT_OUT:
                spans.append((start + begin, start + index))
            begin = None
        elif begin is None:
            begin = index
    return spans


def _outliers(run: Sequence[str]) -> set[int]:
    rows = [[float(found["number"]) for found in _VARIABLE.finditer(line) if found["number"]] for line in run]
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
