"""What the vault brings to the city."""

from __future__ import annotations

from pharos.control.index import Index
from pharos.core.operation import Observe, operations_of
from pharos.core.plane import Plane
from pharos.trust.faults import MASTER_KEYS_DAMAGED
from pharos.trust.sealed.operations import SecretOperations
from pharos.trust.sealed.upkeep import GRACE_SECONDS, SecretUpkeep
from pharos.trust.sealed.vault import SECRET, Vault


def secret_plane(index: Index, vault: Vault, observe: Observe, *, grace: float = GRACE_SECONDS) -> Plane:
    """Sealed secrets. ``observe`` is ``Invoker.observe``; ``grace``: seconds an unused master key is kept."""
    return Plane(
        name="secrets",
        summary="Secrets the city keeps sealed: credentials with providers, under a master key that can be changed.",
        kinds=(SECRET,),
        operations=operations_of(SecretOperations(index, vault)),
        faults=(MASTER_KEYS_DAMAGED,),
        services=(SecretUpkeep(index, vault, observe, grace=grace).service,),
    )
