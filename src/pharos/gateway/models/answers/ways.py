"""The way of an attempt: on the diagonal or crossing, from the beginning or on from where another one broke off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pharos.gateway.models.answers.crossing import Crossing, Translated
from pharos.gateway.models.answers.diagonal import Diagonal
from pharos.gateway.models.answers.exchange import Exchange, Flow, Whole
from pharos.gateway.models.call import Call
from pharos.gateway.models.targets import Target
from pharos.gateway.models.upstream.transport import Headers

if TYPE_CHECKING:
    from pharos.gateway.models.answers.continuation import Continuation


def exchange_for(call: Call, target: Target) -> Exchange:
    """The way between the client's dialect and the target's."""
    if call.task is not None:
        return call.task.exchange(call, target)
    provider = target.upstream.dialect
    # A dialect whose requests say something in their URL is another object for each call.
    same = provider is call.dialect or provider.name == call.dialect.name
    exchange = Diagonal(call, target, provider) if same else Crossing(call, target, provider)
    return exchange if call.continuation is None else Continued(call, target, exchange, call.continuation)


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
        return Translated(self._call, reader, self._continuation.writer(self._call.attempt.number))
