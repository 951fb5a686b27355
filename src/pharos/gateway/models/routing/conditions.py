"""Conditions of rules: expressions over one call (see ``control/expressions.py``).

What can be known of an expression without a call is found when it is applied: its syntax, its names and functions, and,
by trying it on sample calls, its types. What is left (a label that a key does not have, a text that is no number) makes
the rule not apply to that one call. The reason that is recorded is one of a few fixed sentences: the words of an error
may repeat what the prompt says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pharos.control.expressions import (
    MAX_EXPRESSION,
    Expression,
    Variables,
    context_of,
    first_sentence,
    misspelt,
    one_of,
)
from pharos.control.wording import nearest
from pharos.core.wire import Json

if TYPE_CHECKING:
    import cel

MAX_LOOPS = 2
"""Macros that walk over a list, in one expression: nested, their times multiply."""

NAMES = (
    "dialect", "features", "headers", "inputTokens", "key", "maxOutputTokens", "metadata", "model", "prompt", "session",
    "stream", "text", "tools", "user",
)  # fmt: skip
"""The variables; what they mean stands in ``question.py``."""

KEY_MEMBERS = ("labels", "name", "namespace")
"""What an expression can ask of the key."""

_FUNCTIONS = frozenset({"contains", "endsWith", "matches", "size", "startsWith"})
_CONVERSIONS = frozenset({"bool", "bytes", "double", "duration", "int", "string", "timestamp", "uint"})
_DATES = frozenset(
    {
        "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds",
        "getMinutes", "getMonth", "getSeconds",
    }
)  # fmt: skip
_KNOWN = _FUNCTIONS | _CONVERSIONS | _DATES

_MEMBER = re.compile(r"""\b(key\s*\.\s*labels|headers|metadata)\s*(?:\.\s*(\w+)|\[\s*(?:"([^"]*)"|'([^']*)')\s*\])""")
_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
# Texts are passed over as such, so that what stands in them is no member.
_KEY_MEMBER = re.compile(
    rf"""(?<![\w.])key\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*(?:'([^'\\]*)'|"([^"\\]*)")\s*\])|(?:{_TEXT})"""
)
_UNDEFINED = "Undefined variable or function"


class Condition(Expression):
    """When a rule applies."""

    __slots__ = ()

    def holds(self, context: cel.Context) -> bool | str:
        """Whether it is true of a call; a sentence, if that cannot be said."""
        try:
            value = self.evaluate(context)
        except Exception as error:  # noqa: BLE001 - the binding raises whatever fits, down to OverflowError
            return _reason(error)
        return value if type(value) is bool else "it is neither true nor false"

    def attempt(self, variables: Variables) -> str:
        """What is wrong with it on a sample call, so that it cannot be right on another; empty if nothing."""
        try:
            value = self.evaluate(context_of(variables))
        except TypeError as error:
            return f"cannot be evaluated: {first_sentence(error)}"
        except RuntimeError as error:
            told = str(error)
            if told.startswith(_UNDEFINED) or "not a valid regex" in told:
                return f"cannot be evaluated: {first_sentence(error)}"
            return ""
        except Exception:  # noqa: BLE001 - a member that the sample lacks, a text that is no number: another call has it
            return ""
        return "" if type(value) is bool else f"must be true or false; this is of type {type(value).__name__}"


def problems_of(source: str) -> Sequence[str]:
    """What is wrong with an expression, whatever the call."""
    if len(source) > MAX_EXPRESSION:
        return ()  # said by the type of the field
    try:
        condition = Condition(source)
    except ValueError as error:
        return (misspelt(error),)
    problems = [*condition.strangers(NAMES)]
    for name in sorted(_members_of_key(condition) - set(KEY_MEMBERS)):
        problems.append(f"the key has no member {name!r}; {one_of(name, KEY_MEMBERS)}")
    for name in sorted(set(condition.functions()) - _KNOWN):
        problems.append(f"there is no function {name!r}; {_suggestion(name)}")
    if len(condition.bound) > MAX_LOOPS:
        problems.append(f"walks over lists more than {MAX_LOOPS} times")
    if not problems:
        found = dict.fromkeys(filter(None, (condition.attempt(sample) for sample in _samples(source))))
        problems += list(found)[:1]
    return problems


def _members_of_key(condition: Condition) -> set[str]:
    """The members of ``key`` that an expression names. Where a loop calls its own variable so, nobody can say."""
    if "key" in condition.bound:
        return set()
    return {word or single or double for word, single, double in _KEY_MEMBER.findall(condition.source)} - {""}


def _suggestion(name: str) -> str:
    close = nearest(name, _FUNCTIONS | _CONVERSIONS)
    return f"did you mean {close!r}?" if close else f"there are {', '.join(sorted(_FUNCTIONS | _CONVERSIONS))}"


def _samples(source: str) -> Iterator[Variables]:
    """Calls that differ in what most expressions ask, with every member that this one names."""
    members: dict[str, dict[str, Json]] = {"labels": {}, "headers": {}, "metadata": {}}
    for place, word, double, single in _MEMBER.findall(source):
        members[place.rpartition(".")[2].strip()][word or double or single] = "sample"
    for yes in (False, True):
        for number in (0, 1_000_000):
            yield {
                "dialect": "openai-chat",
                "features": ["tools", "vision", "documents", "audio", "schema"] if yes else [],
                "headers": members["headers"],
                "inputTokens": number,
                "key": {"name": "sample", "namespace": "default", "labels": members["labels"]},
                "maxOutputTokens": number,
                "metadata": members["metadata"],
                "model": "sample",
                "prompt": "sample",
                "session": "sample" if yes else "",
                "stream": yes,
                "text": "sample",
                "tools": ["sample"] if yes else [],
                "user": "sample" if yes else "",
            }


def _reason(error: Exception) -> str:
    match error:
        case LookupError():
            return "it names a member that is not there"
        case TypeError():
            return "it compares what cannot be compared"
        case ArithmeticError():
            return "a number is too large, or divided by zero"
    return "it cannot be evaluated on this call"
