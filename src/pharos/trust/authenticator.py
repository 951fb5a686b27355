"""Who is asking: turns a presented secret into an identity.

Everything that follows from a key is computed when the key changes, not when it is used: a look-up is one HMAC and one
dictionary access, whether there are ten credentials or a hundred thousand. The tables follow the index synchronously:
when a revocation returns, the secret is dead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pharos.control.index import Index
from pharos.core.fault import NOT_ACCEPTED, UNAUTHENTICATED
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.resource import AnyResource, Resource, ResourceId
from pharos.mesh.connectors import Share
from pharos.trust.clock import Seconds, SteadyClock
from pharos.trust.kinds import KEY, Credential, KeySpec, KeyStatus
from pharos.trust.secrets import Pepper, credential_of, same

_log = logging.getLogger(__name__)

_NEVER = float("inf")
_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated caller: who it is, the key it came with as it stands now, and which of its credentials."""

    principal: Principal
    key: Resource[KeySpec]
    credential: str
    user: str = ""
    """The end user, where the credential names one: then no caller can say another."""
    shares: tuple[Share, ...] = ()
    """Money limits of the session it is, beside its key's budgets."""


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: bytes
    expires: float
    identity: Identity


class Authenticator:
    """Verifies secrets against the keys in the index.

    ``clock`` gives seconds since 1970; it must not run backwards, see :class:`SteadyClock`.
    """

    def __init__(self, index: Index, pepper: Pepper, clock: Seconds | None = None) -> None:
        self._pepper = pepper
        self._clock = clock or SteadyClock()
        self._entries: dict[str, _Entry] = {}
        self._credentials: dict[ResourceId, tuple[str, ...]] = {}
        for key in index.all(KEY):
            self._follow(key.id, key)
        index.subscribe(self._follow)
        self.foreign: Callable[[str], Identity] = _stranger
        """Who presents a credential that is no secret of this city. Raises ``UNAUTHENTICATED``."""

    def authenticate(self, secret: str) -> Identity:
        """The caller who presents ``secret``. Raises ``UNAUTHENTICATED``, and tells a stranger nothing more.

        Unknown and wrong secrets take the same path, so that time tells no credential ids either.
        """
        credential = credential_of(secret)
        if credential is None:
            return self.foreign(secret)
        entry = self._entries.get(credential)
        digest = self._pepper.digest(secret)
        if not same(digest, entry.digest if entry is not None else _NO_DIGEST) or entry is None:
            raise UNAUTHENTICATED(NOT_ACCEPTED)
        if entry.expires != _NEVER and entry.expires <= self._clock():
            # Whoever gets here did present the right secret, so the reason is theirs to know.
            raise UNAUTHENTICATED("The credential has expired. Ask for a new one.")
        return entry.identity

    def knows(self, credential: str) -> bool:
        """Whether a live credential has this id."""
        return credential in self._entries

    def __len__(self) -> int:
        """How many credentials could be presented, those that have expired included."""
        return len(self._entries)

    def _follow(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind != KEY.name:
            return
        for credential in self._credentials.pop(id, ()):
            self._entries.pop(credential, None)
        if resource is None:
            return
        try:
            entries = dict(_entries(resource))
        except ValueError:
            # Nothing is allowed that cannot be read; raising here would stop the write that led to it.
            _log.exception("the status of %s cannot be read; none of its credentials is accepted", id)
            return
        self._entries.update(entries)
        self._credentials[id] = tuple(entries)


def _stranger(_: str) -> Identity:
    raise UNAUTHENTICATED(NOT_ACCEPTED)


def _entries(key: Resource[KeySpec]) -> Iterator[tuple[str, _Entry]]:
    status = key_status(key)
    principal = principal_of(key)
    for credential in status.credentials:
        digest = status.digests.get(credential.id)
        if digest is not None and credential.revoked_at is None:
            ends = expiry(key, credential)
            expires = ends.timestamp() if ends is not None else _NEVER
            yield credential.id, _Entry(bytes.fromhex(digest), expires, Identity(principal, key, credential.id))


def key_status(key: Resource[KeySpec]) -> KeyStatus:
    """The typed status of a key. Raises ``ValidationError`` if it was not written by this room."""
    return KeyStatus.model_validate(key.status.model_dump(by_alias=True))


def principal_of(key: Resource[KeySpec]) -> Principal:
    """Who the holder of ``key`` is."""
    return Principal(
        kind=PrincipalKind(key.spec.principal),
        name=key.metadata.name,
        namespace=key.metadata.namespace,
        permissions=frozenset(key.spec.scopes),
        labels=key.metadata.labels,
    )


def expiry(key: Resource[KeySpec], credential: Credential) -> datetime | None:
    """When the credential stops to be accepted: its own end or its key's, whichever is first."""
    ends = [end for end in (key.spec.expires_at, credential.expires_at) if end is not None]
    return min(ends, default=None)
