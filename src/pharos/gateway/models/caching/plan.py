"""What follows from a model's ``cache``, worked out when resources change and not when a call comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from pharos.control.index import Index
from pharos.core.resource import AnyResource, Ref, ResourceId
from pharos.gateway.models.caching.keys import DIGEST
from pharos.gateway.models.caching.semantic import Embed, SemanticCache
from pharos.gateway.models.caching.shelf import Shelf, Shelves
from pharos.gateway.models.caching.spec import CacheSpec
from pharos.gateway.models.caching.varies import Varies, conditions, varies

if TYPE_CHECKING:
    from hashlib import _Hash

    from pharos.gateway.models.call import Call
    from pharos.gateway.models.plans import ModelPlan
    from pharos.gateway.models.targets import Target

_MODEL = Ref("Model")


@dataclass(frozen=True, slots=True)
class CachePlan:
    """The caches of one model."""

    spec: CacheSpec
    shelf: Shelf
    seed: _Hash
    """A hash that has taken in the policy: which model this is, and all that decides who answers and how."""
    always: bool
    varies: Varies
    """What its routing conditions read of a call."""
    similar: SemanticCache | None
    """Absent also where nobody can turn its questions into vectors."""

    def tenant(self, call: Call) -> str:
        """Whom the caller shares answers with. Names have no slash; a team is a label, so it comes last."""
        key = call.identity.key.metadata
        match self.spec.partition:
            case "namespace":
                return key.namespace
            case "team" if call.key.team:
                return f"{key.namespace}/team/{call.key.team}"
        # The uid, because another key may once have the name.
        return f"{key.namespace}/key/{key.name}/{key.uid}"


class Caches:
    """The caches of all models."""

    def __init__(self, index: Index, shelves: Shelves, embed: Embed, random: Callable[[], float]) -> None:
        self._shelves = shelves
        self._embed = embed
        self._random = random
        self._policies: dict[ResourceId, bytes] = {}
        self.similar: dict[ResourceId, SemanticCache] = {}
        """Semantic caches by model."""
        index.subscribe(self._changed)

    def plan(self, chain: Sequence[ModelPlan], targets: Sequence[Target]) -> CachePlan | None:
        """The plan of the caches of the first model of ``chain``, which falls back to the others. ``targets`` are all
        that its calls can go to."""
        model = chain[0]
        spec = model.spec.cache
        if spec is None:
            return None
        policy = policy_of(chain, targets)
        if self._policies.get(model.id) not in (policy, None):
            # What was kept under another policy is never found again: it would only take room.
            self._shelves.clear(model.id)
            self.similar.pop(model.id, None)
        self._policies[model.id] = policy
        shelf = self._shelves.of(model.id, spec.max_entries, spec.max_bytes, spec.ttl_ms / 1000)
        seed = DIGEST(policy)
        return CachePlan(spec, shelf, seed, spec.when == "always", varies_of(chain), self._semantic(model.id, spec))

    def _semantic(self, id: ResourceId, spec: CacheSpec) -> SemanticCache | None:
        declared = spec.semantic
        known = self.similar.get(id)
        if declared is None:
            self.similar.pop(id, None)
            return None
        if known is None or known.spec != declared:
            # What was measured of other numbers says nothing of these.
            model = _MODEL.resolve(declared.embeddings, id.namespace)
            ttl = spec.ttl_ms / 1000
            known = SemanticCache(declared, model, self._embed, self._random, ttl=ttl, max_bytes=spec.max_bytes)
            self.similar[id] = known
        return known

    def _changed(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind == "Model" and id in self._policies and (resource is None or resource.spec.cache is None):
            self._shelves.drop(id)
            self.similar.pop(id, None)
            del self._policies[id]


def varies_of(chain: Sequence[ModelPlan]) -> Varies:
    """What the conditions of a model and of those it falls back to read of a call."""
    return varies(
        condition for plan in chain for condition in conditions(plan.spec.model_dump(mode="json", exclude={"cache"}))
    )


def policy_of(chain: Sequence[ModelPlan], targets: Sequence[Target]) -> bytes:
    """The version of all that decides who answers and how: a digest of the models of the chain and of every target and
    provider they can lead to, as they are declared. Of a cache, what is shared with whom and shown how belongs to it.
    """
    digest = DIGEST()
    for plan in chain:
        cache = plan.spec.cache
        said = plan.spec.model_dump(mode="json", exclude={"cache"})
        shown = None if cache is None else (cache.partition, cache.usage)
        _add(digest, (str(plan.id), said, shown))
    for target in targets:
        _add(digest, (str(target.upstream.id), target.model, target.upstream.spec.model_dump(mode="json")))
    return digest.digest()


def _add(digest: _Hash, value: object) -> None:
    part = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    digest.update(b"%d:%b" % (len(part), part))
