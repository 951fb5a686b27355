"""Both sides speak one dialect: what is sent is edited in place, what comes back is watched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from pharos.core.fault import FaultDocument
from pharos.gateway.models.answers.exchange import Flow, Whole, illegal, parse_object
from pharos.gateway.models.answers.sse import END, Parser
from pharos.gateway.models.answers.stencil import Stencil
from pharos.gateway.models.call import Call
from pharos.gateway.models.dialects.canonical import Failure
from pharos.gateway.models.dialects.dialect import NO_NAMES, Dialect, Edits, Failing
from pharos.gateway.models.dialects.parts import served_tier
from pharos.gateway.models.targets import Target
from pharos.gateway.models.upstream.transport import Headers
from pharos.mesh.facts import Usage

_TIER = re.compile(rb'"service_tier"\s*:\s*"([a-z_]{1,32})"')
_SPEED = re.compile(rb'"speed"\s*:\s*"([a-z_]{1,32})"')


class Diagonal:
    """Both sides speak one dialect: every byte passes as it is, but for the declared edits."""

    __slots__ = ("_call", "_dialect", "_hide", "_target", "dropped")

    def __init__(self, call: Call, target: Target, dialect: Dialect) -> None:
        self._call = call
        self._target = target
        self._dialect = dialect
        self._hide = call.ask.stream and not call.ask.wants_usage
        self.dropped: Sequence[str] = ()

    @property
    def path(self) -> str:
        return self._target.paths[self._call.ask.stream]

    def request(self) -> bytes:
        call = self._call
        target, limit = self._target, call.bounds.set_output
        edits = Edits(target.model, self._hide, None if limit is None else target.output_limit(limit))
        return self._dialect.edit(call.raw, call.body, edits)

    def headers(self) -> Headers:
        forwarded = _as_bytes(self._dialect.forwarded)
        if forwarded.isdisjoint(self._call.fields):
            return ()
        return [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in self._call.headers if name in forwarded
        ]

    def whole(self, raw: bytes) -> Whole:
        body = parse_object(raw)
        dialect = self._dialect
        usage, model = dialect.usage(body), dialect.answered_model(body)
        if usage is None:
            dialect.read_answer(body)  # an answer without numbers must at least be an answer
        return Whole(raw, usage, model)

    def flow(self) -> Flow:
        return Watching(self._dialect, self._hide, _tier_pattern(self._call))

    @property
    def names(self) -> Mapping[str, str]:
        return NO_NAMES


@cache
def _as_bytes(names: frozenset[str]) -> frozenset[bytes]:
    """Names of headers as they stand in a request."""
    return frozenset(name.encode("latin-1") for name in names)


def _tier_pattern(call: Call) -> re.Pattern[bytes] | None:
    """Finds the tier that was served in a stream where one was asked for, under the name by which it was: also in one
    that is cut before its usage, which tells the tier of all others."""
    if not call.tier:
        return None
    return _SPEED if "speed" in call.body else _TIER


class Watching:
    """A stream that passes as it is. See :class:`Flow`."""

    __slots__ = (
        "_parser",
        "_tier_pattern",
        "_watcher",
        "complete",
        "content",
        "failure",
        "stencil",
        "tier",
    )

    def __init__(self, dialect: Dialect, hide_usage: bool, tier_pattern: re.Pattern[bytes] | None) -> None:
        self._parser = Parser()
        self._watcher = dialect.watcher(hide_usage)
        self._tier_pattern = tier_pattern
        self.stencil = Stencil()
        self.content = False
        self.complete = False
        self.failure: Failure | None = None
        self.tier = ""

    def feed(self, chunk: bytes) -> bytes:
        if not self._parser.rest and self.stencil.fits(chunk):
            return chunk
        if self._tier_pattern is not None and (found := self._tier_pattern.search(chunk)) is not None:
            self.tier = served_tier(found[1].decode())
        out = []
        watcher = self._watcher
        see = watcher.see
        said = watcher.output_bytes
        try:
            for frame in self._parser.feed(chunk):
                seen = see(frame)
                if seen.failure is not None:
                    self.failure = seen.failure
                    break
                if seen.content:
                    self.content = True
                    if seen.text and frame.raw is chunk and self.stencil.lessons:
                        self.stencil.learn(chunk, seen.text, watcher.output_bytes - said)
                if not seen.hide:
                    out.append(frame.raw)
        except ValueError as error:
            self.failure = illegal(error)
        if self._watcher.complete:
            self.complete = True
        return out[0] if len(out) == 1 else b"".join(out)

    def end(self) -> bytes:
        out = []
        try:
            for frame in self._parser.end():
                seen = self._watcher.see(frame)
                self.failure = self.failure or seen.failure
                if not seen.hide:
                    out.append(frame.raw)
            out.append(self._watcher.see(END).more)
        except ValueError as error:
            self.failure = self.failure or illegal(error)
        self.complete = self._watcher.complete
        return b"".join(out)

    def fault(self, document: FaultDocument) -> bytes:
        watcher = self._watcher
        return watcher.fail(document) if isinstance(watcher, Failing) else b""

    @property
    def usage(self) -> Usage | None:
        return self._watcher.usage

    @property
    def model(self) -> str:
        return self._watcher.model

    @property
    def output_bytes(self) -> int:
        return self._watcher.output_bytes + self.stencil.size
