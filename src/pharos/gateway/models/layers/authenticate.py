"""Who is calling: the key behind the credential, and what follows from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from pharos.core.asgi import secret_in
from pharos.core.fault import FORBIDDEN, NO_CREDENTIAL, UNAUTHENTICATED
from pharos.gateway.models.call import Call, Next, Reply
from pharos.gateway.models.plans import Plans
from pharos.trust.authenticator import Identity

PERMISSION: Literal["models.call"] = "models.call"


class Authenticate:
    """Sets ``call.identity`` and ``call.key``.

    Raises ``UNAUTHENTICATED``, and ``FORBIDDEN`` for a key that may not call models at all.
    """

    def __init__(self, authenticate: Callable[[str], Identity], plans: Plans) -> None:
        self._authenticate = authenticate
        self._plans = plans

    def __call__(self, call: Call, next: Next) -> Awaitable[Reply]:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        # Nothing here waits: no coroutine of its own.
        call.version = self._plans.version
        identity = call.identity = self.identify(call.fields)
        call.key = self._plans.key(identity.key)
        call.authenticated = True
        authorise(identity)
        return next(call)

    def renew(self, call: Call) -> None:
        """Look again, now that the body is here: it may have been long on its way, and what was revoked, narrowed or
        lowered meanwhile counts. Raises as the layer does."""
        if call.version == self._plans.version:
            return  # as is almost always the case: nothing at all has changed
        if not self._plans.knows(call.identity.key):
            call.identity = self.identify(call.fields)
            authorise(call.identity)
        call.key = self._plans.key(call.identity.key)

    def identify(self, fields: Mapping[bytes, bytes]) -> Identity:
        """The caller. Raises ``UNAUTHENTICATED``."""
        secret = secret_in(fields)
        if secret is None:
            raise UNAUTHENTICATED(NO_CREDENTIAL)
        return self._authenticate(secret)


def authorise(identity: Identity) -> None:
    """Raises ``FORBIDDEN`` for a caller who may not call models at all."""
    if not identity.principal.may(PERMISSION):
        raise FORBIDDEN("The key may not call models.", required_permission=PERMISSION)
