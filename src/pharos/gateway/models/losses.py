"""What a request loses on its way to a provider of another dialect: told in the call's record, or refused."""

from __future__ import annotations

from collections.abc import Sequence

from pharos.core.fault import INVALID, Problem
from pharos.gateway.models.call import Call

STRICT = b"x-pharos-strict"
"""The header by which a client has its call refused rather than lose something; ``Model.strict`` asks it of all."""

MOST_NAMED = 64
"""Losses of one call that are named."""

_LONGEST = 256


def accept(call: Call, dropped: Sequence[str]) -> None:
    """Note that what has no counterpart at the provider is lost. Raises ``INVALID`` where nothing may be."""
    if _is_strict(call):
        problems = [
            Problem(pointer=at, message="has no counterpart in the provider's dialect") for at in dropped[:MOST_NAMED]
        ]
        raise INVALID(
            f"{dropped[0]}: has no counterpart in the dialect of {call.attempt.target.label}, and nothing may be lost.",
            pointer=dropped[0],
            problems=problems,
            rule="models/strict",
        )
    call.route["dropped"] = ", ".join([at[:_LONGEST] for at in dropped[:MOST_NAMED]])


def _is_strict(call: Call) -> bool:
    word = call.header(STRICT).strip().lower()
    if word not in ("", "on", "off"):
        raise INVALID("The header x-pharos-strict is on or off.", rule="models/strict")
    return call.model.spec.strict or word == "on"
