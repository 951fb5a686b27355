"""What the context of a step is made of, beside the steps of the session themselves.

A session's history is a list of *steps* (see :class:`~pharos.runtime.session.state.Step`): what was new for the model
when it was asked, and what it answered. That is the order in which the model learnt things, which is not the order of
the log: input that arrives while a model is being called belongs to the next step. Because a step, once answered, never
changes, the messages of all steps before the present one are the same bytes whenever they are assembled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, cast

from pharos.core.wire import JsonObject
from pharos.mesh.connectors import Tool
from pharos.runtime.session.state import Step

ObligationKind = Literal["approval", "question", "child", "timer", "promise", "effect"]


@dataclass(frozen=True, slots=True)
class Obligation:
    """Something that is open and must not be forgotten: ``text`` says what in one sentence. ``call`` is the model's id
    of the tool call it comes from (empty: none), whose block says it in full."""

    kind: ObligationKind
    id: str
    text: str
    call: str = ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of the session, by reference. ``size`` in bytes."""

    name: str
    digest: str
    size: int


class CompactionData(TypedDict):
    """A compaction as ``context.compacted`` has it."""

    message: JsonObject
    kept: list[int]
    method: Literal["model", "extract"]


@dataclass(frozen=True, slots=True)
class Compaction:
    """Steps that are told in short from here on.

    ``steps`` counts them, from the first. ``message`` stands in their place: a summary, and beside it what was open and
    which files there were, which no model and no fallback can leave out. ``kept`` names the blocks that stay word for
    word all the same, each by the sequence of its first event.
    """

    steps: int
    message: JsonObject
    kept: tuple[int, ...] = ()
    method: Literal["model", "extract"] = "extract"

    def data(self) -> JsonObject:
        """As an event keeps it, beside the number of steps."""
        data = CompactionData(message=self.message, kept=list(self.kept), method=self.method)
        return cast("JsonObject", data)

    @classmethod
    def read(cls, steps: int, data: JsonObject) -> Compaction:
        """The inverse of :meth:`data`."""
        known = cast("CompactionData", data)
        return cls(steps, known["message"], tuple(known["kept"]), known["method"])


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a model may be shown. Fixed for a session: parts are cut by it when they appear, and stay as they are.

    ``tokens`` is for the whole prompt, by the city's estimate. ``result_tokens`` is the most of one tool result that is
    shown, ``recall_tokens`` the most of what is recalled in one step. From the share ``compact_at`` of the whole on,
    old steps are told in short.
    """

    tokens: int
    result_tokens: int = 4_000
    recall_tokens: int = 2_000
    compact_at: float = 0.8


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a step's context is assembled from. The last of ``steps`` is the one the model is asked in; all before
    it are there, also those that ``compaction`` covers."""

    instructions: str
    steps: Sequence[Step]
    profile: str = ""
    tools: Sequence[Tool] = ()
    compaction: Compaction | None = None
    open: Sequence[Obligation] = ()
    artifacts: Sequence[Artifact] = ()
