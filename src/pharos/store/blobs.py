"""Whose blobs are whose: the port that ties bytes to the events that speak of them.

A blob lives as long as someone has it. A namespace *has* a blob from the moment it has uploaded it, or an event of it
cites it (:class:`~pharos.core.event.BlobRef`); it has it for good while an event does, and for a period of grace
afterwards, so that what was uploaded can still be cited, and who reads comes to the end. Then it is collected. What
nobody has, such as the bytes that a crash left behind before their event, is collected by its age.

Only who has a blob may know that it is there: the same bytes of another namespace change no answer.

An append is refused with ``BLOB_MISSING`` while a blob it cites is not stored as a whole, so no event is ever visible
before its blob; and it takes part in the counting by itself, as does the removal of events (``Trim``, ``Retire``) and
what is scheduled. Uploads come in pieces and survive restarts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from pharos.core.event import Position


class Keep(NamedTuple):
    """Note that a namespace has a blob, from now on for the period of grace. Result: whether it is new to it.

    Raises ``BLOB_MISSING`` where the blob is not stored as a whole.
    """

    digest: str
    namespace: str
    size: int


class Uncite(NamedTuple):
    """An event that stays lets one of its blobs go, as where content expires before its record. Result: whether it had
    it."""

    position: Position
    digest: str


class GiveUp(NamedTuple):
    """A namespace gives a blob up now, without grace. Result: whether it had it.

    Raises ``BLOB_CITED`` while an event of it cites the blob.
    """

    namespace: str
    digest: str


class Collect(NamedTuple):
    """Remove blobs that nobody has. Result: how many.

    ``before``: who was noted to have one before then, and cites it no more, does not have it any longer; bytes that
    were stored since then, or are being read, stay. ``None``: whatever their age.
    """

    digests: tuple[str, ...]
    before: datetime | None = None


BlobCommand = Keep | Uncite | GiveUp | Collect


class StoredBlob(NamedTuple):
    """Bytes in the store, whoever has them."""

    digest: str
    size: int
    stored_at: datetime
    """When they were last put there."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A blob that a namespace has. ``references`` counts its events that cite it; ``since``: when it was last noted to
    have it, or ceased to cite it."""

    namespace: str
    digest: str
    size: int
    references: int
    since: datetime


class Usage(NamedTuple):
    """How much a namespace has. What others have too counts in full for each of them."""

    blobs: int
    size: int


class Holdings(Protocol):
    """Reading who has which blobs."""

    async def get(self, namespace: str, digest: str) -> Holding | None:
        """A blob of a namespace; ``None`` where it does not have it, whoever else may."""

    async def list(
        self, namespace: str, *, cited: bool | None = None, after: str = "", limit: int = 100
    ) -> Sequence[Holding]:
        """The blobs of a namespace by digest; ``cited``: only those that an event cites, or that none does."""

    async def usage(self, namespace: str) -> Usage:
        """How much a namespace has."""

    async def lapsed(self, before: datetime, after: str = "", limit: int = 100) -> Sequence[str]:
        """Digests, in order, that some namespace was noted to have before ``before`` and cites no more."""

    async def unheld(self, digests: Sequence[str]) -> Sequence[str]:
        """Those of ``digests`` that no namespace has."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes on their way. ``offset`` of ``length`` bytes are there; ``touched_at``: when the last of them came."""

    id: str
    namespace: str
    length: int
    offset: int
    note: Mapping[str, str]
    touched_at: datetime
    digest: str = ""
    """Of the blob it has become; empty before."""


class Uploads(Protocol):
    """Uploads that may be interrupted by anything, a ``kill -9`` of the store included, and go on where they were."""

    async def begin(self, namespace: str, length: int, note: Mapping[str, str]) -> Upload:
        """Begin an upload of ``length`` bytes. Its id cannot be guessed."""

    async def get(self, id: str) -> Upload | None:
        """An upload as it is now."""

    async def list(self) -> Sequence[Upload]:
        """All uploads, those that have become blobs included, until they are ended."""

    async def extend(self, id: str, offset: int, data: AsyncIterator[bytes]) -> Upload:
        """Append bytes durably.

        Where ``data`` fails, what came before is kept, and its error passes through. Raises ``NOT_FOUND``,
        ``UPLOAD_OFFSET`` where ``offset`` is not the upload's, ``UPLOAD_BUSY`` while another call extends it, and
        ``TOO_LARGE`` for bytes beyond its length (those before are kept).
        """

    async def finish(self, id: str) -> Upload:
        """Make the blob of an upload that is complete. Again: the same answer. Raises ``NOT_FOUND`` and
        ``UPLOAD_OFFSET`` where bytes are missing, ``UPLOAD_BUSY``."""

    async def end(self, id: str) -> bool:
        """Forget an upload, and its bytes where they have not become a blob; whether it was there. Raises
        ``UPLOAD_BUSY`` while it is extended."""
