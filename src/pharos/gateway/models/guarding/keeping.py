"""What may be kept of an answer for the audit: what guards mask in it masked, what they put back not put back."""

from __future__ import annotations

from pharos.gateway.models.call import Call
from pharos.gateway.models.guarding.examination import Examination
from pharos.gateway.models.guarding.refusals import refused
from pharos.gateway.models.guarding.streaming import examined
from pharos.trust.guard.findings import ScanFailed
from pharos.trust.guard.vault import Vault


def keepable(call: Call, answer: bytes) -> bytes | None:
    """An answer that came from below the guards, as it may be kept; ``None`` where nothing of it may be: a guard blocks
    it, or could not examine it. See :data:`~pharos.gateway.models.auditing.Redact`."""
    guard = call.guard
    if guard is None or guard.policy.answer is None or guard.texts is None or not answer:
        return answer
    # An examination of its own: its vault is empty, so nothing is put back; what it counts was counted before.
    fresh = Examination(guard.policy, guard.texts)
    fresh.vault = Vault(lambda cover: cover in answer)
    try:
        if call.ask.stream:
            kept = examined(answer, fresh, guard.policy.answer, guard.texts)
        else:
            kept = fresh.answer(answer)
    except (ScanFailed, ValueError):
        return None
    return None if refused(fresh) is not None or fresh.findings.failed else kept
