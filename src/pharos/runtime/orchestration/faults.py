"""Fault codes of agents that work for agents."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

AGENT_STOPPED = FaultCode(
    "AGENT_STOPPED", "The agent is stopped", 409, Category.POLICY,
    "Somebody has stopped the agent: none of its sessions goes on, and none begins. `facts` say who, when and why. It "
    "is let go with `agents.resume`.", Retry.AFTER_FIX,
)  # fmt: skip
AGENT_BARRED = FaultCode(
    "AGENT_BARRED", "The agent is not trusted", 403, Category.POLICY,
    "What is known of the agent speaks so much against it that it gets no work. `trust.explain` says what that is; it "
    "fades with time, and good reviews outweigh it.", Retry.AFTER_FIX,
)  # fmt: skip
OWN_REVIEW = FaultCode(
    "OWN_REVIEW", "One's own work", 403, Category.POLICY,
    "An agent does not review what it did itself, nor does anyone who acts on its behalf.",
)  # fmt: skip
NOT_REVIEWABLE = FaultCode(
    "NOT_REVIEWABLE", "Nothing to review yet", 409, Category.PRECONDITION,
    "The session has not ended: what came of it is not known.", Retry.AFTER_TIME,
)  # fmt: skip

TREE_BOUND = FaultCode(
    "TREE_BOUND", "Bound to its tree", 403, Category.POLICY,
    "An agent that works in a session gives work away with the tool `delegate`, inside the money, time and depth that "
    "it was given. It begins no sessions of its own beside that, and raises no limit.",
)  # fmt: skip

ALL: tuple[FaultCode, ...] = (AGENT_STOPPED, AGENT_BARRED, OWN_REVIEW, NOT_REVIEWABLE, TREE_BOUND)
