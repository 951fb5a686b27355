"""The codes of the audit."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode

CONTENT_GONE = FaultCode(
    "CONTENT_GONE", "Content not kept", 410, Category.PRECONDITION,
    "The record has no content any more, or never had one: it was deleted when its time was over, or only its digest "
    "was kept. The record says which.",
)  # fmt: skip
AUDIT_BROKEN = FaultCode(
    "AUDIT_BROKEN", "Audit is not what was recorded", 500, Category.INTEGRITY,
    "What is stored differs from what was recorded: somebody or something changed it. `audit.verify` says what else "
    "does. Nothing of it is shown.",
)  # fmt: skip

ALL = (CONTENT_GONE, AUDIT_BROKEN)
