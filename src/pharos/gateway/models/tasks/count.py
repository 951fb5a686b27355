"""Counting tokens: the length of a prompt as the model that would be called counts it.

Where the provider can count, it is asked, also in another dialect than the client's: the prompt is translated as the
call would be, so the number is the one the call would be billed. Where nobody of the model's providers can, the answer
is an estimate, and says so in its body and in a header.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol, cast

import orjson

from pharos.core.wire import JsonObject
from pharos.gateway.models.answers.exchange import Flow, Whole, parse_object
from pharos.gateway.models.call import Call, Next, Reply
from pharos.gateway.models.dialects.anthropic import Anthropic
from pharos.gateway.models.dialects.anthropic.asking import edit as edit_messages
from pharos.gateway.models.dialects.canonical import Request
from pharos.gateway.models.dialects.dialect import Ask, Edits
from pharos.gateway.models.dialects.gemini import Gemini
from pharos.gateway.models.dialects.gemini.spelling import member, spelled
from pharos.gateway.models.dialects.parts import Unbelievable, count
from pharos.gateway.models.dialects.reading import Reading
from pharos.gateway.models.dialects.splice import members, replaced, too_deep
from pharos.gateway.models.plans import ModelPlan
from pharos.gateway.models.targets import Target
from pharos.gateway.models.tasks.embed import incapable
from pharos.gateway.models.upstream.provider import request_path
from pharos.gateway.models.upstream.transport import Headers
from pharos.mesh.facts import Method, Usage
from pharos.mesh.tokens import BYTES_PER_TOKEN, estimate_tokens

ESTIMATED = (b"x-pharos-estimated", b"tokens")
"""On an answer whose number is no provider's."""

_LEAST = 1
"""An output limit for dialects that demand one; it does not count."""

_MESSAGES = frozenset({
    "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control", "mcp_servers",
})  # fmt: skip
"""Members that Anthropic's counting takes."""

NOTHING: Usage = Usage(input=0, output=0)
"""Nobody charges for counting."""


class Counter(Protocol):
    """How one vendor's API counts."""

    def place(self, model: str) -> str:
        """Path of a count under the provider's base URL."""

    def edit(self, raw: bytes, body: JsonObject, model: str) -> bytes:
        """A client's request of the same dialect, with the provider's name of the model."""

    def write_request(self, body: JsonObject, model: str) -> JsonObject:
        """The body that counts the prompt of a call that would have this body."""

    def read_answer(self, body: JsonObject) -> int:
        """The number. Raises ``ValueError`` where there is none."""

    def write_answer(self, tokens: int) -> JsonObject:
        """The number in the client's form."""


class MessagesCounter:
    """``POST /v1/messages/count_tokens``."""

    def place(self, model: str) -> str:
        return "/v1/messages/count_tokens"

    def edit(self, raw: bytes, body: JsonObject, model: str) -> bytes:
        return edit_messages(raw, body, Edits(model))

    def write_request(self, body: JsonObject, model: str) -> JsonObject:
        return {key: value for key, value in body.items() if key in _MESSAGES}

    def read_answer(self, body: JsonObject) -> int:
        return _number(body, "input_tokens")

    def write_answer(self, tokens: int) -> JsonObject:
        return {"input_tokens": tokens}


class GenerateCounter:
    """``countTokens``."""

    def place(self, model: str) -> str:
        return Gemini.method(model, "countTokens")

    def edit(self, raw: bytes, body: JsonObject, model: str) -> bytes:
        name = orjson.dumps(f"models/{model}").decode()
        whole = spelled(body, "generateContentRequest")
        try:
            text = raw.decode()
            changes: list[tuple[int, int, str]] = []
            for found in members(text):
                if found.key == "model":
                    changes.append((found.start, found.end, name))
                elif found.key == whole and text[found.start] == "{":
                    inner = list(members(text, found.start))
                    named = [(one.start, one.end, name) for one in inner if one.key == "model"]
                    at = found.start + 1
                    changes += named or [(at, at, f'"model":{name}{"," if inner else ""}')]
            return replaced(text, changes).encode()
        except ValueError as error:
            raise too_deep() from error

    def write_request(self, body: JsonObject, model: str) -> JsonObject:
        return {"generateContentRequest": {"model": f"models/{model}", **body}}

    def read_answer(self, body: JsonObject) -> int:
        return _number(body, "totalTokens")

    def write_answer(self, tokens: int) -> JsonObject:
        return {"totalTokens": tokens}


COUNTERS: Mapping[str, Counter] = MappingProxyType({"anthropic": MessagesCounter(), "gemini": GenerateCounter()})
"""By the dialect a provider speaks. One that is not here cannot count."""


def _number(body: JsonObject, key: str) -> int:
    try:
        tokens = count(body, key)
    except Unbelievable as error:
        raise ValueError("a count of tokens that no prompt can have") from error
    if tokens is None:
        raise ValueError("an answer without a count of tokens")
    return tokens


class CountingMessages(Anthropic):
    """The client's side in Anthropic's dialect: a call's request without its limit."""

    def ask(self, body: JsonObject) -> Ask:
        return _uncharged(super().ask(body))

    def read_request(self, body: JsonObject) -> Request:
        return super().read_request({"max_tokens": _LEAST, **body})


class CountingGenerate(Gemini):
    """The client's side in Google's dialect: the contents alone, or the whole request of the call."""

    def ask(self, body: JsonObject) -> Ask:
        return _uncharged(super().ask(_generate(body)))

    def read_request(self, body: JsonObject) -> Request:
        return super().read_request(_generate(body))


def _generate(body: JsonObject) -> JsonObject:
    reading = Reading()
    whole = member(body, "generateContentRequest", reading)
    if whole is None:
        return body
    if not isinstance(whole, dict):
        reading.wrong("/generateContentRequest", "must be an object")
    reading.close()
    return cast("JsonObject", whole)


def _uncharged(ask: Ask) -> Ask:
    """A count says nothing new and makes nothing: it is no turn of a conversation, and has no output."""
    return replace(ask, stream=False, max_output=0, turns=(), tools=(), unpriced="")


class CountTask:
    """See :class:`~pharos.gateway.models.call.Task`. ``form`` is the client's, by its dialect."""

    method: Method = "count"
    free: bool = True

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.form = COUNTERS[dialect]

    def exchange(self, call: Call, target: Target) -> Counting:
        dialect = target.upstream.dialect.name
        counter = COUNTERS.get(dialect)
        if counter is None:
            raise incapable(target, "counting of tokens")
        return Counting(call, target, self.form, counter, same=dialect == self.dialect)


class Counting:
    """One attempt. See :class:`~pharos.gateway.models.answers.exchange.Exchange`."""

    __slots__ = ("_call", "_client", "_provider", "_same", "_target", "dropped")

    def __init__(self, call: Call, target: Target, client: Counter, provider: Counter, *, same: bool) -> None:
        self._call = call
        self._target = target
        self._client = client
        self._provider = provider
        self._same = same
        self.dropped: Sequence[str] = ()

    @property
    def path(self) -> str:
        return request_path(self._target.upstream.spec.base_url, self._provider.place(self._target.model))

    def request(self) -> bytes:
        call, model = self._call, self._target.model
        if self._same:
            return self._provider.edit(call.raw, call.body, model)
        request = call.dialect.read_request(call.body)
        body = self._target.upstream.dialect.write_request(request, model, _LEAST)
        self.dropped = request.dropped
        return orjson.dumps(self._provider.write_request(body, model))

    def headers(self) -> Headers:
        if not self._same:
            return ()
        forwarded = self._call.dialect.forwarded
        return [(name, value) for name in forwarded if (value := self._call.header(name.encode()))]

    def whole(self, raw: bytes) -> Whole:
        tokens = self._provider.read_answer(parse_object(raw))
        return Whole(raw if self._same else orjson.dumps(self._client.write_answer(tokens)), NOTHING.copy(), "")

    def flow(self) -> Flow:
        raise ValueError("a count is not streamed")


class Estimate:
    """Answers for models none of whose providers can count. A layer."""

    async def __call__(self, call: Call, next: Next) -> Reply:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        if any(map(_counts, call.model.chain)):
            return await next(call)
        task = cast("CountTask", call.task)
        body = task.form.write_answer(max(estimate_tokens(len(call.raw)), 1))
        body["pharos"] = {"estimated": True, "method": f"a token for every {BYTES_PER_TOKEN} bytes of the request"}
        call.route = {"rule": "estimate", "why": f"no provider of {call.model.name} can count"}
        headers = [ESTIMATED, (b"x-pharos-model", call.model.name.encode())]
        return Reply(200, b"application/json", orjson.dumps(body), headers)


def _counts(plan: ModelPlan) -> bool:
    return any(target.upstream.dialect.name in COUNTERS for target in plan.targets)
