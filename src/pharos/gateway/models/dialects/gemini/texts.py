"""Where the texts of Gemini are. Its members have two spellings, of which clients may use either."""

from __future__ import annotations

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import encode
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.guarding.texts import Look, Path, Spot, Spots, objects
from pharos.trust.guard.kinds import Direction

_TOP = frozenset(
    {"model", "contents", "tools", "systemInstruction", "system_instruction", "toolConfig", "tool_config"}
    | {"safetySettings", "safety_settings", "cachedContent", "cached_content", "store"}
)
_DECLARATION = frozenset({"name", "behavior"})
_PART = frozenset(
    {"thought", "thoughtSignature", "thought_signature", "inlineData", "inline_data", "fileData", "file_data"}
    | {"functionCall", "function_call", "functionResponse", "function_response", "videoMetadata", "video_metadata"}
)
_RESPONSE = frozenset({"id", "name", "scheduling", "willContinue", "will_continue"})
_CANDIDATE = frozenset(
    {"content", "finishReason", "index", "safetyRatings", "avgLogprobs", "logprobsResult", "tokenCount"}
)


class GenerateTexts:
    """See :class:`~pharos.gateway.models.guarding.texts.Texts`."""

    def request(self, body: JsonObject) -> Spots:
        spots = Spots()
        for index, tool in objects(body.get("tools")):
            _tool(spots, tool, ("tools", index))
        for key in ("tools", "contents"):
            spots.odd(body.get(key), (key,), "prompt")
        for key in ("systemInstruction", "system_instruction"):
            value = body.get(key)
            if isinstance(value, dict):
                _parts(spots, value, (key,), "prompt")
            else:
                spots.any(value, (key,), "prompt")
        spots.rest(body, (), "prompt", _TOP)
        for index, content in objects(body.get("contents")):
            _parts(spots, content, ("contents", index), "prompt")
        return spots

    def answer(self, body: JsonObject) -> tuple[list[Spot], list[Path]]:
        spots = Spots()
        echoes: list[Path] = []
        for index, candidate in objects(body.get("candidates")):
            _candidate(spots, candidate, ("candidates", index))
            if candidate.get("logprobsResult"):
                echoes.append(("candidates", index, "logprobsResult"))
        return spots.found, echoes

    def stream(self) -> GenerateStreamTexts:
        return GenerateStreamTexts()


class GenerateStreamTexts:
    """See :class:`~pharos.gateway.models.guarding.texts.StreamTexts`."""

    __slots__ = ("_envelope", "_open")

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, bool]] = {}
        """By channel: the candidate, and whether it is thinking."""
        self._envelope: JsonObject = {}

    def see(self, event: JsonObject) -> Look:
        if event.get("error") is not None:
            return Look(over=True)
        for key in ("modelVersion", "responseId"):
            if isinstance(value := event.get(key), str):
                self._envelope[key] = value
        found, echoes = GenerateTexts().answer(event)
        spots: list[Spot] = []
        ends: list[str] = []
        for place, candidate in objects(event.get("candidates")):
            number = candidate.get("index")
            index = number if isinstance(number, int) else 0
            for spot in found:
                if spot.path[1] != place:
                    continue
                part = _part_of(candidate, spot.path)
                if part is None:
                    spots.append(spot)
                    continue
                thought = part.get("thought") is True
                channel = f"/candidates/{index}/content/{'thought' if thought else 'text'}"
                self._open[channel] = (index, thought)
                spots.append(spot._replace(channel=channel))
            if candidate.get("finishReason") is not None:
                ends += [name for name, (of, _) in self._open.items() if of == index]
        return Look(spots, ends, False, echoes)

    def more(self, channel: str, text: str) -> bytes:
        index, thought = self._open[channel]
        part: JsonObject = {"text": text, "thought": True} if thought else {"text": text}
        content: Json = {"parts": [part], "role": "model"}
        return encode(dump({"candidates": [{"content": content, "index": index}], **self._envelope}))

    def number(self, event: JsonObject) -> tuple[Path, int] | None:
        return None


def _part_of(candidate: JsonObject, path: Path) -> JsonObject | None:
    """The part of which ``path`` (of a spot) is the text; ``None`` if it is no part's text."""
    if len(path) != 6 or path[2:4] != ("content", "parts") or path[5] != "text":
        return None
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    part = parts[path[4]] if isinstance(parts, list) and isinstance(path[4], int) else None
    return part if isinstance(part, dict) else None


def _tool(spots: Spots, tool: JsonObject, path: Path) -> None:
    for key in ("functionDeclarations", "function_declarations"):
        spots.odd(tool.get(key), (*path, key), "prompt")
        for index, declaration in objects(tool.get(key)):
            spots.rest(declaration, (*path, key, index), "prompt", _DECLARATION)


def _candidate(spots: Spots, candidate: JsonObject, path: Path) -> None:
    content = candidate.get("content")
    if isinstance(content, dict):
        _parts(spots, content, (*path, "content"), "answer")
    spots.rest(candidate, path, "answer", _CANDIDATE)


def _parts(spots: Spots, content: JsonObject, path: Path, direction: Direction) -> None:
    spots.odd(content.get("parts"), (*path, "parts"), direction)
    spots.rest(content, path, direction, ("role", "parts"))
    for index, part in objects(content.get("parts")):
        here = (*path, "parts", index)
        for key in ("functionCall", "function_call"):
            call = part.get(key)
            if isinstance(call, dict):
                spots.any(call.get("args"), (*here, key, "args"), "toolArguments")
        for key in ("functionResponse", "function_response"):
            response = part.get(key)
            if isinstance(response, dict):
                returned: Direction = "toolResults" if direction == "prompt" else direction
                spots.rest(response, (*here, key), returned, _RESPONSE)
        spots.rest(part, here, direction, _PART)
