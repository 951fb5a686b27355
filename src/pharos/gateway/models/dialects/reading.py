"""Reading JSON that somebody else wrote: every wrong member is found, with its pointer, before anything is refused."""

from __future__ import annotations

from collections.abc import Iterator

from pharos.core.fault import INVALID, Fault, Problem
from pharos.core.wire import Json, JsonObject

MAX_PROBLEMS = 32
"""More are not listed: a body of a thousand wrong messages is refused with the first of them."""

TRANSLATION = "dialects/translation"
"""``rule`` of a fault for a request that is well formed and that the provider's dialect cannot express."""


def pointer(at: str, key: str | int) -> str:
    """The JSON pointer (RFC 6901) of a member of what is at ``at``."""
    if isinstance(key, int):
        return f"{at}/{key}"
    return f"{at}/{key.replace('~', '~0').replace('/', '~1')}" if "~" in key or "/" in key else f"{at}/{key}"


def refusal(at: str, message: str) -> Fault:
    """``INVALID`` for one thing that the provider's dialect cannot express and that must not be left out."""
    return INVALID(f"{at}: {message}", pointer=at, problems=[Problem(pointer=at, message=message)], rule=TRANSLATION)


class Reading:
    """One reading of one body. The methods return what is there, or ``None`` for an absent, null or wrong member."""

    __slots__ = ("_malformed", "problems")

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._malformed = False

    def wrong(self, at: str, message: str) -> None:
        """Note a member that is not what the dialect defines."""
        self._malformed = True
        self._note(at, message)

    def untranslatable(self, at: str, message: str) -> None:
        """Note a member that is legal and that no other dialect can carry."""
        self._note(at, message)

    def close(self) -> None:
        """Raises ``INVALID`` with all problems, if there are any."""
        if self.problems:
            first = self.problems[0]
            more = f" ({len(self.problems) - 1} more in `problems`)" if len(self.problems) > 1 else ""
            raise INVALID(
                f"{first.pointer or '/'}: {first.message}{more}",
                pointer=first.pointer,
                problems=self.problems,
                rule=None if self._malformed else TRANSLATION,
            )

    def string(self, holder: JsonObject, key: str, at: str = "") -> str | None:
        """A text member."""
        value = holder.get(key)
        if value is None or isinstance(value, str):
            return value
        self._expected(at, key, "a string")
        return None

    def boolean(self, holder: JsonObject, key: str, at: str = "") -> bool | None:
        """A true or false member."""
        value = holder.get(key)
        if value is None or isinstance(value, bool):
            return value
        self._expected(at, key, "true or false")
        return None

    def integer(self, holder: JsonObject, key: str, at: str = "", minimum: int = 0) -> int | None:
        """A whole number member of at least ``minimum``."""
        value = holder.get(key)
        if value is None or (type(value) is int and value >= minimum):
            return value
        self._expected(at, key, f"a whole number of at least {minimum}")
        return None

    def number(self, holder: JsonObject, key: str, at: str = "") -> float | None:
        """A number member."""
        value = holder.get(key)
        if value is None or type(value) is int or type(value) is float:
            return value
        self._expected(at, key, "a number")
        return None

    def object(self, holder: JsonObject, key: str, at: str = "") -> JsonObject | None:
        """An object member."""
        value = holder.get(key)
        if value is None or isinstance(value, dict):
            return value
        self._expected(at, key, "an object")
        return None

    def array(self, holder: JsonObject, key: str, at: str = "") -> list[Json] | None:
        """An array member."""
        value = holder.get(key)
        if value is None or isinstance(value, list):
            return value
        self._expected(at, key, "an array")
        return None

    def objects(self, holder: JsonObject, key: str, at: str = "") -> Iterator[tuple[JsonObject, str]]:
        """The objects of an array member, each with its pointer."""
        here = pointer(at, key)
        for index, item in enumerate(self.array(holder, key, at) or ()):
            if isinstance(item, dict):
                yield item, f"{here}/{index}"
            else:
                self.wrong(f"{here}/{index}", "must be an object")

    def filled(self, holder: JsonObject, key: str) -> None:
        """Say of a member without content which it is: not there, or empty."""
        at = pointer("", key)
        if not any(problem.pointer == at for problem in self.problems):
            self.wrong(at, "must not be empty" if holder.get(key) in ([], "") else "is required")

    def required(self, value: str | None, at: str) -> str:
        """``value``, which must be there and not empty."""
        if not value and not any(problem.pointer == at for problem in self.problems):
            self.wrong(at, "is required")
        return value or ""

    def _expected(self, at: str, key: str, what: str) -> None:
        self.wrong(pointer(at, key), f"must be {what}")

    def _note(self, at: str, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(pointer=at, message=message))
