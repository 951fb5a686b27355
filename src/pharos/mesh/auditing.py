"""What the audit of calls is agreed on: the room where calls pass states it, insight keeps it.

A record is an event on the topic of its chain (one for each namespace), committed together with the call's own
``model.called``. The content is a blob that belongs to this record alone: it begins with a line that names the call, so
no two records share one and deleting it takes nothing from another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict, cast

import orjson

from pharos.core.resource import ResourceId
from pharos.core.wire import Json, JsonObject

RECORDED: Literal["audit.recorded"] = "audit.recorded"
"""A call, with what was asked and answered as it left the city's guards."""
CHAIN = "audit/"
"""Prefix of the topics of chains; the rest is the namespace."""


def chain_of(namespace: str) -> str:
    """The topic of a namespace's chain."""
    return f"{CHAIN}{namespace}"


@dataclass(frozen=True, slots=True)
class AuditRule:
    """What a policy means for one key, worked out when resources change."""

    policy: str
    models: frozenset[ResourceId]
    every: bool
    """It is for every model."""
    content: bool
    """Prompt and answer are kept, not only their digests."""
    withhold: bool
    """Of a request with ``store: false`` only digests are kept, whatever ``content`` says."""
    required: bool
    """A call that cannot be recorded fails."""
    days: int | None
    """How long the content is kept; ``None``: for ever."""

    def covers(self, model: ResourceId) -> bool:
        """Whether calls of the model are recorded."""
        return self.every or model in self.models


class Content(TypedDict):
    """Where the content of a record is. ``withheld`` says why it is not kept (``policy``, ``store-false``)."""

    digest: str
    """Of the blob; empty where nothing is kept."""
    prompt: int
    answer: int
    """Bytes."""
    promptDigest: str
    answerDigest: str
    """Salted with the call's id, so that equal texts do not look equal."""
    withheld: NotRequired[str]
    truncated: NotRequired[bool]
    """The answer was longer than is kept."""
    guarded: NotRequired[bool]
    """The guards did not let the answer pass, or could not examine it: it is not kept."""


class AuditRecorded(TypedDict):
    """Data of ``audit.recorded``."""

    call: str
    policy: str
    key: str
    namespace: str
    team: str
    labels: dict[str, str]
    user: str
    dialect: str
    model: str
    served: str
    """Provider and model that answered; empty where none did."""
    stream: bool
    outcome: str
    fault: str
    startedAt: str
    days: int | None
    content: Content


def digest_of(data: Mapping[str, Json]) -> str:
    """Digest of a record's data, as ``model.called`` names it: SHA-256 of its canonical JSON."""
    return f"sha256:{hashlib.sha256(canonical(dict(data))).hexdigest()}"


def canonical(value: Json) -> bytes:
    """JSON with sorted keys and no white space: equal values have equal bytes.

    The city's own form, over which it alone hashes, for each call; every digest of every chain there is depends on it.
    What strangers check (signed cards) is in the form of RFC 8785, which differs in numbers and in the order of names.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def salted(call: str, data: bytes) -> str:
    """Digest of a text of a call."""
    digest = hashlib.sha256(call.encode())
    digest.update(b"\n")
    digest.update(data)
    return f"sha256:{digest.hexdigest()}"


def packed(call: str, prompt: bytes, answer: bytes) -> bytes:
    """Prompt and answer as one blob."""
    head = orjson.dumps({"call": call, "prompt": len(prompt), "answer": len(answer)})
    return b"%b\n%b%b" % (head, prompt, answer)


def unpacked(blob: bytes) -> tuple[str, bytes, bytes]:
    """The call, prompt and answer of a blob. Raises ``ValueError`` for bytes that are none."""
    head, newline, rest = blob.partition(b"\n")
    fields = orjson.loads(head)
    if not newline or not isinstance(fields, dict):
        raise ValueError("not the content of an audit record")
    of = cast("JsonObject", fields)
    call, prompt, answer = of.get("call"), of.get("prompt"), of.get("answer")
    if not isinstance(call, str) or type(prompt) is not int or type(answer) is not int or len(rest) != prompt + answer:
        raise ValueError("not the content of an audit record")
    return call, rest[:prompt], rest[prompt:]
