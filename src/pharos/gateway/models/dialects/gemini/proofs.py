"""``thoughtSignature``: what a model needs to have back of its own reasoning, as base64.

Gemini's own signatures pass as they are. Reasoning that a provider of another dialect produced gets a signature in
which our mark stands (see ``naming.marked``), so that it goes back to where it came from and nowhere else.
"""

from __future__ import annotations

import base64
import binascii

from pharos.gateway.models.dialects.naming import is_marked, marked, unmarked

SKIP = "skip_thought_signature_validator"
"""Google's word for a call that another model made, which nobody signed (Gemini API, thought signatures, FAQ)."""

REDACTED = "~"
"""Begins what :func:`sealed` keeps of reasoning that has no text, only opaque data. No signature begins so."""

_HEAD = "cGhhcm9zO"
"""Base64 of ``pharos:``, as far as what follows does not change it."""


def sealed(origin: str, signature: str) -> str:
    """A foreign signature, or the lack of one, as this dialect's member."""
    return base64.b64encode(marked(origin, signature).encode("utf-8", "surrogatepass")).decode()


def unsealed(signature: str) -> tuple[str, str]:
    """The origin and signature that :func:`sealed` joined; one of the dialect's own has the origin ``""``.

    The official SDK decodes signatures and writes them again in the URL-safe alphabet.
    """
    if is_sealed(signature):
        try:
            text = base64.urlsafe_b64decode(_padded(signature)).decode("utf-8", "surrogatepass")
        except (binascii.Error, ValueError):
            return "", signature
        if is_marked(text):
            return unmarked(text)
    return "", signature


def is_sealed(signature: str) -> bool:
    """Whether :func:`sealed` made this (or at least seems to have)."""
    return signature.startswith(_HEAD)


def standard(data: str) -> str:
    """Base64 in the standard alphabet: other dialects know no other."""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)


def _padded(data: str) -> str:
    return data.rstrip("=").replace("+", "-").replace("/", "_") + "=" * (-len(data.rstrip("=")) % 4)
