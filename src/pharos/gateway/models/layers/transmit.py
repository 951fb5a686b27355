"""One request to one provider: the innermost layer.

A stream is handed on only when its first content is here: until then nothing has been promised to the client, so a
provider that fails first can still be replaced by another.
"""

from __future__ import annotations

from urllib.parse import quote

from pharos.core.fault import Fault
from pharos.gateway.models.answers.exchange import Exchange, lied, parse_object
from pharos.gateway.models.answers.streaming import AnswerStream
from pharos.gateway.models.answers.ways import exchange_for
from pharos.gateway.models.call import Attempt, Call, Reply, UpstreamFailed
from pharos.gateway.models.dialects.canonical import Failure, FailureClass
from pharos.gateway.models.losses import MOST_NAMED, accept
from pharos.gateway.models.refusals import code_of, upstream_fault
from pharos.gateway.models.resilience.policy import POLICIES
from pharos.gateway.models.upstream.line import REUSED, Line
from pharos.gateway.models.upstream.provider import SEAL_BROKEN, SecretBroken, SecretUnusable
from pharos.gateway.models.upstream.transport import UpstreamRequest

MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of a whole answer."""

MAX_REFUSAL = 256 * 1024
"""Bytes of an error body that are read."""

JSON = b"application/json"
SSE = b"text/event-stream; charset=utf-8"

_PLAIN = "/~*$@!'()+:=&;[]{}"

_MEDIA_SSE = "text/event-stream"


class Transmit:
    """Makes ``call.attempt`` and ends it; the end of a stream is left to the stream.

    Raises ``UpstreamFailed`` where another attempt may follow, and ``INVALID`` where the request cannot be put into the
    provider's dialect.
    """

    async def __call__(self, call: Call) -> Reply:
        """Make the attempt."""
        attempt = call.attempt
        line = Line(call, attempt)
        handed = False
        try:
            exchange = exchange_for(call, attempt.target)
            await line.send(await _request(call, attempt, exchange))
            if not 200 <= line.status < 300:
                raise UpstreamFailed(await _refusal(attempt, line))
            if not call.ask.stream:
                return await _whole(call, attempt, line, exchange)
            stream = await _stream(call, attempt, line, exchange)
            handed = True
            return Reply(200, SSE, stream, _headers(exchange))
        except UpstreamFailed as error:
            failure = error.failure
            against = POLICIES[failure.cls].against and failure.code != REUSED
            attempt.end("error", line.probable_usage(), against=against, fault=code_of(failure).code)
            raise
        except Fault as fault:  # it cannot be said in the provider's dialect
            attempt.end("error", None, fault=fault.code)
            raise
        finally:
            if not handed:
                if attempt.open:  # which only a cancellation leaves it
                    attempt.end("cancelled", line.probable_usage())
                await line.aclose()


async def _request(call: Call, attempt: Attempt, exchange: Exchange) -> UpstreamRequest:
    upstream = attempt.target.upstream
    try:
        credentials = await upstream.credentials()
    except SecretUnusable as error:
        code = SEAL_BROKEN if isinstance(error, SecretBroken) else ""
        raise UpstreamFailed(Failure(FailureClass.AUTHENTICATION, str(error), code=code)) from None
    body = exchange.request()
    if exchange.dropped:
        accept(call, exchange.dropped)
    forwarded = exchange.headers()
    if not forwarded:  # the same list from call to call, which the transport knows again
        return UpstreamRequest(exchange.path, credentials, body)
    names = {name for name, _ in forwarded}
    headers = [*(header for header in credentials if header[0] not in names), *forwarded]
    return UpstreamRequest(exchange.path, headers, body)


async def _refusal(attempt: Attempt, line: Line) -> Failure:
    """What an answer that is not a success means."""
    body = await line.read_all(MAX_REFUSAL)
    if line.status < 400:
        return lied(f"an answer with status {line.status}", line.status)
    return attempt.target.upstream.dialect.read_failure(line.status, line.headers, body)


async def _whole(call: Call, attempt: Attempt, line: Line, exchange: Exchange) -> Reply:
    raw = line.rest(MAX_ANSWER)
    if raw is None:
        raw = await line.read_all(MAX_ANSWER)
    try:
        whole = exchange.whole(raw)
    except ValueError as error:
        raise UpstreamFailed(_no_answer(attempt, line, raw, str(error))) from None
    attempt.answered = whole.model
    if not whole.usage:
        line.saw(None, len(raw))
    attempt.end("ok", whole.usage or line.probable_usage())
    return Reply(200, JSON, whole.body, _headers(exchange))


async def _stream(call: Call, attempt: Attempt, line: Line, exchange: Exchange) -> AnswerStream:
    media = line.header("content-type").partition(";")[0].strip().lower()
    if media != _MEDIA_SSE:
        raw = await line.read_all(MAX_REFUSAL)
        raise UpstreamFailed(_no_answer(attempt, line, raw, f"a stream was asked for, {media[:64]!r} came"))
    stream = AnswerStream(call, attempt, line, exchange.flow(), lambda failure: upstream_fault(failure, attempt.target))
    await stream.open()
    return stream


def _no_answer(attempt: Attempt, line: Line, raw: bytes, what: str) -> Failure:
    """What a success that brings no answer means: some providers report their errors that way."""
    try:
        body = parse_object(raw)
    except ValueError:
        return lied(what, line.status)
    if not body.get("error"):
        return lied(what, line.status)
    return attempt.target.upstream.dialect.read_failure(line.status, line.headers, raw)


def _headers(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    dropped = exchange.dropped
    if not dropped:
        return []
    # A pointer has names in it that the client chose: as a header it must not become two.
    names = ", ".join(quote(pointer, safe=_PLAIN) for pointer in dropped[:MOST_NAMED])
    return [(b"x-pharos-dropped", names.encode())]
