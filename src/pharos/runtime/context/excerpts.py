"""What is shown of something too large to be shown: how it begins, how it ends, and how to read the rest."""

from __future__ import annotations

from typing import NamedTuple

READER = "result_read"
"""The tool that reads on."""

_HEAD_SHARE = 0.75
"""Of what is shown: results say what they are at their beginning, and what came of them at their end."""


class Excerpt(NamedTuple):
    """The two ends of a text."""

    head: str
    tail: str


def excerpt(text: str, most: int) -> Excerpt:
    """At most ``most`` bytes (in UTF-8) of a text: all of it as ``head``, or its two ends, cut between characters and,
    where that costs little, between lines."""
    raw = text.encode()
    if len(raw) <= most:
        return Excerpt(text, "")
    ahead = int(most * _HEAD_SHARE)
    head = raw[:ahead].decode(errors="ignore")
    # The bytes before the first whole character are the rest of one that was cut.
    tail = raw[len(raw) - (most - ahead) :].decode(errors="ignore")
    line = head.rfind("\n")
    if line > len(head) * 0.8:
        head = head[: line + 1]
    line = tail.find("\n")
    if 0 <= line < len(tail) * 0.2:
        tail = tail[line + 1 :]
    return Excerpt(head, tail)


def by_reference(text: str, most: int, digest: str) -> str:
    """A text that is kept whole as the blob ``digest``, as events and models have it: about ``most`` bytes of it, and
    the call that reads on."""
    size = len(text.encode())
    head, tail = excerpt(text, most)
    start = len(head.encode())
    missing = size - start - len(tail.encode())
    how = f'{READER} {{"digest": "{digest}", "start": {start}, "end": {min(start + most, size)}}}'
    return f"{head}\n[… {missing} of {size} bytes are left out. To read on, call {how} …]\n{tail}"


def shown(text: str, most: int, sequence: int, digest: str = "") -> str:
    """A text as a model sees it: as it is, or, where it is larger than ``most`` bytes, its two ends. ``digest``: the
    blob that holds all of what ``text`` may already be an excerpt of."""
    size = len(text.encode())
    if size <= most:
        return text
    head, tail = excerpt(text, most)
    missing = size - len(head.encode()) - len(tail.encode())
    if digest:
        return f'{head}\n[… more is left out. To read it, call {READER} {{"digest": "{digest}", "start": 0}} …]\n{tail}'
    return f"{head}\n[… {missing} bytes are left out; this is event {sequence} of the session …]\n{tail}"
