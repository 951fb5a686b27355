"""What follows from the resources, worked out when they change and not when a call comes.

Plans are made at the first call that needs them and dropped when a resource they were made from changes; the next call
makes them anew. Connections and breakers live on as long as their ``Provider`` stays as it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from pharos.control.index import Index
from pharos.core.resource import AnyResource, Ref, Resource, ResourceId
from pharos.gateway.models.answers.signatures import Signatures
from pharos.gateway.models.caching.plan import CachePlan
from pharos.gateway.models.compression.spec import CompressionSpec
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.kinds import MODEL, PROVIDER, ModelSpec, ProviderSpec
from pharos.gateway.models.resilience.outliers import Field
from pharos.gateway.models.resilience.policy import PLAIN, Resilience, resilience_of
from pharos.gateway.models.resilience.spec import Outliers
from pharos.gateway.models.routing.conversations import Conversations
from pharos.gateway.models.routing.planning import plan_router, sole_target
from pharos.gateway.models.routing.router import NOWHERE, Router
from pharos.gateway.models.routing.spec import Target as Declared
from pharos.gateway.models.spending.levels import KINDS as LEVELS
from pharos.gateway.models.spending.levels import allowance_of
from pharos.gateway.models.spending.limits import Level
from pharos.gateway.models.spending.money import BudgetPlan
from pharos.gateway.models.spending.overlay import Overlay
from pharos.gateway.models.spending.price import PRICE
from pharos.gateway.models.spending.prices import PriceList
from pharos.gateway.models.targets import Target
from pharos.gateway.models.upstream.provider import Reveal, Upstream, nothing_kept
from pharos.gateway.models.upstream.transport import Transport
from pharos.insight.audit.kinds import AUDIT_POLICY, rules_for
from pharos.mesh.auditing import AuditRule
from pharos.mesh.facts import calls_topic
from pharos.trust.authenticator import principal_of
from pharos.trust.guard.kinds import GUARD
from pharos.trust.guard.policy import KeyGuards, Policies
from pharos.trust.kinds import KeySpec

_MODEL = Ref("Model")
_PROVIDER = Ref("Provider")

MAX_KEY_PLANS = 4_096
"""Plans of keys that are kept. A city may have many more keys; those that are idle cost nothing."""


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """A model as it can be called: its targets, then those of its fallbacks."""

    id: ResourceId
    spec: ModelSpec
    targets: tuple[Target, ...]
    missing: tuple[str, ...]
    """Ids of providers it names that do not exist."""
    chain: tuple[ModelPlan, ...] = field(default=(), repr=False)
    """This model, then its fallbacks in the order they are tried, each once."""
    single: Target | None = None
    """The only target there is, whatever is asked."""
    router: Router = field(default=NOWHERE, repr=False)
    """Where its calls go, unless there is a ``single`` target."""
    cache: CachePlan | None = None
    """How its answers are given again; ``None``: never."""
    resilience: Resilience = PLAIN
    """What becomes of its calls when a provider fails, falls silent or is slow."""
    reach: tuple[ResourceId, ...] = ()
    """This model and every other one that its calls may come to."""

    # What each call reads of the spec: an attribute of a pydantic model costs ten times as much as one of a plan.
    name: str = field(init=False)
    """The name clients use."""
    header: tuple[bytes, bytes] = field(init=False, repr=False)
    """That name, as a header of answers."""
    deadline: float = field(init=False)
    """Seconds that a call may take."""
    unpriced: bool = field(init=False)
    """Calls are made also where nobody knows what they cost."""
    ruled: bool = field(init=False)
    """It has rules, so that which targets a call has is known only when it is routed."""
    compression: CompressionSpec | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        spec = self.spec
        object.__setattr__(self, "name", self.id.name)
        object.__setattr__(self, "header", (b"x-pharos-model", self.id.name.encode()))
        object.__setattr__(self, "deadline", spec.deadline_ms / 1000)
        object.__setattr__(self, "unpriced", spec.unpriced == "allow")
        object.__setattr__(self, "ruled", bool(spec.rules))
        object.__setattr__(self, "compression", spec.compression)


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """What a key may do."""

    namespace: str
    name: str
    subject: str
    """The key, as events name it."""
    models: frozenset[ResourceId]
    every: str | None
    """The namespace of which it may use every model."""
    budgets: tuple[BudgetPlan, ...]
    missing: tuple[ResourceId, ...]
    """Budgets, teams and organisations that are named and do not exist."""
    levels: tuple[Level, ...]
    """Limits of the organisation, the team, the agent and the key itself, as far as there are any."""
    personal: tuple[Level, ...]
    """Limits of each end user and session, see :attr:`named`."""
    named: bool
    """Some limit or budget is for each end user or session, so that a call's own names for them matter."""
    team: str
    labels: dict[str, str]
    principal: str
    """Id of the key's principal."""
    topic: str
    """Topic of its calls."""
    note: Mapping[str, str]
    """What its reservations say of it, see ``Reserve.note``."""
    guards: KeyGuards | None = None
    """The guards that may see its calls; ``None``: no guard can."""
    audits: tuple[AuditRule, ...] = ()
    """By which of its calls records are kept; empty for most."""
    asked: dict[str, ResourceId] = field(default_factory=dict)
    """The models it has called, by what it called them: it may use them, and each has at most two names."""

    def allows(self, model: ResourceId) -> bool:
        """Whether the key may use a model."""
        return model in self.models or model.namespace == self.every

    def of_caller(self, user: str, session: str) -> tuple[tuple[Level, ...], tuple[BudgetPlan, ...]]:
        """The levels and budgets of one call: those of its end user and session named."""
        personal = [level.of(user if level.name == "user" else session) for level in self.personal]
        return (*self.levels, *personal), tuple([budget.of_caller(user, session) for budget in self.budgets])


class Plans:
    """Plans of all models and keys, from the index."""

    def __init__(
        self,
        index: Index,
        dialects: Mapping[str, Dialect],
        transport: Callable[[ProviderSpec], Transport],
        prices: PriceList,
        opens_city: Callable[[str], bool] = lambda _: False,
        reveal: Reveal = nothing_kept,
    ) -> None:
        self._index = index
        self._opens_city = opens_city
        self._reveal = reveal
        self._dialects = dialects
        self._transport = transport
        self._prices = prices
        self._signatures = Signatures()
        self.turned: Callable[[], None] = lambda: None
        """Called when a provider's breaker has opened or closed."""
        self.caches: Callable[[Sequence[ModelPlan], Sequence[Target]], CachePlan | None] = lambda _chain, _targets: None
        """Plans the cache of the first model of a chain, from all targets its calls may go to."""
        self.conversations = Conversations()
        self._guards = Policies(index)
        self._upstreams: dict[ResourceId, tuple[ProviderSpec, str, Upstream]] = {}
        self._overlays: dict[str, Overlay] = {}
        self._models: dict[ResourceId, ModelPlan] = {}
        self._fields: dict[ResourceId, Field] = {}
        self._keys: OrderedDict[int, tuple[Resource[KeySpec], KeyPlan]] = OrderedDict()
        """By the identity of the key's resource, which the index replaces when it changes and this table keeps alive:
        its uid and revision would be two look-ups into pydantic models for each call."""
        self.version = 0
        """Grows with every change of any resource."""
        index.subscribe(self._changed)

    def model_id(self, name: str, namespace: str) -> ResourceId:
        """The model that a client's ``name`` means under a key of ``namespace``."""
        return _MODEL.resolve(name, namespace)

    def provider_id(self, name: str, namespace: str) -> ResourceId:
        """The provider that ``name`` means in a resource of ``namespace``."""
        return _PROVIDER.resolve(name, namespace)

    def model(self, id: ResourceId) -> ModelPlan | None:
        """The plan of a model; ``None`` if there is none of that name."""
        plan = self._models.get(id)
        if plan is None:
            plan = self._make(id)
            if plan is not None:
                self._models[id] = plan
        return plan

    def knows(self, key: Resource[KeySpec]) -> bool:
        """Whether the key is still as it was when it was read, its credentials included."""
        return self._index.find(key.id) is key

    def key(self, key: Resource[KeySpec]) -> KeyPlan:
        """The plan of a key."""
        known = self._keys.get(id(key))
        if known is not None:
            return known[1]
        plan = self._key(key)
        self._keys[id(key)] = key, plan
        if len(self._keys) > MAX_KEY_PLANS:
            self._keys.popitem(last=False)
        return plan

    def allowed(self, key: Resource[KeySpec]) -> Iterator[Resource[ModelSpec]]:
        """The models that a key may use, by name."""
        plan = self.key(key)
        return (model for model in self._index.all(MODEL) if plan.allows(model.id))

    def names(self, key: Resource[KeySpec]) -> dict[str, Resource[ModelSpec]]:
        """The models a key may use, by what it calls them: one of another namespace is ``namespace/name``."""
        home = key.metadata.namespace
        return {
            model.metadata.name if (at := model.metadata.namespace) == home else f"{at}/{model.metadata.name}": model
            for model in self.allowed(key)
        }

    def upstream(self, id: ResourceId) -> Upstream | None:
        """The running provider of that id; ``None`` if it is not declared."""
        resource = self._index.get(PROVIDER, id.name, id.namespace)
        known = self._upstreams.get(id)
        if resource is None:
            return None
        if known is not None and known[0] == resource.spec and known[1] == resource.metadata.uid:
            return known[2]
        dialect = self._dialects[resource.spec.dialect]
        # The connections of the one before are not closed here: calls that use them go on to their end.
        upstream = Upstream(resource, dialect, self._transport(resource.spec), self._opens_city, self._reveal)
        upstream.turned = lambda: self.turned()
        upstream.signatures = self._signatures
        self._upstreams[id] = (resource.spec, resource.metadata.uid, upstream)
        return upstream

    async def aclose(self) -> None:
        """Close all connections."""
        for _, _, upstream in self._upstreams.values():
            await upstream.transport.aclose()
        self._upstreams.clear()
        self._models.clear()

    def _make(self, id: ResourceId) -> ModelPlan | None:
        plans: dict[ResourceId, ModelPlan] = {}
        self._collect(id, plans)
        if id not in plans:
            return None
        own, chain = plans[id], tuple(plans.values())
        router = plan_router(self, self.conversations, chain)
        cache = self.caches(chain, router.targets)
        single, reach = sole_target(own, chain), self._reach(own, chain)
        return replace(own, chain=chain, single=single, router=router, cache=cache, reach=reach)

    def _reach(self, own: ModelPlan, chain: Sequence[ModelPlan]) -> tuple[ResourceId, ...]:
        ids: list[ResourceId] = [plan.id for plan in chain]
        for rule in own.spec.rules:
            names = [*([rule.model] if rule.model else ()), *(rule.fallbacks or ())]
            ids += [plan.id for plan in self.line([_MODEL.resolve(name, own.id.namespace) for name in names])]
        return tuple(dict.fromkeys(ids))

    def line(self, ids: Sequence[ResourceId], *, besides: ResourceId | None = None) -> tuple[ModelPlan, ...]:
        """These models and their fallbacks in the order they are tried, each once; ``besides`` one."""
        plans: dict[ResourceId, ModelPlan] = {}
        for id in ids:
            self._collect(id, plans)
        return tuple(plan for id, plan in plans.items() if id != besides)

    def targets(self, declared: Sequence[Declared], namespace: str) -> tuple[tuple[Target, ...], tuple[str, ...]]:
        """Targets as a resource of ``namespace`` declares them, and the providers among them that do not exist."""
        targets, missing = [], []
        overlay = self._overlay(namespace)
        for target in declared:
            provider = _PROVIDER.resolve(target.provider, namespace)
            upstream = self.upstream(provider)
            if upstream is None:
                missing.append(str(provider))
            else:
                targets.append(Target(upstream, target, overlay, self._prices))
        return tuple(targets), tuple(missing)

    def _collect(self, id: ResourceId, plans: dict[ResourceId, ModelPlan]) -> None:
        """Depth first, each model once: fallbacks may form a circle."""
        model = self._index.get(MODEL, id.name, id.namespace)
        if model is None or id in plans:
            return
        targets, missing = self.targets(model.spec.targets, id.namespace)
        if model.spec.outliers is not None:
            self._compare(id, model.spec.outliers, targets)
        plans[id] = ModelPlan(id, model.spec, targets, missing, resilience=resilience_of(model.spec))
        for name in model.spec.fallbacks:
            self._collect(_MODEL.resolve(name, id.namespace), plans)

    def _compare(self, id: ResourceId, rule: Outliers, targets: Sequence[Target]) -> None:
        """Have the targets of a model compared; what is known of them lives as long as the rule stays as it is."""
        field = self._fields.get(id)
        if field is None or field.rule != rule:
            field = self._fields[id] = Field(rule)
        standings = field.keep(target.place for target in targets)
        for target in targets:
            target.standing = standings[target.place]

    def _overlay(self, namespace: str) -> Overlay:
        overlay = self._overlays.get(namespace)
        if overlay is None:
            own = (price for price in self._index.all(PRICE) if price.metadata.namespace == namespace)
            overlay = self._overlays[namespace] = Overlay(own)
        return overlay

    def _key(self, key: Resource[KeySpec]) -> KeyPlan:
        namespace, spec = key.metadata.namespace, key.spec
        allowance = allowance_of(key, self._index)
        principal = principal_of(key).id
        name = key.metadata.name
        note = {"principal": principal, "key": name, "namespace": namespace, "team": allowance.team}
        if allowance.labels:
            note["labels"] = orjson.dumps(allowance.labels).decode()
        return KeyPlan(
            namespace=namespace,
            name=name,
            subject=str(key.id),
            models=frozenset(_MODEL.resolve(name, namespace) for name in spec.models if name != "*"),
            every=namespace if "*" in spec.models else None,
            budgets=allowance.budgets,
            missing=allowance.missing,
            levels=allowance.levels,
            personal=allowance.personal,
            named=bool(allowance.personal) or any(budget.personal for budget in allowance.budgets),
            team=allowance.team,
            labels=allowance.labels,
            principal=principal,
            topic=calls_topic(f"{namespace}/{name}"),
            note=note,
            guards=self._guards.of_key(key),
            audits=rules_for(self._index.all(AUDIT_POLICY), key.id, allowance.labels),
        )

    def _changed(self, id: ResourceId, resource: AnyResource | None) -> None:
        self.version += 1
        if id.kind in (MODEL.name, PROVIDER.name, PRICE.name):
            known = self._upstreams.get(id)
            if known is not None and resource is not None and known[:2] == (resource.spec, resource.metadata.uid):
                return  # only its status is another
            self._models.clear()
            self._overlays.clear()
            if id.kind == MODEL.name and resource is None:
                self._fields.pop(id, None)
            if id.kind == PROVIDER.name and resource is None:
                self._upstreams.pop(id, None)
        elif id.kind in LEVELS or id.kind in (AUDIT_POLICY.name, GUARD.name):
            self._keys.clear()
