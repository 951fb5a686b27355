"""Old steps, told in short.

A compaction is planned here and carried out by whoever asked: a model is called with :meth:`Plan.request` and its
answer becomes the summary, or, where that fails, :func:`extract` makes one without a model. Either way the result is an
event of the session, so that a replay has the same summary.

What is open is never entrusted to a summary. It is listed beside it from the session's own state, and the blocks that
say it in full stay as they are while they take up no more than a part of the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pharos.core.wire import JsonObject
from pharos.mesh.tokens import BYTES_PER_TOKEN, estimate_tokens
from pharos.runtime.context.blocks import Block, blocks_of, calls_of, told
from pharos.runtime.context.extracts import extract
from pharos.runtime.context.parts import Artifact, Budget, Compaction, Obligation, Parts
from pharos.runtime.session.state import Step

TARGET: Final = 0.5
"""Share of the budget that is left in use: the next compaction, and the next break of the cache, is far away."""

SUMMARY_SHARE: Final = 0.1
"""Of the budget, for the summary."""

KEPT_SHARE: Final = 0.2
"""Of the budget, for blocks that stay word for word."""

_WORTH: Final = 0.1
"""Share of the budget that a compaction must free while there is still room."""

ASK: Final = (
    "Pause here. Everything up to this point will be removed from what you can see and replaced by the summary you "
    "write now. Say in short what was asked and by whom, what was found out (with numbers, names, ids and digests "
    "exactly as they stand), what was done, what was decided and why, and what remains to do. Do not call a tool. "
    "Write nothing but the summary."
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a compaction will cover. See :class:`~pharos.runtime.context.parts.Compaction` for ``steps`` and ``kept``.

    ``told`` is what is summed up: the messages that were sent at the step before, up to the last that goes. They are
    the beginning of that prompt, so a provider's cache has them. ``most``: tokens that the summary may have.
    """

    steps: int
    kept: tuple[int, ...]
    told: tuple[JsonObject, ...]
    most: int
    open: tuple[Obligation, ...]
    artifacts: tuple[Artifact, ...]

    def request(self) -> list[JsonObject]:
        """The messages that ask a model for the summary. Sent with the same tools, the cache holds; the model is told
        not to use them (``tool_choice: none``)."""
        return [*self.told, {"role": "user", "content": ASK}]

    def done(self, summary: str) -> Compaction:
        """With a model's summary. One that is too long is cut, an empty one replaced."""
        text = summary.encode()[: self.most * BYTES_PER_TOKEN].decode(errors="ignore").strip()
        return self._with(text, "model") if text else self.fallback()

    def fallback(self) -> Compaction:
        """With a summary that needs no model."""
        return self._with(extract(self.told, self.most * BYTES_PER_TOKEN), "extract")

    def _with(self, summary: str, method: Literal["model", "extract"]) -> Compaction:
        lines = [told("summary", summary, of=f"steps 1 to {self.steps}")]
        if self.open:
            lines.append("Still open when this was summed up:")
            lines += [statement(one) for one in self.open]
        if self.artifacts:
            lines.append("Files of this session:")
            lines += [f"- {one.name} ({one.size} bytes, {one.digest})" for one in self.artifacts]
        return Compaction(self.steps, {"role": "user", "content": "\n".join(lines)}, self.kept, method)


def statement(one: Obligation) -> str:
    """An obligation in one line."""
    return f"- {one.kind} {one.id}: {' '.join(one.text.split())}"


def kept_blocks(steps: Sequence[Step], compaction: Compaction | None, budget: Budget) -> list[Block]:
    """The blocks of covered steps that stay word for word."""
    if compaction is None or not compaction.kept:
        return []
    wanted = frozenset(compaction.kept)
    # One step more than is covered: the results of the last covered answer came with it.
    old = blocks_of(steps[: compaction.steps + 1], budget)
    return [block for block in old if block.step < compaction.steps and block.first in wanted]


def plan_of(parts: Parts, budget: Budget, system: Sequence[JsonObject], fixed: int, now: int) -> Plan | None:
    """How to make a context of ``now`` tokens shorter; ``None`` where nothing old is left to be told in short, or so
    little that it is not worth a cache.

    ``fixed`` are the tokens of what always stands: system message and tools.
    """
    steps, before = parts.steps, parts.compaction
    done = before.steps if before is not None else 0
    last = len(steps) - 1
    # What the model has not seen stays: the news, and where they answer its calls, those calls.
    newest = last - 1 if last > 0 and calls_of(steps[last - 1].reply) else last
    if newest <= done:
        return None
    old = kept_blocks(steps, before, budget)
    blocks = list(blocks_of(steps, budget, done))
    most = int(budget.tokens * SUMMARY_SHARE)
    beside = sum(estimate_tokens(len(statement(one).encode()) + 1) for one in parts.open)
    beside += sum(estimate_tokens(len(one.name.encode()) + 100) for one in parts.artifacts)
    fixed += most + beside
    for cut in range(done + 1, newest + 1):
        kept = _kept(old, blocks, cut, parts.open, budget)
        after = fixed + sum(block.tokens for block in (*kept, *blocks) if block in kept or block.step >= cut)
        if after <= budget.tokens * TARGET:
            break
    if now <= budget.tokens and now - after < budget.tokens * _WORTH:
        return None
    first = [*system, *([] if before is None else [before.message])]
    covered = [*old, *(block for block in blocks if block.step < cut)]
    messages = (*first, *(message for block in covered for message in block.messages))
    names = tuple(block.first for block in kept)
    return Plan(cut, names, messages, most, tuple(parts.open), tuple(parts.artifacts))


def _kept(
    old: Sequence[Block], blocks: Sequence[Block], cut: int, open: Sequence[Obligation], budget: Budget
) -> list[Block]:
    """Blocks before ``cut`` that stay word for word: the last thing that was asked, then what is open, the newest
    first, while there is room."""
    covered = [*old, *(block for block in blocks if block.step < cut)]
    wanted: list[Block] = []
    if not any(block.kind == "input" and block.step >= cut for block in blocks):
        wanted += [block for block in covered if block.kind == "input"][-1:]
    for one in reversed(open):
        wanted += [block for block in covered if one.call and one.call in block.calls][-1:]
    room = int(budget.tokens * KEPT_SHARE)
    kept: dict[int, Block] = {}
    for block in wanted:
        if block.first not in kept and block.tokens <= room:
            room -= block.tokens
            kept[block.first] = block
    return [kept[name] for name in sorted(kept)]
