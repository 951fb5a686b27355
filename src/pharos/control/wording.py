"""How a fault speaks of what a caller sent: quoted, cut short, never a secret; and the real name nearest to it.

Text from outside (names, fields, kinds) is data. It may appear in a fault only through :func:`quoted`; nothing in a
fault is ever derived from it but a comparison with names the city already knows.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable

HIDDEN = "(looks like a secret: not shown)"

_PREFIXES = re.compile(
    r"(?i)\b(sk|pk|rk)[-_][\w-]{8,}|\b(gh[a-z]|github_pat|glpat|xox[a-z]|ph|pharos)[-_][\w-]{16,}"
    r"|\b(AKIA|ASIA|AIza)\w{12,}|\beyJ[\w-]{8,}|\bbearer\s+\S+|-----BEGIN"
)
_RUN = re.compile(r"[A-Za-z0-9+/=]{20,}")
_LONGEST = 80
_LONGEST_NAME = 128


def looks_secret(text: str) -> bool:
    """Whether ``text`` contains something shaped like a credential: a known prefix, or a long run of high entropy."""
    return bool(_PREFIXES.search(text)) or any(_is_random(run) for run in _RUN.findall(text))


def without_secrets(message: str) -> str:
    """``message`` with every part that looks like a credential replaced."""
    message = _PREFIXES.sub(HIDDEN, message)
    return _RUN.sub(lambda match: HIDDEN if _is_random(match[0]) else match[0], message)


def quoted(text: object) -> str:
    """``text`` as a literal of at most 80 characters, control characters escaped; :data:`HIDDEN` for a secret."""
    value = str(text)
    if looks_secret(value[:4096]):
        return HIDDEN
    shown = value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
    return repr(shown.encode("utf-8", "backslashreplace").decode())


def nearest(name: str, options: Iterable[str]) -> str | None:
    """The option closest to ``name`` in spelling (Ratcliff/Obershelp similarity of at least 0.6), ignoring case."""
    if len(name) > _LONGEST_NAME:  # the comparison is quadratic
        return None
    by_folded = {option.casefold(): option for option in options}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def _is_random(run: str) -> bool:
    """Letters and at least three digits, in an order that carries more than 3.5 bits per character."""
    digits = sum(c.isdigit() for c in run)
    if digits < 3 or not any(c.isalpha() for c in run):
        return False
    counts = Counter(run).values()
    return -sum(n / len(run) * math.log2(n / len(run)) for n in counts) > 3.5
