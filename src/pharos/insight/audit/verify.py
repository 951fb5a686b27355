"""Proves that the audit is whole and unchanged, or says what is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pharos.core.event import START, Position, Recorded
from pharos.core.fault import Fault
from pharos.core.forms import SHA256
from pharos.core.operation import Invocation, read
from pharos.core.resource import Name
from pharos.core.wire import Wire
from pharos.insight.audit.chain import EXPIRED, SEALS, extended, genesis, leaf_of, seals_of
from pharos.insight.audit.contents import digest_on_disk
from pharos.mesh.auditing import CHAIN, RECORDED, chain_of, digest_of
from pharos.mesh.facts import MODEL_CALLED
from pharos.store.ports import Store

MOST_PROBLEMS = 200
PAGE = 200

Defect = Literal[
    "altered", "missing", "unreadable", "seal-broken", "content-altered", "content-missing", "content-not-deleted",
    "expired-early", "anchor-differs", "call-differs",
]  # fmt: skip


class Anchor(Wire):
    """A head that was noted elsewhere, as ``audit.verify`` said it then."""

    namespace: Name = "default"
    sequence: int = Field(ge=1)
    head: Annotated[str, StringConstraints(pattern=SHA256)]


class Verify(Wire):
    """Input of ``audit.verify``."""

    namespace: Name | None = None
    """Only this chain; absent: all."""
    contents: bool = True
    """Read the contents too, and compare their digests."""
    anchors: Annotated[list[Anchor], Field(max_length=1000)] = Field(default_factory=list)
    """Heads that were noted elsewhere: who rewrote everything, seals included, is found by them."""


class AuditProblem(Wire):
    """One thing that is not as it was recorded."""

    namespace: str
    kind: Defect
    sequence: int = 0
    """Place in the chain; 0 where it is about none."""
    call: str = ""
    message: str


class ChainState(Wire):
    """One chain."""

    namespace: str
    events: int
    """What stands in it: records, tombstones, views."""
    records: int
    contents: int
    """Contents that are there and were compared."""
    expired: int
    """Contents that were deleted by retention; each has its tombstone."""
    sequence: int
    """Up to which event it is sealed."""
    unsealed: int
    """Events after that: they are proven by the next seal, a moment after they were written."""
    head: str
    """Its head at ``sequence``. Note both elsewhere and give them back as an anchor."""


class Verified(Wire):
    """Whether the audit is whole and unchanged."""

    ok: bool
    chains: list[ChainState]
    problems: list[AuditProblem]
    """At most 200."""
    found: int
    """How many problems there are in all."""


@dataclass
class _Chain:
    """What is known of one chain while it is read."""

    namespace: str
    leaves: list[str] = field(default_factory=list)
    """By sequence, from 1, as the seals have them."""
    heads: dict[int, str] = field(default_factory=dict)
    """By the last sequence of each seal."""
    head: bytes = b""
    events: int = 0
    last: int = 0
    records: dict[str, str] = field(default_factory=dict)
    """Digests of data, by call."""
    contents: dict[str, tuple[int, str, datetime]] = field(default_factory=dict)
    """Sequence, blob and time, by call."""
    tombs: set[str] = field(default_factory=set)


class Verifier:
    """The operation."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @read("audit.verify", permission="audit.read", typical_ms=1000)
    async def verify(self, invocation: Invocation, input: Verify) -> Verified:
        """Prove that no record, tombstone or content was changed or removed since it was written.

        Every event of a chain is hashed again and compared with the seals, every content with the digest in its record,
        every audited call in the log with its record. One byte that differs is found, and told with its place; so is
        a record that is gone. Contents that retention deleted are proven by their tombstones. ``head`` and
        ``sequence`` of the answer, noted outside the city, prove later that the whole was not rewritten.
        """
        problems = _Problems()
        chains = []
        calls = await self._calls(input.namespace)
        for namespace in await self._namespaces(input.namespace, {namespace for namespace, _ in calls}):
            chain = _Chain(namespace)
            await self._seals(chain, problems)
            await self._events(chain, problems)
            checked = await self._contents(chain, problems) if input.contents else 0
            for (home, call), digest in calls.items():
                if home == namespace and chain.records.get(call) != digest:
                    problems.add(namespace, "call-differs", "the call is in the log, its record is not", call=call)
            for anchor in input.anchors:
                if anchor.namespace == namespace and chain.heads.get(anchor.sequence) != anchor.head:
                    problems.add(
                        namespace, "anchor-differs", "the head that was noted is not that of the chain", anchor.sequence
                    )
            sealed = len(chain.leaves)
            chains.append(
                ChainState(
                    namespace=namespace,
                    events=chain.events,
                    records=len(chain.records),
                    contents=checked,
                    expired=len(chain.tombs),
                    sequence=sealed,
                    unsealed=max(0, chain.last - sealed),
                    head=chain.head.hex(),
                )
            )
        known = {chain.namespace for chain in chains}
        for anchor in input.anchors:
            if anchor.namespace not in known and input.namespace in (None, anchor.namespace):
                problems.add(anchor.namespace, "anchor-differs", "there is no such chain", anchor.sequence)
        return Verified(ok=not problems.found, chains=chains, problems=problems.listed, found=problems.found)

    async def _namespaces(self, only: str | None, called: set[str]) -> list[str]:
        if only is not None:
            return [only]
        found = set(called)
        for prefix in (CHAIN, SEALS):
            after: str | None = None
            while True:
                topics, after = await self._store.log.topics(prefix, after)
                found |= {topic.name.removeprefix(prefix) for topic in topics}
                if after is None:
                    break
        return sorted(found)

    async def _calls(self, only: str | None) -> dict[tuple[str, str], str]:
        """Digests of the records that calls in the log name, by namespace and call."""
        calls: dict[tuple[str, str], str] = {}
        position: Position = START
        while page := await self._store.log.read_all(position, PAGE, frozenset({MODEL_CALLED})):
            position = page[-1].position
            for recorded in page:
                data = recorded.event.data
                digest, namespace = data.get("audit"), data.get("namespace")
                if isinstance(digest, str) and isinstance(namespace, str) and only in (None, namespace):
                    calls[namespace, str(data.get("call"))] = digest
        return calls

    async def _seals(self, chain: _Chain, problems: _Problems) -> None:
        """Read the seals, and compute every head again."""
        head = genesis(chain_of(chain.namespace))
        number = 0
        async for recorded in self._read(seals_of(chain.namespace), chain, problems):
            number += 1
            data = recorded.event.data
            first, last, leaves = data.get("first"), data.get("last"), data.get("leaves")
            try:
                if not isinstance(leaves, list) or first != len(chain.leaves) + 1 or last != first + len(leaves) - 1:
                    raise ValueError("it does not continue the one before")
                after = extended(head, (bytes.fromhex(str(leaf)) for leaf in leaves))
                if data.get("previous") != head.hex() or data.get("head") != after.hex():
                    raise ValueError("its head is not that of its leaves")
                if recorded.sequence != number:
                    raise ValueError("a seal before it is gone")
            except ValueError as error:
                problems.add(
                    chain.namespace, "seal-broken", f"seal {recorded.sequence}: {error}", len(chain.leaves) + 1
                )
                break
            head = after
            chain.leaves += [str(leaf) for leaf in leaves]
            chain.heads[len(chain.leaves)] = head.hex()
        topic = await self._store.log.topic(seals_of(chain.namespace))
        if topic is not None and topic.sequence > number:
            problems.add(chain.namespace, "missing", f"{topic.sequence - number} seals are gone", len(chain.leaves) + 1)
        chain.head = head

    async def _events(self, chain: _Chain, problems: _Problems) -> None:
        """Read the chain, and compare every event with its leaf."""
        namespace = chain.namespace
        async for recorded in self._read(chain_of(namespace), chain, problems):
            problems.gone(namespace, chain.last + 1, recorded.sequence)
            chain.last = max(chain.last, recorded.sequence)
            chain.events += 1
            data = recorded.event.data
            call = str(data.get("call", "")) if recorded.event.type == RECORDED else ""
            sealed = chain.leaves[recorded.sequence - 1] if 0 < recorded.sequence <= len(chain.leaves) else None
            if sealed is not None and leaf_of(recorded).hex() != sealed:
                problems.add(namespace, "altered", "the event is not what was sealed", recorded.sequence, call)
                continue
            if recorded.event.type == RECORDED:
                chain.records[call] = digest_of(data)
                content = data.get("content")
                digest = content.get("digest") if isinstance(content, dict) else None
                if isinstance(digest, str) and digest:
                    chain.contents[call] = (recorded.sequence, digest, recorded.event.time)
            elif recorded.event.type == EXPIRED:
                _bury(chain, recorded, problems)
        topic = await self._store.log.topic(chain_of(namespace))
        end = max(topic.sequence if topic is not None else 0, len(chain.leaves))
        problems.gone(namespace, chain.last + 1, end + 1)
        chain.last = max(chain.last, end)

    async def _contents(self, chain: _Chain, problems: _Problems) -> int:
        """Compare every content with its digest; returns how many are there."""
        there = 0
        for call, (sequence, digest, _) in chain.contents.items():
            found = await digest_on_disk(self._store.blobs, digest)
            if call in chain.tombs:
                if found is not None:
                    problems.add(
                        chain.namespace, "content-not-deleted", "it has a tombstone and is there", sequence, call
                    )
            elif found is None:
                problems.add(
                    chain.namespace, "content-missing", "the content is gone without a tombstone", sequence, call
                )
            elif found != digest:
                problems.add(chain.namespace, "content-altered", "the content is not what was recorded", sequence, call)
            else:
                there += 1
        return there

    async def _read(self, topic: str, chain: _Chain, problems: _Problems) -> AsyncIterator[Recorded]:
        """The events of a topic, up to one that cannot be read."""
        position: Position = START
        size = PAGE
        while True:
            try:
                page = await self._store.log.read(topic, position, size)
            except (ValueError, TypeError, Fault) as error:
                if size > 1:
                    size = 1  # one at a time, to come as close as can be
                    continue
                what = f"an event of {topic} and all after it: {type(error).__name__}"
                problems.add(chain.namespace, "unreadable", what, chain.last + 1)
                return
            for recorded in page:
                position = recorded.position
                yield recorded
            if len(page) < size:
                return


def _bury(chain: _Chain, recorded: Recorded, problems: _Problems) -> None:
    """Take in a tombstone. One that came before its time is a problem: it could hide a deletion."""
    records = recorded.event.data.get("records")
    for each in records if isinstance(records, list) else ():
        if not isinstance(each, dict):
            continue
        call, days = str(each.get("call", "")), each.get("days")
        known = chain.contents.get(call)
        if known is None or known[1] != each.get("content"):
            continue
        chain.tombs.add(call)
        if type(days) is not int or recorded.event.time - known[2] < timedelta(days=days):
            problems.add(chain.namespace, "expired-early", "its time was not over", recorded.sequence, call)


class _Problems:
    """Problems, bounded."""

    def __init__(self) -> None:
        self.listed: list[AuditProblem] = []
        self.found = 0

    def add(self, namespace: str, kind: Defect, message: str, sequence: int = 0, call: str = "") -> None:
        """Note one."""
        self.found += 1
        if len(self.listed) < MOST_PROBLEMS:
            self.listed.append(
                AuditProblem(namespace=namespace, kind=kind, sequence=sequence, call=call, message=message)
            )

    def gone(self, namespace: str, first: int, end: int) -> None:
        """Note that the events from ``first`` to before ``end`` are not there. A forged number may make them many."""
        told = min(end, first + MOST_PROBLEMS)
        for sequence in range(first, told):
            self.add(namespace, "missing", "an event is gone", sequence)
        self.found += max(0, end - told)
