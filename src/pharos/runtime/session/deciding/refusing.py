"""Telling a model that a call is not made."""

from __future__ import annotations

from pharos.runtime.session import events
from pharos.runtime.session.commands import Proposed
from pharos.runtime.session.deciding.draft import Draft


def refuse(draft: Draft, proposed: Proposed, code: str, detail: str) -> None:
    """Answer the call with why it is not made."""
    draft.tell(
        events.EFFECT_REFUSED,
        {
            "call": proposed.call,
            "name": proposed.name,
            "code": code,
            "detail": f"{code}: {detail}",
            "digest": proposed.digest,
        },
    )
