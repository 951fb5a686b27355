"""Where the texts of messages are."""

from __future__ import annotations

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import encode
from pharos.gateway.models.guarding.texts import Look, Path, Spot, Spots, objects
from pharos.trust.guard.kinds import Direction

_TOP = frozenset(
    {"model", "messages", "tools", "system", "tool_choice", "stream", "thinking", "service_tier", "mcp_servers"}
    | {"betas", "speed", "inference_geo", "container", "context_management", "cache_control"}
)
_TOOL = frozenset({"type", "name", "strict", "cache_control", "allowed_callers", "defer_loading"})
_BLOCK = frozenset({"type", "id", "name", "tool_use_id", "server_name", "cache_control", "source", "content", "caller"})
_PROOFS = frozenset({"signature", "data", "encrypted_content", "encrypted_index", "encrypted_stdout", "file_id"})
_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


class MessagesTexts:
    """See :class:`~pharos.gateway.models.guarding.texts.Texts`."""

    def request(self, body: JsonObject) -> Spots:
        spots = Spots()
        for index, tool in objects(body.get("tools")):
            spots.rest(tool, ("tools", index), "prompt", _TOOL)
            spots.mark(tool)
        for key in ("tools", "messages"):
            spots.odd(body.get(key), (key,), "prompt")
        self._content(spots, body, (), "system", "prompt")
        spots.rest(body, (), "prompt", _TOP)
        for index, message in objects(body.get("messages")):
            path: Path = ("messages", index)
            self._content(spots, message, path, "content", "prompt")
            spots.rest(message, path, "prompt", ("role", "content", "cache_control"))
        return spots

    def answer(self, body: JsonObject) -> tuple[list[Spot], list[Path]]:
        spots: list[Spot] = []
        for index, block in objects(body.get("content")):
            spots += _answered(block, ("content", index))
        return spots, []

    def stream(self) -> MessagesStreamTexts:
        return MessagesStreamTexts()

    def _content(self, spots: Spots, holder: JsonObject, path: Path, key: str, direction: Direction) -> None:
        spots.text(holder, path, key, direction)
        spots.odd(holder.get(key), (*path, key), direction)
        for index, block in objects(holder.get(key)):
            self._block(spots, block, (*path, key, index), direction)

    def _block(self, spots: Spots, block: JsonObject, path: Path, direction: Direction) -> None:
        kind = block.get("type")
        kind = kind if isinstance(kind, str) else ""
        if kind.endswith("tool_use"):
            spots.any(block.get("input"), (*path, "input"), "toolArguments")
        elif kind.endswith("tool_result"):
            direction = "toolResults"
        for key, value in block.items():
            if key == "content":
                self._content(spots, block, path, key, direction)
            elif key == "source":
                self._source(spots, value, (*path, key), direction)
            elif key not in _BLOCK and key not in _PROOFS and not (key == "input" and kind.endswith("tool_use")):
                spots.any(value, (*path, key), direction)
        spots.mark(block)

    def _source(self, spots: Spots, source: Json, path: Path, direction: Direction) -> None:
        if isinstance(source, str):  # of a search result: where it comes from
            spots.any(source, path, direction)
        elif isinstance(source, dict):
            if source.get("type") == "text":
                spots.text(source, path, "data", direction)
            spots.text(source, path, "url", direction)
            self._content(spots, source, path, "content", direction)


class MessagesStreamTexts:
    """See :class:`~pharos.gateway.models.guarding.texts.StreamTexts`."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, str]] = {}
        """By channel: the block, and the type of its deltas."""

    def see(self, event: JsonObject) -> Look:
        kind, index = event.get("type"), event.get("index")
        if kind in ("message_delta", "message_stop", "error"):
            return Look(over=True)
        if not isinstance(index, int):
            return Look()
        if kind == "content_block_delta":
            delta = event.get("delta")
            type = delta.get("type") if isinstance(delta, dict) else None
            if not isinstance(delta, dict) or not isinstance(type, str):
                return Look()
            if type not in _DELTAS:
                # A kind of delta that is not known yet, or a citation: its strings are whole.
                spots = [
                    Spot(("delta", key), "answer", "text" if isinstance(value, str) else "value")
                    for key, value in delta.items()
                    if key not in ("type", "signature") and isinstance(value, str | dict | list) and value
                ]
                return Look(spots)
            arguments = type == "input_json_delta"
            channel = f"/content/{index}/{'input' if arguments else _DELTAS[type]}"
            self._open[channel] = (index, type)
            path: Path = ("delta", _DELTAS[type])
            if arguments:
                return Look([Spot(path, "toolArguments", "json", channel)])
            return Look([Spot(path, "answer", "text", channel)])
        if kind == "content_block_start":
            block = event.get("content_block")
            return Look(_answered(block, ("content_block",))) if isinstance(block, dict) else Look()
        if kind == "content_block_stop":
            return Look(ends=[channel for channel, (of, _) in self._open.items() if of == index])
        return Look()

    def more(self, channel: str, text: str) -> bytes:
        index, type = self._open[channel]
        delta = {"type": type, _DELTAS[type]: text}
        return encode(
            orjson.dumps({"type": "content_block_delta", "index": index, "delta": delta}), "content_block_delta"
        )

    def number(self, event: JsonObject) -> tuple[Path, int] | None:
        return None


def _answered(block: JsonObject, path: Path) -> list[Spot]:
    """The texts of an answer's block."""
    kind = block.get("type")
    if isinstance(kind, str) and kind.endswith("tool_use"):
        return [Spot((*path, "input"), "toolArguments", "value")] if block.get("input") else []
    spots = Spots()
    spots.rest(block, path, "answer", ("type", "id", "tool_use_id", *_PROOFS))
    return spots.found
