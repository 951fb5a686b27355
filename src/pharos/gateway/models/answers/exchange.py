"""What a call looks like to its provider, and the provider's answer to the client.

Two ways: on the *diagonal* client and provider speak the same dialect, so the body is edited in place and the stream is
only watched; *crossing*, both directions go through the canonical model. The layers do not know which of the two it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import orjson

from pharos.core.fault import FaultDocument
from pharos.core.wire import JsonObject
from pharos.gateway.models.answers.sse import END, Parser
from pharos.gateway.models.answers.stencil import Stencil
from pharos.gateway.models.call import Call
from pharos.gateway.models.dialects.canonical import (
    BlockStarted,
    Delta,
    Failed,
    Failure,
    FailureClass,
    Finished,
    Request,
    Started,
    StreamEvent,
    ToolCall,
)
from pharos.gateway.models.dialects.dialect import NO_NAMES, Dialect, Edits, Failing, StreamReader, StreamWriter
from pharos.gateway.models.dialects.naming import plain_id
from pharos.gateway.models.dialects.parts import served_tier
from pharos.gateway.models.plans import Target
from pharos.gateway.models.spending.bounds import DEFAULT_MAX_OUTPUT
from pharos.gateway.models.upstream.transport import Headers
from pharos.mesh.facts import Usage
from pharos.mesh.tokens import estimate_tokens

if TYPE_CHECKING:
    from pharos.gateway.models.answers.continuation import Continuation

_TIER = re.compile(rb'"service_tier"\s*:\s*"([a-z_]{1,32})"')
_SPEED = re.compile(rb'"speed"\s*:\s*"([a-z_]{1,32})"')


class Whole(NamedTuple):
    """A whole answer as the client gets it."""

    body: bytes
    usage: Usage | None
    model: str


class Flow(Protocol):
    """A streamed answer on its way through."""

    content: bool
    """Something the client can see has passed: from here on nobody else can answer."""
    complete: bool
    """The answer has come to its proper end."""
    failure: Failure | None
    """What went wrong; nothing that follows counts."""
    tier: str

    def feed(self, chunk: bytes) -> bytes:
        """What the client gets for these bytes; may be empty."""

    def end(self) -> bytes:
        """The provider has closed the stream: what the client gets for what was left."""

    def fault(self, document: FaultDocument) -> bytes:
        """The error that ends the stream, where the dialect has it depend on what was said; else nothing."""

    @property
    def usage(self) -> Usage | None: ...
    @property
    def model(self) -> str: ...
    @property
    def output_bytes(self) -> int: ...


class Exchange(Protocol):
    """One attempt's translation."""

    dropped: Sequence[str]
    """JSON pointers of what the provider's dialect cannot express."""

    @property
    def path(self) -> str:
        """Where the request goes: path and query."""

    def request(self) -> bytes:
        """The body for the provider. Raises ``INVALID`` where the request cannot be put into its dialect."""

    def headers(self) -> Headers:
        """Headers of the client that go with it."""

    def whole(self, raw: bytes) -> Whole:
        """Turn a whole answer. Raises ``ValueError`` where it is not one."""

    def flow(self) -> Flow:
        """Begin a stream."""


def lied(message: str, status: int = 200) -> Failure:
    """The provider did not keep to its protocol."""
    return Failure(FailureClass.PROTOCOL, message, status=status)


def _illegal(error: ValueError) -> Failure:
    """A frame of the provider's stream is not legal in its dialect."""
    return lied(
        f"a chunk of the stream is not JSON: {error}" if isinstance(error, orjson.JSONDecodeError) else str(error)
    )


def parse_object(raw: bytes) -> JsonObject:
    """A JSON object. Raises ``ValueError`` for anything else."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the answer is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ValueError("the answer is not a JSON object")
    return cast("JsonObject", body)


@cache
def _as_bytes(names: frozenset[str]) -> frozenset[bytes]:
    """Names of headers as they stand in a request."""
    return frozenset(name.encode("latin-1") for name in names)


def exchange_for(call: Call, target: Target) -> Exchange:
    """The way between the client's dialect and the target's."""
    if call.task is not None:
        return call.task.exchange(call, target)
    provider = target.upstream.dialect
    # A dialect whose requests say something in their URL is another object for each call.
    same = provider is call.dialect or provider.name == call.dialect.name
    exchange = Diagonal(call, target, provider) if same else Crossing(call, target, provider)
    return exchange if call.continuation is None else Continued(call, target, exchange, call.continuation)


class Diagonal:
    """Both sides speak one dialect: every byte passes as it is, but for the declared edits."""

    __slots__ = ("_call", "_dialect", "_hide", "_target", "dropped")

    def __init__(self, call: Call, target: Target, dialect: Dialect) -> None:
        self._call = call
        self._target = target
        self._dialect = dialect
        self._hide = call.ask.stream and not call.ask.wants_usage
        self.dropped: Sequence[str] = ()

    @property
    def path(self) -> str:
        return self._target.paths[self._call.ask.stream]

    def request(self) -> bytes:
        call = self._call
        target, limit = self._target, call.bounds.set_output
        edits = Edits(target.model, self._hide, None if limit is None else target.output_limit(limit))
        return self._dialect.edit(call.raw, call.body, edits)

    def headers(self) -> Headers:
        forwarded = _as_bytes(self._dialect.forwarded)
        return [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in self._call.headers if name in forwarded
        ]

    def whole(self, raw: bytes) -> Whole:
        body = parse_object(raw)
        dialect = self._dialect
        usage, model = dialect.usage(body), dialect.answered_model(body)
        if usage is None:
            dialect.read_answer(body)  # an answer without numbers must at least be an answer
        return Whole(raw, usage, model)

    def flow(self) -> Flow:
        return Watching(self._dialect, self._hide, _tier_pattern(self._call))

    @property
    def names(self) -> Mapping[str, str]:
        return NO_NAMES


def _tier_pattern(call: Call) -> re.Pattern[bytes] | None:
    """Finds the tier that was served in a stream where one was asked for, under the name by which it was: also in one
    that is cut before its usage, which tells the tier of all others."""
    if not call.tier:
        return None
    return _SPEED if "speed" in call.body else _TIER


class Watching:
    """A stream that passes as it is. See :class:`Flow`."""

    __slots__ = (
        "_parser",
        "_tier_pattern",
        "_watcher",
        "complete",
        "content",
        "failure",
        "stencil",
        "tier",
    )

    def __init__(self, dialect: Dialect, hide_usage: bool, tier_pattern: re.Pattern[bytes] | None) -> None:
        self._parser = Parser()
        self._watcher = dialect.watcher(hide_usage)
        self._tier_pattern = tier_pattern
        self.stencil = Stencil()
        self.content = False
        self.complete = False
        self.failure: Failure | None = None
        self.tier = ""

    def feed(self, chunk: bytes) -> bytes:
        if not self._parser.rest and self.stencil.fits(chunk):
            return chunk
        if self._tier_pattern is not None and (found := self._tier_pattern.search(chunk)) is not None:
            self.tier = served_tier(found[1].decode())
        out = []
        watcher = self._watcher
        see = watcher.see
        said = watcher.output_bytes
        try:
            for frame in self._parser.feed(chunk):
                seen = see(frame)
                if seen.failure is not None:
                    self.failure = seen.failure
                    break
                if seen.content:
                    self.content = True
                    if seen.text and frame.raw is chunk and self.stencil.lessons:
                        self.stencil.learn(chunk, seen.text, watcher.output_bytes - said)
                if not seen.hide:
                    out.append(frame.raw)
        except ValueError as error:
            self.failure = _illegal(error)
        if self._watcher.complete:
            self.complete = True
        return out[0] if len(out) == 1 else b"".join(out)

    def end(self) -> bytes:
        out = []
        try:
            for frame in self._parser.end():
                seen = self._watcher.see(frame)
                self.failure = self.failure or seen.failure
                if not seen.hide:
                    out.append(frame.raw)
            out.append(self._watcher.see(END).more)
        except ValueError as error:
            self.failure = self.failure or _illegal(error)
        self.complete = self._watcher.complete
        return b"".join(out)

    def fault(self, document: FaultDocument) -> bytes:
        watcher = self._watcher
        return watcher.fail(document) if isinstance(watcher, Failing) else b""

    @property
    def usage(self) -> Usage | None:
        return self._watcher.usage

    @property
    def model(self) -> str:
        return self._watcher.model

    @property
    def output_bytes(self) -> int:
        return self._watcher.output_bytes + self.stencil.size


class Crossing:
    """Two dialects: through the canonical call, answer and events."""

    __slots__ = ("_call", "_provider", "_request", "_target", "dropped")

    def __init__(self, call: Call, target: Target, provider: Dialect) -> None:
        self._call = call
        self._target = target
        self._provider = provider
        self._request: Request = call.dialect.read_request(call.body)
        self.dropped: Sequence[str] = self._request.dropped

    @property
    def path(self) -> str:
        return self._target.paths[self._call.ask.stream]

    def request(self) -> bytes:
        call, request = self._call, self._request
        target = self._target
        if request.max_output is None and call.bounds.set_output is not None:
            request = self._request = replace(request, max_output=target.output_limit(call.bounds.set_output))
        limit = target.output_limit(call.model.spec.max_output_tokens or DEFAULT_MAX_OUTPUT)
        target.upstream.signatures.restore(call.identity.key.metadata.uid, request)
        body = self._provider.write_request(request, target.model, limit)
        self.dropped = request.dropped
        return orjson.dumps(body)

    def headers(self) -> Headers:
        return ()

    def whole(self, raw: bytes) -> Whole:
        answer = self._provider.read_answer(parse_object(raw), self._request.renamed)
        self._call.attempt.finish = answer.finish
        answer.echo = self._request.echo
        for block in answer.blocks:
            if isinstance(block, ToolCall) and block.signature:
                _keep(self._call, block.id, block.signature)
        body = self._call.dialect.write_answer(answer, self._call.ask.model)
        return Whole(orjson.dumps(body), answer.usage, answer.model)

    def flow(self) -> Flow:
        call = self._call
        writer = call.dialect.writer(call.ask.model, call.ask.wants_usage, estimate_tokens(len(call.raw)))
        return _Translated(call, self._provider.reader(self._request.renamed), writer, self._request.echo)

    @property
    def names(self) -> Mapping[str, str]:
        """The tools the provider knows by another name, once the request is made."""
        return self._request.renamed


class Continued:
    """Goes on with an answer that was cut off: the request with its beginning, and its rest in the client's dialect."""

    __slots__ = ("_call", "_continuation", "_exchange", "_target", "dropped")

    def __init__(self, call: Call, target: Target, exchange: Diagonal | Crossing, continuation: Continuation) -> None:
        self._call = call
        self._target = target
        self._exchange = exchange
        self._continuation = continuation
        self.dropped: Sequence[str] = ()

    @property
    def path(self) -> str:
        return self._exchange.path

    def request(self) -> bytes:
        raw = self._exchange.request()
        self.dropped = self._exchange.dropped
        return self._continuation.request(self._target, raw)

    def headers(self) -> Headers:
        return self._exchange.headers()

    def whole(self, raw: bytes) -> Whole:
        raise ValueError("only a stream is gone on with")

    def flow(self) -> Flow:
        reader = self._target.upstream.dialect.reader(self._exchange.names)
        return _Translated(self._call, reader, self._continuation.writer(self._call.attempt.number))


def _keep(call: Call, id: str, signature: str) -> None:
    """Keep the signature of a tool call for a client that has no field for it."""
    call.attempt.target.upstream.signatures.keep(call.identity.key.metadata.uid, plain_id(id), signature)


class _Translated:
    """A stream between two dialects. See :class:`Flow`."""

    __slots__ = (
        "_attempt",
        "_call",
        "_echo",
        "_parser",
        "_reader",
        "_writer",
        "complete",
        "content",
        "failure",
        "model",
        "output_bytes",
        "tier",
        "usage",
    )

    def __init__(self, call: Call, reader: StreamReader, writer: StreamWriter, echo: JsonObject | None = None) -> None:
        self._call = call
        self._attempt = call.attempt
        self._echo = echo
        self._parser = Parser()
        self._reader = reader
        self._writer = writer
        self.content = False
        self.complete = False
        self.failure: Failure | None = None
        self.tier = ""
        self.usage: Usage | None = None
        self.model = ""
        self.output_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        out: list[bytes] = []
        try:
            for frame in self._parser.feed(chunk):
                for event in self._reader.read(frame):
                    self._pass(event, out)
        except ValueError as error:
            self.failure = self.failure or _illegal(error)
        return b"".join(out)

    def end(self) -> bytes:
        out: list[bytes] = []
        try:
            for frame in (*self._parser.end(), END):
                for event in self._reader.read(frame):
                    self._pass(event, out)
        except ValueError as error:
            self.failure = self.failure or _illegal(error)
        return b"".join(out)

    def fault(self, document: FaultDocument) -> bytes:
        writer = self._writer
        return writer.fail(document) if isinstance(writer, Failing) else b""

    def _pass(self, event: StreamEvent, out: list[bytes]) -> None:
        if self.failure is not None or self.complete:
            return
        match event:
            case Delta(_, text):
                self.content = self.content or bool(text)
                self.output_bytes += len(text.encode())
            case BlockStarted(kind="tool"):
                self.content = True
                if event.signature:
                    _keep(self._call, event.id, event.signature)
            case Started(_, model, usage):
                self.model = model
                self.usage = usage or self.usage
                if self._echo:
                    event = replace(event, echo=self._echo)
            case Finished(finish, usage):
                self._attempt.finish = finish
                self.usage = usage
                self.complete = True
            case Failed(failure):
                self.failure = failure
                return
        out.append(self._writer.write(event))
