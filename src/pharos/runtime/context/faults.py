"""The faults of context assembly."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

CONTEXT_TOO_LARGE = FaultCode(
    "CONTEXT_TOO_LARGE", "The context does not fit", 422, Category.CAPACITY,
    "What the model must be shown at this step is more than the budget, also after everything old was summarised. "
    "`facts` has the tokens of each part: shorten the instructions, offer fewer tools, or raise the agent's budget.",
    Retry.AFTER_FIX,
)  # fmt: skip

ALL: tuple[FaultCode, ...] = (CONTEXT_TOO_LARGE,)
