"""The faults of the control plane."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry
from pharos.store.faults import GONE

UNKNOWN_KIND = FaultCode(
    "UNKNOWN_KIND", "Unknown kind", 404, Category.VALIDATION,
    "No room of the city owns a kind of this name. `kinds.list` lists those that exist.", Retry.AFTER_FIX,
)  # fmt: skip
REFERENCED = FaultCode(
    "REFERENCED", "Still referenced", 409, Category.INTEGRITY,
    "Other resources refer to what would be removed; `causes` names each of them and where. Nothing was removed.",
    Retry.AFTER_FIX,
)  # fmt: skip
IDEMPOTENCY_MISMATCH = FaultCode(
    "IDEMPOTENCY_MISMATCH", "Idempotency key used for another call", 422, Category.VALIDATION,
    "The key already belongs to a call with another operation or body. Use a new key for a new call.",
)  # fmt: skip
NOT_REPLAYABLE = FaultCode(
    "NOT_REPLAYABLE", "The answer was shown once", 409, Category.PRECONDITION,
    "The call with this idempotency key succeeded, and its answer held a secret, which is not stored. `facts` has the "
    "operation's id; undo it, or make a new call under a new key.",
)  # fmt: skip
IRREVERSIBLE = FaultCode(
    "IRREVERSIBLE", "Cannot be undone", 409, Category.PRECONDITION,
    "The operation declares that nothing can reverse it. Its record says so before it is run, too.",
)  # fmt: skip
UNDO_CONFLICT = FaultCode(
    "UNDO_CONFLICT", "Later operations stand on it", 409, Category.CONFLICT,
    "Resources were changed again after the operation. `facts.undoFirst` lists the operations to undo before it, in "
    "order.", Retry.AFTER_FIX,
)  # fmt: skip
ALREADY_UNDONE = FaultCode(
    "ALREADY_UNDONE", "Already undone", 409, Category.PRECONDITION,
    "The operation is not in effect: it was undone, and not redone since. `facts.by` is the operation that undid it.",
)  # fmt: skip
NOT_UNDONE = FaultCode(
    "NOT_UNDONE", "Nothing to redo", 409, Category.PRECONDITION,
    "The operation is in effect: it was not undone, or was redone already.", Retry.AFTER_FIX,
)  # fmt: skip
ALL: tuple[FaultCode, ...] = (
    UNKNOWN_KIND, REFERENCED, IDEMPOTENCY_MISMATCH, NOT_REPLAYABLE, IRREVERSIBLE, UNDO_CONFLICT, ALREADY_UNDONE,
    NOT_UNDONE, GONE,
)  # fmt: skip
