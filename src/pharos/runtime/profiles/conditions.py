"""When a rule asks for agreement: expressions of the Common Expression Language (https://cel.dev) over one call.

Variables: ``tool`` (its name), ``effect`` (its class), ``arguments``, ``agent``, ``depth``, and in USD ``budget`` (what
the call gives to other agents), ``spent`` and ``left`` (of the session's limit; -1 where it has none).

Where nobody can say whether a condition holds (an argument that is not there, a text that is no number), it does: who
is in doubt is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pharos.control.wording import nearest
from pharos.core.wire import Json

if TYPE_CHECKING:
    import cel

NAMES: Final = ("agent", "arguments", "budget", "depth", "effect", "left", "spent", "tool")

Variables = Mapping[str, Json]

MAX_LOOPS: Final = 1
"""Macros that walk over a list, in one expression: nested, their times multiply, and a model chooses how long it is."""

_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|map|filter)\s*\(\s*(\w+)\s*,")


def problems_of(source: str) -> Sequence[str]:
    """What is wrong with an expression, whatever the call."""
    try:
        used = set(_compiled(source).variables()) - set(_LOOP.findall(source))
    except ValueError as error:
        return (f"is not a CEL expression: {str(error).splitlines()[0][:200]}",)
    problems = []
    if len(_LOOP.findall(source)) > MAX_LOOPS:
        problems.append("walks over lists more than once")
    for name in sorted(used - set(NAMES)):
        close = nearest(name, NAMES)
        hint = f"did you mean {close!r}?" if close else f"there are {', '.join(NAMES)}"
        problems.append(f"there is no variable {name!r}; {hint}")
    return problems


@lru_cache(maxsize=1_024)
def _compiled(source: str) -> cel.Program:
    import cel  # with the first condition: the package brings a command line of its own, and most cities have none

    return cel.compile(source)


def holds(source: str, variables: Variables) -> bool:
    """Whether the condition is true of a call, or nobody can say."""
    from cel import Context

    try:
        value = _compiled(source).execute(Context(variables=dict(variables)))
    except Exception:  # noqa: BLE001 - the binding raises whatever fits; in doubt somebody is asked
        return True
    return value is not False
