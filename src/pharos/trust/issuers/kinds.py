"""What trust declares about those who vouch for callers: kind ``Issuer``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from pharos.control.index import Index
from pharos.core.fault import Fault
from pharos.core.principal import Principal
from pharos.core.resource import Kind, Ref, Resource, Spec
from pharos.core.wire import JsonObject, Wire
from pharos.trust.granting import may_grant
from pharos.trust.issuers.discovery import can_be_discovered, is_https
from pharos.trust.issuers.keys import UnusableKeys, public_keys

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Signatures by a private key (RFC 7518, RFC 8037, RFC 9864). ``none`` and shared secrets (HS…) are not among them."""

ClaimName = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class KeySource(Wire):
    """Where an issuer's public keys (a JSON Web Key Set, RFC 7517) are."""

    url: Annotated[str, StringConstraints(max_length=2048)] | None = None
    """An https URL, such as ``https://login.example/.well-known/jwks.json``: fetched beside the calls, and kept."""
    file: Annotated[str, StringConstraints(min_length=1)] | None = None
    """Path of a file of this machine; read again when it changes."""
    inline: JsonObject | None = None
    """The set itself: ``{keys: [...]}``, public keys alone."""

    @model_validator(mode="after")
    def _exactly_one(self) -> KeySource:
        if sum(place is not None for place in (self.url, self.file, self.inline)) != 1:
            raise ValueError("give exactly one of url, file and inline")
        return self


class Grant(Wire):
    """Which key the bearer of a token acts as."""

    key: Annotated[str, Ref("Key")]
    """Models, budgets, limits and permissions are this key's."""
    claims: Annotated[dict[ClaimName, str], Field(max_length=16)] = Field(default_factory=dict)
    """Claims the token must have: of this value, or a list with it in it. None: every token of the issuer."""


class IssuerSpec(Spec):
    """Someone whose signed tokens (JWT, RFC 7519) are accepted where a key's secret would be."""

    issuer: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    """What the claim ``iss`` must be, to the letter."""
    audience: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=2048)]], Field(min_length=1)]
    """Names of this city; the claim ``aud`` must have one of them."""
    keys: KeySource | None = None
    """Where its keys are. Left out: where its own configuration says (OpenID Connect Discovery), which is fetched from
    below ``issuer``, then an https URL."""
    algorithms: Annotated[list[Algorithm], Field(min_length=1)]
    """Signatures that are accepted, and no others."""
    grants: Annotated[list[Grant], Field(min_length=1, max_length=64)]
    """Which key a token stands for: the first whose claims it has."""
    user_claim: ClaimName | None = "sub"
    """The claim that names the end user, whose limits and budgets then apply whatever the body of a call says."""
    leeway_seconds: Annotated[int, Field(ge=0, le=300)] = 30
    """How far the issuer's clock may be off."""
    longest_seconds: Annotated[int, Field(ge=60, le=30 * 86_400)] = 86_400
    """Tokens that are good for longer than this from now are refused: nobody here can take them back."""


def _check(spec: IssuerSpec) -> Sequence[tuple[str, str]]:
    problems = []
    if spec.keys is None:
        if not can_be_discovered(spec.issuer):
            problems.append(("/issuer", "must be an https URL, or say in keys where its keys are"))
        return problems
    if spec.keys.url is not None and not is_https(spec.keys.url):
        problems.append(("/keys/url", "must be an https URL without credentials"))
    if spec.keys.inline is not None:
        try:
            public_keys(spec.keys.inline)
        except UnusableKeys as error:
            problems.append(("/keys/inline", str(error)))
    return problems


def issuer_kind(index: Index) -> Kind[IssuerSpec]:
    """The kind with its guard: who declares an issuer gives away every key that it grants."""

    def guard(
        principal: Principal, before: Resource[IssuerSpec] | None, after: Resource[IssuerSpec] | None
    ) -> Fault | None:
        grants = after.spec.grants if after is not None else []
        granted = [(f"/spec/grants/{position}/key", grant.key) for position, grant in enumerate(grants)]
        return may_grant(index, principal, after or before, granted)

    return Kind(
        name="Issuer",
        spec=IssuerSpec,
        summary="Someone whose signed tokens (JWT) open the city: which signatures count, and which key each acts as.",
        check=_check,
        guard=guard,
    )


ISSUER: Kind[IssuerSpec] = Kind(name="Issuer", spec=IssuerSpec, summary="See issuer_kind.")
"""For look-ups in the index, which go by the name."""
