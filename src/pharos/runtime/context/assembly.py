"""The one place that decides what a model sees.

A context grows only at its end: instructions, profile and tools first, then the history as it happened, then what is
new. What was sent before is sent again byte for byte, so that a provider's prompt cache holds, until the whole is
more than the budget. Then the oldest steps are told in short (see ``compaction.py``), once, by so much that it does not
happen again soon; that is the only thing that changes bytes already sent.

Everything here is pure: the same parts and the same budget are the same context, in a replay as on the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pharos.core.wire import JsonObject
from pharos.mesh.connectors import Tool
from pharos.mesh.tokens import estimate_tokens
from pharos.runtime.context.blocks import Block, blocks_of, digest, tokens_of, wire
from pharos.runtime.context.compaction import Plan, kept_blocks, plan_of
from pharos.runtime.context.faults import CONTEXT_TOO_LARGE
from pharos.runtime.context.parts import Budget, Parts
from pharos.runtime.session.events import ContextAssembled, ContextPart
from pharos.runtime.session.state import Step

LISTED = 64
"""Parts that a record lists one by one, and names that each of them lists."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a model is asked with.

    ``compact`` says that it has become too long, and how to mend that: whoever gets it carries the plan out (see
    :mod:`~pharos.runtime.context.compaction`) and assembles again, with the compaction among the parts. ``before``
    counts the messages in front of this step's news: what a provider's cache may have.
    """

    messages: Sequence[JsonObject]
    tools: Sequence[JsonObject]
    tokens: int
    budget: int
    before: int
    parts: Sequence[ContextPart]
    compact: Plan | None = None

    def record(self, id: str) -> ContextAssembled:
        """What the log keeps of it, for effect ``id``: digests and counts, no copies."""
        data = ContextAssembled(
            id=id,
            parts=list(self.parts[:LISTED]),
            tokens=self.tokens,
            budget=self.budget,
            prefix=digest(self.messages[: self.before]),
            digest=digest(self.messages),
            tools=digest(self.tools),
            messages=len(self.messages),
            before=self.before,
        )
        if len(self.parts) > LISTED:
            data["more"] = len(self.parts) - LISTED
        return data


def assemble(parts: Parts, budget: Budget) -> Context:
    """The context of the last of the steps. Raises ``CONTEXT_TOO_LARGE`` where it does not fit and no compaction can
    make it fit."""
    parts = replace(parts, steps=_asking(parts.steps))
    steps, compaction = parts.steps, parts.compaction
    system = _system(parts)
    tools = [declared(tool) for tool in sorted(parts.tools, key=lambda tool: tool.name)]
    kept = kept_blocks(steps, compaction, budget)
    blocks = list(blocks_of(steps, budget, 0 if compaction is None else compaction.steps))
    summary = [] if compaction is None else [compaction.message]
    messages = [*system, *summary, *_messages(kept), *_messages(blocks)]
    fixed = sum(map(tokens_of, system)) + _length(tools)
    tokens = fixed + sum(map(tokens_of, summary)) + sum(block.tokens for block in (*kept, *blocks))
    plan = None
    if tokens > budget.tokens * budget.compact_at:
        plan = plan_of(parts, budget, system, fixed, tokens)
        if plan is None and tokens > budget.tokens:
            raise _too_large(parts, budget, tokens, tools, blocks)
    new = sum(len(block.messages) for block in blocks if _is_new(block, steps))
    listed = [*_standing(parts, tools), *_covered(parts, kept), *_history(blocks, steps)]
    return Context(messages, tools, tokens, budget.tokens, len(messages) - new, listed, plan)


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


def _messages(blocks: Iterable[Block]) -> Iterator[JsonObject]:
    return (message for block in blocks for message in block.messages)


def _length(tools: Sequence[JsonObject]) -> int:
    return estimate_tokens(sum(len(wire(tool)) for tool in tools))


def _is_new(block: Block, steps: Sequence[Step]) -> bool:
    """Whether it was not part of the prompt before: it came with the last step, or is the answer before it."""
    last = len(steps) - 1
    return block.step == last or (block.step == last - 1 and block.kind in ("exchange", "reply"))


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
        yield _seen("kept", why, [block])


_HOW = {"model": "a model", "extract": "excerpts"}
_KEPT = {True: "what it was asked last", False: "it was open when older steps were told in short"}

_WHY = {
    "input": "new from outside",
    "recalled": "memory found it useful for this step",
    "note": "the city had to tell it",
    "reply": "its own last answer",
    "exchange": "its own calls and what came of them",
}


def _history(blocks: Sequence[Block], steps: Sequence[Step]) -> Iterator[ContextPart]:
    old = [block for block in blocks if not _is_new(block, steps)]
    if old:
        yield _seen("history", "what happened before, as it was sent", old)
    for block in blocks:
        if _is_new(block, steps):
            yield _seen(block.kind, _WHY[block.kind], [block])


def _seen(kind: str, why: str, blocks: Sequence[Block]) -> ContextPart:
    part = ContextPart(
        kind=kind,
        reason=why,
        tokens=sum(block.tokens for block in blocks),
        count=len(blocks),
        first=min(block.first for block in blocks),
        last=max(max(block.sequences) for block in blocks),
    )
    if kind != "history" and (detail := [name for block in blocks for name in block.detail]):
        part["detail"] = detail[:LISTED]
    return part


def _too_large(
    parts: Parts, budget: Budget, tokens: int, tools: Sequence[JsonObject], blocks: Sequence[Block]
) -> Exception:
    return CONTEXT_TOO_LARGE(
        f"The step needs about {tokens} tokens; the budget is {budget.tokens}.",
        facts={
            "budget": budget.tokens,
            "tokens": tokens,
            "instructions": estimate_tokens(len(parts.instructions.encode())),
            "profile": estimate_tokens(len(parts.profile.encode())),
            "tools": _length(tools),
            "step": sum(block.tokens for block in blocks),
        },
    )
