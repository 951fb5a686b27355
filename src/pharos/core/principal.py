"""Who acts, and for whom.

A principal is the answer to "who is asking": it carries what it may do, and the chain of those on whose behalf it acts.
Along that chain rights only narrow: a delegate never holds a permission that its delegator lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class PrincipalKind(StrEnum):
    """What sort of actor a principal is."""

    WORKLOAD = "workload"
    USER = "user"
    AGENT = "agent"
    KEY = "key"
    PARTNER = "partner"


@dataclass(frozen=True, slots=True)
class Actor:
    """One link of a delegation chain."""

    kind: PrincipalKind
    name: str


def covers(granted: frozenset[str], permission: str) -> bool:
    """Whether the patterns ``granted`` include ``permission``, which may itself be a pattern."""
    return permission in granted or "*" in granted or f"{permission.partition('.')[0]}.*" in granted


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated actor.

    ``permissions`` are patterns: ``ledger.read`` grants exactly that, ``ledger.*`` every permission of that noun and
    ``*`` all of them. ``chain`` lists the actors on whose behalf this one acts, the nearest first.
    """

    kind: PrincipalKind
    name: str
    namespace: str = "default"
    permissions: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    chain: tuple[Actor, ...] = ()

    @property
    def id(self) -> str:
        """The stable name under which acts of this principal are recorded, such as ``key/default/ci-bot``."""
        return f"{self.kind.value}/{self.namespace}/{self.name}"

    def may(self, permission: str) -> bool:
        """Whether this principal holds ``permission`` (``noun.verb``). Nothing is allowed that no pattern allows."""
        return covers(self.permissions, permission)

    def narrowed(self, permissions: frozenset[str]) -> Principal:
        """This principal with the permissions that it and ``permissions`` have in common."""
        mine = {p for p in self.permissions if covers(permissions, p)}
        theirs = {p for p in permissions if covers(self.permissions, p)}
        return replace(self, permissions=frozenset(mine | theirs))

    def delegate(self, kind: PrincipalKind, name: str, permissions: frozenset[str]) -> Principal:
        """A new principal that acts for this one, with at most this one's permissions."""
        chain = (Actor(self.kind, self.name), *self.chain)
        return replace(self.narrowed(permissions), kind=kind, name=name, chain=chain)


SYSTEM = Principal(PrincipalKind.WORKLOAD, "pharos", namespace="system", permissions=frozenset({"*"}))
"""The city itself: start-up work, projections, background services."""
