"""Answers to questions that mean the same.

A question is looked for only among those that were asked by the same tenant, within the same conversation, of the same
model under the same policy (see ``prompted.py``). Of those that are near enough, the guards strike out every one that
differs in a number, a negation or a name. What is left would be the answer. Whether it is given is another matter:
first it is only compared with what the provider answers, and only when enough comparisons went well does the cache
answer by itself. Some hits are compared for ever after, so that the measuring never ends. What is compared is what the
guards would let the caller have: nothing else may go to the model that turns texts into vectors.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pharos.core.fault import Fault
from pharos.core.resource import ResourceId
from pharos.gateway.models.caching.calibration import Calibration
from pharos.gateway.models.caching.guards import Features, Veto, features, veto
from pharos.gateway.models.caching.keys import Asked
from pharos.gateway.models.caching.prompted import prompted
from pharos.gateway.models.caching.shelf import Recording
from pharos.gateway.models.caching.spec import Semantic as SemanticSpec
from pharos.gateway.models.caching.vectors import Vector, nearest
from pharos.gateway.models.caching.verdict import text_of
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.guarding.answered import answered

if TYPE_CHECKING:
    from pharos.gateway.models.call import Call
    from pharos.trust.authenticator import Identity

_log = logging.getLogger(__name__)

EMBED_SECONDS = 2.0
"""How long a question may take to become a vector. A call does not wait longer for a cache."""

COMPARE_SECONDS = 30.0

MOST_COMPARISONS = 16
"""Comparisons under way; further ones are left out."""

MOST_PARTITIONS = 4_096
"""Conversations of one model in which questions are remembered; the one used longest ago goes first."""

MOST_COMPARED = 64 * 1024
"""Characters of an answer that is compared by what it says; longer ones must be the same."""

AGREE = 0.9
"""Cosine similarity of two answers from which on they say the same, if no guard objects."""


class Embed(Protocol):
    """Turns a text into a vector with a ``Model`` of an embeddings dialect, on behalf of a caller who pays for it.

    Raises ``Fault``.
    """

    def __call__(self, text: str, *, model: ResourceId, caller: Identity) -> Awaitable[Sequence[float]]: ...


@dataclass(slots=True, eq=False)
class Known:
    """A question that was answered."""

    digest: bytes
    vector: Vector
    features: Features
    recording: Recording


@dataclass(slots=True)
class Measured:
    """What a semantic cache has seen since the city started."""

    looks: int = 0
    near: int = 0
    """Questions that had a near one which no guard struck out."""
    vetoes: dict[Veto, int] = field(default_factory=dict)
    failures: int = 0
    """Questions for which no vector could be had."""


class Look:
    """One question that was looked for."""

    __slots__ = (
        "_cache", "_caller", "_dialect", "_digest", "_features", "_told", "_vector", "_within", "answer", "similarity",
    )  # fmt: skip

    def __init__(
        self,
        cache: SemanticCache,
        caller: Identity,
        dialect: Dialect,
        digest: bytes,
        within: bytes,
        vector: Vector,
        words: Features,
        told: Callable[[str], str | None],
    ) -> None:
        """``told`` is what the caller is told of a text of an answer; ``None``: nothing."""
        self._cache = cache
        self._told = told
        self._caller = caller
        self._dialect = dialect
        self._digest = digest
        self._within = within
        self._vector = vector
        self._features = words
        self.answer: Known | None = None
        """What the cache would answer."""
        self.similarity = 0.0

    def learn(self, recording: Recording) -> None:
        """The provider has answered: compare, and remember the answer."""
        if self.answer is not None:
            self._cache.compare(self, self.answer.recording, recording)
        if text_of(self._dialect, recording.body, streamed=recording.streamed) is not None:
            self._cache.remember(self._within, Known(self._digest, self._vector, self._features, recording))

    async def agree(self, given: Recording, real: Recording) -> bool | None:
        """Whether two answers tell the caller the same; ``None`` where the guards let neither or one of them pass."""
        texts = [text_of(self._dialect, each.body, streamed=each.streamed) for each in (given, real)]
        if None in texts:
            return False
        one, other = (self._told(text) for text in texts if text is not None)
        return None if one is None or other is None else await self._cache.agree(one, other, self._caller)


class SemanticCache:
    """The semantic cache of one model."""

    def __init__(
        self,
        spec: SemanticSpec,
        model: ResourceId,
        embed: Embed,
        random: Callable[[], float],
        *,
        ttl: float,
        max_bytes: int,
    ) -> None:
        self.spec = spec
        self.calibration = Calibration(spec.threshold, spec.samples, spec.max_false_hits)
        self.measured = Measured()
        self._model = model
        self._embed = embed
        self._random = random
        self._ttl = ttl
        self._max_bytes = max_bytes
        self._held = 0
        self._partitions: OrderedDict[bytes, OrderedDict[bytes, Known]] = OrderedDict()
        self._comparisons: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Questions remembered."""
        return sum(map(len, self._partitions.values()))

    async def look(self, call: Call, request: Asked, kept: frozenset[str], now: float) -> Look | None:
        """Look for a question like the call's; ``None`` if it has none that can be looked for."""
        question = prompted(call, request.begun, kept) if request.begun is not None else None
        if question is None:
            return None
        self.measured.looks += 1
        try:
            async with asyncio.timeout(EMBED_SECONDS):
                values = await self._embed(question.text, model=self._model, caller=call.identity)
            vector = Vector.of(values)
        except (Fault, TimeoutError, ValueError) as error:
            self.measured.failures += 1
            _log.info("no vector for a question to %s: %s", call.model.id, type(error).__name__)
            return None
        words = features(question.text)
        told = _everything if call.guard is None else partial(answered, call.guard.policy)
        look = Look(self, call.identity, call.dialect, request.digest, question.within, vector, words, told)
        known = self._partitions.get(question.within)
        if known is None:
            return look
        self._partitions.move_to_end(question.within)
        fresh = [each for each in known.values() if each.recording.made_at + self._ttl > now]
        for near in nearest(vector, fresh, lambda each: each.vector, self.spec.threshold):
            struck = veto(words, near.item.features)
            if not struck:
                self.measured.near += 1
                look.answer, look.similarity = near.item, near.similarity
                return look
            self.measured.vetoes[struck] = self.measured.vetoes.get(struck, 0) + 1
        return look

    def answers(self, look: Look) -> Known | None:
        """What is given for a question, if it may be. An audit asks the provider all the same."""
        threshold = self.calibration.threshold
        if look.answer is None or self.spec.mode != "answer" or threshold is None or look.similarity < threshold:
            return None
        return None if self._random() < self.spec.audit else look.answer

    def remember(self, within: bytes, known: Known) -> None:
        """Remember an answered question, at the cost of those that came first."""
        partition = self._partitions.setdefault(within, OrderedDict())
        self._partitions.move_to_end(within)
        self._forget(partition, known.digest)
        partition[known.digest] = known
        self._held += _size(known)
        if len(partition) > self.spec.max_entries:
            self._forget(partition, next(iter(partition)))
        while self._held > self._max_bytes or len(self._partitions) > MOST_PARTITIONS:
            oldest = next(iter(self._partitions))
            self._forget(self._partitions[oldest], next(iter(self._partitions[oldest])))
            if not self._partitions[oldest]:
                del self._partitions[oldest]

    def purge(self, which: Callable[[bytes, Recording], bool]) -> int:
        """Forget questions by their answers; returns how many."""
        gone = 0
        for within, partition in list(self._partitions.items()):
            for digest in [digest for digest, known in partition.items() if which(digest, known.recording)]:
                self._forget(partition, digest)
                gone += 1
            if not partition:
                del self._partitions[within]
        return gone

    def compare(self, look: Look, given: Recording, real: Recording) -> None:
        """Compare, aside, what would have been answered with what was."""
        if len(self._comparisons) >= MOST_COMPARISONS:
            return
        task = asyncio.create_task(self._compare(look, given, real))
        self._comparisons.add(task)
        task.add_done_callback(self._comparisons.discard)

    async def _compare(self, look: Look, given: Recording, real: Recording) -> None:
        try:
            async with asyncio.timeout(COMPARE_SECONDS):
                agreed = await look.agree(given, real)
        except (Fault, TimeoutError, ValueError) as error:
            _log.info("two answers could not be compared: %s", type(error).__name__)
            return
        if agreed is not None:
            self.calibration.add(look.similarity, agreed)

    async def agree(self, one: str, other: str, caller: Identity) -> bool:
        """Whether two texts say the same: nearly the same direction, the same numbers, as many negations."""
        if max(len(one), len(other)) > MOST_COMPARED:
            return one == other
        first, second = features(one), features(other)
        if first.plain == second.plain:
            return True
        if first.numbers != second.numbers or first.negations != second.negations:
            return False
        vectors = [Vector.of(await self._embed(text, model=self._model, caller=caller)) for text in (one, other)]
        return vectors[0].cosine(vectors[1]) >= AGREE

    async def settled(self) -> None:
        """Wait until no comparison is under way."""
        while self._comparisons:
            await asyncio.gather(*self._comparisons)

    async def aclose(self) -> None:
        """Stop the comparisons that are under way."""
        tasks = tuple(self._comparisons)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, partition: OrderedDict[bytes, Known], digest: bytes) -> None:
        known = partition.pop(digest, None)
        if known is not None:
            self._held -= _size(known)


def _everything(text: str) -> str:
    return text


def _size(known: Known) -> int:
    return known.recording.size + 5 * len(known.vector.components)
