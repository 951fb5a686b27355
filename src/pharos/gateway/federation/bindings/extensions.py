"""What we add to A2A, each as an extension that a card declares (A2A 1.0, section 4.6), none of them required.

``resume``: every event of a stream has an id (the ``id`` of the server-sent event, ``metadata`` of the update in every
binding); who subscribes with the last one it saw hears what came after it: no event twice, none missing. The protocol
itself has no such cursor before 1.1.

``delegation``: a call says for which tree of tasks it is made, how deep in it and by whom, and what it may spend; the
answer says what it has cost. A caller's word on these only ever narrows what its key allows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict

from pharos.core.wire import JsonObject
from pharos.gateway.federation.tasks.delegation import DELEGATION

RESUME: Final = "https://pharos.dev/a2a/extensions/resume/v1"
ALL: Final = frozenset({RESUME, DELEGATION})


def declared() -> Iterator[pb.AgentExtension]:
    """The extensions, for a card."""
    yield pb.AgentExtension(
        uri=RESUME,
        description="Events have ids; Last-Event-ID (HTTP) or metadata.after resumes a stream behind one of them.",
    )
    yield pb.AgentExtension(
        uri=DELEGATION,
        description="Tree, depth, path and budget of a delegated task go along in metadata; its cost comes back.",
    )


def metadata_of(message: pb.Message | pb.SendMessageRequest | pb.Task) -> JsonObject:
    """The ``metadata`` of a protobuf message as JSON."""
    metadata: JsonObject = MessageToDict(message.metadata)
    return metadata


def activated(requested: Collection[str]) -> str:
    """What the header ``A2A-Extensions`` of an answer names: those that were asked for and are in force."""
    return ", ".join(sorted(ALL.intersection(requested)))
