"""Texts that must have a form: the pattern that is checked, and what is said to who gives something else."""

from __future__ import annotations

_WORDS: dict[str, str] = {}


def form(pattern: str, words: str) -> str:
    """``pattern``, to constrain a text by. Who gives a text that does not match is told ``Must be {words}.``

    ``words`` say what is meant and have an example. Raises ``ValueError`` for other words of the same pattern: a
    validator's error names the pattern alone.
    """
    if _WORDS.setdefault(pattern, words) != words:
        raise ValueError(f"the pattern {pattern} already means {_WORDS[pattern]!r}")
    return pattern


def in_words(pattern: str) -> str | None:
    """What a text of a form must be; ``None`` for a pattern that nobody has put into words."""
    return _WORDS.get(pattern)


# Forms that several rooms share.

REFERENCE = form(
    r"^([a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$",
    "a name in lower case, such as planner, or one with its namespace, such as other/planner",
)
WORD = form(
    r"^[a-z][a-z0-9_-]{0,63}$",
    "a word such as not_now: lower-case letters, digits, '_' and '-', a letter at its beginning, at most 64 long",
)
LINE = form(r"^[^\x00-\x1f\x7f]+$", "text on one line, without control characters")
SHA256 = form(r"^[0-9a-f]{64}$", "64 digits 0-9 and a-f")
SLUG = form(
    r"^[a-z][a-z0-9-]{0,31}$",
    "a name such as ticket: lower-case letters, digits and '-', a letter at its beginning, at most 32 long",
)
