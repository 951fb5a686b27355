"""``embedContent`` and ``batchEmbedContents``.

Source: the Gemini API reference (embeddings) and its official SDK, which sends a batch also for one text.
"""

from __future__ import annotations

from typing import cast

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.dialect import Ask
from pharos.gateway.models.dialects.gemini import Gemini
from pharos.gateway.models.dialects.gemini.spelling import normal
from pharos.gateway.models.dialects.gemini.words import read_usage
from pharos.gateway.models.dialects.parts import unknown
from pharos.gateway.models.dialects.reading import Reading, pointer
from pharos.gateway.models.dialects.splice import elements, members, replaced, too_deep
from pharos.gateway.models.tasks.vectors import Texts, Vectors, floats
from pharos.mesh.facts import Usage

_FIELDS = frozenset({"model", "content", "outputDimensionality"})


class GeminiEmbeddings(Gemini):
    """The client's side: refusals as in all of Google's API, a request of its own."""

    def __init__(self, model: str = "", *, batch: bool = False) -> None:
        super().__init__(model)
        self._batch = batch

    @property
    def name(self) -> str:
        return "gemini-embeddings"

    def ask(self, body: JsonObject) -> Ask:
        reading = Reading()
        model = reading.required(self._model, "/model")
        _requests(cast("JsonObject", normal(body, reading)), reading, batch=self._batch)
        if reading.problems:
            reading.close()
        return Ask(model, False, 0, (), (), True, "", attached=_attached(body))


def _requests(body: JsonObject, reading: Reading, *, batch: bool) -> list[tuple[JsonObject, str]]:
    """The requests of a batch, or the only one, each with its pointer."""
    found = list(reading.objects(body, "requests")) if batch else [(body, "")]
    if not found:
        reading.required(None, "/requests")
    for request, at in found:
        if reading.object(request, "content", at) is None:
            reading.required(None, f"{at}/content")
        reading.integer(request, "outputDimensionality", at, minimum=1)
    return found


def _attached(body: JsonObject) -> int:
    """Parts that are no text: the service embeds images and sounds too."""
    given = body.get("requests")
    found = 0
    for request in given if isinstance(given, list) else [body]:
        match request:
            case {"content": {"parts": list(parts)}}:
                found += sum(1 for part in parts if not (isinstance(part, dict) and "text" in part))
    return found


class GeminiForm:
    """See :class:`~pharos.gateway.models.tasks.vectors.EmbeddingForm`. ``batch``: which of the two methods."""

    vendor: str = "gemini"

    def __init__(self, *, batch: bool = True) -> None:
        self._batch = batch

    def read_request(self, body: JsonObject) -> Texts:
        reading = Reading()
        found = _requests(cast("JsonObject", normal(body, reading)), reading, batch=self._batch)
        texts: list[str] = []
        dropped: list[str] = []
        sizes = set()
        for request, at in found:
            content = reading.object(request, "content", at) or {}
            pieces = []
            for part, here in reading.objects(content, "parts", f"{at}/content"):
                text = reading.string(part, "text", here)
                if text is None:
                    reading.untranslatable(here, "only text can be embedded by this route's provider")
                pieces.append(text or "")
            texts.append("".join(pieces))
            sizes.add(reading.integer(request, "outputDimensionality", at))
            dropped += [pointer(at, key) for key in unknown(request, _FIELDS)]
        if len(sizes) > 1:
            reading.untranslatable("/requests", "have different dimensions, which this route's provider takes once")
        reading.close()
        at = "/requests/0/outputDimensionality" if self._batch else "/outputDimensionality"
        return Texts(texts, next(iter(sizes), None), dropped=dropped, dimensions_at=at)

    def write_answer(self, texts: Texts, answer: Vectors, model: str) -> JsonObject:
        written: list[Json] = [{"values": cast("list[Json]", vector)} for vector in answer.vectors]
        body: JsonObject = {"embeddings": written} if self._batch else {"embedding": written[0] if written else {}}
        if answer.usage is not None:
            tokens = answer.usage.get("input", 0)
            body["usageMetadata"] = {"promptTokenCount": tokens, "totalTokenCount": tokens}
        return body

    def place(self, model: str) -> str:
        return Gemini().method(model, "batchEmbedContents" if self._batch else "embedContent")

    def write_request(self, texts: Texts, model: str) -> JsonObject:
        requests: list[Json] = []
        for text in texts.texts:
            request: JsonObject = {"model": f"models/{model}", "content": {"parts": [{"text": text}]}}
            if texts.dimensions is not None:
                request["outputDimensionality"] = texts.dimensions
            requests.append(request)
        return {"requests": requests}

    def read_answer(self, body: JsonObject, count: int) -> Vectors:
        given = body.get("embeddings") if self._batch else [body.get("embedding")]
        vectors = [
            floats(item.get("values") if isinstance(item, dict) else None)
            for item in (given if isinstance(given, list) else ())
        ]
        if len(vectors) != count:
            raise ValueError(f"{count} texts were sent, {len(vectors)} embeddings came")
        return Vectors(vectors, _usage(body), self.answered_model(body))

    def edit(self, raw: bytes, body: JsonObject, model: str) -> bytes:
        name = orjson.dumps(f"models/{model}").decode()
        try:
            text = raw.decode()
            changes: list[tuple[int, int, str]] = []
            for found in members(text):
                if found.key == "model":
                    changes.append((found.start, found.end, name))
                elif found.key == "requests" and text[found.start] == "[":
                    for start, _ in elements(text, found.start):
                        changes += _renamed(text, start, name)
            return replaced(text, changes).encode()
        except ValueError as error:
            raise too_deep() from error

    def usage(self, body: JsonObject) -> Usage | None:
        if not isinstance(body.get("embeddings" if self._batch else "embedding"), list | dict):
            raise ValueError("an answer without embeddings")
        return _usage(body)

    def answered_model(self, body: JsonObject) -> str:
        return ""


def _renamed(text: str, start: int, name: str) -> list[tuple[int, int, str]]:
    known = list(members(text, start)) if text[start] == "{" else []
    changes = [(found.start, found.end, name) for found in known if found.key == "model"]
    if known and not changes:
        changes.append((start + 1, start + 1, f'"model":{name},'))
    return changes


def _usage(body: JsonObject) -> Usage | None:
    usage = read_usage(body.get("usageMetadata"))
    if usage is not None and not (usage["input"] or usage["output"] or len(usage) > 2):
        return None
    return usage
