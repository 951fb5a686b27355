"""Files that an agent elsewhere answers with: bytes become blobs of the namespace that gave the work, addresses are
told and not fetched. What was kept is cited by the event that tells of the end, and stays as long as that does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from pharos.core.event import BlobRef
from pharos.core.fault import Fault
from pharos.core.wire import Json, JsonObject
from pharos.mesh.connectors import TaskEnd

if TYPE_CHECKING:
    from a2a.types import a2a_pb2 as pb

Keep = Callable[[str, bytes], Awaitable[BlobRef]]
"""Store bytes for an event of a namespace that is to come (``Depot.keep``). Raises faults; then nothing is kept."""

MOST: Final = 100
"""Files of one task that are looked at."""
LONGEST_NAME: Final = 255
LONGEST_URL: Final = 2048


class File(NamedTuple):
    """A part with a file: its bytes, or where it is (``url``)."""

    name: str
    media: str
    content: bytes
    url: str


class Ended(NamedTuple):
    """How a task ended, and the files it has brought."""

    end: TaskEnd
    files: Sequence[File] = ()


def files_in(task: pb.Task) -> tuple[File, ...]:
    """The files among the parts of a task's artifacts."""
    parts = [part for artifact in task.artifacts for part in artifact.parts]
    files = [part for part in parts if part.WhichOneof("content") in ("raw", "url")]
    return tuple(
        File(_line(part.filename, LONGEST_NAME), _line(part.media_type, LONGEST_NAME), part.raw, part.url)
        for part in files[:MOST]
    )


async def with_files(ended: Ended, keep: Keep, namespace: str) -> tuple[TaskEnd, tuple[BlobRef, ...]]:
    """The end as whoever gave the work is told of it, and what its event cites.

    Each file is a member of ``files`` in the data and a line of the text. One that cannot be kept is told with why.
    """
    if not ended.files:
        return ended.end, ()
    told: list[Json] = []
    lines, refs = [ended.end.text] if ended.end.text else [], []
    for file in ended.files:
        said: JsonObject = {"name": file.name, "mediaType": file.media}
        if file.url:
            said["url"] = place = _line(file.url, LONGEST_URL)
        else:
            said["size"] = len(file.content)
            try:
                ref = await keep(namespace, file.content)
                refs.append(ref)
                said["digest"] = place = ref.digest
            except Fault as fault:
                said["fault"] = fault.code
                place = f"not kept: {fault.detail}"
        told.append(said)
        lines.append(f"File {file.name or 'without a name'} ({file.media or 'of no media type'}): {place}")
    end = replace(ended.end, text="\n".join(lines), data={**ended.end.data, "files": told})
    return end, tuple(refs)


def _line(text: str, most: int) -> str:
    """A text from elsewhere as part of a line."""
    return "".join(character for character in text if character.isprintable())[:most]
