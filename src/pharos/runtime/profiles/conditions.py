"""When a rule asks for agreement: expressions over one call (see ``control/expressions.py``).

Variables: ``tool`` (its name), ``effect`` (its class), ``arguments``, ``agent``, ``depth``, and in USD ``budget`` (what
the call gives to other agents), ``spent`` and ``left`` (of the session's limit; -1 where it has none).

Where nobody can say whether a condition holds (an argument that is not there, a text that is no number), it does: who
is in doubt is asked. So it is with arguments that would take too long to look at: a model chooses how much they are,
and the binding copies values, with each step over a list perhaps all of them. (What routing looks at is cut: see
``gateway/models/routing/question.py``.)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from pharos.control.expressions import Expression, Variables, context_of, misspelt
from pharos.core.wire import Json

NAMES: Final = ("agent", "arguments", "budget", "depth", "effect", "left", "spent", "tool")

MAX_LOOPS: Final = 1
"""Macros that walk over a list, in one expression: nested, their times multiply, and a model chooses how long it is."""


MOST_VALUES: Final = 2_000
"""Members and elements, however deep, in the variables that an expression names. The binding takes 3 us for one."""

MOST_STEPS: Final = 250_000
"""Elements of the longest list, times all there is to be copied for each, times how often: up to 150 ns for one."""

CHARACTERS_PER_VALUE: Final = 100
"""So many characters are as dear as a value: a pattern is tried on each."""


def problems_of(source: str) -> Sequence[str]:
    """What is wrong with an expression, whatever the call."""
    try:
        expression = _compiled(source)
    except ValueError as error:
        return (misspelt(error),)
    problems = ["walks over lists more than once"] if len(expression.bound) > MAX_LOOPS else []
    return [*problems, *expression.strangers(NAMES)]


_compiled = lru_cache(maxsize=1_024)(Expression)


def holds(source: str, variables: Variables) -> bool:
    """Whether the condition is true of a call, or nobody can say."""
    try:
        expression = _compiled(source)
        seen = {name: variables[name] for name in expression.variables}
        if _too_large(expression, [*seen.values()]):
            return True
        value = expression.evaluate(context_of(seen))
    except Exception:  # noqa: BLE001 - the binding raises whatever fits; in doubt somebody is asked
        return True
    return value is not False


def _too_large(expression: Expression, left: list[Json]) -> bool:
    """Whether looking at these values may take too long."""
    values = characters = longest = 0
    while left:
        one = left.pop()
        values += 1
        if isinstance(one, str):
            characters += len(one)
        elif isinstance(one, list | dict):
            longest = max(longest, len(one))
            if values + len(left) + len(one) > MOST_VALUES:
                return True
            characters += sum(map(len, one)) if isinstance(one, dict) else 0
            left += one.values() if isinstance(one, dict) else one
    power = len(expression.bound) + expression.maps
    weight = values + characters // CHARACTERS_PER_VALUE
    steps = max(longest, expression.longest) ** power
    return power > 0 and steps * weight * expression.looks > MOST_STEPS
