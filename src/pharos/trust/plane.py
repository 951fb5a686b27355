"""What trust brings to the city."""

from __future__ import annotations

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.core.operation import operations_of
from pharos.core.plane import Plane
from pharos.trust.approvals import ApprovalOperations, Decide
from pharos.trust.clock import SteadyClock
from pharos.trust.faults import ALL
from pharos.trust.guard import faults as guard_faults
from pharos.trust.guard.kinds import GUARD
from pharos.trust.hierarchy import ORGANISATION, TEAM
from pharos.trust.keys import KeyOperations
from pharos.trust.kinds import APPROVAL, KEY
from pharos.trust.secrets import Pepper


def trust_plane(index: Index, directory: Directory, decide: Decide, pepper: Pepper, clock: SteadyClock) -> Plane:
    """Keys and approvals. ``decide`` is ``Invoker.decide``; ``clock`` is the authenticator's clock."""
    return Plane(
        name="trust",
        summary="Who may do what: keys and their credentials, and approvals for what a caller may not do alone.",
        kinds=(KEY, TEAM, ORGANISATION, APPROVAL, GUARD),
        operations=(
            *operations_of(KeyOperations(index, pepper, clock)),
            *operations_of(ApprovalOperations(index, directory, decide, clock)),
        ),
        faults=(*ALL, *guard_faults.ALL),
    )
