"""What a model would have seen with another budget.

The steps are those that happened; what was told in short, and when, is decided anew as the assembler would have decided
it then. Where a model's summary of exactly these steps is on record it is used, elsewhere excerpts are: no model is
called to answer a question about the past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pharos.runtime.context.assembly import Context, assemble
from pharos.runtime.context.blocks import blocks_of
from pharos.runtime.context.compaction import Plan
from pharos.runtime.context.parts import Budget, Compaction, Parts
from pharos.runtime.session.state import Step


@dataclass(frozen=True, slots=True)
class Replayed:
    """A context, and the compactions that led to it."""

    context: Context
    compactions: Sequence[Compaction]


def replay(parts: Parts, budget: Budget, recorded: Mapping[int, Compaction]) -> Replayed:
    """The context of the last of the steps, had ``budget`` held from the first on.

    ``recorded`` are the compactions that took place, by the number of their steps. ``parts.open`` and ``artifacts`` are
    those of the end. Raises ``CONTEXT_TOO_LARGE`` where some step would not have fitted.
    """
    compactions: list[Compaction] = []
    now = _until(parts, 1, None)
    context = assemble(now, budget)
    tokens, grows = context.tokens, _growth(parts.steps, budget)
    for end in range(1, len(parts.steps) + 1):
        if end > 1:
            tokens += grows.get(end, 0)
        if tokens <= budget.tokens * budget.compact_at:
            continue
        now = _until(parts, end, compactions[-1] if compactions else None)
        context = assemble(now, budget)
        while context.compact is not None:
            compactions.append(_carried_out(context.compact, recorded))
            now = replace(now, compaction=compactions[-1])
            context = assemble(now, budget)
        tokens = context.tokens
    now = _until(parts, len(parts.steps), compactions[-1] if compactions else None)
    return Replayed(assemble(now, budget), compactions)


def _growth(steps: Sequence[Step], budget: Budget) -> Mapping[int, int]:
    """By how many tokens a context is longer with so many steps than with one less."""
    grows: dict[int, int] = {}
    for block in blocks_of(steps, budget):
        # An answer is told to the model in the step after it.
        end = block.step + (2 if block.kind in ("reply", "exchange") else 1)
        grows[end] = grows.get(end, 0) + block.tokens
    return grows


def _until(parts: Parts, end: int, compaction: Compaction | None) -> Parts:
    """The parts as they were in step ``end``, before its answer."""
    last = parts.steps[end - 1]._replace(reply=None, sequence=0)
    return replace(parts, steps=[*parts.steps[: end - 1], last], compaction=compaction)


def settled(parts: Parts, budget: Budget) -> Context:
    """The context with what is due told in short by excerpts."""
    context = assemble(parts, budget)
    while context.compact is not None:
        context = assemble(replace(parts, compaction=context.compact.fallback()), budget)
    return context


def _carried_out(plan: Plan, recorded: Mapping[int, Compaction]) -> Compaction:
    known = recorded.get(plan.steps)
    return known if known is not None and known.kept == plan.kept else plan.fallback()
