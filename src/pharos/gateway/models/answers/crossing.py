"""Two dialects: through the canonical call, answer and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from pharos.core.fault import FaultDocument
from pharos.core.wire import JsonObject
from pharos.gateway.models.answers.exchange import Flow, Whole, illegal, parse_object
from pharos.gateway.models.answers.sse import END, Parser
from pharos.gateway.models.call import Call
from pharos.gateway.models.dialects.canonical import (
    BlockStarted,
    Delta,
    Failed,
    Failure,
    Finished,
    Request,
    Started,
    StreamEvent,
    ToolCall,
)
from pharos.gateway.models.dialects.dialect import Dialect, Failing, StreamReader, StreamWriter
from pharos.gateway.models.dialects.naming import plain_id
from pharos.gateway.models.spending.bounds import DEFAULT_MAX_OUTPUT
from pharos.gateway.models.targets import Target
from pharos.gateway.models.upstream.transport import Headers
from pharos.mesh.facts import Usage
from pharos.mesh.tokens import estimate_tokens


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
        return Translated(call, self._provider.reader(self._request.renamed), writer, self._request.echo)

    @property
    def names(self) -> Mapping[str, str]:
        """The tools the provider knows by another name, once the request is made."""
        return self._request.renamed


class Translated:
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
            self.failure = self.failure or illegal(error)
        return b"".join(out)

    def end(self) -> bytes:
        out: list[bytes] = []
        try:
            for frame in (*self._parser.end(), END):
                for event in self._reader.read(frame):
                    self._pass(event, out)
        except ValueError as error:
            self.failure = self.failure or illegal(error)
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


def _keep(call: Call, id: str, signature: str) -> None:
    """Keep the signature of a tool call for a client that has no field for it."""
    call.attempt.target.upstream.signatures.keep(call.identity.key.metadata.uid, plain_id(id), signature)
