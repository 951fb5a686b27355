"""A call that the city makes itself: what a door does for the call of a client, without the door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import orjson

from pharos.core.ids import uuid7
from pharos.core.wire import JsonObject
from pharos.gateway.models.call import Call, Task
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.spending.settlement import Settlements
from pharos.gateway.models.upstream.watchdog import Watchdogs


@contextmanager
def inner_call(
    dialect: Dialect,
    body: JsonObject,
    settlements: Settlements,
    watchdogs: Watchdogs,
    *,
    fields: Mapping[bytes, bytes],
    correlation: str = "",
    cause: str = "",
    task: Task | None = None,
) -> Iterator[Call]:
    """A call under way, until left: what it reserved is settled then."""
    raw = orjson.dumps(body)

    async def read() -> bytes:
        return raw

    id = uuid7()
    watchdog = watchdogs.watch()
    call = Call(
        id=id,
        dialect=dialect,
        headers=(),
        fields=fields,
        read=read,
        watchdog=watchdog,
        correlation=correlation or id,
        cause=cause,
        task=task,
    )
    settlements.begin(id)
    try:
        yield call
    finally:
        settlements.end(id)
        watchdog.close()
        # The call and its reader know each other: untied, they are freed at once and not by the collector.
        call.read = _nothing_more


async def _nothing_more() -> bytes:
    return b""
