"""What could not be taken over as it was, and the reading of a configuration such that nothing is left out in silence.

Every member of the configuration is either taken by somebody or ends in the report. Values are never repeated there: a
configuration has secrets in places where nobody expects them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pharos.core.wire import Json, Wire

Outcome = Literal["dropped", "changed", "todo"]


_WORDS: Mapping[str, bool] = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
"""What YAML 1.1 takes for true and false, and the city's reader for text."""


class Unmapped(Wire):
    """A place of the configuration that no manifest says as it was said there."""

    pointer: str
    """JSON pointer into the configuration."""
    outcome: Outcome
    """``dropped``: nothing stands for it. ``changed``: something like it does. ``todo``: somebody must do something
    before the manifests work as the configuration did."""
    reason: str


class Report:
    """Collects what could not be taken over; each place once."""

    def __init__(self) -> None:
        self._found: dict[str, Unmapped] = {}

    def add(self, pointer: str, outcome: Outcome, reason: str) -> None:
        """Note a place."""
        self._found.setdefault(pointer, Unmapped(pointer=pointer, outcome=outcome, reason=reason))

    @property
    def items(self) -> list[Unmapped]:
        """In the order they were found."""
        return list(self._found.values())


class Section:
    """An object of the configuration, read member by member."""

    def __init__(self, value: Json, pointer: str, report: Report) -> None:
        self.pointer = pointer
        self.report = report
        if value is not None and not isinstance(value, dict):
            report.add(pointer, "dropped", "is not an object")
        self._members = value if isinstance(value, dict) else {}
        self._taken: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._members)

    def at(self, name: str) -> str:
        """Pointer of a member."""
        return f"{self.pointer}/{name.replace('~', '~0').replace('/', '~1')}"

    def names(self) -> list[str]:
        """Names of the members."""
        return list(self._members)

    def take(self, name: str) -> Json:
        """A member; ``None`` if it is not there. From now on it counts as taken over."""
        self._taken.add(name)
        return self._members.get(name)

    def has(self, name: str) -> bool:
        """Whether there is such a member."""
        return self._members.get(name) is not None

    def section(self, name: str) -> Section:
        """A member that is an object."""
        return Section(self.take(name), self.at(name), self.report)

    def text(self, name: str) -> str | None:
        """A member that is text."""
        return self._typed(name, self.take(name))

    def _typed(self, name: str, value: Json) -> str | None:
        if value is None or isinstance(value, str):
            return value or None
        self.report.add(self.at(name), "dropped", "is not text")
        return None

    def number(self, name: str, least: float = 0) -> float | None:
        """A member that is a number, also as text, and not below ``least``."""
        value = self.take(name)
        if value is None:
            return None
        try:
            number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
        except (ValueError, OverflowError):
            number = None
        if number is None or not least <= number < 1e15:
            self.report.add(self.at(name), "dropped", f"is not a number of at least {least:g}")
            return None
        return number

    def flag(self, name: str) -> bool | None:
        """A member that is true or false."""
        value = self.take(name)
        if isinstance(value, str):
            value = _WORDS.get(value.lower(), value)
        if value is None or isinstance(value, bool):
            return value
        self.report.add(self.at(name), "dropped", "is neither true nor false")
        return None

    def rest(self, reasons: Mapping[str, tuple[Outcome, str]], otherwise: str = "has no counterpart") -> None:
        """Report every member that nobody took. What is off, empty or absent is not missed."""
        for name, value in self._members.items():
            if name in self._taken or value in (None, False, [], {}, ""):
                continue
            outcome, reason = reasons.get(name, ("dropped", otherwise))
            self.report.add(self.at(name), outcome, reason)
