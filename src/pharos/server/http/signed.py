"""Signed requests on their way in: checked before anything else looks at them, then let go on like any other.

The head is checked at once, the body against the digest that the head has signed; whoever comes after finds a ticket
where a key's secret would stand. A city without signers pays one look at a flag.
"""

from __future__ import annotations

import hashlib
import hmac

from pharos.core.asgi import header, read_body
from pharos.core.fault import UNAUTHENTICATED
from pharos.core.plane import FIELDS, WHOLE_BODY, Message, Receive, Scope
from pharos.trust.signers.signatures import SCHEME, Signatures

BODY_LIMIT = 32 * 1024 * 1024
"""Bytes of a signed request, which is here as a whole before it is passed on."""

_SCHEME = SCHEME.lower() + " "


def is_signed(scope: Scope) -> bool:
    """Whether a request says that it is signed."""
    return (header(scope, b"authorization") or "")[: len(_SCHEME)].lower() == _SCHEME


async def admitted(scope: Scope, receive: Receive, signatures: Signatures) -> tuple[Scope, Receive, str]:
    """The request as it goes on, and its ticket, to be ended with it. Raises ``UNAUTHENTICATED``, ``TOO_LARGE``."""
    target = bytes(scope.get("raw_path") or scope["path"].encode())
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    admission = signatures.admit(header(scope, b"authorization") or "", scope["method"], target.decode("latin-1"))
    try:
        body = await read_body(scope, receive, BODY_LIMIT)
        if not hmac.compare_digest(hashlib.sha256(body).hexdigest(), admission.digest):
            raise UNAUTHENTICATED("The body is not the one that was signed.")
    except BaseException:
        signatures.end(admission.ticket)
        raise
    rest = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
    passed = {name: value for name, value in scope.items() if name != FIELDS}
    passed["headers"] = [(b"authorization", b"Bearer " + admission.ticket.encode()), *rest]
    given: list[bytes] = [body]
    passed[WHOLE_BODY] = lambda: given.pop() if given else None

    async def again() -> Message:
        if given:
            return {"type": "http.request", "body": given.pop(), "more_body": False}
        return await receive()

    return passed, again, admission.ticket
