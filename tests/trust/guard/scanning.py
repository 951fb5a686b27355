"""One text through the machines of guards, whole or in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pharos.trust.guard.catalog import named
from pharos.trust.guard.detector import Detector
from pharos.trust.guard.findings import Findings
from pharos.trust.guard.json_stream import JsonStream
from pharos.trust.guard.kinds import DIRECTIONS, Action
from pharos.trust.guard.scanner import Allowed, Scanner, Use
from pharos.trust.guard.text_stream import Machine, Place, Rewriter, TextStream
from pharos.trust.guard.vault import Vault

EVERY = ("pii", "credentials", "unicode", "injection")
PROMPT = Place("/x", "prompt", frozenset({"prompt"}), caller=True)
ANSWER = Place("/y", "answer", frozenset({"answer"}), caller=False)


def use(action: Action = "mask", *, shadow: bool = False, allow: Sequence[str] = (), rule: int = 0) -> Use:
    return Use("default/g", rule, action, frozenset(DIRECTIONS), shadow, Allowed(allow, ()))


def scanner(
    names: Sequence[str] = EVERY,
    wanted: Use | None = None,
    *,
    regions: Sequence[str] = (),
    own: Sequence[Detector] = (),
    restores: bool = False,
) -> Scanner:
    how = wanted or use()
    return Scanner([(d, how) for d in (*named(names, regions), *own)], restores=restores)


@dataclass
class Through:
    """What came of a text."""

    text: str = ""
    findings: Findings = field(default_factory=Findings)
    vault: Vault = field(default_factory=Vault)

    @property
    def found(self) -> list[str]:
        return sorted(finding.detector for finding, count in self.findings.counts.items() for _ in range(count))


def through(
    how: Scanner,
    pieces: str | Sequence[str],
    *,
    place: Place = PROMPT,
    vault: Vault | None = None,
    json: bool = False,
    bare: bool = False,
) -> Through:
    """``pieces`` through a machine; ``json``: the texts inside them."""
    result = Through(vault=vault if vault is not None else Vault())

    def text() -> Machine:
        return TextStream(how, place, result.findings, result.vault)

    rewriter = Rewriter(JsonStream(text, bare=bare) if json else text())
    out = [rewriter.feed(piece.encode()) for piece in ([pieces] if isinstance(pieces, str) else pieces)]
    result.text = b"".join([*out, rewriter.end()]).decode()
    return result


def cut(text: str, places: Sequence[int]) -> list[str]:
    """``text`` in pieces."""
    edges = [0, *sorted({place for place in places if 0 < place < len(text)}), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]
