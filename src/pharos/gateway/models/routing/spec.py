"""What a ``Model`` and a ``Provider`` say about routing. A model that says nothing shares its calls by weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from pharos.control.expressions import MAX_EXPRESSION
from pharos.core.forms import form
from pharos.core.resource import Ref
from pharos.core.wire import Wire
from pharos.gateway.models.resilience.spec import PrefillForm
from pharos.gateway.models.routing.conditions import problems_of

Strategy = Literal["weighted", "cost", "latency", "least-outstanding", "session", "prefix"]

AFFINITIES = frozenset({"session", "prefix"})
"""Strategies that keep a conversation with its target."""

RESERVED = frozenset(
    {"weighted", "cost", "latency", "least-outstanding", "session", "prefix", "single", "fallback", "default"}
)
"""Words that stand in an explanation where a rule's name would."""


class Capabilities(Wire):
    """What a model can do there. What is left out is not known and never keeps a call away."""

    tools: bool | None = None
    """Function tools."""
    vision: bool | None = None
    """Images in the prompt."""
    image_urls: bool | None = None
    """Images given by URL. The city never fetches them: where this is false, they must come as data."""
    documents: bool | None = None
    """Files in the prompt, such as PDF."""
    audio: bool | None = None
    """Audio in the prompt."""
    json_schema: Annotated[bool | None, Field(alias="schema")] = None
    """Answers that follow a JSON schema."""
    schema_with_tools: bool | None = None
    """A schema and tools in one call."""
    context_tokens: Annotated[int, Field(ge=1)] | None = None
    """Longest prompt and answer together. Absent: as the public price list says, if it does."""
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    """Longest answer. An output limit that the city sets never passes it."""


class Target(Wire):
    """One way to serve a model."""

    provider: Annotated[str, Ref("Provider")]
    model: Annotated[str, Field(min_length=1, max_length=256)]
    """The model's name at the provider."""
    weight: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    """Share of the calls; 0 takes none, except as a failover and of conversations that began with it."""
    capabilities: Capabilities | None = None
    """What it can do, over what its provider says of all models."""
    searches: bool | None = None
    """It searches the web in every call, asked or not. What it finds is billed as input, or each search is, or both, so
    that under a budget its price must have a ``perRequest``. Absent: as its name tells (``gpt-4o-search-preview``,
    ``sonar`` …), which a deployment with a name of one's own does not."""
    prefill: PrefillForm | None = None
    """How it is given the beginning of an answer to go on from, for ``onStreamFailure: resume``: as a last ``message``
    of the assistant; for chat completions also as one with ``prefix`` (DeepSeek, Mistral), or with
    ``continue_final_message`` (vLLM, SGLang); or ``none`` if it would begin anew. Absent: ``message`` for Anthropic's
    models that can, else ``none``."""


class Rule(Wire):
    """Where the calls go for which a condition holds. The first rule that holds decides."""

    name: Annotated[
        str,
        Field(
            pattern=form(
                r"^[a-z0-9][a-z0-9._-]{0,63}$",
                "a name such as long-prompts: lower-case letters, digits, '.', '_' and '-', at most 64 long",
            )
        ),
    ]
    """What explanations call it."""
    when: Annotated[str, Field(min_length=1, max_length=MAX_EXPRESSION)]
    """A CEL expression that is true or false, over ``key.name``, ``key.namespace``, ``key.labels``, ``headers``,
    ``model``, ``dialect``, ``stream``, ``features``, ``tools``, ``inputTokens``, ``maxOutputTokens``, ``user``,
    ``session``, ``metadata``, ``prompt`` and ``text``. One that fails on a call is passed over, and the call's
    explanation says so."""
    targets: Annotated[list[Target], Field(max_length=64)] = Field(default_factory=list)
    """These answer instead of the model's own."""
    model: Annotated[str, Ref("Model")] | None = None
    """This model answers instead, with its own targets, strategy and fallbacks, but without its rules."""
    strategy: Strategy | None = None
    """How one of ``targets`` is chosen. Absent: as the model says."""
    fallbacks: Annotated[list[Annotated[str, Ref("Model")]], Field(max_length=16)] | None = None
    """Models to turn to when none of ``targets`` can answer. Absent: those of the model; an empty list: none."""


class Balancing(Wire):
    """The numbers behind the strategies."""

    explore: Annotated[float, Field(ge=0, le=1)] = 0.05
    """``latency``: share of the calls that go to a target which is not the fastest, to learn how fast it is now."""
    load_factor: Annotated[float, Field(gt=1, le=100)] = 1.25
    """``session``, ``prefix``: how many times its share of the calls under way a target takes, at most."""
    load_floor: Annotated[int, Field(ge=1, le=100_000)] = 8
    """``session``, ``prefix``: calls under way that a target takes in any case."""
    prefix_bytes: Annotated[int, Field(ge=64, le=1_048_576)] = 4096
    """``prefix``: how much of tools, system text and first user turn counts. Providers cache from some 1,000 tokens."""


def check_targets(targets: Sequence[Target], pointer: str) -> Sequence[tuple[str, str]]:
    """What the types of a list of targets cannot say, as ``(pointer, message)``."""
    problems = []
    seen: set[tuple[str, str]] = set()
    for index, target in enumerate(targets):
        if (target.provider, target.model) in seen:
            problems.append(
                (f"{pointer}/{index}", "the same provider and model stand twice; add their weights instead")
            )
        seen.add((target.provider, target.model))
    return problems


def check_rules(rules: Sequence[Rule]) -> Sequence[tuple[str, str]]:
    """What the types of a list of rules cannot say, their conditions included; pointers begin at the model's spec."""
    problems: list[tuple[str, str]] = []
    names: set[str] = set()
    for index, rule in enumerate(rules):
        at = f"/rules/{index}"
        if rule.name in names:
            problems.append((f"{at}/name", f"another rule is named {rule.name!r}"))
        if rule.name in RESERVED:
            problems.append((f"{at}/name", f"{rule.name!r} has a meaning of its own in explanations"))
        names.add(rule.name)
        if bool(rule.targets) == (rule.model is not None):
            problems.append((at, "give exactly one of targets and model"))
        if rule.model is not None:
            for name, value in (("strategy", rule.strategy), ("fallbacks", rule.fallbacks)):
                if value is not None:
                    problems.append((f"{at}/{name}", "is said by the model that the rule names"))
        problems += check_targets(rule.targets, f"{at}/targets")
        if len(set(rule.fallbacks or ())) < len(rule.fallbacks or ()):
            problems.append((f"{at}/fallbacks", "a model stands twice"))
        problems += [(f"{at}/when", problem) for problem in problems_of(rule.when)]
    return problems
