"""One call under its guards: its request masked, its answer given back, what was found on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.splice import replaced
from pharos.gateway.models.guarding.glance import clears
from pharos.gateway.models.guarding.places import locate
from pharos.gateway.models.guarding.texts import Form, Path, Spot, Texts, at, pointer
from pharos.mesh.facts import Guarded, GuardFinding
from pharos.trust.guard.findings import Findings, ScanFailed
from pharos.trust.guard.json_stream import JsonStream
from pharos.trust.guard.kinds import Direction
from pharos.trust.guard.policy import Policy
from pharos.trust.guard.scanner import Scanner
from pharos.trust.guard.text_stream import Machine, Place, Rewriter, TextStream
from pharos.trust.guard.vault import Vault

MAX_TOLD = 100
"""Findings that a call's event lists."""

MAX_PLACE = 256

_Change = tuple[int, int, str]

_OUTGOING: dict[Direction, frozenset[Direction]] = {
    "prompt": frozenset({"prompt"}),
    "toolResults": frozenset({"toolResults"}),
    # What the model once wrote as arguments has been put back for the caller, and now goes out as part of the prompt.
    "toolArguments": frozenset({"toolArguments", "prompt"}),
}
_INCOMING: dict[Direction, frozenset[Direction]] = {
    "answer": frozenset({"answer"}),
    "toolArguments": frozenset({"toolArguments"}),
}


class Examination:
    """What guards do to one call. Kept on ``call.guard``, recorded with it."""

    __slots__ = ("findings", "policy", "texts", "vault")

    def __init__(self, policy: Policy, texts: Texts | None) -> None:
        self.policy = policy
        self.texts = texts
        self.findings = Findings()
        self.vault = Vault()

    @property
    def incoming(self) -> Scanner | None:
        """What the answer must go through; ``None``: it may pass as it is."""
        return self.policy.answer or (self.policy.restore if self.vault else None)

    def request(self, raw: bytes, body: JsonObject) -> tuple[bytes, JsonObject]:
        """The request as it may go out, and its body. Raises ``ScanFailed``."""
        scanner = self.policy.request
        if self.policy.broken:
            raise ScanFailed(self.policy.broken)
        if scanner is None:
            return raw, body
        texts = self._texts()
        if clears(scanner, raw, body):
            return raw, body
        spots = texts.request(body)
        found = [_read(body, spot) for spot in spots.found]
        joined = b"\n".join([text.content for text in found])
        if not scanner.suspects(joined):
            return raw, body
        self.vault = Vault(lambda cover: cover in joined)
        suspicious = [index for index, text in enumerate(found) if scanner.suspects(text.content)]
        document = raw.decode()
        spans = _spans(document, [found[index].spot.path for index in suspicious])
        changes: list[_Change] = []
        for index in suspicious:
            text = found[index]
            path, direction = text.spot.path, text.spot.direction
            seen = Place(pointer(path), direction, _OUTGOING[direction], True, index < spots.marked)
            _rewrite(document, spans[path], self.whole(scanner, text.form, seen), changes)
        if not changes:
            return raw, body
        masked = replaced(document, changes).encode()
        touched = {found[index].spot.path[0] for index in suspicious}
        # Other members stay what they are: the body may have one that its bytes do not (a conversation's id).
        return masked, {key: new if key in touched else body.get(key, new) for key, new in _parsed(masked).items()}

    def answer(self, raw: bytes) -> bytes:
        """A whole answer as the client may have it. Raises ``ScanFailed``."""
        scanner = self.incoming
        if scanner is None or clears(scanner, raw):
            return raw
        body = orjson.loads(raw)
        if not isinstance(body, dict):
            return raw
        spots, echoes = self._texts().answer(body)
        suspicious = [text for text in (_read(body, spot) for spot in spots) if scanner.suspects(text.content)]
        if not suspicious:
            return raw
        document = raw.decode()
        spans = _spans(document, [*(text.spot.path for text in suspicious), *echoes])
        changes: list[_Change] = []
        for text in suspicious:
            machine = self.whole(scanner, text.form, self.coming(text.spot), copy=text.spot.copy)
            _rewrite(document, spans[text.spot.path], machine, changes)
        if not changes:
            return raw
        changes += [(*spans[path], "null") for path in echoes if path in spans]
        return replaced(document, changes).encode()

    def coming(self, spot: Spot) -> Place:
        """The place of a text that comes back."""
        return Place(spot.channel or pointer(spot.path), spot.direction, _INCOMING[spot.direction], False)

    def whole(self, scanner: Scanner, form: Form, place: Place, *, copy: bool = False) -> Machine:
        """The machine for the JSON text of a value of that form, quotes and all. What is found in a ``copy`` of
        another text is not counted again."""
        bare = form == "value" and place.direction == "toolArguments"
        findings = Findings() if copy else self.findings
        return JsonStream(lambda: self._piece(scanner, form, place, findings), bare=bare)

    def piece(self, scanner: Scanner, form: Form, place: Place) -> Machine:
        """The machine for the content of a string of that form."""
        return self._piece(scanner, form, place, self.findings)

    def _piece(self, scanner: Scanner, form: Form, place: Place, findings: Findings) -> Machine:
        if form == "json":
            return JsonStream(lambda: TextStream(scanner, place, findings, self.vault), bare=True)
        return TextStream(scanner, place, findings, self.vault)

    def facts(self) -> Guarded:
        """What the call's event says of it."""
        counts = self.findings.counts
        told: list[GuardFinding] = []
        for finding, count in list(counts.items())[:MAX_TOLD]:
            one: GuardFinding = {
                "guard": finding.guard,
                "detector": finding.detector,
                "action": finding.action,
                "direction": finding.direction,
                "place": finding.place[:MAX_PLACE],
                "count": count,
            }
            if finding.shadow:
                one["shadow"] = True
            if finding.cached:
                one["cached"] = True
            told.append(one)
        facts: Guarded = {"guards": list(self.policy.guards), "findings": told}
        if self.findings.failed:
            facts["failed"] = self.findings.failed
        if len(counts) > len(told):
            facts["more"] = len(counts) - len(told)
        return facts

    def _texts(self) -> Texts:
        if self.texts is None:
            raise ScanFailed("nobody has said where this dialect has its texts")
        return self.texts


class _Text(NamedTuple):
    """A text at a spot, decoded for a first look, and its true form."""

    spot: Spot
    form: Form
    content: bytes


def _read(body: JsonObject, spot: Spot) -> _Text:
    form, value = spot.form, at(body, spot.path)
    if isinstance(value, str):
        if form != "json":
            return _Text(spot, form, value.encode())
        try:
            value = orjson.loads(value)
        except ValueError:  # arguments that were cut off, or never were JSON
            return _Text(spot, "text", str(value).encode())
    return _Text(spot, form, "\n".join(_leaves(value)).encode())


def _rewrite(document: str, span: tuple[int, int], machine: Machine, changes: list[_Change]) -> None:
    old = document[slice(*span)]
    rewriter = Rewriter(machine)
    new = (rewriter.feed(old.encode()) + rewriter.end()).decode()
    if new != old:
        changes.append((*span, new))


def _parsed(raw: bytes) -> JsonObject:
    body = orjson.loads(raw)
    return body if isinstance(body, dict) else {}


def _spans(text: str, paths: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    try:
        return locate(text, paths)
    except ValueError:
        raise ScanFailed("it is nested too deeply") from None


def _leaves(value: Json) -> Iterator[str]:
    """All strings, keys and numbers in a value."""
    left: list[Json] = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            yield from item
            left += item.values()
        elif isinstance(item, list):
            left += item
        elif isinstance(item, int | float):
            yield str(item)
