"""What a worker holds while it works: a lease on a topic and a slot of its pool."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from pharos.store.delivery import Lease


class Grant(Protocol):
    """The right to work on one delivery, in one slot, until the ``async with`` block that gave it is left.

    The lease is renewed meanwhile. The worker ends it by its own commits; where it does not, leaving the block gives
    the lease back (after an error: with the attempt counted and a growing delay).
    """

    @property
    def lease(self) -> Lease:
        """The lease as it is now: put it into ``Fence``, ``Acknowledge``, ``Release`` and ``Bury``."""

    @property
    def lane(self) -> str:
        """The lane it came from."""

    @property
    def slot(self) -> int:
        """Number of the slot, from 0, which nobody else has: for what only one may use, such as a device. It may be
        another one after :meth:`aside`."""

    @property
    def lost(self) -> asyncio.Event:
        """Set when somebody else may have the topic: nothing that is committed with this lease will be taken."""

    def kept(self, lease: Lease) -> None:
        """Take the lease that ``Acknowledge(…, keep=True)`` returned."""

    def ended(self) -> None:
        """A commit of the worker gave the lease back (``Acknowledge`` without ``keep``, ``Release``, ``Bury``)."""

    def use(self, *, tokens: int = 0, cost: int = 0) -> None:
        """Add what the work used: tokens, and cost in billionths. It is settled when the grant ends."""

    def pause(self, seconds: float, reason: str = "", **match: str) -> None:
        """A provider asked for patience (``Retry-After``): grant nobody of the pool whose flow matches, for so long.

        Without ``match``: who works for the same tenant with the same model (a model's name is the tenant's), or the
        grant's whole flow where it has no model.
        """

    def aside(self) -> AbstractAsyncContextManager[None]:
        """``async with grant.aside():`` waits inside without the slot, so that a child can have it. The lease stays.

        Leaving the block waits for a slot again: before work of the same class that has not begun.
        """


class Dispatch(Protocol):
    """Grants work of a group, the next one that its pools allow."""

    def grant(self, owner: str, *, renew: bool = True) -> AbstractAsyncContextManager[Grant]:
        """``async with dispatcher.grant("worker-1") as grant:`` waits for the next delivery. It may wait for ever: who
        stops cancels it, and then nothing was taken. As many can wait as there are workers; nobody polls.

        Without ``renew`` the holder renews the lease itself, as one does that is elsewhere and may be cut off, and
        tells :meth:`Grant.kept`; when the lease ends, it is taken back for good and the slot is given to the next.
        """
