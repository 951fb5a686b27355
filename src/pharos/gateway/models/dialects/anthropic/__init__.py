"""Anthropic messages.

Source: Anthropic's API reference (messages, streaming, errors, prompt caching, extended and adaptive thinking,
structured outputs) and the types of its official SDK, version 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pharos.core.fault import FaultDocument
from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.anthropic import answer as answers
from pharos.gateway.models.dialects.anthropic import asking, refusal
from pharos.gateway.models.dialects.anthropic.incoming import read_request
from pharos.gateway.models.dialects.anthropic.losses import LOSSES
from pharos.gateway.models.dialects.anthropic.outgoing import write_request
from pharos.gateway.models.dialects.anthropic.reader import MessagesReader
from pharos.gateway.models.dialects.anthropic.watcher import MessagesWatcher
from pharos.gateway.models.dialects.anthropic.words import FINISH_WORDS, FINISHES, NAME, read_usage
from pharos.gateway.models.dialects.anthropic.writer import MessagesWriter
from pharos.gateway.models.dialects.canonical import Answer, Failure, Finish, Request
from pharos.gateway.models.dialects.dialect import NO_NAMES, Ask, Edits, Loss
from pharos.mesh.facts import Usage

VERSION = "2023-06-01"
"""The API version that is named where the client named none."""

_FORWARDED: frozenset[str] = frozenset({"anthropic-version", "anthropic-beta"})


class Anthropic:
    """The dialect ``anthropic``."""

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
        return asking.ask(body)

    def read_request(self, body: JsonObject) -> Request:
        return read_request(body)

    def write_answer(self, answer: Answer, model: str) -> JsonObject:
        return answers.write_answer(answer, model)

    def writer(self, model: str, wants_usage: bool, prompt_estimate: int = 0) -> MessagesWriter:
        return MessagesWriter(model, prompt_estimate)

    def write_fault(self, document: FaultDocument) -> JsonObject:
        return refusal.write_fault(document)

    def status_of(self, document: FaultDocument) -> int:
        return refusal.status_of(document)

    def write_stream_fault(self, document: FaultDocument) -> bytes:
        return refusal.write_stream_fault(document)

    @property
    def keep_alive(self) -> bytes:
        return b'event: ping\ndata: {"type": "ping"}\n\n'

    @property
    def path(self) -> str:
        return "/v1/messages"

    def credentials(self, secret: str) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", secret), ("anthropic-version", VERSION))

    @property
    def forwarded(self) -> frozenset[str]:
        return _FORWARDED

    def write_request(self, request: Request, model: str, max_output: int) -> JsonObject:
        return write_request(request, model, max_output)

    def read_answer(self, body: JsonObject, names: Mapping[str, str] = NO_NAMES) -> Answer:
        return answers.read_answer(body, names)

    def reader(self, names: Mapping[str, str] = NO_NAMES) -> MessagesReader:
        return MessagesReader(names)

    def read_failure(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Failure:
        return refusal.read_failure(status, headers, body)

    def edit(self, raw: bytes, body: JsonObject, edits: Edits) -> bytes:
        return asking.edit(raw, body, edits)

    def watcher(self, hide_usage: bool) -> MessagesWatcher:
        return MessagesWatcher()

    def usage(self, body: JsonObject) -> Usage | None:
        return read_usage(body.get("usage"))

    def answered_model(self, body: JsonObject) -> str:
        return answers.string(body, "model")
