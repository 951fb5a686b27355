"""What large messages bring to the city."""

from __future__ import annotations

from datetime import timedelta

from pharos.core.event import BLOBS
from pharos.core.operation import operations_of
from pharos.core.plane import Plane, Route
from pharos.mesh.blobs.collector import GRACE, Collector
from pharos.mesh.blobs.depot import Depot
from pharos.mesh.blobs.downloads import Downloads
from pharos.mesh.blobs.faults import ALL
from pharos.mesh.blobs.kinds import BLOB_QUOTA_KIND
from pharos.mesh.blobs.operations import BlobOperations
from pharos.mesh.blobs.uploads import Identify, Uploads
from pharos.store.ports import Store


def blobs_plane(store: Store, depot: Depot, identify: Identify, *, grace: timedelta = GRACE) -> Plane:
    """Build the plane. ``identify`` says who makes a request, or raises ``UNAUTHENTICATED``."""
    collector = Collector(store, depot, grace)
    downloads = Downloads(depot, identify)
    return Plane(
        name="blobs",
        summary="Large messages: bytes beside the log, uploaded in pieces, read in ranges, kept as long as an event.",
        kinds=(BLOB_QUOTA_KIND,),
        operations=operations_of(BlobOperations(store, depot, collector)),
        faults=ALL,
        routes=(
            *Uploads(depot, identify).routes(),
            Route("GET", f"{BLOBS}*", downloads, "A blob, whole or in ranges"),
        ),
        services=(collector.service,),
    )
