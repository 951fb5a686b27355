"""The task of an embedding call: the way between the client's form and the provider's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import orjson

from pharos.gateway.models.answers.exchange import Flow, Whole, parse_object
from pharos.gateway.models.call import Call, UpstreamFailed
from pharos.gateway.models.dialects.canonical import Failure, FailureClass
from pharos.gateway.models.refusals import INCAPABLE
from pharos.gateway.models.targets import Target
from pharos.gateway.models.tasks.gemini_embeddings import GeminiForm
from pharos.gateway.models.tasks.openai_embeddings import OpenAIForm
from pharos.gateway.models.tasks.vectors import EmbeddingForm, Vectors
from pharos.gateway.models.upstream.provider import request_path
from pharos.gateway.models.upstream.transport import Headers
from pharos.mesh.facts import Method, Usage
from pharos.mesh.tokens import estimate_tokens

FORMS: Mapping[str, EmbeddingForm] = MappingProxyType(
    {"openai-chat": OpenAIForm(), "openai-responses": OpenAIForm(), "gemini": GeminiForm()}
)
"""How a provider is asked for embeddings, by the dialect it speaks. One that is not here has none."""


def incapable(target: Target, what: str) -> UpstreamFailed:
    """A target whose dialect has no way to ask: another one may."""
    dialect = target.upstream.dialect.name
    return UpstreamFailed(Failure(FailureClass.NOT_FOUND, f"the dialect {dialect} has no {what}", code=INCAPABLE))


class EmbedTask:
    """See :class:`~pharos.gateway.models.call.Task`. ``form`` is the client's."""

    method: Method = "embed"
    free: bool = False

    def __init__(self, form: EmbeddingForm) -> None:
        self._form = form

    def exchange(self, call: Call, target: Target) -> Embedding:
        provider = FORMS.get(target.upstream.dialect.name)
        if provider is None:
            raise incapable(target, "embeddings")
        same = provider.vendor == self._form.vendor
        return Embedding(call, target, self._form, self._form if same else provider)


class Embedding:
    """One attempt. See :class:`~pharos.gateway.models.answers.exchange.Exchange`."""

    __slots__ = ("_call", "_client", "_provider", "_target", "_texts", "dropped")

    def __init__(self, call: Call, target: Target, client: EmbeddingForm, provider: EmbeddingForm) -> None:
        self._call = call
        self._target = target
        self._client = client
        self._provider = provider
        self._texts = None if client is provider else client.read_request(call.body)
        self.dropped: Sequence[str] = self._texts.dropped if self._texts is not None else ()

    @property
    def path(self) -> str:
        return request_path(self._target.upstream.spec.base_url, self._provider.place(self._target.model))

    def request(self) -> bytes:
        if self._texts is None:
            return self._provider.edit(self._call.raw, self._call.body, self._target.model)
        return orjson.dumps(self._provider.write_request(self._texts, self._target.model))

    def headers(self) -> Headers:
        return ()

    def whole(self, raw: bytes) -> Whole:
        body = parse_object(raw)
        provider = self._provider
        if self._texts is None:
            return Whole(raw, provider.usage(body), provider.answered_model(body))
        answer = provider.read_answer(body, len(self._texts.texts))
        told = answer
        if answer.usage is None:
            # The client's form has a place for a number: it is ours, and the ledger says so.
            estimate = estimate_tokens(sum(len(text.encode()) for text in self._texts.texts))
            told = Vectors(answer.vectors, Usage(input=estimate, output=0), answer.model)
        written = self._client.write_answer(self._texts, told, self._call.ask.model)
        return Whole(orjson.dumps(written), answer.usage, answer.model)

    def flow(self) -> Flow:
        raise ValueError("embeddings are not streamed")
