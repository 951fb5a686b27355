"""An answer made ready: placeholders filled in, the client's limit kept, tokens counted, the text cut into chunks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import orjson

from pharos.mesh.facts import Usage
from pharos.release.simulator.conversation import Asked
from pharos.release.simulator.script import PLACEHOLDER, Answer, FinishWord, Pace

MARK = "simulated/"
"""Stands before the model's name in every answer, so that nobody takes it for the model's."""

FILL_LIMIT = 2_000

BROKEN = "𒀀"
"""The character whose last byte the ``cutUtf8`` fault takes away: a rare one of four bytes (U+12000)."""

_TOKEN = re.compile(r"\s*\S{1,6}|\s+")


def tokens_of(text: str) -> list[str]:
    """Cut a text into simulated tokens: up to six characters each, with the white space before them."""
    return _TOKEN.findall(text)


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the answer. ``pieces`` joined are its text (of a tool call: its arguments as JSON text)."""

    kind: Literal["thinking", "text", "tool"]
    pieces: tuple[str, ...]
    tokens: int
    id: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        """The whole content."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Reply:
    """What will be sent, in no protocol."""

    number: int
    """Of the request, from 1; ids are made from it, so they are the same in every run."""
    model: str
    blocks: tuple[Block, ...]
    finish: FinishWord
    finish_raw: str | None
    stop_sequence: str | None
    usage: Usage | None
    """``None``: the provider reports none."""
    pace: Pace

    def text(self, kind: Literal["thinking", "text"]) -> str:
        """The text of all blocks of a kind."""
        return "".join(block.text for block in self.blocks if block.kind == kind)

    @property
    def tool_blocks(self) -> Sequence[Block]:
        """The tool calls."""
        return [block for block in self.blocks if block.kind == "tool"]

    @property
    def token_count(self) -> int:
        """Tokens in the content, whatever the reported usage says."""
        return sum(block.tokens for block in self.blocks)

    def with_broken_character(self, after_chunks: int) -> Reply:
        """This reply with :data:`BROKEN` in the chunk that follows ``after_chunks`` others (at most the last one)."""
        places = [(b, p) for b, block in enumerate(self.blocks) for p in range(len(block.pieces))]
        if not places:
            return replace(self, blocks=(Block("text", (BROKEN,), 1),))
        block_at, piece_at = places[min(after_chunks, len(places) - 1)]
        block = self.blocks[block_at]
        pieces = tuple(piece + BROKEN if index == piece_at else piece for index, piece in enumerate(block.pieces))
        blocks = list(self.blocks)
        blocks[block_at] = replace(block, pieces=pieces)
        return replace(self, blocks=tuple(blocks))


ToolIds: TypeAlias = Literal["call", "toolu"]


def make_reply(answer: Answer, asked: Asked, number: int, count: int, id_prefix: ToolIds) -> Reply:
    """Make ``answer`` ready for one request. ``count`` is how often its rule has matched, this time included."""
    values = {
        "lastUser": asked.last_user,
        "toolResult": asked.tool_text,
        "model": asked.model,
        "turn": str(asked.turn),
        "count": str(count),
    }
    budget = asked.max_tokens if asked.max_tokens is not None and not answer.ignore_max_tokens else None
    blocks: list[Block] = []
    cut = False
    for kind, tokens, grouped, id_, name in _contents(answer, values, number, id_prefix):
        kept = tokens if budget is None else tokens[: max(budget, 0)]
        cut = cut or len(kept) < len(tokens)
        if budget is not None:
            budget -= len(kept)
        if len(kept) < len(tokens):
            if not kept:
                break
            grouped = _grouped(kept, answer.pace.tokens_per_chunk)
        blocks.append(Block(kind, tuple(grouped), len(kept), id_, name))
    finish: FinishWord = "length" if cut else answer.finish or ("tool" if answer.tool_calls else "stop")
    return Reply(
        number=number,
        model=answer.model if answer.model is not None else MARK + asked.model,
        blocks=tuple(blocks),
        finish=finish,
        finish_raw=None if cut else answer.finish_raw,
        stop_sequence=answer.stop_sequence,
        usage=_usage(answer, asked, blocks),
        pace=answer.pace,
    )


_Content: TypeAlias = tuple[Literal["thinking", "text", "tool"], Sequence[str], Sequence[str], str, str]


def _contents(answer: Answer, values: Mapping[str, str], number: int, id_prefix: ToolIds) -> Iterator[_Content]:
    """Kind, tokens, chunks, tool call id and tool name of each block."""
    size = answer.pace.tokens_per_chunk
    if answer.thinking:
        tokens = tokens_of(_filled(answer.thinking, values))
        yield "thinking", tokens, _grouped(tokens, size), "", ""
    if answer.chunks is not None:
        yield "text", tokens_of("".join(answer.chunks)), answer.chunks, "", ""
    elif "json_value" in answer.model_fields_set:
        tokens = tokens_of(orjson.dumps(answer.json_value).decode())
        yield "text", tokens, _grouped(tokens, size), "", ""
    elif answer.text:
        tokens = tokens_of(_filled(answer.text, values))
        yield "text", tokens, _grouped(tokens, size), "", ""
    for index, call in enumerate(answer.tool_calls):
        raw = call.raw_arguments
        tokens = tokens_of(orjson.dumps(call.arguments).decode() if raw is None else raw)
        id_ = call.id or f"{id_prefix}_sim_{number}_{index + 1}"
        yield "tool", tokens, _grouped(tokens, size), id_, call.name


def _grouped(tokens: Sequence[str], size: int) -> Sequence[str]:
    return ["".join(tokens[at : at + size]) for at in range(0, len(tokens), size)]


def _filled(text: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: values[match[1]][:FILL_LIMIT], text)


def estimated_input(asked: Asked) -> int:
    """Input tokens by a fixed rule: one for every four characters of the conversation and its tools, at least 1."""
    return max(1, -(-(len(asked.everything) + len(asked.tools_text)) // 4))


def _usage(answer: Answer, asked: Asked, blocks: Sequence[Block]) -> Usage | None:
    stated = answer.usage
    if not stated.reported:
        return None
    thought = sum(block.tokens for block in blocks if block.kind == "thinking")
    said = sum(block.tokens for block in blocks) - thought
    return Usage(
        input=estimated_input(asked) if stated.input is None else stated.input,
        cacheRead=stated.cache_read,
        cacheWrite5m=stated.cache_write_5m,
        cacheWrite1h=stated.cache_write_1h,
        output=(said if stated.output is None else stated.output) * asked.choices,
        reasoning=(thought if stated.reasoning is None else stated.reasoning) * asked.choices,
    )
