"""The faults of large messages, beside those of the store."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

BLOB_QUOTA = FaultCode(
    "BLOB_QUOTA", "No room for the blob", 507, Category.QUOTA,
    "The blobs of the namespace, with those on their way, would be more than its `BlobQuota` allows. `facts` has limit "
    "and use. Give up blobs that no event cites (`blobs.delete`), or raise the quota.", Retry.AFTER_FIX,
)  # fmt: skip
UPLOAD_VERSION = FaultCode(
    "UPLOAD_VERSION", "Unknown version of the upload protocol", 412, Category.PRECONDITION,
    "Resumable uploads speak tus 1.0.0: send `Tus-Resumable: 1.0.0`. A blob in one piece goes to `POST /blobs`.",
    Retry.AFTER_FIX,
)  # fmt: skip
UPLOAD_TYPE = FaultCode(
    "UPLOAD_TYPE", "Not a piece of an upload", 415, Category.VALIDATION,
    "The pieces of a resumable upload have the content type `application/offset+octet-stream`.", Retry.AFTER_FIX,
)  # fmt: skip
RANGE_OUTSIDE = FaultCode(
    "RANGE_OUTSIDE", "The range is outside of the blob", 416, Category.VALIDATION,
    "The blob ends before the range begins. `facts` has its size.",
)  # fmt: skip

ALL: tuple[FaultCode, ...] = (BLOB_QUOTA, UPLOAD_VERSION, UPLOAD_TYPE, RANGE_OUTSIDE)
