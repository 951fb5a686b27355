"""What to do about effects that somebody else may have begun: what their classes allow, and never a guess."""

from __future__ import annotations

from pharos.runtime.session import events
from pharos.runtime.session.deciding import ending, people, tools
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.effects import AskPerson, AwaitTask, CallModel, CallTool, CancelTask, GiveTask, LookUp


def recover(draft: Draft) -> None:
    """Take over every open effect. Called once when a session is taken up, before anything else."""
    state = draft.state
    if state.end is not None or state.quarantine is not None:
        return
    ends = state.cancel is not None
    model = state.model
    if model is not None and model.retry_at is None and not ends:
        draft.do(CallModel(model.id))
    for effect in list(state.effects.values()):
        if effect.status == "unknown" and not ends:
            draft.do(AskPerson(effect.id))
        elif effect.status != "begun":
            continue
        elif effect.kind == "unsafe":
            tools.doubt(draft, effect, "whoever performed it was gone before it said what came of it")
        elif effect.kind == "reconcilable":
            draft.do(LookUp(effect.id))
        elif ends:
            draft.tell(events.EFFECT_CANCELLED, {"id": effect.id, "reason": ending.OVER})
        else:
            draft.do(CallTool(effect.id))
    for child in state.children.values():
        # Giving the same task again is giving it once; asking how it is, in case its end was not heard of.
        draft.do(AwaitTask(child.id) if child.task else GiveTask(child.id))
        if child.task and not child.call:
            draft.do(CancelTask(child.id, child.task, "Enough others have answered."))
    if not ends:
        for approval in state.approvals.values():
            if not approval.granted_by:
                draft.do(AskPerson(approval.id))
        for question in people.asked(state):
            draft.do(AskPerson(question))
