"""Going on with an answer of which the client has seen the beginning: what it saw, and how another answer joins it.

What the client saw is read back from the very bytes it was sent, by the reader of its own dialect: that is the truth,
whichever way they came about, and it costs nothing before something fails. A writer that has been told the same events
then writes what follows, with the ids of the beginning. The other answer is always translated, also where both dialects
are one: its frames belong to another message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, cast

import orjson

from pharos.core.fault import Fault
from pharos.core.wire import JsonObject
from pharos.gateway.models.answers.sse import Frame, Parser, encode
from pharos.gateway.models.call import Call
from pharos.gateway.models.dialects.canonical import (
    BlockEnded,
    BlockStarted,
    Delta,
    Finished,
    Signed,
    Started,
    StreamEvent,
)
from pharos.gateway.models.dialects.continuing import CONTINUING, Continuing
from pharos.gateway.models.dialects.dialect import Dialect, Following, StreamWriter
from pharos.gateway.models.dialects.naming import origin_of
from pharos.gateway.models.resilience.spec import PrefillForm
from pharos.gateway.models.targets import Target
from pharos.mesh.facts import Usage, added, prompt_of, tokens_of

LEAST_ECHO = 16
"""Characters of a beginning that is recognised where a server repeats it. A shorter one may well occur twice."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the client has seen of an answer."""

    frames: Sequence[Frame]
    events: Sequence[StreamEvent]
    text: str
    thought: bool
    """Reasoning is among it."""
    open: int
    """The block that has not ended; -1: none."""
    next: int
    """The index of the next block."""


NOTHING_SAID = Said((), (), "", thought=False, open=-1, next=0)

Mark = Callable[[bytes], bytes | None]
"""Marks the frame among these that begins a new answer; ``None`` if none of them does."""


def said_of(dialect: Dialect, continuing: Continuing, sent: bytes) -> Said | None:
    """What ``sent`` says in the client's dialect; ``None`` if nothing can follow it: a tool call has begun, on which
    the client may be acting already, or it was told why the model stopped. Raises ``ValueError`` for an unclear one."""
    parser, reader = Parser(len(sent) + 1), dialect.reader()
    frames = [*parser.feed(sent), *parser.end()]
    events: list[StreamEvent] = []
    for frame in frames:
        if frame.data and continuing.closed(_object(frame)):
            return None
        events += reader.read(frame)
    text: list[str] = []
    kinds: dict[int, str] = {}
    open = -1
    for event in events:
        match event:
            case BlockStarted(index, kind):
                if kind == "tool":
                    return None
                kinds[index] = kind
                open = index
            case Delta(index, more):
                if kinds.get(index) == "text":
                    text.append(more)
            case BlockEnded():
                open = -1
    if not kinds:
        return None
    return Said(frames, events, "".join(text), "thinking" in kinds.values(), open, max(kinds) + 1)


def _object(frame: Frame) -> JsonObject:
    value = orjson.loads(frame.data) if frame.data.startswith(b"{") else {}
    return cast("JsonObject", value)


class Continuation:
    """How the answer to one call goes on after it was cut off. Made anew for each time."""

    def __init__(self, call: Call, said: Said, kind: Literal["resume", "restart"], used: Usage) -> None:
        """``used`` is what the answers of which the client saw something used. Raises ``ValueError`` where nothing can
        join what was said."""
        self.kind = kind
        self._said = said
        self._used = used
        self._dialect = call.dialect
        self._asked = call.ask
        # No provider takes a beginning that ends with white space.
        self.text = said.text.rstrip() if kind == "resume" else ""
        self.size = len(self.text.encode("utf-8", "surrogatepass")) + 64 if self.text else 0
        """The most input tokens that the beginning adds to a request."""
        most = call.ask.max_output or call.bounds.set_output
        spent = tokens_of(used) - prompt_of(used)
        self._left = max(most - spent, 1) if most is not None and kind == "resume" else None
        self._continuing = CONTINUING[call.dialect.name]
        self._follow()

    def suits(self, target: Target) -> bool:
        """Whether a target can go on like this."""
        return self.kind == "restart" or _form(target) != "none"

    def request(self, target: Target, raw: bytes) -> bytes:
        """The target's request with the beginning of the answer."""
        if self.kind == "restart":
            return raw
        return CONTINUING[target.upstream.dialect.name].prefilled(raw, self.text, _form(target), self._left)

    def writer(self, attempt: int) -> StreamWriter:
        """Writes the rest of the answer, of the attempt with this number."""
        if self.kind == "resume":
            return _Resumed(self._follow(), self._said, self._used)
        marked = partial(_marked, self._continuing, attempt)
        if self._continuing.apart:
            return _Apart(self._new(), self._used, marked)
        return _Restarted(self._follow(), self._said, self._used, marked)

    def _new(self) -> StreamWriter:
        ask = self._asked
        model = next((event.model for event in self._said.events if isinstance(event, Started)), "")
        return self._dialect.writer(model or ask.model, ask.wants_usage)

    def _follow(self) -> StreamWriter:
        """A writer that is where the client is."""
        writer = self._new()
        if isinstance(writer, Following):
            writer.follow(self._said.frames)
        else:
            for event in self._said.events:
                writer.write(event)  # the client has these frames already
        return writer


def _marked(continuing: Continuing, attempt: int, written: bytes) -> bytes | None:
    """``written`` with the mark of an answer that begins in it; ``None`` if none does."""
    frames = Parser(len(written) + 1).feed(written)
    out = [frame.raw for frame in frames]
    for place, frame in enumerate(frames):
        body = _object(frame)
        if continuing.mark(body, attempt):
            out[place] = encode(orjson.dumps(body), frame.event)
            return b"".join(out)
    return None


def resumable(call: Call, said: Said) -> bool:
    """Whether the beginning of an answer can be given back so that the rest follows from it."""
    if said.thought or call.ask.choices > 1 or call.body.get("n") not in (None, 1):
        return False
    try:
        request = call.dialect.read_request(call.body)
    except Fault:
        return False
    # Reasoning cannot be given back: what follows would not have been thought. And of a beginning that the client gave
    # itself ours would be a second.
    return not request.thinking and bool(request.turns) and request.turns[-1].role != "assistant"


def _form(target: Target) -> PrefillForm:
    return target.prefill or CONTINUING[target.upstream.dialect.name].form(target.model)


class _Joined:
    """Writes another answer behind what was said: no second beginning, blocks numbered on, the usage of all."""

    origin = ""
    """Set on the writer behind it."""

    def __init__(self, writer: StreamWriter, said: Said, used: Usage) -> None:
        self._writer = writer
        self._said = said
        self._used = used
        self._joined = False
        self._shift = said.next

    def write(self, event: StreamEvent) -> bytes:
        """See :class:`~pharos.gateway.models.dialects.dialect.StreamWriter`."""
        match event:
            case Started(_, model):
                self._writer.origin = origin_of(event.dialect, model)
                return b""
            case Finished(_, usage):
                before = b"" if self._joined else self._end_open()
                return before + self._writer.write(replace(event, usage=added(self._used, usage)))
            case BlockStarted() if not self._joined:
                self._joined = True
                return self._join(event)
            case BlockStarted() | Delta() | BlockEnded() | Signed():
                return self._further(event)
        return self._writer.write(event)

    def _join(self, event: BlockStarted) -> bytes:
        """The first block of the other answer begins."""
        return self._end_open() + self._further(event)

    def _further(self, event: BlockStarted | Delta | BlockEnded | Signed) -> bytes:
        return self._writer.write(replace(event, index=event.index + self._shift))

    def _end_open(self) -> bytes:
        return self._writer.write(BlockEnded(self._said.open)) if self._said.open >= 0 else b""


class _Resumed(_Joined):
    """Goes on in the text that is open. What the other answer repeats of it is left out: white space at its end, which
    was not in the beginning that was given, and all of it, which some servers send again."""

    def __init__(self, writer: StreamWriter, said: Said, used: Usage) -> None:
        super().__init__(writer, said, used)
        text = said.text
        self._tail = text[len(text.rstrip()) :]
        self._echo = text if len(text) >= LEAST_ECHO else ""
        self._held = ""
        self._seam = -1
        """Index of the block that goes on, in the other answer, while it may still repeat something."""

    def _join(self, event: BlockStarted) -> bytes:
        if event.kind != "text":
            return super()._join(event)
        self._seam = event.index
        if self._said.open < 0:
            return super()._join(event)
        self._shift = self._said.open - event.index
        return b""

    def _further(self, event: BlockStarted | Delta | BlockEnded | Signed) -> bytes:
        if event.index != self._seam:
            return super()._further(event)
        if isinstance(event, Delta):
            self._held += event.text
            if self._repeats():
                return b""
        written = self._release()
        return written if isinstance(event, Delta) else written + super()._further(event)

    def _repeats(self) -> bool:
        """Whether what is held may still turn out to be a repetition."""
        held = self._held
        return (bool(self._echo) and self._echo.startswith(held)) or self._tail.startswith(held)

    def _release(self) -> bytes:
        """The end of the seam: write what is new of what was held."""
        index, self._seam = self._seam, -1
        held = self._held
        if self._echo and held.startswith(self._echo):
            held = held[len(self._echo) :]
        else:
            # Common to the end of what was said and to the beginning of what comes.
            same = 0
            while same < min(len(self._tail), len(held)) and self._tail[same] == held[same]:
                same += 1
            held = held[same:]
        return super()._further(Delta(index, held)) if held else b""


class _Restarted(_Joined):
    """Ends the block that is open and begins anew; the first frame of the new answer bears the mark."""

    def __init__(self, writer: StreamWriter, said: Said, used: Usage, marked: Mark) -> None:
        super().__init__(writer, said, used)
        self._marked: Mark | None = marked

    def _further(self, event: BlockStarted | Delta | BlockEnded | Signed) -> bytes:
        written = super()._further(event)
        marked = self._marked(written) if self._marked is not None and written else None
        if marked is None:
            return written
        self._marked = None
        return marked


class _Apart(_Restarted):
    """Begins anew with a name of its own, where nothing that was said needs an end."""

    def __init__(self, writer: StreamWriter, used: Usage, marked: Mark) -> None:
        super().__init__(writer, NOTHING_SAID, used, marked)

    def write(self, event: StreamEvent) -> bytes:
        return self._writer.write(event) if isinstance(event, Started) else super().write(event)
