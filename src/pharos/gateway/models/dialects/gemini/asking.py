"""What governance must know of a generateContent request, and the declared edits of its bytes.

The model and whether a stream is asked for stand in the URL, so they come as arguments.
"""

from __future__ import annotations

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.dialects.dialect import Ask, Edits
from pharos.gateway.models.dialects.gemini.proofs import is_sealed
from pharos.gateway.models.dialects.gemini.spelling import member, snake, spelled
from pharos.gateway.models.dialects.reading import Reading
from pharos.gateway.models.dialects.splice import elements, members, replaced, too_deep
from pharos.gateway.models.dialects.weights import DOCUMENT, RECORDING

_BOUNDED = frozenset({
    "text", "thought", "thoughtSignature", "thought_signature", "functionCall", "function_call", "functionResponse",
    "function_response", "executableCode", "executable_code", "codeExecutionResult", "code_execution_result",
    "videoMetadata", "video_metadata", "mediaResolution", "media_resolution", "partMetadata", "part_metadata",
})  # fmt: skip
"""Members of a part whose tokens their bytes bound, or that have none."""

_PLAIN = frozenset({"functionDeclarations", "function_declarations"})
"""Members of a tool that cost nothing beyond their tokens. Everything else in there runs at the provider."""


def ask(body: JsonObject, model: str, *, stream: bool) -> Ask:
    """Read what governance must know. Raises ``INVALID`` with all wrong members."""
    reading = Reading()
    reading.required(model, "/model")
    contents = _contents(body.get("contents"), reading)
    config = _object(member(body, "generationConfig", reading), "/generationConfig", reading)
    limit = _count(config, "maxOutputTokens", reading, least=0) or None
    choices = _count(config, "candidateCount", reading, least=1) or 1
    if limit is not None:
        limit *= choices
    instruction = member(body, "systemInstruction", reading)
    if instruction is not None and not isinstance(instruction, dict | str):
        reading.wrong("/systemInstruction", "must be a content")
    turns: list[Json] = [{"role": "system", "parts": _parts(instruction)}, *contents] if instruction else contents
    names, foreign = _tools(body, reading)
    unpriced = foreign or _unpriced(body, config, reading)
    if reading.problems:
        reading.close()
    return Ask(
        model, stream, limit, turns, names, True, "", attached=_attached(turns), choices=choices, unpriced=unpriced
    )


def _contents(value: Json, reading: Reading) -> list[Json]:
    """The conversation. The service also takes one content without the list around it."""
    if isinstance(value, dict):
        value = [value]
    if value is not None and not isinstance(value, list):
        reading.wrong("/contents", "must be a list of contents")
        return []
    if not value:
        reading.filled({"contents": value}, "contents")
        return []
    for index, content in enumerate(value):
        if type(content) is not dict:
            reading.wrong(f"/contents/{index}", "must be an object")
    return value


def _parts(content: Json) -> Json:
    return content.get("parts") if isinstance(content, dict) else content


def _object(value: Json, at: str, reading: Reading) -> JsonObject:
    if value is None or isinstance(value, dict):
        return value or {}
    reading.wrong(at, "must be an object")
    return {}


def _count(config: JsonObject, name: str, reading: Reading, *, least: int) -> int | None:
    value = member(config, name, reading, "/generationConfig")
    if value is None or (type(value) is int and value >= least):
        return value
    reading.wrong(f"/generationConfig/{name}", f"must be a whole number of at least {least}")
    return None


def _tools(body: JsonObject, reading: Reading) -> tuple[tuple[str, ...], str]:
    """Names of the functions, and what among the tools the provider runs."""
    names: list[str] = []
    foreign = ""
    tools = body.get("tools")
    if isinstance(tools, dict):
        tools = [tools]
    if not isinstance(tools, list):
        if tools is not None:
            reading.wrong("/tools", "must be a list of tools")
        return (), ""
    for index, tool in enumerate(tools):
        if type(tool) is not dict:
            reading.wrong(f"/tools/{index}", "must be an object")
            continue
        declared = member(tool, "functionDeclarations", reading, f"/tools/{index}")
        for function in declared if isinstance(declared, list) else ():
            name = function.get("name") if isinstance(function, dict) else None
            names.append(name if isinstance(name, str) else "")
        if not foreign and (others := [key for key in tool if key not in _PLAIN and tool[key] is not None]):
            foreign = f"the tool {others[0][:64]}"
            names.append(others[0][:64])
    return tuple(names), foreign


def _unpriced(body: JsonObject, config: JsonObject, reading: Reading) -> str:
    if member(body, "cachedContent", reading):
        # What was kept at the provider is billed again as input, and its length stands nowhere in the request.
        return "cachedContent"
    modalities = member(config, "responseModalities", reading, "/generationConfig")
    for modality in modalities if isinstance(modalities, list) else ():
        if not isinstance(modality, str) or modality.upper() not in ("TEXT", "MODALITY_UNSPECIFIED"):
            return f"an answer of {str(modality)[:32]}"
    return ""


def _attached(turns: list[Json]) -> int:
    """Parts whose tokens their bytes do not bound."""
    found = 0
    for turn in turns:
        parts = turn.get("parts") if type(turn) is dict else None
        for part in parts if type(parts) is list else ():
            if type(part) is dict and (len(part) > 1 or "text" not in part):
                found += _weight(part)
    return found


def _weight(part: JsonObject) -> int:
    for name in ("fileData", "file_data"):
        if name in part:
            return max(_medium(part[name]), DOCUMENT)
    for name in ("inlineData", "inline_data"):
        if (data := part.get(name)) is not None:
            return _medium(data)
    for name in ("functionResponse", "function_response"):
        result = part.get(name)
        inner = result.get("parts") if isinstance(result, dict) else None
        if type(inner) is list:
            return sum(_weight(piece) for piece in inner if type(piece) is dict)
    return 0 if part.keys() <= _BOUNDED else 1


def _medium(data: Json) -> int:
    kind = (data.get("mimeType") or data.get("mime_type")) if isinstance(data, dict) else None
    if not isinstance(kind, str):
        return RECORDING
    if kind.startswith("image/"):
        return 1
    return DOCUMENT if kind.startswith("text/") or kind == "application/pdf" else RECORDING


def edit(raw: bytes, body: JsonObject, edits: Edits) -> bytes:
    """``raw`` with the declared edits: mostly none, for the model's name is in the URL. Raises ``INVALID`` for a body
    nested too deep to be edited."""
    contents = body.get("contents")
    foreign = isinstance(contents, list) and b"cGhhcm9zO" in raw and any(map(_has_foreign, contents))
    if edits.max_output is None and not foreign and "model" not in body:
        return raw
    try:
        return _edited(raw.decode(), body, edits, foreign=foreign).encode()
    except ValueError as error:
        raise too_deep() from error


def _edited(text: str, body: JsonObject, edits: Edits, *, foreign: bool) -> str:
    changes: list[tuple[int, int, str]] = []
    config = spelled(body, "generationConfig")
    given = body.get(config)
    limited = edits.max_output is None
    for found in members(text):
        if found.key == "model":
            changes.append((found.start, found.end, orjson.dumps(f"models/{edits.model}").decode()))
        elif found.key == config and not limited and isinstance(given, dict):
            limited = True
            changes += _limit(text, found.start, given, edits.max_output or 0)
        elif found.key == config and not limited:  # null
            limited = True
            changes.append((found.start, found.end, f'{{"maxOutputTokens":{edits.max_output}}}'))
        elif found.key == "contents" and foreign and text[found.start] == "[":
            for start, end in elements(text, found.start):
                other = _without_foreign(orjson.loads(text[start:end]))
                if other is not None:
                    changes.append((start, end, dump(other).decode()))
    if not limited:
        at = text.index("{") + 1
        changes.append((at, at, f'"generationConfig":{{"maxOutputTokens":{edits.max_output}}},'))
    return replaced(text, changes)


def _limit(text: str, start: int, config: JsonObject, limit: int) -> list[tuple[int, int, str]]:
    """Put the limit into the object at ``start``, in place of what stood there (null or 0)."""
    names = {"maxOutputTokens", snake("maxOutputTokens")}
    known = [found for found in members(text, start) if found.key in names]
    if known:
        return [(found.start, found.end, str(limit)) for found in known]
    at = start + 1
    return [(at, at, f'"maxOutputTokens":{limit}{"," if config else ""}')]


def _has_foreign(content: Json) -> bool:
    parts = content.get("parts") if type(content) is dict else None
    return type(parts) is list and any(map(_is_foreign, parts))


def _is_foreign(part: Json) -> bool:
    """Whether a part has a signature that we made for another dialect's provider: the service refuses it for ever."""
    if type(part) is not dict:
        return False
    proof = part.get("thoughtSignature") or part.get("thought_signature")
    return isinstance(proof, str) and is_sealed(proof)


def _without_foreign(content: Json) -> JsonObject | None:
    """The content without foreign thoughts and signatures. One of nothing else keeps its place with a dash."""
    if not isinstance(content, dict) or not _has_foreign(content):
        return None
    parts = content["parts"]
    kept: list[Json] = []
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("thought") is True:
            continue  # one answer's thoughts come from one provider
        if isinstance(part, dict) and _is_foreign(part):
            part = {key: value for key, value in part.items() if key not in ("thoughtSignature", "thought_signature")}
        kept.append(part)
    return {**content, "parts": kept or [{"text": "-"}]}
