"""Embeddings, spoken as a provider: OpenAI's ``/v1/embeddings`` and Google's ``embedContent``.

A vector is made from the text alone (SHA-256), so it is the same in every run and through either protocol, and has the
length one.
"""

from __future__ import annotations

import math
import struct
from base64 import b64encode
from hashlib import sha256
from typing import cast

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.release.simulator.refusal import integer_at, invalid, list_at, object_at, one_of, text_at, unknown_members

DIMENSIONS = 8
"""Length of a vector where none is asked for."""

_OPENAI = frozenset({"model", "input", "dimensions", "encoding_format", "user"})


def vector_of(said: bytes, size: int) -> list[float]:
    """The simulated embedding, of numbers that 32 bits hold exactly."""
    digest = b"".join(sha256(said + bytes([count % 256])).digest() for count in range(-(-size // 8)))
    numbers = [value - 2**31 for value in struct.unpack(f">{size}I", digest[: size * 4])]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return list(struct.unpack(f"<{size}f", struct.pack(f"<{size}f", *(number / length for number in numbers))))


def tokens_in(said: bytes) -> int:
    """Input tokens by a fixed rule: one for every four bytes, at least 1."""
    return max(1, -(-len(said) // 4))


def openai(body: JsonObject, *, refuse_unknown: bool) -> JsonObject:
    """The answer to ``POST /v1/embeddings``. Raises ``Refused``."""
    if refuse_unknown and (unknown := unknown_members(body, _OPENAI)):
        raise invalid(unknown[0], f"Unrecognized request argument supplied: {unknown[0]}")
    size = integer_at(body.get("dimensions", DIMENSIONS), "dimensions", 1, 4096)
    form = one_of(body.get("encoding_format", "float"), "encoding_format", ("float", "base64"))
    data: list[Json] = []
    total = 0
    for index, said in enumerate(_inputs(body.get("input"))):
        total += tokens_in(said)
        vector = vector_of(said, size)
        packed = b64encode(struct.pack(f"<{size}f", *vector)).decode()
        embedding: Json = packed if form == "base64" else cast("list[Json]", vector)
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    model = f"simulated/{text_at(body.get('model'), 'model')}"
    usage: JsonObject = {"prompt_tokens": total, "total_tokens": total}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _inputs(value: Json) -> list[bytes]:
    if isinstance(value, str):
        return [text_at(value, "input").encode()]
    items = list_at(value, "input")
    if all(type(item) is int for item in items):
        return [orjson.dumps(items)]
    return [
        text_at(item, "input").encode() if isinstance(item, str) else orjson.dumps(list_at(item, "input"))
        for item in items
    ]


def gemini(body: JsonObject, model: str, *, batch: bool) -> JsonObject:
    """The answer to ``embedContent`` or ``batchEmbedContents``. Raises ``Refused``."""
    requests = list_at(body.get("requests"), "requests") if batch else [body]
    embeddings: list[Json] = []
    total = 0
    for index, item in enumerate(requests):
        request = object_at(item, f"requests[{index}]")
        named = request.get("model", None if batch else f"models/{model}")
        if named != f"models/{model}":
            raise invalid("model", f"requests[{index}].model must be models/{model}, as in the URL")
        content = object_at(request.get("content"), f"requests[{index}].content")
        parts = [object_at(part, "content.parts") for part in list_at(content.get("parts"), "content.parts")]
        said = "".join(text_at(part.get("text"), "content.parts.text") for part in parts).encode()
        total += tokens_in(said)
        size = integer_at(request.get("outputDimensionality", DIMENSIONS), "output_dimensionality", 1, 4096)
        embeddings.append({"values": cast("list[Json]", vector_of(said, size))})
    usage: JsonObject = {"promptTokenCount": total, "totalTokenCount": total}
    if batch:
        return {"embeddings": embeddings, "usageMetadata": usage}
    return {"embedding": embeddings[0], "usageMetadata": usage}
