"""The faults storage can raise beside the common ones."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

POSITION_CONFLICT = FaultCode(
    "POSITION_CONFLICT", "The topic has moved on", 409, Category.CONFLICT,
    "The topic's last sequence is not the expected one. Read the topic again and decide anew.", Retry.AFTER_FIX,
)  # fmt: skip
COUNTER_EXHAUSTED = FaultCode(
    "COUNTER_EXHAUSTED", "Counter exhausted", 429, Category.QUOTA,
    "The amount does not fit under the counter's limit. `facts` has limit, settled, reserved and requested.",
    Retry.AFTER_TIME,
)  # fmt: skip
IDEMPOTENCY_RACE = FaultCode(
    "IDEMPOTENCY_RACE", "The same key is being used at this moment", 409, Category.CONFLICT,
    "Another call with the same idempotency key committed first. Its answer can be read now.", Retry.SAME_REQUEST,
)  # fmt: skip
SCHEMA_TOO_NEW = FaultCode(
    "SCHEMA_TOO_NEW", "Data of a newer version", 409, Category.PRECONDITION,
    "The data was written by a newer Pharos. Start that version; this one does not touch the data.",
)  # fmt: skip
HOME_IN_USE = FaultCode(
    "HOME_IN_USE", "Home directory in use", 409, Category.CONFLICT,
    "Another process has this home open. One process owns a home at a time.", Retry.AFTER_FIX,
)  # fmt: skip
STORAGE_FAILED = FaultCode(
    "STORAGE_FAILED", "Storage failed", 503, Category.DEPENDENCY,
    "The disk refused a write (full, read-only, or failing). The transaction was rolled back.", Retry.AFTER_FIX,
)  # fmt: skip
LEASE_LOST = FaultCode(
    "LEASE_LOST", "The lease is lost", 409, Category.CONFLICT,
    "Another worker has the delivery now, or it was given back or removed: nothing was committed. Claim again.",
)  # fmt: skip
GONE = FaultCode(
    "GONE", "No longer in the log", 410, Category.PRECONDITION,
    "The topic went on without what was asked for: it was trimmed, or belongs to an older topic of this name. `facts` "
    "has the earliest event there is (`earliest`), the topic's `generation` and the `reason`.",
    Retry.AFTER_FIX,
)  # fmt: skip
BLOB_MISSING = FaultCode(
    "BLOB_MISSING", "Blob not stored", 409, Category.PRECONDITION,
    "The event cites a blob that is not stored as a whole, or that its namespace does not have. Upload it first: an "
    "event is never in the log without its blob.", Retry.AFTER_FIX,
)  # fmt: skip
BLOB_CITED = FaultCode(
    "BLOB_CITED", "Blob in use", 409, Category.PRECONDITION,
    "Events cite the blob: it goes with the last of them. `facts` has their number.",
)  # fmt: skip
BLOBS_UNAVAILABLE = FaultCode(
    "BLOBS_UNAVAILABLE", "Blob store unavailable", 503, Category.DEPENDENCY,
    "The place where blobs are kept cannot be reached or has refused. Nothing was done and nothing is lost; messages "
    "without blobs pass as ever. Try again later.", Retry.AFTER_TIME,
)  # fmt: skip
UPLOAD_OFFSET = FaultCode(
    "UPLOAD_OFFSET", "Upload is at another offset", 409, Category.CONFLICT,
    "The bytes do not continue the upload where it is. `facts` has its offset: go on from there.", Retry.AFTER_FIX,
)  # fmt: skip
UPLOAD_BUSY = FaultCode(
    "UPLOAD_BUSY", "Upload in progress", 423, Category.CONFLICT,
    "Another request is sending bytes to this upload. Wait for its end, then ask for the offset.", Retry.AFTER_TIME,
)  # fmt: skip

ALL: tuple[FaultCode, ...] = (
    POSITION_CONFLICT, COUNTER_EXHAUSTED, IDEMPOTENCY_RACE, SCHEMA_TOO_NEW, HOME_IN_USE, STORAGE_FAILED, LEASE_LOST,
    GONE, BLOB_MISSING, BLOB_CITED, BLOBS_UNAVAILABLE, UPLOAD_OFFSET, UPLOAD_BUSY,
)  # fmt: skip
