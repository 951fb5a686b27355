"""What a ``Model`` says about its caches. Without ``cache`` it has none, and its calls pay nothing for them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pharos.core.resource import Ref
from pharos.core.wire import Wire

Partition = Literal["namespace", "team", "key"]


class Coalesce(Wire):
    """Identical calls that are under way at the same time share one request to the provider."""

    max_bytes: Annotated[int, Field(ge=1_024, le=64 * 1024 * 1024)] = 1024 * 1024
    """How much of an answer is kept for those who join late, and how far its readers may be apart."""
    grace_ms: Annotated[int, Field(ge=1, le=600_000)] = 5_000
    """How long a reader that is ``maxBytes`` behind may hold up the others before it is cut off."""


class Semantic(Wire):
    """Answers to questions that mean the same. Only the last thing the user said may differ, and only in its words:
    numbers, negations, names and everything before it must be equal."""

    embeddings: Annotated[str, Ref("Model")]
    """The model that turns a question into a vector; one with an embeddings dialect."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.93
    """Least cosine similarity of two questions. Calibration may raise it, never lower it."""
    mode: Literal["shadow", "answer"] = "shadow"
    """``shadow`` only measures: what it would have answered is compared with what the provider did answer. ``answer``
    answers too, once the measured share of wrong answers is below ``maxFalseHits``."""
    samples: Annotated[int, Field(ge=10, le=10_000)] = 100
    """Comparisons that must have been made before it may answer."""
    max_false_hits: Annotated[float, Field(gt=0, le=0.5)] = 0.03
    """Largest share of wrong answers that is tolerated, as the upper end of a 95 % confidence interval."""
    audit: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of the hits that are still asked of the provider, so that the measuring never ends."""
    max_entries: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Questions kept for each tenant and conversation so far."""


class CacheSpec(Wire):
    """Which answers of a model are given again, to whom, and for how long."""

    when: Literal["always", "asked"] = "always"
    """``asked``: only for calls with the header ``x-pharos-cache: on``. A call with ``off`` is left alone either way;
    one with ``refresh`` is asked anew and its answer kept."""
    exact: bool = True
    """Keep answers, and give them to calls that are equal in everything that can affect the answer."""
    partition: Partition = "namespace"
    """Who shares answers: the keys of one namespace, of one team (label ``team``) in it, or nobody but the key."""
    ttl_ms: Annotated[int, Field(ge=1, le=30 * 86_400_000)] = 3_600_000
    """How long an answer is given again."""
    max_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_bytes: Annotated[int, Field(ge=1_024, le=16 * 1024**3)] = 64 * 1024 * 1024
    """Memory of this model's answers; those that were not used for longest go first."""
    max_entry_bytes: Annotated[int, Field(ge=1, le=64 * 1024 * 1024)] = 1024 * 1024
    """Larger answers are not kept."""
    usage: Literal["original", "zero"] = "original"
    """Token counts a client sees in an answer that is given again: those of the first time, or zeros."""
    coalesce: Coalesce | None = None
    semantic: Semantic | None = None
