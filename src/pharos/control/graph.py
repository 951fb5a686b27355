"""The system index: what exists, in which state, what is connected to what, what is missing, what breaks if it goes.

Computed from the resources' own references; nothing of it is stored. A resource's state follows from what was observed
of it: ``unhealthy`` if any condition is false or a reference of its dangles, ``unknown`` if nothing is known, else
``healthy``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Literal

import orjson

from pharos.control.index import Index
from pharos.control.kinds import Opaque
from pharos.control.wording import quoted
from pharos.core.resource import AnyResource, Condition, ResourceId
from pharos.core.wire import Wire

State = Literal["healthy", "unhealthy", "unknown"]

CHARACTERS_PER_TOKEN = 3
"""Cautious: measured tokenizers need one token for 3 to 4 characters of JSON with names and ids."""


class Node(Wire):
    """A resource as a part of the whole."""

    resource: str
    kind: str
    name: str
    namespace: str
    revision: int
    state: State
    conditions: list[Condition]


class Edge(Wire):
    """A reference: ``source`` needs ``target``."""

    source: str
    target: str
    pointer: str
    """Where in the source it stands."""


class Dependent(Wire):
    """Something that would be affected."""

    resource: str
    distance: int
    """How many references away: 1 refers to it directly."""
    path: list[Edge]
    """The shortest chain of references from it to what goes."""


class Trouble(Wire):
    """A part that is not well, in as few words as possible."""

    resource: str
    why: str


def state_of(resource: AnyResource, index: Index) -> State:
    """The state that follows from :func:`conditions_of`, found without making them."""
    references = index.references(resource.id)
    if isinstance(resource.spec, Opaque) or any(index.find(target) is None for _, target in references):
        return "unhealthy"
    states = {condition.status for condition in resource.status.conditions}
    if "False" in states:
        return "unhealthy"
    return "unknown" if "Unknown" in states or not (states or references) else "healthy"


def conditions_of(resource: AnyResource, index: Index) -> list[Condition]:
    """What was observed of a resource, and what the index sees of its connections."""
    conditions = list(resource.status.conditions)
    references = index.references(resource.id)
    broken = [target for _, target in references if index.find(target) is None]
    if broken:
        missing = f"Missing: {', '.join(quoted(target) for target in broken[:5])}."
        conditions.append(Condition(type="Connected", status="False", reason="DanglingReference", message=missing))
    elif references:
        conditions.append(Condition(type="Connected", status="True", reason="ReferencesExist"))
    if isinstance(resource.spec, Opaque):
        message = "No kind accepts its spec."
        conditions.append(Condition(type="Understood", status="False", reason="KindUnknown", message=message))
    return conditions


def node_of(resource: AnyResource, index: Index) -> Node:
    """The node of a resource."""
    metadata = resource.metadata
    return Node(
        resource=str(resource.id),
        kind=resource.kind,
        name=metadata.name,
        namespace=metadata.namespace,
        revision=metadata.revision,
        state=state_of(resource, index),
        conditions=conditions_of(resource, index),
    )


def edges_of(id: ResourceId, index: Index) -> list[Edge]:
    """What a resource needs."""
    return [Edge(source=str(id), target=str(r.target), pointer=r.pointer) for r in index.references(id)]


def around(root: ResourceId, depth: int | None, index: Index) -> list[ResourceId]:
    """Everything connected with ``root`` over at most ``depth`` references in either direction, nearest first."""
    found = {root: 0}
    waiting = deque([root])
    while waiting:
        id = waiting.popleft()
        if depth is not None and found[id] >= depth:
            continue
        neighbours = {reference.target for reference in index.references(id)} | set(index.referrers(id))
        for neighbour in sorted(neighbours - found.keys()):
            found[neighbour] = found[id] + 1
            waiting.append(neighbour)
    return list(found)


def impact(target: ResourceId, index: Index) -> list[Dependent]:
    """Everything that needs ``target``, directly or through others, nearest first, each with the shortest path."""
    paths: dict[ResourceId, list[Edge]] = {target: []}
    waiting = deque([target])
    while waiting:
        id = waiting.popleft()
        for source in sorted(index.referrers(id)):
            if source in paths:
                continue
            pointer = next(r.pointer for r in index.references(source) if r.target == id)
            paths[source] = [Edge(source=str(source), target=str(id), pointer=pointer), *paths[id]]
            waiting.append(source)
    del paths[target]
    return [Dependent(resource=str(id), distance=len(path), path=path) for id, path in paths.items()]


def dangling_edges(ids: Iterable[ResourceId], index: Index) -> list[Edge]:
    """References to what does not exist."""
    return [
        Edge(source=str(id), target=str(reference.target), pointer=reference.pointer)
        for id in ids
        for reference in index.references(id)
        if index.find(reference.target) is None
    ]


def counted(states: Iterable[tuple[ResourceId, State]]) -> dict[str, dict[str, int]]:
    """How many resources each kind has in each state."""
    counts: dict[str, Counter[str]] = {}
    for id, state in states:
        counts.setdefault(id.kind, Counter())[state] += 1
    return {kind: dict(sorted(each.items())) for kind, each in sorted(counts.items())}


def trouble_of(resource: AnyResource, index: Index) -> Trouble:
    """Why a resource is unhealthy."""
    false = [condition for condition in conditions_of(resource, index) if condition.status == "False"]
    reasons = [(c.reason or c.type, c.message) for c in false]
    why = "; ".join(f"{reason}: {message}" if message else reason for reason, message in reasons)
    return Trouble(resource=str(resource.id), why=why)


def tokens(value: Wire) -> int:
    """About how many tokens a value costs its reader; rather too many than too few."""
    return -(-len(orjson.dumps(value.to_json())) // CHARACTERS_PER_TOKEN)
