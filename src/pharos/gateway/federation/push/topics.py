"""Where notifications are kept: the topics of their configurations and of their outboxes, and the events in them."""

from __future__ import annotations

from typing import Final

from pharos.runtime.session.address import Address

PREFIX: Final = "a2a/push/"
CONFIGURED: Final = "a2a.push.configured"
REMOVED: Final = "a2a.push.removed"
FINISHED: Final = "a2a.push.finished"
"""Everything there is to tell has been handed over: the task has ended."""

OUTBOX: Final = "a2a/outbox/"
DUE: Final = "a2a.push.due"


def topic_of(address: Address) -> str:
    """Where a task's configurations are."""
    return f"{PREFIX}{address}"


def address_of(outbox: str) -> Address:
    """The task whose outbox it is."""
    namespace, id, _ = outbox.removeprefix(OUTBOX).split("/", 2)
    return Address(namespace, id)
