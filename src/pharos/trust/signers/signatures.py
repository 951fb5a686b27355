"""Signed requests: the form, the check, and the memory that lets each be used once.

::

    Authorization: Pharos-HMAC-SHA256 signer=NAME, time=UNIX, nonce=TEXT, digest=HEX, signature=HEX

``digest`` is the SHA-256 of the body; ``signature`` the HMAC-SHA256 (RFC 2104) under the shared secret of these lines,
joined by a line feed: ``Pharos-HMAC-SHA256``, signer, time, nonce, method, target (path and query as they are sent),
digest. What a signer sends as ``NAME`` is ``name`` or ``namespace/name`` of the ``Signer``.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from pharos.control.index import Index
from pharos.core.fault import NOT_ACCEPTED, OVERLOADED, UNAUTHENTICATED
from pharos.core.resource import AnyResource, Ref, Resource, ResourceId
from pharos.trust.authenticator import Authenticator, Identity, principal_of
from pharos.trust.clock import Seconds
from pharos.trust.kinds import KEY
from pharos.trust.sealed.envelope import SealBroken
from pharos.trust.sealed.vault import Vault
from pharos.trust.signers.kinds import SIGNER, SignerSpec

SCHEME = "Pharos-HMAC-SHA256"
LEAST_SECRET = 32
"""Characters of a shared secret."""
MOST_NONCES = 200_000
"""Requests within a window, of all signers together; more are refused, because none may be forgotten."""

_FORM = re.compile(
    r"(?i:pharos-hmac-sha256) signer=(?P<signer>[a-z0-9._/-]{1,260}), ?time=(?P<time>[0-9]{1,12}), ?"
    r"nonce=(?P<nonce>[A-Za-z0-9._~+/=-]{8,128}), ?digest=(?P<digest>[0-9a-f]{64}), ?"
    r"signature=(?P<signature>[0-9a-f]{64})"
)
_KEY, _SIGNER, _SECRET = Ref("Key"), Ref("Signer"), Ref("Secret")
_NO_SECRET = b"\0" * LEAST_SECRET


@dataclass(frozen=True, slots=True)
class Admission:
    """A request whose head is genuine. ``ticket`` stands for its caller until :meth:`Signatures.end`; ``digest`` is
    what the SHA-256 of the body must be."""

    ticket: str
    digest: str


class Signatures:
    """Checks signed requests. ``any``: whether there is anyone who may sign."""

    def __init__(self, index: Index, vault: Vault, authenticator: Authenticator, clock: Seconds) -> None:
        self.any = bool(index.all(SIGNER))
        self._index = index
        self._vault = vault
        self._clock = clock
        self._since = clock()
        self._nonces: dict[ResourceId, OrderedDict[str, float]] = {}
        """By signer, each with the moment from which the request is too old anyway; in that order."""
        self._remembered = 0
        self._declared: dict[ResourceId, float] = {}
        """When a signer was last changed: with its window, what is remembered of it may be too short."""
        self._tickets: dict[str, ResourceId] = {}
        self._next, authenticator.foreign = authenticator.foreign, self._bearer
        index.subscribe(self._follow)

    def admit(self, authorization: str, method: str, target: str) -> Admission:
        """Check a request's head. Raises ``UNAUTHENTICATED``, and ``OVERLOADED`` where nonces have no room."""
        found = _FORM.fullmatch(authorization)
        if found is None:
            raise UNAUTHENTICATED(NOT_ACCEPTED)
        id = _SIGNER.resolve(found["signer"], "default")
        signer = self._index.get(SIGNER, id.name, id.namespace)
        secret = _NO_SECRET if signer is None else self._secret(signer)
        lines = (SCHEME, found["signer"], found["time"], found["nonce"], method, target, found["digest"])
        due = hmac.digest(secret, "\n".join(lines).encode(), "sha256").hex()
        genuine = hmac.compare_digest(due, found["signature"])
        if signer is None or not genuine or secret is _NO_SECRET:
            raise UNAUTHENTICATED(NOT_ACCEPTED)
        self._once(signer, float(found["time"]), found["nonce"])
        self._identity(signer)
        ticket = f"ticket.{secrets.token_urlsafe(32)}"
        self._tickets[ticket] = signer.id
        return Admission(ticket, found["digest"])

    def end(self, ticket: str) -> None:
        """The request is over."""
        self._tickets.pop(ticket, None)

    def _secret(self, signer: Resource[SignerSpec]) -> bytes:
        try:
            value = self._vault.reveal(_SECRET.resolve(signer.spec.secret, signer.metadata.namespace))
        except SealBroken:
            return _NO_SECRET
        return value.encode() if len(value) >= LEAST_SECRET else _NO_SECRET

    def _once(self, signer: Resource[SignerSpec], time: float, nonce: str) -> None:
        now, window = self._clock(), signer.spec.window_seconds
        if abs(now - time) > window:
            raise UNAUTHENTICATED(f"The request's time is more than {window} seconds from the city's.")
        if time < int(max(self._since, self._declared.get(signer.id, 0.0))):
            raise UNAUTHENTICATED("The request was signed before the city, or its signer, was here. Sign it anew.")
        used = self._nonces.setdefault(signer.id, OrderedDict())
        while used and next(iter(used.values())) < now:
            used.popitem(last=False)
            self._remembered -= 1
        if nonce in used:
            raise UNAUTHENTICATED("The request was made before. Sign each with a nonce of its own.")
        if self._remembered >= MOST_NONCES:
            raise OVERLOADED("Too many signed requests are remembered.", retry_after=1)
        # A time that is ahead by a window is good for one more after that.
        used[nonce] = now + 2 * window
        self._remembered += 1

    def _bearer(self, secret: str) -> Identity:
        """The caller behind a ticket, as things stand now; other secrets are the next one's."""
        id = self._tickets.get(secret)
        if id is None:
            return self._next(secret)
        signer = self._index.get(SIGNER, id.name, id.namespace)
        if signer is None:
            raise UNAUTHENTICATED(NOT_ACCEPTED)
        return self._identity(signer)

    def _identity(self, signer: Resource[SignerSpec]) -> Identity:
        id = _KEY.resolve(signer.spec.key, signer.metadata.namespace)
        key = self._index.get(KEY, id.name, id.namespace)
        if key is None:
            raise UNAUTHENTICATED(f"{signer.id} grants {id}, which does not exist.")
        if key.spec.expires_at is not None and key.spec.expires_at.timestamp() <= self._clock():
            raise UNAUTHENTICATED(f"{id} has expired.")
        return Identity(principal_of(key), key, f"signer/{signer.metadata.name}")

    def _follow(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind != SIGNER.name:
            return
        self.any = bool(self._index.all(SIGNER))
        self._remembered -= len(self._nonces.pop(id, ()))
        self._declared[id] = self._clock()  # also of one that is gone: it may come back
