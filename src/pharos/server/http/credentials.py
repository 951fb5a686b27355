"""Who makes a request."""

from __future__ import annotations

from collections.abc import Callable

from pharos.core.asgi import secret_in
from pharos.core.fault import NO_CREDENTIAL, UNAUTHENTICATED
from pharos.core.plane import Scope, fields_of
from pharos.core.principal import Principal

Authenticate = Callable[[str], Principal]
"""The principal behind a secret. Raises ``UNAUTHENTICATED``."""


def caller(scope: Scope, authenticate: Authenticate) -> Principal | None:
    """Who makes a request; ``None`` without a credential. Raises ``UNAUTHENTICATED`` for one that is not good."""
    secret = secret_in(fields_of(scope))
    return None if secret is None else authenticate(secret)


def known_caller(scope: Scope, authenticate: Authenticate) -> Principal:
    """Who makes a request. Raises ``UNAUTHENTICATED`` also where it brought no credential."""
    principal = caller(scope, authenticate)
    if principal is None:
        raise UNAUTHENTICATED(NO_CREDENTIAL)
    return principal
