"""What trust declares about those who sign their requests: kind ``Signer``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pharos.control.index import Index
from pharos.core.fault import Fault
from pharos.core.principal import Principal
from pharos.core.resource import Kind, Ref, Resource, Spec
from pharos.trust.granting import may_grant


class SignerSpec(Spec):
    """Someone who signs each request (HMAC-SHA256) with a secret that both sides know and nobody sends."""

    key: Annotated[str, Ref("Key")]
    """Models, budgets, limits and permissions are this key's."""
    secret: Annotated[str, Ref("Secret")]
    """The shared secret, of 32 characters or more; `secrets.set` says what it is."""
    window_seconds: Annotated[int, Field(ge=5, le=900)] = 120
    """How far the time of a request may be from the city's; so long its nonce is remembered, on both sides."""


def signer_kind(index: Index) -> Kind[SignerSpec]:
    """The kind with its guard: who declares a signer gives away the key that it grants."""

    def guard(
        principal: Principal, before: Resource[SignerSpec] | None, after: Resource[SignerSpec] | None
    ) -> Fault | None:
        granted = [("/spec/key", after.spec.key)] if after is not None else []
        return may_grant(index, principal, after or before, granted)

    return Kind(
        name="Signer",
        spec=SignerSpec,
        summary="Someone who signs each request with a shared secret (HMAC), and the key they act as.",
        guard=guard,
    )


SIGNER: Kind[SignerSpec] = Kind(name="Signer", spec=SignerSpec, summary="See signer_kind.")
"""For look-ups in the index, which go by the name."""
