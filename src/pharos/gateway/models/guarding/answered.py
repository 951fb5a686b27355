"""A text of an answer, as the caller of a call under guards may have it."""

from __future__ import annotations

from pharos.gateway.models.guarding.examination import Examination
from pharos.gateway.models.guarding.refusals import refused
from pharos.gateway.models.guarding.texts import Spot
from pharos.trust.guard.findings import ScanFailed
from pharos.trust.guard.policy import Policy
from pharos.trust.guard.text_stream import Rewriter


def answered(policy: Policy, text: str) -> str | None:
    """``text`` without what the guards mask in answers; ``None`` where they would not let it pass."""
    examination = Examination(policy, None)
    if (scanner := policy.answer) is None or not scanner.suspects(text.encode()):
        return text
    spot = Spot((), "answer")
    rewriter = Rewriter(examination.piece(scanner, spot.form, examination.coming(spot)))
    try:
        new = (rewriter.feed(text.encode()) + rewriter.end()).decode()
    except ScanFailed as error:
        examination.findings.failed = str(error)
        new = text
    return None if refused(examination) is not None else new
