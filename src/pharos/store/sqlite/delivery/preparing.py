"""What callers hand in, checked on the event loop before the writer's thread sees it."""

from __future__ import annotations

import math

from pharos.core.fault import INVALID
from pharos.store.delivery import (
    Acknowledge,
    Claim,
    Fence,
    Lane,
    Lease,
    Release,
    Renew,
    Subscribe,
    Suspend,
    Unsubscribe,
)
from pharos.store.sqlite.clock import to_microseconds
from pharos.store.sqlite.codec import dump, from_position
from pharos.store.sqlite.delivery.row import FOREVER

MAX_SECONDS = 366 * 86_400.0
"""The longest lease and the longest delay."""


def _microseconds(seconds: float, what: str, *, least: float = 0.0) -> int:
    if not (math.isfinite(seconds) and least <= seconds <= MAX_SECONDS):
        raise INVALID(f"{seconds!r} seconds are no {what}: {least:g} to {MAX_SECONDS:g} are.")
    return round(seconds * 1_000_000)


def prepare_text(command: Subscribe | Unsubscribe | Lane) -> None:
    """Raises ``INVALID`` for names that have no stored form."""
    dump(tuple(command))


def check_lease(lease: Lease) -> None:
    """Raises ``INVALID`` for a lease that never was one."""
    dump((lease.group, lease.topic, lease.owner))


def prepare_fence(command: Fence) -> None:
    """Raises ``INVALID`` for a lease that never was one."""
    check_lease(command.lease)


def prepare_claim(command: Claim) -> int:
    """The lease's length, in microseconds."""
    if not command.owner:
        raise INVALID("A claim needs an owner.")
    dump((command.group, command.owner, command.lanes, command.topic))
    return _microseconds(command.seconds, "lease", least=0.001)


def prepare_renew(command: Renew) -> int:
    """The lease's new length, in microseconds."""
    check_lease(command.lease)
    return _microseconds(command.seconds, "lease", least=0.001)


def prepare_acknowledge(command: Acknowledge) -> int:
    """The row number behind the position."""
    check_lease(command.lease)
    return from_position(command.position)


def prepare_release(command: Release) -> int:
    """The delay, in microseconds."""
    check_lease(command.lease)
    return _microseconds(command.delay, "delay")


def prepare_suspend(command: Suspend) -> int:
    """When the rest ends."""
    dump(command[:2])
    return FOREVER if command.until is None else to_microseconds(command.until)
