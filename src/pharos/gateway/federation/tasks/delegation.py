"""The extension ``delegation`` as a value: what a caller says about the tree of tasks that its call belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from pharos.core.fault import INVALID, Problem
from pharos.core.wire import JsonObject

DELEGATION: Final = "https://pharos.dev/a2a/extensions/delegation/v1"

MOST_PATH = 64
_MOST_TEXT = 512


@dataclass(frozen=True, slots=True)
class Delegation:
    """What a caller says about the tree of tasks that its call belongs to."""

    tree: str = ""
    depth: int = 0
    path: tuple[str, ...] = ()
    budget: str | None = None
    """Decimal text: the most money it may spend."""

    def metadata(self) -> JsonObject:
        """As it goes into a request's metadata."""
        said: JsonObject = {"tree": self.tree, "depth": self.depth, "path": list(self.path)}
        if self.budget is not None:
            said["budget"] = self.budget
        return {DELEGATION: said}


def delegation_in(metadata: JsonObject) -> Delegation:
    """What the metadata of a request says. Raises ``INVALID``: a limit that cannot be read must not be passed over."""
    said = metadata.get(DELEGATION)
    if said is None:
        return Delegation()
    at = f"/metadata/{DELEGATION.replace('~', '~0').replace('/', '~1')}"
    if not isinstance(said, dict):
        raise _invalid(at, "must be an object")
    tree, depth, path, budget = said.get("tree", ""), said.get("depth", 0), said.get("path", []), said.get("budget")
    if not isinstance(tree, str) or len(tree) > _MOST_TEXT:
        raise _invalid(f"{at}/tree", "must be a text")
    # Numbers of a protobuf Struct are doubles.
    if isinstance(depth, bool) or not isinstance(depth, int | float) or depth != int(depth) or not 0 <= depth <= 1_000:
        raise _invalid(f"{at}/depth", "must be a number from 0 to 1000")
    if not isinstance(path, list) or len(path) > MOST_PATH:
        raise _invalid(f"{at}/path", f"must be a list of at most {MOST_PATH} texts")
    names = tuple(name for name in path if isinstance(name, str) and len(name) <= _MOST_TEXT)
    if len(names) < len(path):
        raise _invalid(f"{at}/path", "must be a list of texts")
    return Delegation(tree, int(depth), names, None if budget is None else _amount(budget, f"{at}/budget"))


def _amount(value: object, at: str) -> str:
    try:
        amount = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or amount < 0:
        raise _invalid(at, "must be an amount as decimal text, such as 0.50")
    return str(value)


def _invalid(at: str, what: str) -> Exception:
    return INVALID(f"The delegation {what}.", pointer=at, problems=[Problem(pointer=at, message=what)])
