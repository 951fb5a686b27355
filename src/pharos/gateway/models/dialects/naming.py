"""Names and marks that must survive a trip through another dialect.

Tool names that a provider would refuse get a legal spelling that is the same in every turn (it is computed from the
name alone) and different for different names. Call ids get one that can be read back. Reasoning that one dialect's
provider produced and another dialect's client holds is marked with its origin, so that it is sent back only to where
it means something.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_FOREIGN = "pharos:"
_UNSIGNED = "!"
_WRAPPED = "pharos_id_"


def legal(name: str, longest: int) -> str:
    """``name`` if it has only ASCII letters, digits, ``_`` and ``-`` and at most ``longest`` of them; else a spelling
    that has, with eight hexadecimal digits of the name's SHA-256 at its end."""
    if name and len(name) <= longest and _ILLEGAL.search(name) is None:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_ILLEGAL.sub('_', name)[: longest - 9]}_{digest}"


def legal_id(identity: str) -> str:
    """A call id of ASCII letters, digits, ``_`` and ``-``: any other is wrapped, for :func:`plain_id` to unwrap."""
    if identity and _ILLEGAL.search(identity) is None:
        return identity
    return _WRAPPED + base64.urlsafe_b64encode(identity.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def plain_id(identity: str) -> str:
    """The id as the server that made it knows it."""
    if not identity.startswith(_WRAPPED):
        return identity
    inner = identity.removeprefix(_WRAPPED)
    try:
        return base64.urlsafe_b64decode(inner + "=" * (-len(inner) % 4)).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        return identity


def origin_of(dialect: str, model: str) -> str:
    """The ``Thinking.origin`` of what this provider produced."""
    return f"{dialect}/{model}"


def marked(origin: str, signature: str) -> str:
    """A signature, or the lack of one (``""``), with its origin: what a client of another dialect keeps for us."""
    return f"{_FOREIGN}{origin}:{signature or _UNSIGNED}"


def is_marked(signature: str) -> bool:
    """Whether :func:`marked` made this."""
    return signature.startswith(_FOREIGN)


def unmarked(signature: str) -> tuple[str, str]:
    """The origin and the signature that :func:`marked` joined; an unmarked signature has the origin ``""``."""
    if not is_marked(signature):
        return "", signature
    # A model name may contain a colon, a signature (base64) never does.
    where, _, proof = signature.removeprefix(_FOREIGN).rpartition(":")
    return where, "" if proof == _UNSIGNED else proof
