"""Where a request carries its credential: ``Authorization: Bearer``, ``x-api-key`` as the Anthropic SDK sends it,
or ``x-goog-api-key`` as Google's does."""

from __future__ import annotations

from collections.abc import Callable

from pharos.core.asgi import header
from pharos.core.fault import NO_CREDENTIAL, UNAUTHENTICATED
from pharos.core.plane import Scope
from pharos.core.principal import Principal

Authenticate = Callable[[str], Principal]
"""The principal behind a secret. Raises ``UNAUTHENTICATED``."""


def caller(scope: Scope, authenticate: Authenticate) -> Principal | None:
    """Who makes a request; ``None`` without a credential. Raises ``UNAUTHENTICATED`` for one that is not good."""
    secret = secret_of(scope)
    return None if secret is None else authenticate(secret)


def known_caller(scope: Scope, authenticate: Authenticate) -> Principal:
    """Who makes a request. Raises ``UNAUTHENTICATED`` also where it brought no credential."""
    principal = caller(scope, authenticate)
    if principal is None:
        raise UNAUTHENTICATED(NO_CREDENTIAL)
    return principal


def secret_of(scope: Scope) -> str | None:
    """The secret that came with a request, or ``None`` if it brought none."""
    authorization = header(scope, b"authorization")
    if authorization is not None:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() == "bearer" and secret.strip():
            return secret.strip()
    key = header(scope, b"x-api-key") or header(scope, b"x-goog-api-key")
    return key.strip() if key and key.strip() else None
