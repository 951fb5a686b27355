"""What is declared of guards: what they look for, where, in whose calls, and what then happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, cast

from pydantic import Field, StringConstraints

from pharos.control.wording import nearest
from pharos.core.fault import FORBIDDEN, Fault
from pharos.core.forms import SLUG, form
from pharos.core.principal import Principal
from pharos.core.resource import Kind, Ref, Resource, Spec
from pharos.core.wire import Wire
from pharos.trust.guard.catalog import BUILT_IN, GROUPS
from pharos.trust.guard.engine import compiled
from pharos.trust.guard.grammar import beginnings, longest, parse, shortest

GOVERN = "guards.govern"
"""Permission to declare, weaken or remove a guard. Separate from ``catalog.apply``: who may declare models may not
thereby open what guards close."""

Action = Literal["mask", "block", "flag"]
Direction = Literal["prompt", "answer", "toolArguments", "toolResults"]
DIRECTIONS: tuple[Direction, ...] = ("prompt", "answer", "toolArguments", "toolResults")

MAX_PATTERN = 1_000
"""Characters that a match of a user's pattern may have: as much of a stream may have to wait for it."""


class Pattern(Wire):
    """A pattern of one's own."""

    name: Annotated[str, StringConstraints(pattern=SLUG)]
    """Stands in findings, and in placeholders: ``ticket`` gives ``[TICKET_1]``."""
    pattern: Annotated[str, Field(min_length=1, max_length=2_000)]
    """RE2 syntax: linear time, so no look-around and no back references. Its repetitions have bounds (``\\d{1,20}``
    instead of ``\\d+``), because a stream is held back while something could still become a match."""


class Words(Wire):
    """A list of words or phrases."""

    name: Annotated[str, StringConstraints(pattern=SLUG)]
    words: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=200)]], Field(min_length=1, max_length=2_000)
    ]
    """Whole words, upper and lower case alike."""


class GuardRule(Wire):
    """What to look for and what to do about it."""

    detectors: list[str] = Field(default_factory=list)
    """Names of detectors, or of their groups: ``pii``, ``credentials``, ``unicode``, ``injection``."""
    patterns: Annotated[list[Pattern], Field(max_length=100)] = Field(default_factory=list)
    words: Annotated[list[Words], Field(max_length=20)] = Field(default_factory=list)
    action: Action
    """``mask``: a placeholder goes to the other side, and what the caller had sent is put back into the answer.
    ``block``: the call is refused, or the answer ends with a fault. ``flag``: it is only recorded."""
    directions: Annotated[list[Direction], Field(min_length=1)] = Field(default_factory=lambda: list(DIRECTIONS))
    """``prompt``: all that is sent to the model but what tools returned. ``answer``: its text. ``toolArguments``: of
    the calls it makes. ``toolResults``: what tools returned."""


class Reach(Wire):
    """Which calls a guard sees: those for which all of this holds."""

    keys: list[Annotated[str, Ref("Key")]] = Field(default_factory=list)
    """Calls of these keys; left out: of every key."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Calls of keys that have all of these labels."""
    models: list[Annotated[str, Ref("Model")]] = Field(default_factory=list)
    """Calls of these models, or of models that fall back to them; left out: of every model."""
    everywhere: bool = False
    """Also where neither key nor model stands in the guard's own namespace."""


class GuardSpec(Spec):
    """What must not pass, in which calls, and what happens then."""

    rules: Annotated[list[GuardRule], Field(min_length=1, max_length=64)]
    applies_to: Reach = Field(default_factory=Reach)
    """Which calls it sees. Left out: every call of a key or a model of its namespace."""
    on_error: Literal["open", "closed"]
    """What happens where it cannot examine a text: let it pass (and record that), or refuse the call."""
    shadow: bool = False
    """Only record what it would do."""
    allow: Annotated[list[Annotated[str, Field(min_length=1, max_length=500)]], Field(max_length=1_000)] = Field(
        default_factory=list
    )
    """Exact values that are never a find: a support address, a test card."""
    allow_patterns: Annotated[list[Annotated[str, Field(min_length=1, max_length=500)]], Field(max_length=100)] = Field(
        default_factory=list
    )
    """RE2 patterns of such values; they must match the whole of it."""
    phone_regions: Annotated[
        list[
            Annotated[
                str, StringConstraints(pattern=form(r"^[A-Z]{2}$", "a country of two capital letters, such as DE"))
            ]
        ],
        Field(max_length=30),
    ] = Field(default_factory=list)
    """Countries (ISO 3166) whose telephone numbers are also found without their country's code."""


def pattern_problem(pattern: str, *, bounded: bool = True) -> str:
    """Why a pattern cannot be used; empty if it can."""
    try:
        node = parse(pattern)
        size = longest(node)
        if bounded and size is None:
            return "has a repetition without a bound; write {0,20} for * and {1,20} for +, or what is enough"
        if bounded and size is not None and size > MAX_PATTERN:
            return f"can match {size} characters; at most {MAX_PATTERN} are possible"
        if bounded and shortest(node) < 1:
            return "matches the empty text"
        compiled(pattern)
        compiled(beginnings(node, counted=True))
    except ValueError as error:
        return str(error)
    return ""


def check_guard(spec: GuardSpec) -> Sequence[tuple[str, str]]:
    """What the types of a guard's spec cannot say."""
    problems: list[tuple[str, str]] = []
    names: set[str] = set()
    for at, rule in enumerate(spec.rules):
        where = f"/rules/{at}"
        if not (rule.detectors or rule.patterns or rule.words):
            problems.append((where, "looks for nothing: give detectors, patterns or words"))
        for index, name in enumerate(rule.detectors):
            if name not in BUILT_IN and name not in GROUPS:
                near = nearest(name, [*GROUPS, *BUILT_IN])
                hint = f"; the nearest is {near!r}" if near else ""
                problems.append((f"{where}/detectors/{index}", f"there is no detector {name!r}{hint}"))
        for field, named in (("patterns", rule.patterns), ("words", rule.words)):
            for index, own in enumerate(cast("Sequence[Pattern | Words]", named)):
                if own.name in names or own.name in BUILT_IN:
                    problems.append((f"{where}/{field}/{index}/name", f"the name {own.name!r} is taken"))
                names.add(own.name)
        for index, pattern in enumerate(rule.patterns):
            if problem := pattern_problem(pattern.pattern):
                problems.append((f"{where}/patterns/{index}/pattern", problem))
    for index, text in enumerate(spec.allow_patterns):
        if problem := pattern_problem(text, bounded=False):
            problems.append((f"/allowPatterns/{index}", problem))
    return problems


def guard_guard(
    principal: Principal, before: Resource[GuardSpec] | None, after: Resource[GuardSpec] | None
) -> Fault | None:
    """Guards are declared, changed and removed by who may govern them."""
    subject = after or before
    if subject is None or principal.may(GOVERN):
        return None
    return FORBIDDEN(
        f"Guards are declared with the permission {GOVERN}.",
        rule="trust/govern",
        subject=str(subject.id),
        required_permission=GOVERN,
    )


GUARD: Kind[GuardSpec] = Kind(
    name="Guard",
    spec=GuardSpec,
    summary="What must not pass to a model or from it: personal data, credentials, words, hidden characters.",
    check=check_guard,
    guard=guard_guard,
)
