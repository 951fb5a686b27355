"""What issuers bring to the city."""

from __future__ import annotations

from pharos.control.index import Index
from pharos.core.operation import Observe
from pharos.core.plane import Plane
from pharos.trust.authenticator import Authenticator
from pharos.trust.clock import Seconds
from pharos.trust.issuers.fetching import KeySets
from pharos.trust.issuers.kinds import issuer_kind
from pharos.trust.issuers.tokens import Tokens


def issuer_plane(index: Index, authenticator: Authenticator, observe: Observe, clock: Seconds) -> Plane:
    """Tokens of identity providers, accepted by ``authenticator``. ``observe`` is ``Invoker.observe``."""
    sets = KeySets(index, observe)
    tokens = Tokens(index, sets.keys, sets.missed, clock)
    sets.changed = tokens.forget
    authenticator.foreign = tokens.authenticate
    return Plane(
        name="issuers",
        summary="Callers that others vouch for: signed tokens of identity providers, each standing for a key.",
        kinds=(issuer_kind(index),),
        services=(sets.service,),
    )
