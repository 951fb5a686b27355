"""The one place that decides what a model sees.

A context grows only at its end: instructions, profile and tools first, then the history as it happened, then what is
new. What was sent before is sent again byte for byte, so that a provider's prompt cache holds, until the whole is
more than the budget. Then the oldest steps are told in short (see ``compaction.py``), once, by so much that it does not
happen again soon; that is the only thing that changes bytes already sent.

Everything here is pure: the same parts and the same budget are the same context, in a replay as on the day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pharos.core.wire import JsonObject
from pharos.mesh.connectors import Tool
from pharos.mesh.tokens import estimate_tokens
from pharos.runtime.context.blocks import Block, Digest, blocks_of, digest, tokens_of, wire
from pharos.runtime.context.compaction import Plan, kept_blocks, plan_of
from pharos.runtime.context.faults import CONTEXT_TOO_LARGE
from pharos.runtime.context.parts import Budget, Compaction, Parts
from pharos.runtime.session.data.thinking import ContextAssembled, ContextPart
from pharos.runtime.session.state import Step

LISTED = 64
"""Parts that a record lists one by one, and names that each of them lists."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a model is asked with.

    ``compact`` says that it has become too long, and how to mend that: whoever gets it carries the plan out (see
    :mod:`~pharos.runtime.context.compaction`) and assembles again, with the compaction among the parts. ``before``
    counts the messages in front of this step's news: what a provider's cache may have; ``prefix`` is their digest.
    """

    messages: Sequence[JsonObject]
    tools: Sequence[JsonObject]
    tokens: int
    budget: int
    before: int
    prefix: Digest
    parts: Sequence[ContextPart]
    compact: Plan | None = None

    def record(self, id: str) -> ContextAssembled:
        """What the log keeps of it, for effect ``id``: digests and counts, no copies."""
        whole = self.prefix.copy()
        whole.add(self.messages[self.before :])
        data = ContextAssembled(
            id=id,
            parts=list(self.parts[:LISTED]),
            tokens=self.tokens,
            budget=self.budget,
            prefix=str(self.prefix),
            digest=str(whole),
            tools=digest(self.tools),
            messages=len(self.messages),
            before=self.before,
        )
        if len(self.parts) > LISTED:
            data["more"] = len(self.parts) - LISTED
        return data


class Old:
    """The part of a session's context that does not change any more, kept from step to step.

    A cache: without it the same context comes about, from all steps anew. It goes by the steps' identity, which the
    fold of a session keeps; where that is another one, or anything that stands before the history, it begins anew.
    """

    __slots__ = ("_for", "_last", "_steps", "count", "digest", "first", "head", "kept", "last", "messages", "tokens")

    def __init__(self) -> None:
        self._for: tuple[object, ...] = ()
        self._steps = 0
        self._last: Step | None = None
        self.head: list[JsonObject] = []
        """What stands before the history: system message, summary."""
        self.kept: list[Block] = []
        self.messages: list[JsonObject] = []
        """Head, blocks that were kept, history."""
        self.digest = Digest()
        self.tokens = 0
        """Of the history."""
        self.count = 0
        self.first = 0
        self.last = 0

    def bring(self, parts: Parts, budget: Budget) -> None:
        """Up to the step before the last."""
        steps, compaction = parts.steps, parts.compaction
        settled = len(steps) - 1
        of = (parts.instructions, parts.profile, compaction, budget)
        known = self._for == of and self._steps <= settled
        if not known or (self._steps and steps[self._steps - 1] is not self._last):
            self._begin(parts, budget)
            self._for = of
        start = self._steps
        # What was new in a step, and before it the answer that it came after.
        for block in blocks_of(steps[:settled], budget, start, answered=start > self._covered(compaction)):
            if block.step == settled - 1 and block.kind in ("reply", "exchange"):
                continue
            self._add(block)
        if settled > start:
            self._steps, self._last = settled, steps[settled - 1]

    def _begin(self, parts: Parts, budget: Budget) -> None:
        compaction = parts.compaction
        self.head = [*_system(parts), *([] if compaction is None else [compaction.message])]
        self.kept = kept_blocks(parts.steps, compaction, budget)
        self.messages = [*self.head, *(message for block in self.kept for message in block.messages)]
        self.digest = Digest(self.messages)
        self.tokens = self.count = self.first = self.last = 0
        self._steps = self._covered(compaction)
        self._last = parts.steps[self._steps - 1] if self._steps else None

    @staticmethod
    def _covered(compaction: Compaction | None) -> int:
        return 0 if compaction is None else compaction.steps

    def _add(self, block: Block) -> None:
        self.messages += block.messages
        self.digest.add(block.messages)
        self.tokens += block.tokens
        self.count += 1
        self.first = min(self.first or block.first, block.first)
        self.last = max(self.last, *block.sequences)


def assemble(parts: Parts, budget: Budget, old: Old | None = None) -> Context:
    """The context of the last of the steps. Raises ``CONTEXT_TOO_LARGE`` where it does not fit and no compaction can
    make it fit. ``old``: what the step before of the same session left, to go on from."""
    parts = replace(parts, steps=_asking(parts.steps))
    steps, compaction = parts.steps, parts.compaction
    tools = [declared(tool) for tool in sorted(parts.tools, key=lambda tool: tool.name)]
    old = Old() if old is None else old
    old.bring(parts, budget)
    last = len(steps) - 1
    covered = 0 if compaction is None else compaction.steps
    new = list(blocks_of(steps, budget, last, answered=last > covered))
    messages = [*old.messages, *(message for block in new for message in block.messages)]
    fixed = sum(map(tokens_of, _system(parts))) + _length(tools)
    tokens = fixed + old.tokens + sum(block.tokens for block in (*old.kept, *new))
    if compaction is not None:
        tokens += tokens_of(compaction.message)
    plan = None
    if tokens > budget.tokens * budget.compact_at:
        plan = plan_of(parts, budget, _system(parts), fixed, tokens)
        if plan is None and tokens > budget.tokens:
            raise _too_large(parts, budget, tokens, tools)
    listed = [*_standing(parts, tools), *_covered(parts, old.kept), *_history(old), *_news(new)]
    return Context(messages, tools, tokens, budget.tokens, len(old.messages), old.digest.copy(), listed, plan)


def declared(tool: Tool) -> JsonObject:
    """A tool in the form of chat completions."""
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
    }


def _asking(steps: Sequence[Step]) -> Sequence[Step]:
    """The steps, the last of which is the one the model is asked in."""
    if steps and steps[-1].reply is None:
        return steps
    return [*steps, Step(steps[-1].turn + 1 if steps else 1, ())]


def _system(parts: Parts) -> list[JsonObject]:
    text = "\n\n".join(text for text in (parts.instructions, parts.profile) if text)
    return [{"role": "system", "content": text}] if text else []


def _length(tools: Sequence[JsonObject]) -> int:
    return estimate_tokens(sum(len(wire(tool)) for tool in tools))


def _standing(parts: Parts, tools: Sequence[JsonObject]) -> Iterator[ContextPart]:
    for kind, text, why in (
        ("instructions", parts.instructions, "what the agent is told to be"),
        ("profile", parts.profile, "whom it works for"),
    ):
        if text:
            yield ContextPart(kind=kind, reason=why, tokens=estimate_tokens(len(text.encode())))
    if tools:
        yield ContextPart(kind="tools", reason="it may call them", tokens=_length(tools), count=len(tools))


def _covered(parts: Parts, kept: Sequence[Block]) -> Iterator[ContextPart]:
    compaction = parts.compaction
    if compaction is None:
        return
    yield ContextPart(
        kind="summary",
        reason=f"steps 1 to {compaction.steps} did not fit; told in short by {_HOW[compaction.method]}",
        tokens=tokens_of(compaction.message),
    )
    for block in kept:
        needs = [f"{one.kind} {one.id}" for one in parts.open if one.call in block.calls]
        why = f"open: {', '.join(needs)}" if needs else _KEPT[block.kind == "input"]
        yield _seen("kept", why, block)


_HOW = {"model": "a model", "extract": "excerpts"}
_KEPT = {True: "what it was asked last", False: "it was open when older steps were told in short"}

_WHY = {
    "input": "new from outside",
    "recalled": "memory found it useful for this step",
    "note": "the city had to tell it",
    "reply": "its own last answer",
    "exchange": "its own calls and what came of them",
}


def _history(old: Old) -> Iterator[ContextPart]:
    if old.count:
        why = "what happened before, as it was sent"
        yield ContextPart(
            kind="history", reason=why, tokens=old.tokens, count=old.count, first=old.first, last=old.last
        )


def _news(blocks: Sequence[Block]) -> Iterator[ContextPart]:
    for block in blocks:
        yield _seen(block.kind, _WHY[block.kind], block)


def _seen(kind: str, why: str, block: Block) -> ContextPart:
    part = ContextPart(
        kind=kind, reason=why, tokens=block.tokens, count=1, first=block.first, last=max(block.sequences)
    )
    if block.detail:
        part["detail"] = list(block.detail[:LISTED])
    return part


def _too_large(parts: Parts, budget: Budget, tokens: int, tools: Sequence[JsonObject]) -> Exception:
    return CONTEXT_TOO_LARGE(
        f"The step needs about {tokens} tokens; the budget is {budget.tokens}.",
        facts={
            "budget": budget.tokens,
            "tokens": tokens,
            "instructions": estimate_tokens(len(parts.instructions.encode())),
            "profile": estimate_tokens(len(parts.profile.encode())),
            "tools": _length(tools),
            "step": tokens - _length(tools) - sum(map(tokens_of, _system(parts))),
        },
    )
