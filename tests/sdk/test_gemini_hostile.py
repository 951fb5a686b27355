"""Whatever comes in through Google's routes, embeddings and counts: an answer or a refusal in the client's dialect."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from tests.sdk.test_gemini import four

ODD: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", "x", "\x00", "models/x", [], [[]], {}, {"": ""}, [None], {"a": [{}]},
    "cGhhcm9zOg==", "$ref", {"parts": None}, {"parts": [{"text": 1}]},
    [{"role": "model", "parts": [{"functionCall": {}}]}],
]  # fmt: skip
KEYS = [
    "contents", "parts", "role", "text", "functionCall", "function_call", "functionResponse", "name", "args", "tools",
    "functionDeclarations", "generationConfig", "maxOutputTokens", "candidateCount", "systemInstruction", "content",
    "requests", "input", "model", "messages", "encoding_format", "dimensions", "generateContentRequest", "toolConfig",
    "thoughtSignature", "inlineData", "mimeType", "data", "cachedContent", "outputDimensionality", "system", "stream",
]  # fmt: skip
ROUTES = [
    "/v1beta/models/{}:generateContent", "/v1beta/models/{}:streamGenerateContent?alt=sse",
    "/v1beta/models/{}:streamGenerateContent", "/v1beta/models/{}:countTokens", "/v1beta/models/{}:embedContent",
    "/v1beta/models/{}:batchEmbedContents", "/v1/embeddings", "/v1/messages/count_tokens",
]  # fmt: skip


def odd(chance: random.Random, depth: int = 0) -> Any:
    if depth > 4 or chance.random() < 0.3:
        return chance.choice(ODD)
    if chance.random() < 0.4:
        return [odd(chance, depth + 1) for _ in range(chance.randrange(3))]
    return {chance.choice(KEYS): odd(chance, depth + 1) for _ in range(chance.randrange(1, 5))}


@pytest.mark.parametrize("route", ROUTES)
async def test_no_5xx_and_no_hang(four: Any, route: str) -> None:
    town = await four("{}")
    chance = random.Random(route)
    headers = {"x-goog-api-key": town.secret}
    bodies: list[bytes] = [b"", b"{", b"[]", b"null", b"\xff", b'{"contents":' + b"[" * 5000, b'{"a":1,"a":2}']
    for _ in range(20):
        body = odd(chance)
        if isinstance(body, dict):
            good: Any = {"contents": [{"parts": [{"text": "x"}]}], "content": {"parts": [{"text": "x"}]}, "input": "x"}
            body = {**good, "model": chance.choice(["northern", "southern", "eastern"]), **body}
        try:
            bodies.append(orjson.dumps(body))
        except TypeError:
            continue
    for body in bodies:
        model = chance.choice(["northern", "southern", "eastern", "nobody", "a/b:c"])
        response = await town.http.post(town.url + route.format(model), content=body, headers=headers, timeout=20)
        # 502: a provider without embeddings; the simulator is strict, and what it refuses is the client's to mend.
        assert response.status_code < 500 or response.json()["pharos"]["code"] == "UPSTREAM_MODEL", (model, body)
        if response.status_code >= 400:
            error = response.json()["error"]
            if "v1beta" in route:
                assert error["code"] == response.status_code
                assert error["status"].isupper()
            else:
                assert error["message"]


assert four
