"""What was masked in one request, and what stands for it.

A value has one placeholder in a request, wherever it stands, and placeholders are numbered in the order in which their
values first appear. So a conversation that grows by a turn is masked as it was before, and what a provider has cached
of it stays cached. A placeholder that the request contains of its own accord is never given to a value.
"""

from __future__ import annotations

from collections.abc import Callable

PLACEHOLDER = r"\[[A-Z][A-Z0-9_]{0,40}_[1-9][0-9]{0,5}\]"
"""What a placeholder looks like (RE2). It has no character that JSON, HTML or a shell word would escape."""


class Vault:
    """The values of one request. ``stands`` says whether a text of a placeholder's form is in the request itself."""

    __slots__ = ("_covers", "_numbers", "_stands", "_values")

    def __init__(self, stands: Callable[[bytes], bool] = lambda _: False) -> None:
        self._stands = stands
        self._covers: dict[bytes, bytes] = {}
        self._values: dict[bytes, bytes] = {}
        self._numbers: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether there is anything to put back."""
        return bool(self._values)

    def cover(self, label: str, value: bytes, *, restorable: bool) -> bytes:
        """The placeholder of ``value``. ``restorable``: it was the caller's, who gets it back where the placeholder
        comes back."""
        known = self._covers.get(value)
        if known is not None:
            return known
        number = self._numbers.get(label, 0) + 1
        while self._stands(cover := f"[{label}_{number}]".encode()):
            number += 1
        self._numbers[label] = number
        self._covers[value] = cover
        if restorable:
            self._values[cover] = value
        return cover

    def value(self, cover: bytes) -> bytes | None:
        """What ``cover`` stands for, if the caller may have it back."""
        return self._values.get(cover)
