"""The ledger as a file for other programs, streamed."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Mapping
from io import StringIO
from typing import Literal

import orjson

from pharos.core.fault import TIMEOUT
from pharos.core.operation import Invocation, read
from pharos.core.wire import Wire
from pharos.insight.ledger.focus import COLUMNS as FOCUS
from pharos.insight.ledger.focus import Value
from pharos.insight.ledger.items import ITEM_COLUMNS, LedgerFilter, LedgerItem, conditions, item_of
from pharos.insight.ledger.reads import CATCH_UP
from pharos.insight.ledger.rows import LEDGER
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Store

PAGE = 500

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet may take for a formula at the beginning of a text."""


class Export(LedgerFilter):
    """Input of ``ledger.export``."""

    format: Literal["csv", "focus"] = "csv"
    """``csv``: the fields of ``ledger.list``. ``focus``: the columns of FOCUS 1.2."""


class Chunk(Wire):
    """A piece of the file: the pieces one after the other are the file."""

    text: str
    rows: int
    """Rows in this piece; the first one has the header too."""


CSV: Mapping[str, Value] = {
    "id": lambda item: item.id,
    "kind": lambda item: item.kind,
    "time": lambda item: item.time.isoformat().replace("+00:00", "Z"),
    "call": lambda item: item.call,
    "attempt": lambda item: str(item.attempt),
    "namespace": lambda item: item.namespace,
    "key": lambda item: item.key,
    "team": lambda item: item.team,
    "user": lambda item: item.user or "",
    "labels": lambda item: orjson.dumps(item.labels, option=orjson.OPT_SORT_KEYS).decode() if item.labels else "",
    "model": lambda item: item.model,
    "target": lambda item: item.target,
    "answered": lambda item: item.answered,
    "provider": lambda item: item.provider,
    "tier": lambda item: item.tier or "",
    "outcome": lambda item: item.outcome,
    "input": lambda item: str(item.tokens.input),
    "cacheRead": lambda item: str(item.tokens.cache_read),
    "cacheWrite5m": lambda item: str(item.tokens.cache_write_5m),
    "cacheWrite30m": lambda item: str(item.tokens.cache_write_30m or 0),
    "cacheWrite1h": lambda item: str(item.tokens.cache_write_1h),
    "cacheWrite12h": lambda item: str(item.tokens.cache_write_12h or 0),
    "inputAudio": lambda item: str(item.tokens.input_audio or 0),
    "inputImage": lambda item: str(item.tokens.input_image or 0),
    "cacheReadAudio": lambda item: str(item.tokens.cache_read_audio or 0),
    "toolPrompt": lambda item: str(item.tokens.tool_prompt or 0),
    "output": lambda item: str(item.tokens.output),
    "reasoning": lambda item: str(item.tokens.reasoning),
    "outputAudio": lambda item: str(item.tokens.output_audio or 0),
    "outputImage": lambda item: str(item.tokens.output_image or 0),
    "estimated": lambda item: "true" if item.tokens.estimated else "false",
    "serverTools": lambda item: orjson.dumps(item.server_tools).decode() if item.server_tools else "",
    "priceSource": lambda item: item.price.source,
    "priceVersion": lambda item: item.price.version,
    "cost": lambda item: item.cost or "",
    "saved": lambda item: item.saved or "",
    "currency": lambda item: item.currency,
    "corrects": lambda item: item.corrects or "",
    "reason": lambda item: item.reason or "",
    "by": lambda item: item.by or "",
}
_AMOUNTS = frozenset({"cost", "BilledCost", "ContractedCost", "EffectiveCost", "ListCost"})


class Exports:
    """The operation."""

    def __init__(self, store: Store, runner: ProjectionRunner) -> None:
        self._store = store
        self._runner = runner

    @read("ledger.export", permission="ledger.read", faults=(TIMEOUT,), typical_ms=1000)
    async def export(self, invocation: Invocation, input: Export) -> AsyncIterator[Chunk]:
        """Write the ledger as CSV (RFC 4180), oldest row first, as it is at this moment.

        ``focus`` gives the columns of FOCUS 1.2 for FinOps tools. An attempt without a known price has an empty cost in
        ``csv``; in ``focus``, which demands an amount, it has 0 and ``x_Priced`` is false. A text that a spreadsheet
        would take for a formula has an apostrophe before it.
        """
        await self._runner.caught_up(LEDGER, CATCH_UP)
        head = await self._store.log.head()
        where, parameters = conditions(input)
        columns = FOCUS if input.format == "focus" else CSV
        text = _line(columns)
        place: dict[str, str | int] = {"at": -(2**62), "after": "", "number": 0}
        while True:
            rows = await self._store.views.query(
                f"SELECT NULL, {ITEM_COLUMNS} FROM ledger l WHERE {' AND '.join(where)} "  # noqa: S608 (ours)
                "AND l.position <= :head AND (l.at, l.position, l.number) > (:at, :after, :number) "
                "ORDER BY l.at, l.position, l.number LIMIT :limit",
                parameters | place | {"head": head, "limit": PAGE},
            )
            buffer = StringIO()
            writer = csv.writer(buffer)
            for row in rows:
                writer.writerow(_cells(item_of(row), columns))
            yield Chunk(text=text + buffer.getvalue(), rows=len(rows))
            if len(rows) < PAGE:
                return
            text = ""
            _, position, number, at, *_ = rows[-1]
            place = {"at": int(at or 0), "after": str(position), "number": int(number or 0)}


def _line(columns: Mapping[str, Value]) -> str:
    buffer = StringIO()
    csv.writer(buffer).writerow(columns)
    return buffer.getvalue()


def _cells(item: LedgerItem, columns: Mapping[str, Value]) -> list[str]:
    cells = []
    for name, value in columns.items():
        cell = value(item)
        cells.append(f"'{cell}" if cell.startswith(_FORMULA) and name not in _AMOUNTS else cell)
    return cells
