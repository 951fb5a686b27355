"""Reading rows. The tables are STRICT: a column holds what its declaration says, so rows unpack into those types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

from pharos.core.fault import INVALID
from pharos.core.projection import Scalar

Bindings = Sequence[Scalar] | Mapping[str, Scalar]


def select(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> list[tuple[Any, ...]]:
    """All rows of a query. Raises ``INVALID`` for a parameter that no table can hold."""
    try:
        return connection.execute(sql, bindings).fetchall()
    except (UnicodeEncodeError, OverflowError) as error:
        raise INVALID(f"A parameter can be in no table: {error}.") from error


def integer(connection: apsw.Connection, sql: str, bindings: Bindings = ()) -> int:
    """The one integer a query finds; 0 if it finds none."""
    found = connection.execute(sql, bindings).get
    return found if isinstance(found, int) else 0
