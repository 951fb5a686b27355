"""Tokens of issuers: checked once, then remembered by their digest until they end.

A token that was seen costs one hash and one dictionary access. One that was not is checked against keys that are here
already: nothing is fetched while a caller waits. What a token says of itself (``alg``, ``jku``, ``x5c`` …) chooses
among the keys and algorithms that its issuer was declared with, and never adds any (RFC 8725).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import orjson

from pharos.control.index import Index
from pharos.core.fault import NOT_ACCEPTED, UNAUTHENTICATED
from pharos.core.resource import AnyResource, Ref, Resource, ResourceId
from pharos.core.wire import Json, JsonObject
from pharos.trust.authenticator import Identity, principal_of
from pharos.trust.clock import Seconds
from pharos.trust.issuers.keys import PublicKey
from pharos.trust.issuers.kinds import ISSUER, IssuerSpec
from pharos.trust.kinds import KEY

LONGEST = 16_384
"""Bytes of a token."""
REMEMBERED = 20_000
"""Tokens that were checked and are not looked at again."""
LONGEST_USER = 256

_KEY = Ref("Key")


@dataclass(frozen=True, slots=True)
class _Known:
    identity: Identity
    ends: float


class Tokens:
    """Turns tokens into identities. ``keys`` has the present keys of an issuer, ``missed`` is told where one is not
    there; ``clock`` is the authenticator's."""

    def __init__(
        self,
        index: Index,
        keys: Callable[[ResourceId], tuple[PublicKey, ...]],
        missed: Callable[[ResourceId], None],
        clock: Seconds,
    ) -> None:
        self._index = index
        self._keys = keys
        self._missed = missed
        self._clock = clock
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        index.subscribe(self._follow)

    def authenticate(self, token: str) -> Identity:
        """The caller who bears ``token``. Raises ``UNAUTHENTICATED``."""
        if len(token) > LONGEST or token.count(".") != 2 or not token.isascii():
            raise UNAUTHENTICATED(NOT_ACCEPTED)
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._checked(token)
            self._known[digest] = known
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if known.ends <= self._clock():
            self._known.pop(digest, None)
            raise UNAUTHENTICATED("The token has expired. Get a new one from its issuer.")
        return known.identity

    def forget(self) -> None:
        """Look at every token anew: keys, issuers or their keys have changed."""
        self._known.clear()

    def _checked(self, token: str) -> _Known:
        signed, _, last = token.rpartition(".")
        first, _, middle = signed.partition(".")
        header, claims, signature = _object(first), _object(middle), _decoded(last)
        if header is None or claims is None or signature is None or "crit" in header:
            raise UNAUTHENTICATED(NOT_ACCEPTED)
        for issuer in self._index.all(ISSUER):
            spec = issuer.spec
            meant = claims.get("iss") == spec.issuer and _meant(claims, spec)
            if meant and self._signed(issuer, header, signed.encode(), signature):
                return self._admitted(issuer, claims)
        # Who signed it is unknown, so no more is said.
        raise UNAUTHENTICATED(NOT_ACCEPTED)

    def _signed(self, issuer: Resource[IssuerSpec], header: JsonObject, text: bytes, signature: bytes) -> bool:
        algorithm, id = header.get("alg"), header.get("kid", "")
        if not isinstance(algorithm, str) or algorithm not in issuer.spec.algorithms:
            return False
        keys = self._keys(issuer.id)
        named = [key for key in keys if key.id == id] if id else list(keys)
        if not named:
            self._missed(issuer.id)  # Perhaps its keys are new: they are fetched for the next one.
        return any(algorithm in key.fits and key.signed(algorithm, text, signature) for key in named)

    def _admitted(self, issuer: Resource[IssuerSpec], claims: JsonObject) -> _Known:
        """What a genuine token is good for. From here on its bearer may know what is wrong."""
        spec, now = issuer.spec, self._clock()
        ends = _time(claims, "exp")
        if ends is None:
            _refuse("The token does not say when it ends (exp).")
        ends += spec.leeway_seconds
        if ends <= now:
            _refuse("The token has expired. Get a new one from its issuer.")
        if ends > now + spec.longest_seconds + spec.leeway_seconds:
            _refuse(f"The token is good for longer than the {spec.longest_seconds} seconds that are accepted.")
        for name in ("nbf", "iat"):
            if name in claims and ((moment := _time(claims, name)) is None or moment > now + spec.leeway_seconds):
                _refuse(f"The token is not good yet ({name}).")
        for grant in spec.grants:
            if all(_has(claims.get(name), value) for name, value in grant.claims.items()):
                id = _KEY.resolve(grant.key, issuer.metadata.namespace)
                break
        else:
            _refuse(f"{issuer.id} grants nothing to a token with these claims.")
        key = self._index.get(KEY, id.name, id.namespace)
        if key is None:
            _refuse(f"{issuer.id} grants {id}, which does not exist.")
        if key.spec.expires_at is not None:
            ends = min(ends, key.spec.expires_at.timestamp())
            if ends <= now:
                _refuse(f"{id} has expired.")
        user = claims.get(spec.user_claim, "") if spec.user_claim else ""
        if not isinstance(user, str) or len(user) > LONGEST_USER:
            _refuse(f"The claim {spec.user_claim} is not a name of at most {LONGEST_USER} characters.")
        return _Known(Identity(principal_of(key), key, f"issuer/{issuer.metadata.name}", user), ends)

    def _follow(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind in (KEY.name, ISSUER.name):
            self.forget()


def _refuse(detail: str) -> NoReturn:
    raise UNAUTHENTICATED(detail)


def _meant(claims: JsonObject, spec: IssuerSpec) -> bool:
    return any(_has(claims.get("aud"), name) for name in spec.audience)


def _has(claim: Json, value: str) -> bool:
    """Whether a claim is a value, or a list with it in it."""
    return claim == value if isinstance(claim, str) else isinstance(claim, list) and value in claim


def _time(claims: Mapping[str, Json], name: str) -> float | None:
    """A NumericDate (RFC 7519, section 2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _object(part: str) -> JsonObject | None:
    raw = _decoded(part)
    if raw is None:
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _decoded(part: str) -> bytes | None:
    """base64url without padding (RFC 7515, section 2), and nothing that only looks like it."""
    try:
        raw = base64.b64decode(part.encode() + b"=" * (-len(part) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=") == part.encode() else None
