"""When a rule asks for agreement: expressions over one call (see ``control/expressions.py``).

Variables: ``tool`` (its name), ``effect`` (its class), ``arguments``, ``agent``, ``depth``, and in USD ``budget`` (what
the call gives to other agents), ``spent`` and ``left`` (of the session's limit; -1 where it has none).

Where nobody can say whether a condition holds (an argument that is not there, a text that is no number), it does: who
is in doubt is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from pharos.control.expressions import Expression, Variables, context_of, misspelt

NAMES: Final = ("agent", "arguments", "budget", "depth", "effect", "left", "spent", "tool")

MAX_LOOPS: Final = 1
"""Macros that walk over a list, in one expression: nested, their times multiply, and a model chooses how long it is."""


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
        value = _compiled(source).evaluate(context_of(variables))
    except Exception:  # noqa: BLE001 - the binding raises whatever fits; in doubt somebody is asked
        return True
    return value is not False
