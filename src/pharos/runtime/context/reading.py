"""The parts of a context, read from a session's state and its pinned profile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pharos.mesh.connectors import Tool
from pharos.runtime.context.parts import Artifact, Budget, Compaction, Obligation, Parts
from pharos.runtime.context.promises import MAKE, promises_of
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session.state import State

MOST_FILES = 32
"""Files that are listed beside a summary, the newest."""


def budget_of(profile: Profile) -> Budget:
    """How much an agent's model is shown."""
    spec = profile.spec.context
    return Budget(tokens=spec.tokens, result_tokens=spec.result_tokens, compact_at=spec.compact_at)


def parts_of(state: State, profile: Profile, tools: Sequence[Tool]) -> Parts:
    """What the model is to be asked with now. The last of the state's steps is the one it is asked in."""
    compaction = None if state.compaction is None else Compaction.read(state.compacted, state.compaction)
    return Parts(
        instructions=profile.instructions,
        steps=state.steps,
        tools=tools,
        compaction=compaction,
        open=tuple(obligations_of(state, promises=any(tool.name == MAKE for tool in tools))),
        artifacts=tuple(artifacts_of(state)),
    )


def obligations_of(state: State, *, promises: bool = True) -> Iterator[Obligation]:
    """All that is open in a session. ``promises``: whether it can have made some."""
    if promises:
        yield from promises_of(state.steps)
    for approval in state.approvals.values():
        text = f"{approval.name} waits for a person's agreement"
        yield Obligation("approval", approval.id, text, approval.call)
    for question in state.questions.values():
        text = f"asked {question.who or 'a person'}: {question.question}"
        if question.name:
            text = f"the call of {question.name} has not ended"
        yield Obligation("question", question.id, text, question.call)
    for child in state.children.values():
        yield Obligation("child", child.id, f"{child.agent} works on: {child.text}", child.call)
    for timer in state.timers.values():
        if timer.purpose == "wait":
            yield Obligation("timer", timer.id, f"waits until {timer.due.isoformat()}", timer.of)
    for effect in state.effects.values():
        known = "nobody knows whether it happened" if effect.status == "unknown" else "has not ended"
        yield Obligation("effect", effect.id, f"the call of {effect.name} {known}", effect.call)


def artifacts_of(state: State) -> Sequence[Artifact]:
    """What is kept whole elsewhere, and only begins in the history."""
    found: dict[str, Artifact] = {}
    for step in state.steps:
        for item in step.items:
            if item.blob is not None:
                digest = item.blob["digest"]
                found[digest] = Artifact(item.name or item.kind, digest, item.blob["size"])
    return list(found.values())[-MOST_FILES:]
