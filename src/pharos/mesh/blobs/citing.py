"""Messages that name a blob in ``dataref`` cite it: they are published only with it, and it stays as long as they do.

``dataref`` is the extension *Dataref (Claim Check Pattern)* of CloudEvents. One that leads elsewhere is not ours to
keep, and passes as it is.
"""

from __future__ import annotations

from dataclasses import replace

from pharos.core.event import BLOBS, Event
from pharos.core.wire import Json
from pharos.mesh.blobs.depot import Depot
from pharos.mesh.topics.messages import PUBLISHED
from pharos.mesh.topics.names import place_of

DATAREF = "dataref"
_OURS = (BLOBS, "sha256:")


class Citing:
    """See :data:`~pharos.mesh.topics.producer.Cite`."""

    def __init__(self, depot: Depot) -> None:
        self._depot = depot

    async def __call__(self, event: Event) -> Event:
        """The event with the blob it names. Raises ``BLOB_MISSING`` where the topic's namespace does not have it."""
        reference, place = reference_in(event), place_of(event.topic)
        if reference is None or place is None or not reference.startswith(_OURS):
            return event
        return replace(event, refs=(await self._depot.ref(place.namespace, reference),))


def reference_in(event: Event) -> str | None:
    """The ``dataref`` of a message."""
    extensions: Json = event.data.get("extensions") if event.type == PUBLISHED else None
    reference = extensions.get(DATAREF) if isinstance(extensions, dict) else None
    return reference if isinstance(reference, str) else None
