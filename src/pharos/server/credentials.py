"""Where a request carries its credential: ``Authorization: Bearer``, or ``x-api-key`` as the Anthropic SDK sends it."""

from __future__ import annotations

from pharos.core.plane import Scope
from pharos.server.replies import header


def secret_of(scope: Scope) -> str | None:
    """The secret that came with a request, or ``None`` if it brought none."""
    authorization = header(scope, b"authorization")
    if authorization is not None:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() == "bearer" and secret.strip():
            return secret.strip()
    key = header(scope, b"x-api-key")
    return key.strip() if key and key.strip() else None
