"""Operations on blobs. Each caller sees those of its own namespace, whatever else it may do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import Field

from pharos.core.event import BLOBS
from pharos.core.fault import NOT_FOUND
from pharos.core.operation import Decision, Invocation, Reversibility, Written, read, write
from pharos.core.wire import Page, Wire
from pharos.mesh.blobs.collector import Collector
from pharos.mesh.blobs.depot import Depot, digest_in
from pharos.store.blobs import GiveUp, Holding
from pharos.store.faults import BLOB_CITED, BLOBS_UNAVAILABLE
from pharos.store.ports import Store


class Blob(Wire):
    """A blob of the caller's namespace."""

    digest: str
    size: int
    """Bytes."""
    dataref: str
    """Where it is read over HTTP; also what a message names it by."""
    references: int
    """Events of the namespace that cite it."""
    since: datetime
    """When it was uploaded, or last ceased to be cited. What no event cites is removed some time later."""


class ListBlobs(Wire):
    """Which blobs."""

    cited: bool | None = None
    """Only those that an event cites, or only those that none does."""
    after: str | None = None
    """Where the last page ended."""
    limit: int = Field(default=100, ge=1, le=1000)


class NamedBlob(Wire):
    """One blob."""

    digest: str
    """Its digest, ``sha256:…``, or its ``dataref``."""


class CollectBlobs(Wire):
    """What to collect."""

    grace_minutes: float | None = Field(default=None, ge=0, le=10 * 366 * 24 * 60)
    """Only what nobody has had for so long; without it, as long as the city waits by itself, a day."""


class Collection(Written):
    """What was removed."""

    blobs: int
    uploads: int
    """Unfinished, whose time was over."""


class Deleted(Written):
    """The blob that was given up."""

    digest: str
    size: int


class BlobOperations:
    """Reading and giving up blobs."""

    def __init__(self, store: Store, depot: Depot, collector: Collector) -> None:
        self._store = store
        self._depot = depot
        self._collector = collector

    @read("blobs.list", permission="blobs.read")
    async def list(self, invocation: Invocation, input: ListBlobs) -> Page[Blob]:
        """List the blobs that the caller's namespace has, by digest.

        A namespace has what it has uploaded, and what its events cite. With ``cited`` false: what will be removed.
        """
        found = await self._store.holdings.list(
            invocation.principal.namespace, cited=input.cited, after=input.after or "", limit=input.limit + 1
        )
        page = found[: input.limit]
        return Page[Blob](
            items=[_shown(holding) for holding in page],
            next=page[-1].digest if len(found) > len(page) else None,
        )

    @read("blobs.get", permission="blobs.read", faults=(NOT_FOUND,))
    async def get(self, invocation: Invocation, input: NamedBlob) -> Blob:
        """Show a blob: its size, how many events cite it, and since when.

        Its bytes are read at its ``dataref``, whole or in ranges: ``GET /blobs/sha256:…``.
        """
        return _shown(await self._held(invocation, input))

    @write(
        "blobs.delete",
        permission="blobs.delete",
        reversibility=Reversibility.NONE,
        inverse=None,
        destroys=True,
        faults=(NOT_FOUND, BLOB_CITED),
    )
    async def delete(self, invocation: Invocation, input: NamedBlob) -> Decision[Deleted]:
        """Give up a blob that no event of the caller's namespace cites.

        The namespace cannot read it any more, at once. Its bytes are removed when nobody else has them and the city
        collects. Refused while an event cites it: trim or retire what does.
        """
        held = await self._held(invocation, input)
        if held.references:
            raise BLOB_CITED(
                f"{held.references} events cite the blob.",
                subject=held.digest,
                facts={"references": held.references},
            )
        output = Deleted(operation=invocation.operation_id, digest=held.digest, size=held.size)
        return Decision(output, commands=(GiveUp(held.namespace, held.digest),))

    @write(
        "blobs.collect",
        permission="blobs.collect",
        reversibility=Reversibility.NONE,
        inverse=None,
        destroys=True,
        typical_ms=100,
        faults=(BLOBS_UNAVAILABLE,),
        recorded=False,
    )
    async def collect(self, invocation: Invocation, input: CollectBlobs) -> Decision[Collection]:
        """Remove, in the whole city, the blobs that nobody has any more, and uploads whose time is over.

        The city does so every hour by itself. What an event cites, what was uploaded or ceased to be cited
        within the grace, and what is being read at this moment stays.
        """
        grace = None if input.grace_minutes is None else timedelta(minutes=input.grace_minutes)

        async def perform() -> Collection:
            found = await self._collector.collect(datetime.now(UTC), grace)
            return Collection(operation=invocation.operation_id, blobs=found.blobs, uploads=found.uploads)

        return Decision(Collection(operation=invocation.operation_id, blobs=0, uploads=0), perform=perform)

    async def _held(self, invocation: Invocation, input: NamedBlob) -> Holding:
        held = await self._depot.find(invocation.principal.namespace, digest_in(input.digest))
        if held is None:
            raise NOT_FOUND("There is no such blob here.", subject=input.digest[:128])
        return held


def _shown(held: Holding) -> Blob:
    return Blob(
        digest=held.digest,
        size=held.size,
        dataref=f"{BLOBS}{held.digest}",
        references=held.references,
        since=held.since,
    )
