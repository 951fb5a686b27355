"""Values of which the data of several events are made."""

from __future__ import annotations

from typing import NotRequired

# Not that of ``typing``: before Python 3.12 pydantic, with which checkpoints are read, cannot look into it.
from typing_extensions import TypedDict

from pharos.core.wire import JsonObject


class Bounds(TypedDict, total=False):
    """Limits of a session, taken from the profile when it was pinned, so that deciding needs no profile.

    What is absent is not limited, or has the value of :class:`~pharos.runtime.session.state.Limits`. ``steps`` counts
    model calls; ``seconds`` is wall time from the start; ``repeats`` how often in a row the same tool may be called
    with the same arguments; ``stalls`` how many turns in a row may teach nothing new; ``parallel`` how many effects may
    be under way; ``depth`` how deep children may nest.
    """

    steps: int
    cost: str
    seconds: float
    repeats: int
    stalls: int
    parallel: int
    depth: int
    children: int
    modelRetries: int
    toolRetries: int
    modelSeconds: float
    toolSeconds: float
    approvalSeconds: float


class Rights(TypedDict):
    """The principal a session acts for, as it was when the session began. What it may do *now* is asked anew before
    each effect, and is never more than ``permissions``."""

    kind: str
    name: str
    namespace: str
    permissions: list[str]
    chain: list[list[str]]
    accounts: NotRequired[list[str]]
    """Accounts of the sessions above it, outermost first: what one of them loses, it loses as well."""


class ClientTool(TypedDict):
    """A tool that whoever speaks to a session carries out. ``parameters`` is the schema of its arguments. All of it is
    text of theirs, which a model is told, and gives no right to anything."""

    name: str
    description: str
    parameters: JsonObject


class Parent(TypedDict):
    """Who waits for a session: its topic, and the id of the child there."""

    topic: str
    child: str


class BlobRef(TypedDict):
    """Content too large for an event: ``digest`` names it in the blob store, ``size`` is in bytes."""

    digest: str
    size: int
    mediaType: str
