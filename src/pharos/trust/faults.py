"""The faults trust can raise beside the common ones."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

RIGHTS_EXCEEDED = FaultCode(
    "RIGHTS_EXCEEDED", "More rights than the caller has", 403, Category.PERMISSION,
    "Nobody gives a key a permission they do not hold themselves. `facts.missing` names what is lacking; someone who "
    "holds it can approve the call.", Retry.AFTER_FIX,
)  # fmt: skip
KEY_EXPIRED = FaultCode(
    "KEY_EXPIRED", "Key expired", 409, Category.PRECONDITION,
    "The key itself has expired, so no secret of it would be accepted. Declare it with a later `expiresAt`, or another "
    "key.", Retry.AFTER_FIX,
)  # fmt: skip
CREDENTIAL_LIMIT = FaultCode(
    "CREDENTIAL_LIMIT", "Too many credentials", 409, Category.CAPACITY,
    "The key has as many live credentials as a key may have. Revoke one that is no longer used.", Retry.AFTER_FIX,
)  # fmt: skip
PEPPER_DAMAGED = FaultCode(
    "PEPPER_DAMAGED", "Pepper damaged", 500, Category.INTEGRITY,
    "HOME/pepper is not what this city wrote. Restore it from a backup; without it no issued secret can be verified. "
    "If it is lost, remove the file, start once with `pharos up --found-anew` and issue every key anew.",
)  # fmt: skip
HOME_MIXED = FaultCode(
    "HOME_MIXED", "The home's parts do not belong together", 409, Category.INTEGRITY,
    "The database and the pepper in the home directory are not of one city: one of them was removed, or exchanged for "
    "another's. `facts` says which. Nothing was changed. Put back what belongs there, or start once with `pharos up "
    "--found-anew`: then the city goes on as the database has it, and keys are issued anew.", Retry.AFTER_FIX,
)  # fmt: skip
MASTER_KEYS_DAMAGED = FaultCode(
    "MASTER_KEYS_DAMAGED", "Master keys damaged", 500, Category.INTEGRITY,
    "HOME/master.keys is not what this city wrote, so nothing new is sealed. Restore it from a backup and start again. "
    "If it is lost, move it away, start again and set every secret anew.",
)  # fmt: skip
APPROVAL_DECIDED = FaultCode(
    "APPROVAL_DECIDED", "Already decided", 409, Category.PRECONDITION,
    "The approval was approved or denied before; `facts` says by whom and when. An approval is used once.",
)  # fmt: skip
APPROVAL_EXPIRED = FaultCode(
    "APPROVAL_EXPIRED", "Approval expired", 409, Category.PRECONDITION,
    "Nobody decided before the request expired. Its author can request it again.", Retry.AFTER_FIX,
)  # fmt: skip
APPROVAL_LIMIT = FaultCode(
    "APPROVAL_LIMIT", "Too many open requests", 429, Category.QUOTA,
    "The caller has as many undecided requests for approval as one caller may have.", Retry.AFTER_TIME,
)  # fmt: skip
SELF_APPROVAL = FaultCode(
    "SELF_APPROVAL", "Nobody decides their own request", 403, Category.POLICY,
    "A request for approval is decided by someone other than its author.",
)  # fmt: skip
NOT_APPROVABLE = FaultCode(
    "NOT_APPROVABLE", "Not a call to approve", 400, Category.VALIDATION,
    "Only writes can be approved, not the deciding of approvals itself, and no call that carries a secret.",
)  # fmt: skip

ALL: tuple[FaultCode, ...] = (
    RIGHTS_EXCEEDED, KEY_EXPIRED, CREDENTIAL_LIMIT, PEPPER_DAMAGED, HOME_MIXED, APPROVAL_DECIDED, APPROVAL_EXPIRED,
    APPROVAL_LIMIT, SELF_APPROVAL, NOT_APPROVABLE,
)  # fmt: skip
