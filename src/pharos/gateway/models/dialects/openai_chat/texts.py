"""Where the texts of chat completions are."""

from __future__ import annotations

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import encode
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.guarding.texts import Look, Path, Spot, Spots, at, objects
from pharos.trust.guard.kinds import Direction

_TOP = frozenset(
    {"model", "messages", "tools", "functions", "tool_choice", "function_call", "stream", "stream_options"}
    | {"service_tier", "modalities", "reasoning_effort", "verbosity", "prompt_cache_retention"}
)
_MESSAGE = frozenset(
    {"role", "name", "tool_call_id", "tool_calls", "function_call", "content", "audio", "cache_control"}
)
_PART = frozenset({"type", "input_audio", "file", "image_url", "cache_control"})
_TOOL = frozenset(
    {"type", "name", "strict", "function", "custom", "cache_control", "server_url", "authorization", "headers"}
)
_ATTACHED = frozenset({"detail", "file_id", "file_data"})
_DETAIL = frozenset({"id", "type", "format", "index", "data", "signature"})
_CALL = frozenset({"id", "type", "index", "function", "custom"})
_SAID = ("content", "refusal", "reasoning_content", "reasoning")


class ChatTexts:
    """See :class:`~pharos.gateway.models.guarding.texts.Texts`."""

    def request(self, body: JsonObject) -> Spots:
        spots = Spots()
        for index, tool in objects(body.get("tools")):
            self._tool(spots, tool, ("tools", index))
        for index, function in objects(body.get("functions")):
            spots.rest(function, ("functions", index), "prompt", _TOOL)
        spots.rest(body, (), "prompt", _TOP)
        for key in ("tools", "functions", "messages"):
            spots.odd(body.get(key), (key,), "prompt")
        for index, message in objects(body.get("messages")):
            self._message(spots, message, ("messages", index))
        return spots

    def answer(self, body: JsonObject) -> tuple[list[Spot], list[Path]]:
        spots: list[Spot] = []
        echoes: list[Path] = []
        for index, choice in objects(body.get("choices")):
            message = choice.get("message")
            if isinstance(message, dict):
                spots += _answered(message, ("choices", index, "message"))
            if choice.get("logprobs") is not None:
                echoes.append(("choices", index, "logprobs"))
        return spots, echoes

    def stream(self) -> ChatStreamTexts:
        return ChatStreamTexts()

    @staticmethod
    def _tool(spots: Spots, tool: JsonObject, path: Path) -> None:
        for key in ("function", "custom"):
            inner = tool.get(key)
            if isinstance(inner, dict):
                spots.rest(inner, (*path, key), "prompt", _TOOL)
        spots.rest(tool, path, "prompt", _TOOL)
        spots.mark(tool)

    @staticmethod
    def _message(spots: Spots, message: JsonObject, path: Path) -> None:
        direction: Direction = "toolResults" if message.get("role") in ("tool", "function") else "prompt"
        spots.text(message, path, "content", direction)
        spots.odd(message.get("content"), (*path, "content"), direction)
        for index, part in objects(message.get("content")):
            here = (*path, "content", index)
            spots.rest(part, here, direction, _PART)
            for key in ("image_url", "file"):
                inner = part.get(key)
                if isinstance(inner, dict):
                    spots.rest(inner, (*here, key), direction, _ATTACHED)
                else:
                    spots.any(inner, (*here, key), direction)
            spots.mark(part)
        spots.found += _calls(message, path)
        _beside_calls(spots, message, path)
        for key, value in message.items():
            if key == "reasoning_details":
                for index, detail in objects(value):
                    spots.rest(detail, (*path, key, index), direction, _DETAIL)
            elif key not in _MESSAGE:
                spots.any(value, (*path, key), direction)
        spots.mark(message)


class ChatStreamTexts:
    """See :class:`~pharos.gateway.models.guarding.texts.StreamTexts`."""

    __slots__ = ("_channels", "_envelope")

    def __init__(self) -> None:
        self._channels: dict[str, tuple[int, Path]] = {}
        """By name: the choice, and where in its delta the text stands."""
        self._envelope: JsonObject = {"object": "chat.completion.chunk"}

    def see(self, event: JsonObject) -> Look:
        choices = event.get("choices")
        if event.get("error") is not None:
            return Look(over=True)
        if not isinstance(choices, list) or not choices:
            return Look()
        for key in ("id", "created", "model"):
            if isinstance(value := event.get(key), str | int):
                self._envelope[key] = value
        spots: list[Spot] = []
        ends: list[str] = []
        echoes: list[Path] = []
        for place, choice in objects(choices):
            number = choice.get("index")
            index = number if isinstance(number, int) else 0
            path: Path = ("choices", place, "delta")
            delta = choice.get("delta")
            if isinstance(delta, dict):
                for spot in _delta(delta, path):
                    channel = f"/choices/{index}/message{spot.channel}"
                    self._channels[channel] = (index, _place(delta, spot.path[3:]))
                    spots.append(spot._replace(channel=channel))
            if choice.get("logprobs") is not None:
                echoes.append(("choices", place, "logprobs"))
            if choice.get("finish_reason") is not None:
                ends += [name for name, (of, _) in self._channels.items() if of == index]
        return Look(spots, ends, False, echoes)

    def more(self, channel: str, text: str) -> bytes:
        index, path = self._channels[channel]
        delta: Json = text
        for key in reversed(path):
            if isinstance(key, str):
                delta = {key: delta}
            else:  # of several calls, one
                delta = [{"index": key, **delta}] if isinstance(delta, dict) else [delta]
        chunk = {**self._envelope, "choices": [{"index": index, "delta": delta, "finish_reason": None}]}
        return encode(dump(chunk))

    def number(self, event: JsonObject) -> tuple[Path, int] | None:
        return None


def _answered(message: JsonObject, path: Path) -> list[Spot]:
    """The texts of an answer's message."""
    spots = [Spot((*path, key), "answer") for key in _SAID if isinstance(value := message.get(key), str) and value]
    for index, part in objects(message.get("content")):
        spots += [Spot((*path, "content", index, key), "answer") for key in ("text", "refusal") if part.get(key)]
    for index, detail in objects(message.get("reasoning_details")):
        spots += [
            Spot((*path, "reasoning_details", index, key), "answer") for key in ("text", "summary") if detail.get(key)
        ]
    audio = message.get("audio")
    if isinstance(audio, dict) and isinstance(audio.get("transcript"), str):
        spots.append(Spot((*path, "audio", "transcript"), "answer"))
    return spots + _calls(message, path)


def _calls(message: JsonObject, path: Path) -> list[Spot]:
    """The arguments of a message's tool calls."""
    spots: list[Spot] = []
    for index, call in objects(message.get("tool_calls")):
        here = (*path, "tool_calls", index)
        function, custom = call.get("function"), call.get("custom")
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            spots.append(Spot((*here, "function", "arguments"), "toolArguments", "json"))
        if isinstance(custom, dict) and isinstance(custom.get("input"), str):
            spots.append(Spot((*here, "custom", "input"), "toolArguments"))
    old = message.get("function_call")
    if isinstance(old, dict) and isinstance(old.get("arguments"), str):
        spots.append(Spot((*path, "function_call", "arguments"), "toolArguments", "json"))
    return spots


def _beside_calls(spots: Spots, message: JsonObject, path: Path) -> None:
    """What a message's tool calls have besides arguments of the form they should have."""
    spots.odd(message.get("tool_calls"), (*path, "tool_calls"), "toolArguments")
    holders = [(call, (*path, "tool_calls", index)) for index, call in objects(message.get("tool_calls"))]
    for call, here in [*holders, (message, path)]:
        if call is not message:
            spots.rest(call, here, "toolArguments", _CALL)
        for key, said in (("function", "arguments"), ("custom", "input"), ("function_call", "arguments")):
            inner = call.get(key)
            if isinstance(inner, dict):
                known = ("name", said) if isinstance(inner.get(said), str) else ("name",)
                spots.rest(inner, (*here, key), "toolArguments", known)
            elif inner is not None and (call is message) == (key == "function_call"):
                spots.any(inner, (*here, key), "toolArguments")


def _delta(delta: JsonObject, path: Path) -> list[Spot]:
    """The texts of a delta; their channels are named from the message on."""
    return [
        spot._replace(channel="".join(f"/{key}" for key in _place(delta, spot.path[len(path) :])))
        for spot in _answered(delta, path)
    ]


def _place(delta: JsonObject, path: Path) -> Path:
    """Where in the whole message a text of a delta stands: calls are told apart by their index, wherever in the list of
    a chunk they are."""
    if path[0] != "tool_calls":
        return path
    call = at(delta, path[:2])
    number = call.get("index") if isinstance(call, dict) else None
    return ("tool_calls", number if isinstance(number, int) else path[1], *path[2:])
