"""Sums over the ledger by any of its dimensions, labels included.

The database adds up what has the same columns; what is derived from a column (the value of one label, the month of a
day) is added up here, from the few rows that come back. All of it is integers, so sums of sums are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator

from pharos.core.projection import Row
from pharos.core.wire import Wire
from pharos.insight.fields import as_time
from pharos.insight.ledger.items import TOKEN_COLUMNS, Tokens, integer, object_in, tokens_in
from pharos.mesh.money import decimal_text

LABEL = "label:"
DAY = 86_400_000_000
"""Microseconds."""

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "key": ("namespace", "key_name"),
    "namespace": ("namespace",),
    "team": ("team",),
    "user": ("user_name",),
    "model": ("model",),
    "target": ("target",),
    "provider": ("provider",),
    "outcome": ("outcome",),
    "tier": ("tier",),
    "day": (f"at / {DAY}",),
    "month": (f"at / {DAY}",),
}
GROUPS = tuple(_COLUMNS)


def _known(value: str) -> str:
    if value in _COLUMNS or (value.startswith(LABEL) and len(LABEL) < len(value) <= 256):
        return value
    raise ValueError(f"must be one of {', '.join(GROUPS)}, or label:NAME")


Group = Annotated[str, AfterValidator(_known)]
"""``key``, ``namespace``, ``team``, ``user``, ``model``, ``target``, ``provider``, ``outcome``, ``tier``, ``day``,
``month``, or ``label:NAME`` for the value of a label of the key. Days and months are those of UTC."""


class Sum(Wire):
    """A sum over rows in one currency, corrections included."""

    currency: str
    attempts: int
    unpriced: int
    """How many of them have no known price and so are not in ``cost``."""
    cost: str
    """The exact sum of what is priced."""
    corrections: str | None = None
    """How much of ``cost`` are corrections; absent where there are none."""
    cached: int | None = None
    """How many calls were given another call's answer and cost nothing."""
    saved: str | None = None
    """What those answers had cost."""
    tokens: Tokens


class GroupSum(Sum):
    """The sum of one group: of its fields those are present that were asked for in ``by``."""

    key: str | None = None
    namespace: str | None = None
    """With ``key`` too."""
    team: str | None = None
    user: str | None = None
    model: str | None = None
    target: str | None = None
    provider: str | None = None
    outcome: str | None = None
    tier: str | None = None
    day: str | None = None
    month: str | None = None
    labels: dict[str, str] | None = None
    """Values of the labels that were asked for; empty where a key does not have the label."""


_IS = "SUM(CASE WHEN kind = '{}' THEN {} ELSE 0 END)"
SUMS = (
    f"currency, {_IS.format('attempt', 1)}, SUM(unpriced), COALESCE(SUM(cost), 0), "
    f"COALESCE({_IS.format('correction', 'cost')}, 0), {_IS.format('cached', 1)}, SUM(saved), "
    + ", ".join(f"SUM({name})" for name in TOKEN_COLUMNS)
)
"""What the database adds up, after its currency."""
WIDTH = 7 + len(TOKEN_COLUMNS)

Key = tuple[str, tuple[str, ...]]
"""Currency, then the values of the groups (of ``key``, namespace and name with a ``/`` between)."""


class Grouping:
    """What to sum by."""

    def __init__(self, by: Sequence[str]) -> None:
        self.groups = tuple(dict.fromkeys(by))
        columns: list[str] = []
        for group in self.groups:
            columns += ("labels",) if group.startswith(LABEL) else _COLUMNS[group]
        self.columns = tuple(dict.fromkeys(columns))

    @property
    def select(self) -> str:
        """Columns to select and to group by; begins with a comma where there are any."""
        return "".join(f", {column}" for column in self.columns)

    def values(self, row: Sequence[Any]) -> tuple[str, ...]:
        """The values of the groups, from those of :attr:`columns`."""
        of = dict(zip(self.columns, row, strict=True))
        values = []
        for group in self.groups:
            if group.startswith(LABEL):
                values.append(str(object_in(of["labels"]).get(group.removeprefix(LABEL), "")))
            elif group in ("day", "month"):
                day = as_time(of[f"at / {DAY}"] * DAY).date().isoformat()
                values.append(day if group == "day" else day[:7])
            else:
                values.append("/".join(str(of[column]) for column in _COLUMNS[group]))
        return tuple(values)

    def fields(self, values: Sequence[str]) -> dict[str, Any]:
        """Values of the groups as the fields of :class:`GroupSum`."""
        fields: dict[str, Any] = {}
        for group, value in zip(self.groups, values, strict=True):
            if group.startswith(LABEL):
                fields.setdefault("labels", {})[group.removeprefix(LABEL)] = value
            elif group == "key":
                fields["namespace"], _, fields["key"] = value.partition("/")
            else:
                fields[group] = value
        return fields

    def merge(self, rows: Sequence[Row]) -> dict[Key, list[int]]:
        """Sums by group, from rows of :data:`SUMS` and :attr:`columns`."""
        merged: dict[Key, list[int]] = {}
        for row in rows:
            key = (str(row[0]), self.values(row[WIDTH:]))
            sums = merged.setdefault(key, [0] * (WIDTH - 1))
            for place, value in enumerate(row[1:WIDTH]):
                sums[place] += integer(value)
        return merged


def sum_fields(currency: str, sums: Sequence[int]) -> dict[str, Any]:
    """The fields of :class:`Sum`."""
    attempts, unpriced, cost, corrections, cached, saved, *tokens = sums
    return {
        "currency": currency,
        "attempts": attempts,
        "unpriced": unpriced,
        "cost": decimal_text(cost),
        "corrections": decimal_text(corrections) if corrections else None,
        "cached": cached or None,
        "saved": decimal_text(saved) if cached else None,
        "tokens": tokens_in(tuple(tokens)),
    }


COST = 2
"""Place of the cost among the sums."""
