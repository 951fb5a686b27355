"""``models.explain``: where a call would go and why, without making it. It asks what a live call asks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from random import random
from typing import Annotated, Literal

import orjson
from pydantic import Field

from pharos.control.documents import missing
from pharos.control.index import Index
from pharos.core.fault import NOT_FOUND
from pharos.core.ids import uuid7
from pharos.core.operation import Invocation, read
from pharos.core.resource import Metadata, Name, Resource, ResourceId
from pharos.core.wire import JsonObject, Wire
from pharos.gateway.models.call import Call
from pharos.gateway.models.dialects.dialect import Ask, Dialect
from pharos.gateway.models.dialects.gemini import Gemini
from pharos.gateway.models.faults import CAPABILITY_MISSING, MODEL_NOT_FOUND, MODEL_UNAVAILABLE, MODEL_UNPRICED
from pharos.gateway.models.kinds import DialectName
from pharos.gateway.models.layers.understand import session_of
from pharos.gateway.models.plans import Plans
from pharos.gateway.models.refusals import model_not_found
from pharos.gateway.models.routing.needs import Needs
from pharos.gateway.models.routing.question import EXPECTED_OUTPUT, Question, needs_of
from pharos.gateway.models.routing.refusal import no_target
from pharos.gateway.models.routing.router import Decision, decide
from pharos.gateway.models.spending.bounds import bounds_of, tier_of
from pharos.gateway.models.upstream.watchdog import Watchdogs
from pharos.trust.authenticator import Identity, principal_of
from pharos.trust.kinds import KEY, KeySpec

Feature = Literal["tools", "vision", "imageUrls", "documents", "audio", "schema"]

ANYBODY = Resource[KeySpec](kind=KEY.name, metadata=Metadata(name="anybody"), spec=KeySpec(models=["*"]))
"""The caller where no key is named: without labels and budgets."""


class ExplainCall(Wire):
    """Input of ``models.explain``: a call, or as much of it as matters."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    """The name a client would ask for."""
    key: Name | None = None
    """The key it would come with: its labels, rights and budgets count. Absent: anybody's, without any of them."""
    namespace: Name = "default"
    """Namespace of the key, and of the model where no key is named."""
    dialect: DialectName = "openai-chat"
    """The dialect it would come in."""
    body: JsonObject | None = None
    """The request as a client would send it; its ``model`` may be left out. One for Google's interface has none."""
    headers: Annotated[dict[str, str], Field(max_length=64)] = Field(default_factory=dict)
    features: Annotated[list[Feature], Field(max_length=6)] = Field(default_factory=list)
    """What it needs, beside what ``body`` shows."""
    stream: bool | None = None
    """Absent: as ``body`` says."""
    input_tokens: Annotated[int, Field(ge=0, le=100_000_000)] | None = None
    """Absent: estimated from ``body``."""
    max_output_tokens: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Absent: as ``body`` says."""
    draw: Annotated[float, Field(ge=0, lt=1)] | None = None
    """The number that decides wherever chance does. Absent: a random one, as for a call."""


class Candidate(Wire):
    """A target that can be asked, in its place."""

    target: str
    """``PROVIDER/MODEL``."""
    weight: int
    score: str = ""
    """What its place was decided by, beside its weight."""
    later: str = ""
    """Why it is asked only after all others."""


class PassedOver(Wire):
    """A target that cannot be asked, or a provider that does not exist."""

    target: str
    reason: str


class RuleSeen(Wire):
    """A rule that was looked at. Those after the first that holds are not."""

    rule: str
    when: str
    outcome: Literal["holds", "does not hold", "skipped"]
    reason: str = ""
    """Why it was skipped: it could not be evaluated on this call."""


class Refused(Wire):
    """What a client would get instead of an answer."""

    code: str
    status: int
    detail: str


class Explanation(Wire):
    """Where a call goes, and why."""

    model: str
    namespace: str
    rule: str
    """The rule that holds; without one, the strategy, ``single`` or ``fallback``."""
    strategy: str
    chosen: str | None = None
    """The target that is asked first."""
    why: str
    candidates: list[Candidate]
    """In the order in which they are asked."""
    passed_over: list[PassedOver]
    rules: list[RuleSeen]
    needs: list[str]
    """The features of the call that a target must have."""
    input_tokens: int
    """As estimated."""
    route: dict[str, str]
    """What the call's event would carry."""
    refusal: Refused | None = None
    """Where no target can be asked."""


class RoutingOperations:
    """See the method."""

    def __init__(self, index: Index, plans: Plans, dialects: Mapping[str, Dialect]) -> None:
        self._index = index
        self._plans = plans
        self._dialects = dialects

    @read(
        "models.explain",
        permission="models.read",
        faults=(NOT_FOUND, MODEL_NOT_FOUND, MODEL_UNAVAILABLE, MODEL_UNPRICED, CAPABILITY_MISSING),
    )
    async def explain(self, invocation: Invocation, input: ExplainCall) -> Explanation:
        """Say where a call would go, and why, without making it.

        The rules, the health of the providers, what is under way, prices and latencies are those of this moment, and
        the decision is made by the same code as that of a call. Nothing is held, sent or recorded. Every call's event
        carries the same explanation as ``route``.
        """
        question = self._question(input)
        draw = input.draw
        decision = decide(question, random if draw is None else lambda: draw)
        return _explanation(question, decision)

    def _question(self, input: ExplainCall) -> Question:
        call = self._call(input)
        needs = needs_of(call)
        features = needs.features.union(input.features)
        if {"tools", "schema"} <= features:
            features |= {"schemaWithTools"}
        tokens = needs.input_tokens if input.input_tokens is None else input.input_tokens
        asked = input.max_output_tokens or needs.asked_output
        size = needs.text_bytes if input.input_tokens is None else input.input_tokens * 3
        output = min(asked or EXPECTED_OUTPUT, EXPECTED_OUTPUT)
        call.bounds = call.bounds._replace(estimate=max(call.bounds.estimate, tokens + (asked or 0)))
        return Question(call, time.monotonic(), Needs(features, tokens, output, asked, size))

    def _call(self, input: ExplainCall) -> Call:
        """The call, as the layers before the route leave it."""
        key = self._key(input)
        headers = [(name.lower().encode("latin-1", "replace"), v.encode("utf-8")) for name, v in input.headers.items()]
        dialect, body = self._asked(input)
        call = Call(uuid7(), dialect, headers, dict(reversed(headers)), _no_body, Watchdogs().watch())
        call.watchdog.close()
        call.identity = Identity(principal_of(key), key, "")
        call.key = self._plans.key(key)
        if body is not None:
            call.body, call.raw = body, orjson.dumps(body)
            call.ask = dialect.ask(body)
        else:
            call.ask = Ask(input.model, bool(input.stream), input.max_output_tokens, (), (), wants_usage=False, user="")
        call.session = session_of(call)
        id = self._plans.model_id(input.model, key.metadata.namespace)
        plan = self._plans.model(id) if call.key.allows(id) else None
        if plan is None:
            raise model_not_found(input.model, self._plans.names(key), pointer="/model")
        call.model = plan
        call.bounds = bounds_of(call.raw, call.body, call.ask, plan.spec, capped=bool(call.key.budgets))
        call.tier = tier_of(call.body)
        return call

    def _asked(self, input: ExplainCall) -> tuple[Dialect, JsonObject | None]:
        """The dialect of the call, and its body as it would be sent."""
        if input.dialect == "gemini":  # its URL says which model is meant, and whether a stream is
            return Gemini(input.model, stream=bool(input.stream)), input.body
        if input.body is None:
            return self._dialects[input.dialect], None
        body: JsonObject = {**input.body, "model": input.model}
        if input.stream is not None:
            body["stream"] = input.stream
        return self._dialects[input.dialect], body

    def _key(self, input: ExplainCall) -> Resource[KeySpec]:
        if input.key is not None:
            key = self._index.get(KEY, input.key, input.namespace)
            if key is None:
                raise missing(ResourceId(KEY.name, input.namespace, input.key), self._index)
            return key
        if input.namespace == ANYBODY.metadata.namespace:
            return ANYBODY
        metadata = ANYBODY.metadata.model_copy(update={"namespace": input.namespace, "uid": input.namespace})
        return ANYBODY.model_copy(update={"metadata": metadata})


def _explanation(question: Question, decision: Decision) -> Explanation:
    model = question.call.model
    scores = {id(target): score for target, score in decision.scores}
    refusal = None
    if not decision.order:
        document = no_target(question, decision).document
        refusal = Refused(code=document.code, status=document.status, detail=document.detail)
    return Explanation(
        model=model.name,
        namespace=model.id.namespace,
        rule=decision.rule,
        strategy=decision.strategy,
        chosen=decision.order[0].label if decision.order else None,
        why=decision.why,
        candidates=[
            Candidate(
                target=target.label,
                weight=target.weight,
                score=scores.get(id(target), ""),
                later=decision.later.get(target.label, ""),
            )
            for target in decision.order
        ],
        passed_over=[PassedOver(target=label, reason=reason) for label, reason in decision.passed.items()],
        rules=[RuleSeen(rule=s.rule, when=s.when, outcome=s.outcome, reason=s.why) for s in decision.seen],
        needs=sorted(question.needs.features),
        input_tokens=question.needs.input_tokens,
        route=decision.facts() if decision.order else {},
        refusal=refusal,
    )


async def _no_body() -> bytes:
    return b""
