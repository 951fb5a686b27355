"""Ends connections whose peer is too slow: one look over all of them costs less than a timer for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pharos.server.http.protocol import BoundedProtocol


async def watch(connections: Iterable[object], period: float = 1.0) -> None:
    """Close connections that are past a deadline, until cancelled.

    One look over all of them each ``period`` seconds costs less than a timer for each request.
    """
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(period)
        now = loop.time()
        for connection in list(connections):
            if not isinstance(connection, BoundedProtocol):
                continue
            if connection.unread(now):
                connection.transport.abort()
            elif connection.idle(now):
                connection.transport.close()
            elif connection.late(now):
                connection.give_up()
