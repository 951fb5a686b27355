"""Gemini: ``generateContent`` and ``streamGenerateContent``.

Source: the Gemini API reference (generating content, function calling, thinking and thought signatures, structured
outputs, errors) and the types of its official SDK, ``google-genai`` version 3.

The URL names the model and the method, so a client's call is spoken in a dialect that knows its URL
(``Gemini(model, stream=…)``); everything else, and everything towards a provider, is the same for all calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from pharos.core.fault import FaultDocument
from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.canonical import Answer, Failure, Finish, Request
from pharos.gateway.models.dialects.dialect import NO_NAMES, Ask, Edits, Loss
from pharos.gateway.models.dialects.gemini import answer as answers
from pharos.gateway.models.dialects.gemini import asking, refusal
from pharos.gateway.models.dialects.gemini.incoming import read_request
from pharos.gateway.models.dialects.gemini.losses import LOSSES
from pharos.gateway.models.dialects.gemini.outgoing import write_request
from pharos.gateway.models.dialects.gemini.reader import GenerateReader
from pharos.gateway.models.dialects.gemini.watcher import GenerateWatcher
from pharos.gateway.models.dialects.gemini.words import FINISH_WORDS, FINISHES, NAME, usage_of
from pharos.gateway.models.dialects.gemini.writer import GenerateWriter
from pharos.mesh.facts import Usage

_FORWARDED: frozenset[str] = frozenset({"x-goog-api-client", "x-goog-user-project", "x-server-timeout"})

STREAM_METHOD = "streamGenerateContent"
WHOLE_METHOD = "generateContent"


class Gemini:
    """The dialect ``gemini``. ``model``, ``stream`` and ``array`` (the stream is to be one JSON array) are what the URL
    of a client's call says."""

    def __init__(self, model: str = "", *, stream: bool = False, array: bool = False) -> None:
        self._model = model
        self._stream = stream
        self._array = array

    @property
    def name(self) -> str:
        return NAME

    @property
    def losses(self) -> Sequence[Loss]:
        return LOSSES

    @property
    def finishes(self) -> Mapping[str, Finish]:
        return FINISHES

    @property
    def finish_words(self) -> Mapping[Finish, str]:
        return FINISH_WORDS

    def ask(self, body: JsonObject) -> Ask:
        return asking.ask(body, self._model, stream=self._stream)

    def read_request(self, body: JsonObject) -> Request:
        return read_request(body, stream=self._stream)

    def write_answer(self, answer: Answer, model: str) -> JsonObject:
        return answers.write_answer(answer, model)

    def writer(self, model: str, wants_usage: bool, prompt_estimate: int = 0) -> GenerateWriter:
        return GenerateWriter(model)

    def write_fault(self, document: FaultDocument) -> JsonObject:
        return refusal.write_fault(document)

    def status_of(self, document: FaultDocument) -> int:
        return document.status

    def write_stream_fault(self, document: FaultDocument) -> bytes:
        return refusal.write_stream_fault(document)

    @property
    def keep_alive(self) -> bytes:
        # The official SDK takes a comment for JSON; an empty line it passes over, as every reader does.
        return b"" if self._array else b"\n"

    @property
    def path(self) -> str:
        return "/v1beta/models"

    def place(self, model: str, *, stream: bool) -> str:
        """Path of a call of ``model`` under the provider's base URL."""
        return self.method(model, f"{STREAM_METHOD}?alt=sse" if stream else WHOLE_METHOD)

    @staticmethod
    def method(model: str, method: str) -> str:
        """Path of a method of ``model`` under the provider's base URL."""
        # ``models/`` and ``tunedModels/`` are two collections of one API.
        name = model if model.startswith("tunedModels/") else f"models/{model.removeprefix('models/')}"
        return f"/v1beta/{quote(name, safe='/')}:{method}"

    def credentials(self, secret: str) -> tuple[tuple[str, str], ...]:
        return (("x-goog-api-key", secret),)

    @property
    def forwarded(self) -> frozenset[str]:
        return _FORWARDED

    def write_request(self, request: Request, model: str, max_output: int) -> JsonObject:
        return write_request(request, model)

    def read_answer(self, body: JsonObject, names: Mapping[str, str] = NO_NAMES) -> Answer:
        return answers.read_answer(body, names)

    def reader(self, names: Mapping[str, str] = NO_NAMES) -> GenerateReader:
        return GenerateReader(names)

    def read_failure(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Failure:
        return refusal.read_failure(status, headers, body)

    def edit(self, raw: bytes, body: JsonObject, edits: Edits) -> bytes:
        return asking.edit(raw, body, edits)

    def watcher(self, hide_usage: bool) -> GenerateWatcher:
        return GenerateWatcher()

    def usage(self, body: JsonObject) -> Usage | None:
        return usage_of(body)

    def answered_model(self, body: JsonObject) -> str:
        return answers.string(body, "modelVersion")
