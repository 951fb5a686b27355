"""How much a namespace may keep."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from pharos.core.resource import Kind, Spec

GIB = 1024**3


class BlobQuotaSpec(Spec):
    """Limits of a namespace's blobs. Of several quotas of a namespace each holds; without one, these values do."""

    max_bytes: int = Field(default=64 * GIB, ge=0)
    """Bytes of all blobs, and of what is being uploaded."""
    max_blob_bytes: int = Field(default=5 * GIB, ge=0)
    """Bytes of one blob."""
    max_uploads: int = Field(default=256, ge=0)
    """Uploads that are not finished at one time."""
    upload_hours: float = Field(default=24, gt=0, le=24 * 365)
    """After so many hours without a further byte an unfinished upload expires."""


BLOB_QUOTA_KIND: Kind[BlobQuotaSpec] = Kind(
    "BlobQuota", BlobQuotaSpec, "How many bytes the large messages of a namespace may take."
)

NO_QUOTA = BlobQuotaSpec()


def together(quotas: Iterable[BlobQuotaSpec]) -> BlobQuotaSpec:
    """The limits that hold where each of ``quotas`` does."""
    found = list(quotas)
    if not found:
        return NO_QUOTA
    return BlobQuotaSpec(
        max_bytes=min(quota.max_bytes for quota in found),
        max_blob_bytes=min(quota.max_blob_bytes for quota in found),
        max_uploads=min(quota.max_uploads for quota in found),
        upload_hours=min(quota.upload_hours for quota in found),
    )
