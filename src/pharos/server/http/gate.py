"""What one address may ask of the city before anyone knows who it is.

Connections, requests and refused credentials are counted for each address (IPv6: for each network of 64 bits, which one
subscriber has) in a table of bounded size. The bounds are generous: they are against a flood, not for fairness, which
is the business of keys. Behind a proxy all callers share its address; there they are switched off, or set higher.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass

from pharos.core.fault import Fault
from pharos.server.faults import ADDRESS_LIMITED

MOST_ADDRESSES = 50_000
"""Addresses that are remembered; the one that was seen least recently, and has no connection, is forgotten first."""

BURST_SECONDS = 2.0
"""What an address may ask for at once, as so many seconds of its rate."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """For each address; 0 is no bound."""

    connections: int = 4_000
    """Open at once."""
    requests: int = 10_000
    """In a second, over some seconds; twice as many at once."""
    failures: int = 600
    """Answers in a minute that refuse a credential (401). Beyond, nothing of the address is looked at until the minute
    has passed: there is no secret to be found by trying, but each try costs."""


class Visitor:
    """One address, and what it has used."""

    __slots__ = ("_bounds", "_failed", "_failed_until", "_room", "_seen", "connections", "name")

    def __init__(self, name: str, bounds: Bounds, now: float) -> None:
        self.name = name
        self._bounds = bounds
        self.connections = 0
        self._room = bounds.requests * BURST_SECONDS
        self._seen = now
        self._failed = 0
        self._failed_until = 0.0

    def refusal(self, now: float) -> Fault | None:
        """Take note of a request; the fault to refuse it with, if it is one too many."""
        bounds = self._bounds
        if bounds.failures and self._failed >= bounds.failures:
            if now < self._failed_until:
                return _limited("refused credentials in a minute", bounds.failures, self._failed_until - now)
            self._failed = 0
        if bounds.requests:
            room = min(bounds.requests * BURST_SECONDS, self._room + (now - self._seen) * bounds.requests)
            self._seen = now
            if room < 1.0:
                self._room = room
                return _limited("requests in a second", bounds.requests, (1.0 - room) / bounds.requests)
            self._room = room - 1.0
        return None

    def failed(self, now: float) -> None:
        """Its credential was refused."""
        if now >= self._failed_until:
            self._failed, self._failed_until = 0, now + 60.0
        self._failed += 1


class Gate:
    """The table of addresses."""

    def __init__(self, bounds: Bounds, most: int = MOST_ADDRESSES) -> None:
        self._bounds = bounds
        self._most = most
        # Who is connected is not forgotten, or it could begin again; they are bounded by the connections of a city.
        self._inside: dict[str, Visitor] = {}
        self._outside: OrderedDict[str, Visitor] = OrderedDict()
        """Those who left, in the order they did."""

    def enter(self, address: str, now: float) -> tuple[Visitor, Fault | None]:
        """A connection from ``address``, and the fault to refuse it with. It leaves in either case."""
        name = network(address)
        visitor = self._inside.get(name)
        if visitor is None:
            known = self._outside.pop(name) if name in self._outside else None
            visitor = self._inside[name] = known or Visitor(name, self._bounds, now)
            self._forget()
        visitor.connections += 1
        most = self._bounds.connections
        if most and visitor.connections > most:
            return visitor, _limited("open connections", most, 1.0)
        return visitor, None

    def leave(self, visitor: Visitor) -> None:
        """The connection has ended."""
        visitor.connections -= 1
        if not visitor.connections:
            del self._inside[visitor.name]
            self._outside[visitor.name] = visitor
            self._forget()

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._inside) + len(self._outside)

    def _forget(self) -> None:
        while self._outside and len(self) > self._most:
            self._outside.popitem(last=False)


def network(address: str) -> str:
    """What counts as one address."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return parsed.packed[:8].hex()


def _limited(what: str, most: int, seconds: float) -> Fault:
    return ADDRESS_LIMITED(
        f"This address has used up its {most} {what}.",
        facts={"bound": what, "limit": most},
        retry_after=max(0.001, math.ceil(seconds * 1000) / 1000),
    )
