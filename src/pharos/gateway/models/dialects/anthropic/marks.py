"""Cache markers of a request that is translated for a messages provider.

The service takes at most four, and a longer lifetime must not follow a shorter one. Of more than four, the most
valuable stay: the end of the tools and the end of the system text, which every call of an application shares, and the
last ones of the conversation, where the next turn continues.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.canonical import Block, Request, Text, Thinking, Tool, ToolResult

MOST = 4


class _Mark(NamedTuple):
    section: Literal["tools", "system", "messages"]
    holder: Tool | Block
    lifetime: str
    at: str


class Marks:
    """Which tools and blocks of one request get a marker. The blocks come in the order they are sent in."""

    def __init__(self, request: Request, system: Sequence[Block], messages: Sequence[Block]) -> None:
        marks = list(_marks(request.tools, system, messages))
        kept = _most_valuable(marks)
        self._lifetimes: dict[int, str] = {}
        shortest = False
        for index, mark in enumerate(marks):
            if index not in kept:
                request.dropped.append(_place(mark, request))
                continue
            lifetime = mark.lifetime
            if lifetime == "1h" and shortest:
                lifetime = "5m"
                request.converted.append(_place(mark, request))
            shortest = shortest or lifetime == "5m"
            self._lifetimes[id(mark.holder)] = lifetime

    def on(self, written: JsonObject, holder: Tool | Block) -> JsonObject:
        """``written``, with the marker that ``holder`` keeps, if it has one."""
        lifetime = self._lifetimes.get(id(holder))
        if lifetime is not None:
            # Five minutes is the default and is not spelled out.
            written["cache_control"] = {"type": "ephemeral", "ttl": "1h"} if lifetime == "1h" else {"type": "ephemeral"}
        return written


def _place(mark: _Mark, request: Request) -> str:
    # A tool's marker has the one name that every dialect with markers gives it.
    return f"{mark.at}/cache_control" if mark.section == "tools" else request.mark(mark.at)


def _most_valuable(marks: list[_Mark]) -> set[int]:
    if len(marks) <= MOST:
        return set(range(len(marks)))
    kept: set[int] = set()
    for section in ("tools", "system"):
        kept.update([index for index, mark in enumerate(marks) if mark.section == section][-1:])
    for index in range(len(marks) - 1, -1, -1):
        if len(kept) == MOST:
            break
        kept.add(index)
    return kept


def _marks(tools: Sequence[Tool], system: Sequence[Block], messages: Sequence[Block]) -> Iterator[_Mark]:
    """The marks in the order of the prompt: tools, system, messages."""
    for tool in tools:
        if tool.cache is not None:
            yield _Mark("tools", tool, tool.cache, tool.at)
    for block in system:
        yield from _of_block(block, "system")
    for block in messages:
        yield from _of_block(block, "messages")


def _of_block(block: Block, section: Literal["system", "messages"]) -> Iterator[_Mark]:
    if isinstance(block, ToolResult):
        for part in block.content:
            yield from _of_block(part, section)
    if isinstance(block, Thinking) or block.cache is None:
        return
    # An empty text is not sent, so it can carry no marker.
    if not (isinstance(block, Text) and not block.text.strip()):
        yield _Mark(section, block, block.cache, block.at)
