"""Reading on in what was too large to be shown: the tool that every note of something left out names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pharos.core.fault import INVALID, NOT_FOUND
from pharos.core.principal import Principal
from pharos.core.wire import Json, JsonObject
from pharos.mesh.connectors import EffectClass, Errand, Known, Tool, ToolResult
from pharos.runtime.context.excerpts import READER
from pharos.runtime.session.address import Address
from pharos.runtime.worker.live import read
from pharos.store.ports import Store

MOST: Final = 16_384
"""Bytes of one reading."""

_TOOL: Final = Tool(
    READER,
    "Read a part of a result that was too large to be shown, by the digest that stands where something is left out.",
    {
        "type": "object",
        "properties": {
            "digest": {"type": "string"},
            "start": {"type": "integer", "minimum": 0, "description": "First byte; left out: the beginning."},
            "end": {"type": "integer", "minimum": 1, "description": f"At most {MOST} bytes further."},
        },
        "required": ["digest"],
        "additionalProperties": False,
    },
    EffectClass.PURE,
    version="1",
)


class ResultTools:
    """Offers the tool. It reads only what the session itself has been told of: a digest opens nothing else. A
    :class:`~pharos.mesh.connectors.ToolConnector`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def tools(self, principal: Principal) -> Sequence[Tool]:
        """The one, for everyone."""
        return (_TOOL,)

    async def call(self, errand: Errand, name: str, arguments: JsonObject) -> ToolResult:
        """Read. Raises ``NOT_FOUND`` and ``INVALID``."""
        if name != READER:
            raise NOT_FOUND(f"There is no tool {name!r}.")
        digest = str(arguments.get("digest", ""))
        start = _number(arguments.get("start", 0), "start")
        end = min(_number(arguments.get("end", start + MOST), "end"), start + MOST)
        state = (await read(self._store.log, Address.parse(errand.session))).state
        told = (item for step in state.steps for item in step.items)
        if not any(item.blob is not None and item.blob["digest"] == digest for item in told):
            raise NOT_FOUND(f"This session was told of no result {digest[:80]!r}.")
        size = await self._store.blobs.size(digest)
        if size is None or start >= size or end <= start:
            raise INVALID(f"{digest} has {size or 0} bytes; there are none from {start} to {end}.")
        end = min(end, size)
        raw = b"".join([piece async for piece in self._store.blobs.get(digest, start, end)])
        rest = f"\n[{size - end} bytes follow; the next begin at {end}]" if end < size else ""
        return ToolResult(f"{raw.decode(errors='replace')}{rest}")

    async def lookup(self, errand: Errand, name: str) -> tuple[Known, ToolResult | None]:
        """Never asked: reading is pure."""
        return "unknown", None


def _number(value: Json, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise INVALID(f"{name} must be a number from 0.", pointer=f"/{name}")
    return value
