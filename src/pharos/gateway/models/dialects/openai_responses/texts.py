"""Where the texts of responses are.

A stream says everything several times: in deltas, then whole when a part, an item and the response are done. What was
held back of the deltas is sent before the whole, as a delta more; the numbers of all events behind it move up.
"""

from __future__ import annotations

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import encode
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.guarding.texts import Form, Look, Path, Spot, Spots, objects
from pharos.trust.guard.kinds import Direction

_TOP = frozenset(
    {"model", "input", "instructions", "tools", "tool_choice", "stream", "stream_options", "previous_response_id"}
    | {"conversation", "include", "store", "service_tier", "truncation", "reasoning", "prompt_cache_retention"}
)
_TOOL = frozenset({"type", "name", "strict", "server_label", "server_url", "authorization", "headers", "connector_id"})
_ITEM = frozenset(
    {"type", "id", "status", "role", "call_id", "name", "encrypted_content", "content", "output", "arguments", "input"}
    | {"server_label", "approval_request_id", "prompt_cache_breakpoint", "phase", "result"}
)
_PART = frozenset({"type", "file_data", "file_id", "input_audio", "detail", "logprobs", "prompt_cache_breakpoint"})
_WHOLE = ("text", "refusal", "arguments", "input", "code", "transcript")
_PLACES = ("output_index", "content_index", "summary_index")
_OVER = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})


class ResponsesTexts:
    """See :class:`~pharos.gateway.models.guarding.texts.Texts`."""

    def request(self, body: JsonObject) -> Spots:
        spots = Spots()
        for index, tool in objects(body.get("tools")):
            spots.rest(tool, ("tools", index), "prompt", _TOOL)
        spots.odd(body.get("tools"), ("tools",), "prompt")
        spots.any(body.get("instructions"), ("instructions",), "prompt")
        spots.rest(body, (), "prompt", _TOP)
        spots.text(body, (), "input", "prompt")
        spots.odd(body.get("input"), ("input",), "prompt")
        for index, item in objects(body.get("input")):
            _item(spots, item, ("input", index), "prompt", "toolResults")
        return spots

    def answer(self, body: JsonObject) -> tuple[list[Spot], list[Path]]:
        spots = Spots()
        echoes: list[Path] = []
        for index, item in objects(body.get("output")):
            _item(spots, item, ("output", index), "answer", "answer")
            echoes += [
                ("output", index, "content", place, "logprobs")
                for place, part in objects(item.get("content"))
                if part.get("logprobs")
            ]
        if isinstance(body.get("instructions"), str):  # those of the request, said again
            spots.found.append(Spot(("instructions",), "answer", copy=True))
        return spots.found, echoes

    def stream(self) -> ResponsesStreamTexts:
        return ResponsesStreamTexts()


def _item(spots: Spots, item: JsonObject, path: Path, said: Direction, returned: Direction) -> None:
    """The texts of an item: what is ``said``, and what a tool ``returned``."""
    kind = item.get("type")
    kind = kind if isinstance(kind, str) else "message"
    spots.text(item, path, "arguments", "toolArguments", "json")
    if isinstance(item.get("arguments"), dict):
        spots.any(item["arguments"], (*path, "arguments"), "toolArguments")
    spots.any(item.get("input"), (*path, "input"), "toolArguments")
    _content(spots, item, path, "content", said)
    _content(spots, item, path, "output", returned)
    if kind != "image_generation_call":
        spots.any(item.get("result"), (*path, "result"), said)
    spots.rest(item, path, said, _ITEM)
    spots.mark(item)


def _content(spots: Spots, holder: JsonObject, path: Path, key: str, direction: Direction) -> None:
    value = holder.get(key)
    if not isinstance(value, list):
        spots.any(value, (*path, key), direction)
        return
    for index, part in enumerate(value):
        here = (*path, key, index)
        if isinstance(part, dict):
            spots.rest(part, here, direction, _PART)
            spots.mark(part)
        else:
            spots.any(part, here, direction)


class ResponsesStreamTexts:
    """See :class:`~pharos.gateway.models.guarding.texts.StreamTexts`."""

    __slots__ = ("_moved", "_number", "_open")

    def __init__(self) -> None:
        self._open: dict[str, JsonObject] = {}
        """By channel: its last delta."""
        self._number = 0
        self._moved = 0
        """How many events of our own have gone before."""

    def see(self, event: JsonObject) -> Look:
        kind, number = event.get("type"), event.get("sequence_number")
        if isinstance(number, int):
            self._number = number
        if not isinstance(kind, str):
            return Look()
        if kind.endswith(".delta"):
            return self._delta(kind, event)
        channel = _channel(kind, event)
        ends = [channel] if channel in self._open else []
        spots: list[Spot] = []
        echoes: list[Path] = [("logprobs",)] if event.get("logprobs") else []
        if kind.endswith(".done"):
            form, direction = _form(kind)
            spots = [
                Spot((key,), direction, form, copy=bool(ends))
                for key in _WHOLE
                if isinstance(value := event.get(key), str) and value
            ]
        part = event.get("part")
        if isinstance(part, dict):
            inside = Spots()
            inside.rest(part, ("part",), "answer", _PART)
            spots += self._said(inside.found, event)
        item = event.get("item")
        if isinstance(item, dict):
            inside = Spots()
            _item(inside, item, ("item",), "answer", "answer")
            spots += self._said(inside.found, event)
            if kind.endswith(".done"):
                place = f"/output/{event.get('output_index')}/"
                ends += [name for name in self._open if name.startswith(place) and name not in ends]
        response = event.get("response")
        if isinstance(response, dict):
            found, copies = ResponsesTexts().answer(response)
            spots += [spot._replace(path=("response", *spot.path), copy=bool(self._open)) for spot in found]
            echoes += [("response", *path) for path in copies]
        return Look(spots, ends, kind in _OVER, echoes)

    def more(self, channel: str, text: str) -> bytes:
        last = self._open[channel]
        event = {**last, "sequence_number": self._number + self._moved, "delta": text}
        if "logprobs" in event:
            event["logprobs"] = []
        self._moved += 1
        return encode(dump(event), str(last.get("type")))

    def number(self, event: JsonObject) -> tuple[Path, int] | None:
        number = event.get("sequence_number")
        if not isinstance(number, int):
            return None
        self._number = number + 1  # of what is sent behind it
        return (("sequence_number",), number + self._moved) if self._moved else None

    def _delta(self, kind: str, event: JsonObject) -> Look:
        if kind == "response.audio.delta" or not isinstance(event.get("delta"), str):
            return Look()
        channel = _channel(kind, event)
        self._open[channel] = {key: value for key, value in event.items() if key != "delta"}
        form, direction = _form(kind)
        echoes: list[Path] = [("logprobs",)] if event.get("logprobs") else []
        return Look([Spot(("delta",), direction, form, channel)], echoes=echoes)

    def _said(self, spots: list[Spot], event: JsonObject) -> list[Spot]:
        """Texts of an item or a part, of which pieces have gone by or not."""
        place = f"/output/{event.get('output_index')}/"
        copy = any(name.startswith(place) for name in self._open)
        return [spot._replace(copy=copy) for spot in spots]


def _channel(kind: str, event: JsonObject) -> str:
    """``/output/0/content/0/output_text``: where the text stands, and what it is."""
    name = kind.removeprefix("response.").rpartition(".")[0]
    place = ""
    for key in _PLACES:
        index: Json = event.get(key)
        if isinstance(index, int):
            place += f"/{key.removesuffix('_index')}/{index}"
    return f"{place}/{name}"


def _form(kind: str) -> tuple[Form, Direction]:
    if "arguments" in kind:
        return "json", "toolArguments"
    return "text", "toolArguments" if "tool_call_input" in kind else "answer"
