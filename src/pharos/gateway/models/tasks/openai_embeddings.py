"""``POST /v1/embeddings``.

Source: OpenAI's API reference (embeddings) and its official SDK, which asks for base64 where its user names no form.
"""

from __future__ import annotations

from typing import cast

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.dialect import Ask
from pharos.gateway.models.dialects.openai_chat import OpenAIChat
from pharos.gateway.models.dialects.openai_chat.words import read_usage
from pharos.gateway.models.dialects.parts import unknown
from pharos.gateway.models.dialects.reading import Reading, pointer
from pharos.gateway.models.dialects.splice import edited
from pharos.gateway.models.tasks.vectors import Texts, Vectors, floats, packed
from pharos.mesh.facts import Usage

_FIELDS = frozenset({"model", "input", "dimensions", "encoding_format"})


class OpenAIEmbeddings(OpenAIChat):
    """The client's side: refusals as in all of OpenAI's API, a request of its own."""

    @property
    def name(self) -> str:
        return "openai-embeddings"

    def ask(self, body: JsonObject) -> Ask:
        reading = Reading()
        model = reading.required(reading.string(body, "model"), "/model")
        _check_input(body.get("input"), reading)
        reading.integer(body, "dimensions", minimum=1)
        form = reading.string(body, "encoding_format")
        if form not in (None, "float", "base64"):
            reading.wrong("/encoding_format", "must be float or base64")
        user = reading.string(body, "user")
        if reading.problems:
            reading.close()
        return Ask(model, False, 0, (), (), True, user or "")


def _check_input(value: Json, reading: Reading) -> None:
    if isinstance(value, str) and value:
        return
    if not isinstance(value, list) or not value:
        reading.wrong("/input", "must be a text, a list of texts, a list of tokens, or a list of those")
        return
    first = type(value[0])
    for index, item in enumerate(value):
        if type(item) is not first or not (isinstance(item, str) or _is_token(item) or _are_tokens(item)):
            reading.wrong(f"/input/{index}", "must be a text, a token or a list of tokens, as all others are")
            return


def _is_token(value: Json) -> bool:
    return type(value) is int and value >= 0


def _are_tokens(value: Json) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_token, value))


class OpenAIForm:
    """See :class:`~pharos.gateway.models.tasks.vectors.EmbeddingForm`."""

    vendor: str = "openai"

    def read_request(self, body: JsonObject) -> Texts:
        reading = Reading()
        given = body.get("input")
        parts = given if isinstance(given, list) else [given]
        texts = [text for text in parts if isinstance(text, str)]
        if not texts:
            reading.untranslatable("/input", "tokens mean something to one vendor's models only; send the text")
        reading.close()
        return Texts(
            texts,
            reading.integer(body, "dimensions"),
            body.get("encoding_format") == "base64",
            [pointer("", key) for key in unknown(body, _FIELDS)],
        )

    def write_answer(self, texts: Texts, answer: Vectors, model: str) -> JsonObject:
        data: list[Json] = [
            {
                "object": "embedding",
                "index": index,
                "embedding": packed(vector) if texts.base64 else cast("list[Json]", vector),
            }
            for index, vector in enumerate(answer.vectors)
        ]
        body: JsonObject = {"object": "list", "data": data, "model": model}
        tokens = answer.usage.get("input", 0) if answer.usage is not None else 0
        body["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        return body

    def place(self, model: str) -> str:
        return "/embeddings"

    def write_request(self, texts: Texts, model: str) -> JsonObject:
        body: JsonObject = {"model": model, "input": list(texts.texts), "encoding_format": "float"}
        if texts.dimensions is not None:
            body["dimensions"] = texts.dimensions
        return body

    def read_answer(self, body: JsonObject, count: int) -> Vectors:
        vectors: list[list[float] | None] = [None] * count
        data = body.get("data")
        for place, item in enumerate(data if isinstance(data, list) else ()):
            if not isinstance(item, dict):
                raise ValueError("an embedding of the answer is not an object")
            index = item.get("index", place)
            if type(index) is not int or not 0 <= index < count or vectors[index] is not None:
                raise ValueError("the embeddings of the answer are not numbered as the texts are")
            vectors[index] = floats(item.get("embedding"))
        found = [vector for vector in vectors if vector is not None]
        if len(found) < count:
            raise ValueError(f"{count} texts were sent, {len(found)} embeddings came")
        return Vectors(found, read_usage(body.get("usage")), self.answered_model(body))

    def edit(self, raw: bytes, body: JsonObject, model: str) -> bytes:
        return edited(raw, body, {"model": orjson.dumps(model)})

    def usage(self, body: JsonObject) -> Usage | None:
        if not isinstance(body.get("data"), list):
            raise ValueError("an answer without embeddings")
        return read_usage(body.get("usage"))

    def answered_model(self, body: JsonObject) -> str:
        model = body.get("model")
        return model if isinstance(model, str) else ""
