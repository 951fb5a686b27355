"""Requests in Gemini's dialect of which every line of its loss tables becomes true somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.gateway.dialects.lossy_schemas import CANNOT, LOOSE, Body, deep


def _contents(*parts: Any, **members: Any) -> Body:
    return {"contents": [{"role": "user", "parts": [{"text": "Hello."}, *parts]}], **members}


def _config(**members: Any) -> Body:
    return _contents(generationConfig=members)


def _model(*parts: Any) -> Body:
    return {"contents": [{"role": "user", "parts": [{"text": "Hello."}]}, {"role": "model", "parts": [*parts]}]}


def _functions(*functions: Any, **members: Any) -> Body:
    return _contents(tools=[{"functionDeclarations": [*functions]}], **members)


_F = {"name": "f", "parameters": {"type": "OBJECT", "properties": {}}}
_G = {"name": "g", "parametersJsonSchema": {"type": "object", "properties": {}}}


def _data(kind: str) -> Body:
    return {"inlineData": {"mimeType": kind, "data": "aGk="}}


def _answered(*parts: Any, **members: Any) -> Body:
    body = _model({"functionCall": {"name": "f", "args": {}, "novel": 1}})
    result = {"name": "f", "response": {"result": "x"}, **({"parts": [*parts]} if parts else {}), **members}
    body["contents"].append({"role": "user", "parts": [{"functionResponse": result}]})
    return body


_KEPT = {"fileData": {"mimeType": "application/pdf", "fileUri": "https://generativelanguage.googleapis.com/v1/files/a"}}

GEMINI: Sequence[Body] = (
    {
        **_contents({"text": "x", "videoMetadata": {}, "thoughtSignature": "S"}),
        "safetySettings": [{"category": "a", "threshold": "b"}], "labels": {"a": "b"}, "serviceTier": "scale",
        "systemInstruction": {"parts": [{"text": "s", "novel": 1}]}, "novel": 1,
        "tools": [{"functionDeclarations": [{**_F, "behavior": "BLOCKING", "response": {"type": "OBJECT"}}, _G]}],
        "toolConfig": {"novel": 1, "functionCallingConfig": {"mode": "VALIDATED", "novel": 1}},
        "generationConfig": {
            "topK": 5, "topP": 0.5, "temperature": 3, "seed": 1, "presencePenalty": 1, "frequencyPenalty": 1,
            "stopSequences": [" ", "a", "b", "c", "d", "e"], "responseSchema": {"type": "OBJECT"}, "novel": 1,
            "maxOutputTokens": 3000, "mediaResolution": "x",
        },
    },
    {"contents": [{"role": "user", "parts": [{"text": "x"}], "novel": 1}]},
    _config(responseJsonSchema={"type": "object"}), _config(responseMimeType="application/json"),
    _config(temperature=1.7), _config(maxOutputTokens=5), _config(stopSequences=["a"]),
    *(
        _config(**{name: schema}, responseMimeType="application/json")
        for name in ("responseSchema", "responseJsonSchema")
        for schema in (LOOSE, CANNOT, {"type": "object", "properties": {}}, {}, deep(100))
    ),
    *(
        _config(thinkingConfig=thinking, temperature=0.5, topP=0.5, topK=5, maxOutputTokens=limit)
        for limit in (10, 3000, 50_000)
        for thinking in (
            {"thinkingBudget": 0}, {"thinkingBudget": 1}, {"thinkingBudget": -1}, {"thinkingBudget": 2000},
            {"thinkingLevel": "MINIMAL"}, {"thinkingLevel": "HIGH"},
            {"includeThoughts": True}, {"includeThoughts": True, "novel": 1}, {},
        )
    ),
    _functions(_F, toolConfig={"functionCallingConfig": {"mode": "ANY"}},
               generationConfig={"thinkingConfig": {"thinkingLevel": "HIGH"}}),
    _functions(_F, _G, {"name": "h"}, toolConfig={
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}}),
    _model({"text": "t", "thought": True, "thoughtSignature": "S"}), _model({"text": "I"}),
    _model({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "S"}),
    _answered(scheduling="SILENT"), _answered(_data("image/png")), _answered(_data("text/plain")),
    _contents(_data("text/plain")), _answered(_data("application/zip")), _contents(_data("application/zip")),
    # What is refused.
    _contents(cachedContent="c"), _contents(tools=[{"googleSearch": {}}]), _config(candidateCount=2),
    _config(responseModalities=["AUDIO"]), _config(responseMimeType="text/x.enum"), _contents(_data("audio/wav")),
    _contents(_KEPT), _answered(_data("audio/wav")), _answered(_KEPT), _answered({"executableCode": {"code": "x"}}),
    _answered({"novel": {}}), _contents({"novel": {}}), {"contents": [{"role": "user", "parts": []}]},
    *(_model({name: {"a": 1}}) for name in ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")),
)  # fmt: skip
