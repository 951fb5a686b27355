"""What somebody who acts inside a tree of delegations may not do: leave it."""

from __future__ import annotations

from pharos.core.principal import Principal, PrincipalKind
from pharos.runtime.orchestration.faults import TREE_BOUND


def require_outside(principal: Principal, what: str) -> None:
    """Refuse what would give an agent in a session money, time or depth that nobody above it gave.

    An agent that works in a session acts for somebody, which its chain says; a key that is declared as an agent's, for
    a framework that runs elsewhere, does not. Raises ``TREE_BOUND``.
    """
    if principal.kind is PrincipalKind.AGENT and principal.chain:
        raise TREE_BOUND(f"{principal.id} works in a session, and may not {what} itself.", rule="orchestration/tree")
