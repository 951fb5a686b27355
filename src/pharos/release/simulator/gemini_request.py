"""Reading a ``generateContent`` request as strictly as the API itself does.

Source: the Gemini API reference and the errors the service answers with. Members are read in both spellings
(``maxOutputTokens``, ``max_output_tokens``), as there. The model and whether a stream is wanted stand in the URL; the
simulator puts them into the body before it is read.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.release.simulator.conversation import Asked, Role, Said, ToolResult
from pharos.release.simulator.refusal import (
    flag_at,
    integer_at,
    invalid,
    list_at,
    number_at,
    object_at,
    one_of,
    text_at,
    unknown_members,
)

KNOWN = frozenset({
    "model", "stream", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings",
    "cachedContent", "serviceTier", "store",
})  # fmt: skip
CONFIG = frozenset({
    "audioTimestamp", "candidateCount", "enableEnhancedCivicAnswers", "frequencyPenalty", "logprobs",
    "maxOutputTokens", "mediaResolution", "presencePenalty", "responseJsonSchema", "responseLogprobs",
    "responseMimeType", "responseModalities", "responseSchema", "seed", "speechConfig", "stopSequences", "temperature",
    "thinkingConfig", "topK", "topP", "imageConfig",
})  # fmt: skip
SKIP = "skip_thought_signature_validator"
"""The signature of a call that another model made."""

_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_FREE = frozenset({"args", "response", "parametersJsonSchema", "responseJsonSchema", "parameters", "responseSchema"})
_MAX_STOPS = 5


def signature_of(name: str, arguments: Json) -> str:
    """The simulator's proof that a call is its own, as the real API signs its calls."""
    said = orjson.dumps([name, arguments], option=orjson.OPT_SORT_KEYS)
    return urlsafe_b64encode(b"simulated:" + sha256(said).digest()).decode()


def camel(value: Json) -> Json:
    """Members in their first spelling; what is the client's own stays."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    spelled = {re.sub(r"_([a-z])", lambda found: found[1].upper(), key): inner for key, inner in value.items()}
    return {key: inner if key in _FREE else camel(inner) for key, inner in spelled.items()}


def read_request(given: JsonObject, headers: Mapping[str, str], *, refuse_unknown: bool) -> Asked:
    """What the request asks. Raises ``Refused`` where the API would answer 400."""
    body = object_at(camel(given), "")
    config = object_at(body.get("generationConfig") or {}, "generation_config")
    if refuse_unknown:
        for holder, known, place in ((body, KNOWN, ""), (config, CONFIG, "generation_config.")):
            if unknown := unknown_members(holder, known):
                raise invalid(f"{place}{unknown[0]}", f'Invalid JSON payload received. Unknown name "{unknown[0]}"')
    tools = _tools(body)
    limit = _config(config)
    _tool_config(body, tools)
    contents = body.get("contents")
    messages = _contents(list_at([contents] if isinstance(contents, dict) else contents, "contents"))
    system = body.get("systemInstruction")
    if system is not None:
        texts = _parts(object_at(system, "system_instruction"), "system_instruction")
        messages.insert(0, Said("system", "\n".join(text_at(part.get("text"), "system_instruction") for part in texts)))
    return Asked(
        dialect="gemini",
        model=text_at(body.get("model"), "model"),
        messages=messages,
        stream=flag_at(body.get("stream", False), "stream"),
        stream_usage=True,
        max_tokens=limit,
        choices=integer_at(config.get("candidateCount", 1), "generation_config.candidate_count", 1, 8),
        tools=tools,
        tools_text=orjson.dumps(body["tools"]).decode() if tools else "",
        headers=headers,
    )


def _config(config: JsonObject) -> int | None:
    place = "generation_config"
    for name, high in (("temperature", 2), ("topP", 1)):
        if name in config:
            number_at(config[name], f"{place}.{name}", 0, high)
    if "topK" in config:
        number_at(config["topK"], f"{place}.top_k", 1, 2**31)
    stops = list_at(config.get("stopSequences", []), f"{place}.stop_sequences", empty=True)
    if len(stops) > _MAX_STOPS:
        raise invalid(f"{place}.stop_sequences", f"at most {_MAX_STOPS} stop sequences are supported")
    for stop in stops:
        text_at(stop, f"{place}.stop_sequences")
    kind = config.get("responseMimeType", "text/plain")
    one_of(kind, f"{place}.response_mime_type", ("text/plain", "application/json", "text/x.enum"))
    if kind == "text/plain" and (config.get("responseSchema") or config.get("responseJsonSchema")):
        raise invalid(f"{place}.response_schema", "a response schema needs response_mime_type application/json")
    thinking = object_at(config.get("thinkingConfig") or {}, f"{place}.thinking_config")
    if "thinkingLevel" in thinking and "thinkingBudget" in thinking:
        raise invalid(f"{place}.thinking_config", "You can only set only one of thinking budget and thinking level.")
    if "thinkingLevel" in thinking:
        level = text_at(thinking["thinkingLevel"], f"{place}.thinking_config.thinking_level").upper()
        one_of(level, f"{place}.thinking_config.thinking_level", ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"))
    if "maxOutputTokens" not in config:
        return None
    return integer_at(config["maxOutputTokens"], f"{place}.max_output_tokens", 1)


def _tools(body: JsonObject) -> list[str]:
    names: list[str] = []
    for index, item in enumerate(list_at(body.get("tools", []), "tools", empty=True)):
        tool = object_at(item, f"tools[{index}]")
        declared = list_at(tool.get("functionDeclarations", []), f"tools[{index}].function_declarations", empty=True)
        for at, function in enumerate(declared):
            place = f"tools[{index}].function_declarations[{at}]"
            name = text_at(object_at(function, place).get("name"), f"{place}.name")
            if not _FUNCTION.fullmatch(name):
                raise invalid(
                    f"{place}.name", f"Invalid function name: {name}. Must start with a letter or an underscore."
                )
            if name in names:
                raise invalid(f"{place}.name", f"Duplicate function declaration found: {name}")
            names.append(name)
    return names


def _tool_config(body: JsonObject, tools: list[str]) -> None:
    config = object_at(body.get("toolConfig") or {}, "tool_config")
    calling = object_at(config.get("functionCallingConfig") or {}, "tool_config.function_calling_config")
    place = "tool_config.function_calling_config"
    mode = text_at(calling.get("mode", "AUTO"), f"{place}.mode").upper()
    one_of(mode, f"{place}.mode", ("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"))
    allowed = list_at(calling.get("allowedFunctionNames", []), f"{place}.allowed_function_names", empty=True)
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise invalid(place, "allowed_function_names can only be set with mode ANY or VALIDATED")
    for name in allowed:
        if name not in tools:
            raise invalid(place, f"allowed_function_names: {name} is not a declared function")


def _contents(items: list[Json]) -> list[Said]:
    said: list[Said] = []
    waiting: list[tuple[str, str]] = []
    current = _current_turn(items)
    for index, item in enumerate(items):
        place = f"contents[{index}]"
        content = object_at(item, place)
        role = one_of(content.get("role", "user"), f"{place}.role", ("user", "model", "function"))
        texts: list[str] = []
        results: list[ToolResult] = []
        calls: list[tuple[str, str]] = []
        for at, part in enumerate(_parts(content, place)):
            here = f"{place}.parts[{at}]"
            if "functionCall" in part:
                if role != "model":
                    raise invalid(here, "function calls can only stand in contents of the model")
                calls.append(_call(part, here, signed=index > current and not calls))
            elif "functionResponse" in part:
                results.append(_result(object_at(part["functionResponse"], here), here, waiting))
            elif part.get("thought") is not True and "text" in part:
                texts.append(text_at(part["text"], f"{here}.text", empty=role == "model"))
        if waiting and not calls:
            raise invalid(place, "Please ensure that the number of function response parts is equal to the number of "
                          "function call parts of the function call turn.")  # fmt: skip
        waiting = calls
        ours: Role = "tool" if results else "assistant" if role == "model" else "user"
        said.append(Said(ours, "\n".join(texts), results))
    if waiting:
        raise invalid("contents", "a function call turn must be followed by a function response turn")
    return said


def _current_turn(items: list[Json]) -> int:
    """The index of the newest content in which the user says something: calls after it must be signed."""
    for index in range(len(items) - 1, -1, -1):
        match items[index]:
            case {"role": "model"}:
                continue
            case {"parts": list(parts)} if any(isinstance(part, dict) and "text" in part for part in parts):
                return index
    return -1


def _parts(content: JsonObject, place: str) -> list[JsonObject]:
    given = content.get("parts")
    items = list_at([given] if isinstance(given, dict) else given, f"{place}.parts")
    return [object_at(item, f"{place}.parts[{at}]") for at, item in enumerate(items)]


def _call(part: JsonObject, place: str, *, signed: bool) -> tuple[str, str]:
    call = object_at(part["functionCall"], place)
    name = text_at(call.get("name"), f"{place}.function_call.name")
    arguments = object_at(call.get("args", {}), f"{place}.function_call.args")
    proof = part.get("thoughtSignature")
    if proof is None:
        if signed:
            raise invalid(place, f"Function call is missing a thought_signature in functionCall parts: {name}")
    elif proof != SKIP and _bare(proof) != _bare(signature_of(name, arguments)):
        raise invalid(place, "Thought signature is not valid.")
    return text_at(call.get("id", ""), f"{place}.function_call.id", empty=True), name


def _bare(proof: Json) -> str:
    return text_at(proof, "thought_signature").replace("+", "-").replace("/", "_").rstrip("=")


def _result(result: JsonObject, place: str, waiting: list[tuple[str, str]]) -> ToolResult:
    name = text_at(result.get("name"), f"{place}.function_response.name")
    id_ = text_at(result.get("id", ""), f"{place}.function_response.id", empty=True)
    response = object_at(result.get("response"), f"{place}.function_response.response")
    for index, (known, function) in enumerate(waiting):
        if function == name and (not id_ or not known or known == id_):
            del waiting[index]
            text = response.get("output", response.get("error", response.get("result")))
            return ToolResult(id_ or known, name, text if isinstance(text, str) else orjson.dumps(response).decode())
    raise invalid(place, f"function response {name!r} answers no function call of the turn before")
