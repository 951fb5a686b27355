"""OpenAI responses.

Source: OpenAI's API reference and OpenAPI document (responses, streaming events, errors, conversation state, encrypted
reasoning, structured outputs) and the types of its official SDK, version 3.

What the dialect alone has is *state*: ``previous_response_id`` continues a conversation the service kept. Here no
provider is asked to keep one; see ``state/``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from pharos.core.fault import FaultDocument
from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.canonical import Answer, Failure, Finish, Request
from pharos.gateway.models.dialects.dialect import NO_NAMES, Ask, Edits, Loss
from pharos.gateway.models.dialects.openai_responses import answer as answers
from pharos.gateway.models.dialects.openai_responses import asking, refusal
from pharos.gateway.models.dialects.openai_responses.incoming import read_request
from pharos.gateway.models.dialects.openai_responses.losses import LOSSES
from pharos.gateway.models.dialects.openai_responses.outgoing import write_request
from pharos.gateway.models.dialects.openai_responses.reader import ResponsesReader
from pharos.gateway.models.dialects.openai_responses.watcher import ResponsesWatcher
from pharos.gateway.models.dialects.openai_responses.words import FINISH_WORDS, FINISHES, NAME, usage_of
from pharos.gateway.models.dialects.openai_responses.writer import ResponsesWriter
from pharos.mesh.facts import Usage

_FORWARDED: frozenset[str] = frozenset({"openai-beta"})


class OpenAIResponses:
    """The dialect ``openai-responses``. ``clock`` gives the timestamps of answers it writes, ``mint`` their ids."""

    def __init__(self, clock: Callable[[], float] = time.time, mint: Callable[[], str] = answers.new_id) -> None:
        self._clock = clock
        self._mint = mint

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
        return answers.write_answer(answer, model, self._clock, self._mint)

    def writer(self, model: str, wants_usage: bool, prompt_estimate: int = 0) -> ResponsesWriter:
        return ResponsesWriter(model, self._clock, self._mint)

    def write_fault(self, document: FaultDocument) -> JsonObject:
        return refusal.write_fault(document)

    def status_of(self, document: FaultDocument) -> int:
        return document.status

    def write_stream_fault(self, document: FaultDocument) -> bytes:
        return refusal.write_stream_fault(document)

    @property
    def keep_alive(self) -> bytes:
        return b": keep-alive\n\n"

    @property
    def path(self) -> str:
        return "/responses"

    def credentials(self, secret: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {secret}"),)

    @property
    def forwarded(self) -> frozenset[str]:
        return _FORWARDED

    def write_request(self, request: Request, model: str, max_output: int) -> JsonObject:
        return write_request(request, model)

    def read_answer(self, body: JsonObject, names: Mapping[str, str] = NO_NAMES) -> Answer:
        return answers.read_answer(body, names)

    def reader(self, names: Mapping[str, str] = NO_NAMES) -> ResponsesReader:
        return ResponsesReader(names)

    def read_failure(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Failure:
        return refusal.read_failure(status, headers, body)

    def edit(self, raw: bytes, body: JsonObject, edits: Edits) -> bytes:
        return asking.edit(raw, body, edits)

    def watcher(self, hide_usage: bool) -> ResponsesWatcher:
        return ResponsesWatcher()

    def usage(self, body: JsonObject) -> Usage | None:
        # A response that failed has numbers too, and is no answer.
        return None if body.get("error") or body.get("status") == "failed" else usage_of(body)

    def answered_model(self, body: JsonObject) -> str:
        return answers.string(body, "model")
