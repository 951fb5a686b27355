"""Tickets: how the city's own agents come in, by the same door as everybody.

A ticket stands for one call of one session, on the account of a key. It is never written down, is worth nothing once
the call is over, and opens nothing but models: whatever its key may do besides is not passed on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pharos.control.index import Index
from pharos.core.fault import NOT_ACCEPTED, UNAUTHENTICATED
from pharos.core.principal import PrincipalKind
from pharos.core.resource import ResourceId
from pharos.mesh.connectors import Share
from pharos.trust.authenticator import Authenticator, Identity, principal_of
from pharos.trust.clock import Seconds
from pharos.trust.kinds import KEY

CALL_MODELS = frozenset({"models.call"})


@dataclass(frozen=True, slots=True)
class _Holder:
    account: ResourceId
    agent: str
    user: str
    shares: tuple[Share, ...]


class Tickets:
    """Issues tickets, and says who presents one."""

    def __init__(self, index: Index, clock: Seconds) -> None:
        self._index = index
        self._clock = clock
        self._holders: dict[str, _Holder] = {}
        self._next: Callable[[str], Identity] = _stranger

    def honoured_by(self, authenticator: Authenticator) -> None:
        """From here on ``authenticator`` knows tickets, beside whatever else it knows."""
        self._next, authenticator.foreign = authenticator.foreign, self._bearer

    @contextmanager
    def ticket(self, account: ResourceId, agent: str, user: str = "", shares: Sequence[Share] = ()) -> Iterator[str]:
        """A ticket for as long as the context lasts: ``agent`` comes in on ``account``, for the end ``user``."""
        secret = f"ticket.{secrets.token_urlsafe(32)}"
        self._holders[secret] = _Holder(account, agent, user, tuple(shares))
        try:
            yield secret
        finally:
            del self._holders[secret]

    def __len__(self) -> int:
        return len(self._holders)

    def _bearer(self, secret: str) -> Identity:
        """The caller behind a ticket, as its key stands now; other secrets are the next one's."""
        holder = self._holders.get(secret)
        if holder is None:
            return self._next(secret)
        id = holder.account
        key = self._index.get(KEY, id.name, id.namespace)
        if key is None:
            raise UNAUTHENTICATED(f"The agent works on the account of {id}, which does not exist.")
        if key.spec.expires_at is not None and key.spec.expires_at.timestamp() <= self._clock():
            raise UNAUTHENTICATED(f"The agent works on the account of {id}, which has expired.")
        principal = principal_of(key).delegate(PrincipalKind.AGENT, holder.agent, CALL_MODELS)
        return Identity(principal, key, f"agent/{holder.agent}", holder.user, holder.shares)


def _stranger(_: str) -> Identity:
    raise UNAUTHENTICATED(NOT_ACCEPTED)
