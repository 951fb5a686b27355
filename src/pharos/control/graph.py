"""The system index: what exists, in which state, what is connected to what, what is missing, what breaks if it goes.

Computed from the resources' own references; nothing of it is stored. A resource's state follows from what was observed
of it: ``unhealthy`` if any condition is false or a reference of its dangles, ``unknown`` if nothing is known, else
``healthy``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
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


def state_of(resource: AnyResource, index: Index) -> tuple[State, list[Condition]]:
    """The state of a resource, and all conditions that speak for it."""
    conditions = list(resource.status.conditions)
    references = index.references(resource.id)
    broken = [reference for reference in references if index.find(reference.target) is None]
    if broken:
        what = ", ".join(quoted(reference.target) for reference in broken[:5])
        conditions.append(
            Condition(type="Connected", status="False", reason="DanglingReference", message=f"Missing: {what}.")
        )
    elif references:
        conditions.append(Condition(type="Connected", status="True", reason="ReferencesExist"))
    if isinstance(resource.spec, Opaque):
        conditions.append(
            Condition(type="Understood", status="False", reason="KindUnknown", message="No kind accepts its spec.")
        )
    states = {condition.status for condition in conditions}
    if "False" in states:
        return "unhealthy", conditions
    return "unknown" if "Unknown" in states or not states else "healthy", conditions


def node_of(resource: AnyResource, index: Index) -> Node:
    """The node of a resource."""
    state, conditions = state_of(resource, index)
    metadata = resource.metadata
    return Node(
        resource=str(resource.id),
        kind=resource.kind,
        name=metadata.name,
        namespace=metadata.namespace,
        revision=metadata.revision,
        state=state,
        conditions=conditions,
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


def counted(nodes: Sequence[Node]) -> dict[str, dict[str, int]]:
    """How many resources each kind has in each state."""
    counts: dict[str, Counter[str]] = {}
    for node in nodes:
        counts.setdefault(node.kind, Counter())[node.state] += 1
    return {kind: dict(sorted(states.items())) for kind, states in sorted(counts.items())}


def troubles(nodes: Iterable[Node]) -> list[Trouble]:
    """Every unhealthy part, with its reasons."""
    return [
        Trouble(resource=node.resource, why="; ".join(_reasons(node.conditions)))
        for node in nodes
        if node.state == "unhealthy"
    ]


def _reasons(conditions: Collection[Condition]) -> Iterable[str]:
    for condition in conditions:
        if condition.status == "False":
            reason = condition.reason or condition.type
            yield f"{reason}: {condition.message}" if condition.message else reason


def tokens(value: Wire) -> int:
    """About how many tokens a value costs its reader; rather too many than too few."""
    return -(-len(orjson.dumps(value.to_json())) // CHARACTERS_PER_TOKEN)
