"""The operations of the caches: how they stand, and the one call that empties them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from pharos.control.documents import missing
from pharos.control.index import Index
from pharos.core.event import Event
from pharos.core.fault import NOT_FOUND
from pharos.core.forms import SHA256
from pharos.core.operation import Decision, Invocation, Reversibility, Written, read, write
from pharos.core.resource import Name, Ref, Resource, ResourceId
from pharos.core.wire import Page, Wire
from pharos.gateway.models.caching.semantic import Measured, SemanticCache
from pharos.gateway.models.caching.shelf import Recording, Shelf, Shelves, Tally
from pharos.gateway.models.kinds import MODEL, ModelSpec
from pharos.mesh.money import decimal_text

PURGED: Literal["cache.purged"] = "cache.purged"
"""Answers were taken out of the caches. Data: what was asked for, and how many there were."""

TOPIC = "caches"

Entry = Annotated[str, StringConstraints(pattern=SHA256)]


class PurgeCache(Wire):
    """Input of ``cache.purge``. What is named narrows it down; ``all`` is said where nothing is named."""

    model: Annotated[str, Ref("Model")] | None = None
    """Only answers of this model: a name in ``namespace``, or ``namespace/name``."""
    namespace: Name = "default"
    tenant: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """Only answers of this tenant, as ``cache.stats`` names it, and of those inside it: ``default`` is the whole
    namespace, ``default/team/blue`` one team, ``default/key/bot`` one key."""
    entry: Entry | None = None
    """Only this answer: the header ``x-pharos-cache-key`` it came with."""
    all: bool = False
    """Every answer of every model."""

    @model_validator(mode="after")
    def _says_what(self) -> PurgeCache:
        named = self.model is not None or self.tenant is not None or self.entry is not None
        if named == self.all:
            raise ValueError("name a model, a tenant or an entry, or say all: true, which excludes the others")
        return self


class CachePurged(Written):
    """What was taken out."""

    purged: int
    """Answers. Questions that semantic caches knew by them are forgotten with them, and not counted."""


class CacheQuery(Wire):
    """Input of ``cache.stats``."""

    namespace: Name | None = None
    """Only models of this namespace."""
    model: Name | None = None
    """Only models of this name."""
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: str | None = None
    """``next`` of the page before."""


class SemanticState(Wire):
    """What a semantic cache does, and what it was measured to get wrong."""

    mode: Literal["shadow", "answer"]
    state: Literal["off", "shadow", "answering"]
    """``off``: nobody turns its questions into vectors, or it was not called yet. ``shadow``: it measures only, also
    in mode ``answer`` while what was measured does not suffice."""
    entries: int
    """Questions it knows."""
    looks: int
    """Questions that were looked for."""
    near: int
    """Of those, the ones for which it had an answer."""
    failures: int
    """Of those, the ones that did not become a vector."""
    vetoes: dict[str, int]
    """Near questions that a guard struck out, by guard: ``numbers``, ``negation``, ``names``, ``words``."""
    samples: int
    """Comparisons of its answer with the provider's."""
    wrong: int
    """Of those, the ones in which the two did not say the same."""
    false_hits: float
    """Upper end of the 95 % confidence interval for the share of wrong answers at its threshold."""
    threshold: float | None = None
    """Similarity from which on it answers, or would; absent while what was measured does not suffice."""


class CacheState(Wire):
    """The caches of one model. Counts are since the city started."""

    model: str
    namespace: str
    entries: int
    """Answers that can be given again now."""
    bytes: int
    max_entries: int
    max_bytes: int
    hits: int
    misses: int
    """Calls that asked a provider because nothing was found."""
    stored: int
    passed: int
    """Answers that were not kept: failed, cut, filtered, ended by their limit, or too large."""
    evicted: int
    """Answers that gave way to others."""
    coalesced: int
    """Calls that followed another one that was under way."""
    promoted: int
    """Times that a follower took the lead, because the leader's client had left."""
    similar: int
    """Answers given to a question that means the same."""
    saved: str
    """What all of these would have cost, as far as it is known."""
    tenants: dict[str, int]
    """Answers kept for each tenant; of many, those with the most."""
    semantic: SemanticState | None = None


MOST_TENANTS = 50


class CacheOperations:
    """See the methods. Names and schemas of the operations are generated from them."""

    def __init__(self, index: Index, shelves: Shelves, similar: Mapping[ResourceId, SemanticCache]) -> None:
        self._index = index
        self._shelves = shelves
        self._similar = similar

    @write(
        "cache.purge",
        permission="cache.purge",
        reversibility=Reversibility.NONE,
        inverse=None,
        destroys=True,
        faults=(NOT_FOUND,),
    )
    async def purge(self, invocation: Invocation, input: PurgeCache) -> Decision[CachePurged]:
        """Take answers out of the caches: those of a model, of a tenant, one of them, or all.

        When the call returns, none of them is given again, and an answer that was under way when it was made is not
        kept. It cannot be undone; what was lost is asked of the provider again, once.
        """
        model: ResourceId | None = None
        if input.model is not None:
            model = Ref("Model").resolve(input.model, input.namespace)
            if self._index.find(model) is None:
                raise missing(model, self._index)
        shelves = [shelf for shelf in self._shelves if model is None or shelf.model == model]
        # A copy of an answer is no state of the city: taking it away early harms nothing if the commit should fail, and
        # doing it twice does what doing it once does. So it is done here; a plan of it only counts.
        purged = 0
        for shelf in shelves:
            if invocation.dry_run:
                purged += _count(shelf, input)
                continue
            purged += shelf.purge(lambda d, r: _meant(input, d, r))
            if (similar := self._similar.get(shelf.model)) is not None:
                similar.purge(lambda d, r: _meant(input, d, r))
        event = Event(
            topic=TOPIC,
            type=PURGED,
            data={
                "model": str(model or ""),
                "tenant": input.tenant or "",
                "entry": input.entry or "",
                "purged": purged,
            },
            principal=invocation.principal.id,
        )
        return Decision(CachePurged(operation=invocation.operation_id, purged=purged), events=(event,))

    @read("cache.stats", permission="cache.read")
    async def stats(self, invocation: Invocation, input: CacheQuery) -> Page[CacheState]:
        """Tell how the caches of each model stand: what they hold and for whom, hits and misses, and what they saved.

        Only models with `cache` are listed. What a semantic cache would have got wrong stands with it.
        """
        after = tuple((input.cursor or "").split("/", 1))
        found = [
            model
            for model in self._index.all(MODEL)
            if model.spec.cache is not None
            and (input.namespace is None or model.metadata.namespace == input.namespace)
            and (input.model is None or model.metadata.name == input.model)
            and (input.cursor is None or (model.metadata.namespace, model.metadata.name) > after)
        ]
        page = found[: input.limit]
        last = page[-1].metadata if len(found) > input.limit else None
        known = {shelf.model: shelf for shelf in self._shelves}
        return Page(
            items=[_state(model, known.get(model.id), self._similar.get(model.id)) for model in page],
            next=f"{last.namespace}/{last.name}" if last is not None else None,
        )


def _count(shelf: Shelf, input: PurgeCache) -> int:
    return sum(_meant(input, digest, recording) for digest, recording in shelf.items())


def _meant(input: PurgeCache, digest: bytes, recording: Recording) -> bool:
    if input.entry is not None and digest.hex() != input.entry:
        return False
    return input.tenant is None or inside(recording.tenant, input.tenant)


def inside(tenant: str, outer: str) -> bool:
    """Whether a tenant is, or is part of, another one."""
    return tenant == outer or tenant.startswith(f"{outer}/")


def _state(model: Resource[ModelSpec], shelf: Shelf | None, similar: SemanticCache | None) -> CacheState:
    spec = model.spec.cache
    assert spec is not None
    tenants: dict[str, int] = {}
    if shelf is not None:
        shelf.sweep(time.monotonic())
        for _, recording in shelf.items():
            tenants[recording.tenant] = tenants.get(recording.tenant, 0) + 1
    most = sorted(tenants.items(), key=lambda item: -item[1])[:MOST_TENANTS]
    tally = shelf.tally if shelf is not None else Tally()
    return CacheState(
        model=model.metadata.name,
        namespace=model.metadata.namespace,
        entries=len(shelf) if shelf is not None else 0,
        bytes=shelf.held if shelf is not None else 0,
        max_entries=spec.max_entries,
        max_bytes=spec.max_bytes,
        hits=tally.hits,
        misses=tally.misses,
        stored=tally.stored,
        passed=tally.passed,
        evicted=tally.evicted,
        coalesced=tally.coalesced,
        promoted=tally.promoted,
        similar=tally.similar,
        saved=decimal_text(tally.saved),
        tenants=dict(most),
        semantic=_semantic_state(spec.semantic.mode, similar) if spec.semantic is not None else None,
    )


def _semantic_state(mode: Literal["shadow", "answer"], cache: SemanticCache | None) -> SemanticState:
    calibration = cache.calibration if cache is not None else None
    measured = cache.measured if cache is not None else Measured()
    threshold = calibration.threshold if calibration is not None else None
    state: Literal["off", "shadow", "answering"] = "off" if cache is None else "shadow"
    if mode == "answer" and threshold is not None:
        state = "answering"
    return SemanticState(
        mode=mode,
        state=state,
        entries=len(cache) if cache is not None else 0,
        looks=measured.looks,
        near=measured.near,
        failures=measured.failures,
        vetoes={name: count for name, count in measured.vetoes.items() if name},
        samples=len(calibration) if calibration is not None else 0,
        wrong=calibration.wrong if calibration is not None else 0,
        false_hits=round(calibration.false_hits, 4) if calibration is not None else 1.0,
        threshold=threshold,
    )
