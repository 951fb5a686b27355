"""Parts as messages: the smallest pieces of a context, none of which can be torn.

A *block* is one or several messages that only make sense together: an answer with tool calls and the results of all of
them is one block, because every provider refuses a prompt in which one stands without the other. A block is made from
one step (and the results that the next one brought), so it is the same bytes in every context it stands in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.mesh.tokens import BYTES_PER_TOKEN, estimate_tokens
from pharos.runtime.context.excerpts import shown
from pharos.runtime.context.parts import Budget
from pharos.runtime.session.state import Item, Step

PENDING = "No result yet. It will be told here when it is there; do not call again for it."
"""In the place of a result that was still to come when the model had to be asked."""

ATTACHMENT_TOKENS = 1_600
"""Counted for an image or file: their bytes say little about their tokens."""

_SHARE = 0.25
"""Of the budget, for all results of one step and for each input."""

_LEAST = 512
"""Bytes that are shown of everything, however small the budget."""

BlockKind = Literal["input", "recalled", "note", "reply", "exchange"]


@dataclass(frozen=True, slots=True)
class Block:
    """Messages that belong together. ``step`` is the index of the step whose answer or news they are.

    ``detail`` is what a record names of it: ids of what was recalled, digests of what is shown in part, names of tools.
    """

    kind: BlockKind
    step: int
    messages: tuple[JsonObject, ...]
    tokens: int
    sequences: frozenset[int]
    calls: frozenset[str] = frozenset()
    detail: tuple[str, ...] = ()

    @property
    def first(self) -> int:
        """The block's name: the sequence of its first event."""
        return min(self.sequences)


class Asked(NamedTuple):
    """A tool call of an answer."""

    id: str
    name: str


def wire(message: JsonObject) -> bytes:
    """The bytes of a message. Its members keep their order, so the same message has the same bytes."""
    return orjson.dumps(message)


class Digest:
    """What two runs of messages can be compared by. Grows with the run."""

    __slots__ = ("_seen",)

    def __init__(self, messages: Iterable[JsonObject] = ()) -> None:
        self._seen = hashlib.sha256()
        self.add(messages)

    def add(self, messages: Iterable[JsonObject]) -> None:
        """Go on with these."""
        for message in messages:
            self._seen.update(wire(message))
            self._seen.update(b"\n")

    def copy(self) -> Digest:
        """One that can go on without this one."""
        made = Digest()
        made._seen = self._seen.copy()
        return made

    def __str__(self) -> str:
        return self._seen.hexdigest()[:32]


def digest(messages: Iterable[JsonObject]) -> str:
    """What two runs of messages can be compared by."""
    return str(Digest(messages))


def tokens_of(message: JsonObject) -> int:
    """The estimated length of a message."""
    content = message.get("content")
    if not isinstance(content, list):
        return estimate_tokens(len(wire(message)))
    text = [part for part in content if isinstance(part, dict) and part.get("type") in ("text", "refusal")]
    bare = {**message, "content": cast("Json", text)}
    return estimate_tokens(len(wire(bare))) + (len(content) - len(text)) * ATTACHMENT_TOKENS


def blocks_of(steps: Sequence[Step], budget: Budget, start: int = 0, *, answered: bool = False) -> Iterator[Block]:
    """The blocks of the steps from ``start`` on, in the order in which the model learnt of them. ``answered``: with the
    answer before the first of them."""
    for index in range(start, len(steps)):
        before = steps[index - 1] if index else None
        asked = () if before is None else calls_of(before.reply)
        results, others = _parted(steps[index].items, asked)
        if (index > start or answered) and before is not None and before.reply is not None:
            yield _answer(index - 1, before, asked, results, budget)
        for item in others:
            yield _news(index, item, budget)
    if len(steps) > start and steps[-1].reply is not None:
        yield _answer(len(steps) - 1, steps[-1], calls_of(steps[-1].reply), {}, budget)


def calls_of(reply: JsonObject | None) -> tuple[Asked, ...]:
    """The tool calls of an answer."""
    calls = None if reply is None else reply.get("tool_calls")
    if not isinstance(calls, list):
        return ()
    return tuple(Asked(str(call.get("id", "")), _name(call)) for call in calls if isinstance(call, dict))


def _name(call: JsonObject) -> str:
    function = call.get("function")
    return str(function.get("name", "")) if isinstance(function, dict) else ""


def _parted(items: Sequence[Item], asked: Sequence[Asked]) -> tuple[dict[int, Item], list[Item]]:
    """The results of the calls of the answer before, by the place of the call, and everything else."""
    found: dict[int, Item] = {}
    others: list[Item] = []
    for item in items:
        place = -1
        if item.kind == "result":
            # An id may stand twice: some providers number the calls of each answer anew.
            place = next((i for i, call in enumerate(asked) if call.id == item.call and i not in found), -1)
        if place >= 0:
            found[place] = item
        else:
            others.append(item)
    return found, others


def _answer(step: int, of: Step, asked: Sequence[Asked], results: Mapping[int, Item], budget: Budget) -> Block:
    messages: list[JsonObject] = [_sent(of.reply or {})]
    sequences = {of.sequence}
    most = _most(budget, len(asked))
    detail = [call.name for call in asked]
    for place, call in enumerate(asked):
        text = PENDING
        if (result := results.get(place)) is not None:
            sequences.add(result.sequence)
            text, blob = _text(result, most)
            detail += blob
        messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
    calls = frozenset(call.id for call in asked)
    tokens = sum(map(tokens_of, messages))
    kind: BlockKind = "exchange" if asked else "reply"
    return Block(kind, step, tuple(messages), tokens, frozenset(sequences), calls, tuple(detail))


def _sent(message: JsonObject) -> JsonObject:
    """An answer as it is told to the model again: what it said and called, and nothing a provider added to it."""
    sent: JsonObject = {"role": "assistant", "content": message.get("content")}
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        sent["tool_calls"] = [_readable(call) for call in calls if isinstance(call, dict)]
    elif sent["content"] is None:
        sent["content"] = ""
    return sent


def _readable(call: JsonObject) -> Json:
    """A call whose arguments are an object: some providers refuse a prompt that repeats a model's own broken JSON."""
    function = call.get("function")
    said = function.get("arguments") if isinstance(function, dict) else None
    arguments = said if isinstance(said, str) else "{}"
    try:
        whole = isinstance(orjson.loads(arguments), dict)
    except orjson.JSONDecodeError:
        whole = False
    if not whole:
        arguments = orjson.dumps({"unreadable": arguments}).decode()
    return {"id": call.get("id", ""), "type": "function", "function": {"name": _name(call), "arguments": arguments}}


def _news(step: int, item: Item, budget: Budget) -> Block:
    kind: BlockKind = "note"
    detail: Sequence[str] = (item.name,) if item.name else ()
    content: Json
    match item.kind:
        case "input":
            kind = "input"
            content, detail = _input(item, budget)
        case "recalled":
            kind = "recalled"
            content, detail = _recalled(item, budget)
        case "result":
            text, blob = _text(item, _most(budget, 1))
            content, detail = told("result", text, tool=item.name, call=item.call), (item.name, *blob)
        case "note":
            content = told("note", item.text, about=item.name)
    # Not as "system": providers whose dialect has one system prompt would move it to the front of everything.
    message: JsonObject = {"role": "user", "content": content}
    return Block(kind, step, (message,), tokens_of(message), frozenset({item.sequence}), detail=tuple(detail))


def _text(item: Item, most: int) -> tuple[str, Sequence[str]]:
    """What is shown of an item's text, and the blob that has all of it."""
    digest = "" if item.blob is None else item.blob["digest"]
    return shown(item.text, most, item.sequence, digest), (digest,) if digest else ()


def _input(item: Item, budget: Budget) -> tuple[Json, Sequence[str]]:
    """Text; with ``data`` that has ``parts`` in the form of chat completions, those too; other data as JSON."""
    text, blob = _text(item, _share(budget))
    data = item.data or {}
    parts = data.get("parts")
    if isinstance(parts, list) and parts:
        said: list[Json] = [{"type": "text", "text": text}] if text else []
        return [*said, *parts], blob
    if data:
        more = shown(orjson.dumps(data).decode(), _share(budget), item.sequence)
        text = f"{text}\n{told('data', more)}" if text else told("data", more)
    return text, blob


def _recalled(item: Item, budget: Budget) -> tuple[str, Sequence[str]]:
    """What fits of what memory said, the most useful first."""
    lines: list[str] = []
    ids: list[str] = []
    left = budget.recall_tokens * BYTES_PER_TOKEN
    found = (item.data or {}).get("items")
    for one in found if isinstance(found, list) else []:
        if not isinstance(one, dict):
            continue
        line = f"- ({one.get('id')}) {one.get('text')}"
        left -= len(line.encode())
        if left < 0:
            break
        lines.append(line)
        ids.append(str(one.get("id")))
    return told("recalled", "\n".join(lines) or "Nothing that fits here."), ids


def told(tag: str, text: str, **attributes: str) -> str:
    """Something the city says in a user's place, marked so that it is not taken for the user's own words."""
    marks = "".join(f' {name}="{value.translate(_QUIET)}"' for name, value in attributes.items())
    harmless = text.replace(f"</{tag}", f"< /{tag}")
    return f"<{tag}{marks}>\n{harmless}\n</{tag}>"


_QUIET = str.maketrans({'"': "'", "<": "(", ">": ")", "\n": " "})


def _share(budget: Budget) -> int:
    return max(int(budget.tokens * _SHARE) * BYTES_PER_TOKEN, _LEAST)


def _most(budget: Budget, results: int) -> int:
    """Bytes that are shown of each of so many results. Not of what is left: then a result would change its form when
    something else comes."""
    return max(min(budget.result_tokens * BYTES_PER_TOKEN, _share(budget) // max(results, 1)), _LEAST)
