"""Label selectors: ``team=a,tier!=free,owner,!temporary``. All terms must hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pharos.control.problems import invalid
from pharos.control.wording import quoted
from pharos.core.fault import Problem

MOST_TERMS = 32


@dataclass(frozen=True, slots=True)
class Term:
    """One requirement: ``value`` is ``None`` where only the presence of ``key`` counts."""

    key: str
    value: str | None
    wanted: bool


@dataclass(frozen=True, slots=True)
class Selector:
    """A conjunction of terms; without terms it selects everything."""

    terms: tuple[Term, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all terms hold. ``key!=value`` also holds where the label is absent, as in Kubernetes."""
        return all(
            (term.key in labels if term.value is None else labels.get(term.key) == term.value) is term.wanted
            for term in self.terms
        )


def parse_selector(text: str, pointer: str = "/selector") -> Selector:
    """Read a selector. Raises ``INVALID``."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > MOST_TERMS:
        raise invalid([Problem(pointer=pointer, message=f"More than {MOST_TERMS} terms.")])
    return Selector(tuple(_term(part, pointer) for part in parts))


def _term(part: str, pointer: str) -> Term:
    key, unequal, value = part.partition("!=")
    if unequal:
        term = Term(key.strip(), value.strip(), wanted=False)
    elif "=" in part:
        key, _, value = part.partition("=")
        term = Term(key.strip(), value.removeprefix("=").strip(), wanted=True)
    else:
        term = Term(part.removeprefix("!").strip(), None, wanted=not part.startswith("!"))
    if not term.key or any(c in term.key for c in "=!") or (term.value is not None and "=" in term.value):
        message = f"{quoted(part)} is not a term; write key=value, key!=value, key or !key."
        raise invalid([Problem(pointer=pointer, message=message)])
    return term
