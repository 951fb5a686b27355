"""What signers bring to the city."""

from __future__ import annotations

from pharos.control.index import Index
from pharos.core.plane import Plane
from pharos.trust.signers.kinds import signer_kind


def signer_plane(index: Index) -> Plane:
    """Requests signed with a shared secret; ``Signatures`` checks them where they come in."""
    return Plane(
        name="signers",
        summary="Callers that sign each request with a shared secret instead of sending one.",
        kinds=(signer_kind(index),),
    )
