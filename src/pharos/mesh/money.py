"""Money as the city counts it: integers of a billionth of the currency unit, decimal strings on the wire.

See ``docs/decisions/0003-money.md``. No float ever holds an amount.
"""

from __future__ import annotations

from decimal import Decimal

NANOS = 1_000_000_000
"""Billionths in one currency unit."""

MOST_DIGITS = 7
"""Digits before the point of what one attempt can cost. None costs ten million; sums of such would leave 64 bits."""

MOST_COST: int = 10**MOST_DIGITS * NANOS - 1
"""The most that an attempt is recorded to cost, in billionths."""


def decimal_text(nanos: int) -> str:
    """An amount of billionths as a decimal string with nine places: ``18750`` is ``"0.000018750"``."""
    if nanos < 0:
        return f"-{decimal_text(-nanos)}"
    digits = str(nanos).rjust(10, "0")
    return f"{digits[:-9]}.{digits[-9:]}"


def in_words(nanos: int) -> str:
    """An amount as a sentence says it, with its currency and without zeros that say nothing: ``0.00001875 USD``."""
    whole, _, part = decimal_text(nanos).partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')} USD"


def nanos_of(text: str) -> int:
    """The inverse of :func:`decimal_text`, for an attempt's cost. Raises ``ValueError`` for anything else."""
    whole, _, part = text.partition(".")
    digits = whole + part.ljust(9, "0")
    if not 0 < len(whole) <= MOST_DIGITS or len(part) > 9 or not digits.isdigit() or not digits.isascii():
        raise ValueError("not an amount")
    return int(digits)


def to_nanos(amount: Decimal) -> int:
    """A decimal amount in billionths. Exact for amounts with at most nine places."""
    return int(amount.scaleb(9))
