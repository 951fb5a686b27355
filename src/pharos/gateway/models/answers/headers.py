"""What every answer of a model call says about the call, in its head."""

from __future__ import annotations

from pharos.gateway.models.call import Call, Reply

Headers = list[tuple[bytes, bytes]]


def own_headers(call: Call, reply: Reply) -> Headers:
    """What every answer says about the call."""
    headers = identity(call, reply.content_type)
    if call.candidates:
        headers.append(call.model.header)
    if call.attempts:
        target = call.attempts[-1].target
        headers.append(target.upstream.header)
        if call.bounds.set_output is not None:
            limit = target.output_limit(call.bounds.set_output)
            headers.append((b"x-pharos-max-output", b"%d" % limit))
    headers += reply.headers
    return headers


def identity(call: Call, content_type: bytes) -> Headers:
    """What every answer says first: its kind, and the call it is of."""
    id = call.id.encode()
    return [(b"content-type", content_type), (b"x-pharos-call", id), (b"request-id", id)]
