"""Operations on the system index: system.graph and system.impact."""

from __future__ import annotations

from pydantic import Field

from pharos.control.documents import Named, identity, missing
from pharos.control.faults import UNKNOWN_KIND
from pharos.control.graph import (
    Dependent,
    Edge,
    Node,
    Trouble,
    around,
    counted,
    dangling_edges,
    edges_of,
    impact,
    node_of,
    state_of,
    tokens,
    trouble_of,
)
from pharos.control.index import Index
from pharos.control.kinds import Kinds
from pharos.control.problems import invalid
from pharos.core.fault import NOT_FOUND, Problem
from pharos.core.operation import Invocation, read
from pharos.core.resource import ResourceId
from pharos.core.wire import Wire

MOST_NODES = 10_000

_FIGURES = 8
"""Tokens for the two figures that say what a summary costs and leaves out."""


class GraphInput(Wire):
    """Input of ``system.graph``."""

    root: str | None = Field(default=None, max_length=400)
    """``Kind/name`` or ``Kind/namespace/name``: only what is connected with it, in either direction."""
    depth: int | None = Field(default=None, ge=0, le=100)
    """Only over so many references from ``root``."""
    summary: bool = False
    """Counts, and only the parts that are not well: short enough for a model's context."""
    max_tokens: int = Field(default=2_000, ge=100, le=1_000_000)
    """For a summary: about how many tokens it may cost."""
    limit: int = Field(default=1_000, ge=1, le=MOST_NODES)
    """Most nodes; the unhealthy ones come first."""


class Graph(Wire):
    """The city as a graph."""

    position: str
    """The place in the log up to which it is true; ``catalog.watch`` continues from there."""
    counts: dict[str, dict[str, int]]
    """How many resources each kind has in each state."""
    edge_count: int
    nodes: list[Node] = Field(default_factory=list)
    """Unhealthy ones first, then by kind, namespace and name. Empty in a summary."""
    edges: list[Edge] = Field(default_factory=list)
    """Of the listed nodes. Empty in a summary."""
    unhealthy: list[Trouble] = Field(default_factory=list)
    """In a summary: every unhealthy resource, all of them, whatever the limit."""
    dangling: list[Edge] = Field(default_factory=list)
    """References to what does not exist: every one of them, whatever the limit."""
    unreferenced: list[str] = Field(default_factory=list)
    """Resources that nothing refers to. In a summary as many as there is room for."""
    omitted: int = 0
    """How many nodes (in a summary: unreferenced ones) were left out for the limit."""
    tokens: int | None = None
    """In a summary: about what it costs, at most."""


class ImpactInput(Named):
    """Input of ``system.impact``."""

    limit: int = Field(default=1_000, ge=1, le=MOST_NODES)


class Impact(Wire):
    """What breaks if a resource goes."""

    resource: str
    exists: bool
    """Whether it is there at all: what is missing has dependents, too."""
    dependents: list[Dependent]
    """Nearest first."""
    omitted: int = 0
    """How many were left out for the limit."""


class System:
    """The operations that see the city as a whole."""

    def __init__(self, index: Index, kinds: Kinds) -> None:
        self._index = index
        self._kinds = kinds

    @read("system.graph", permission="system.read", typical_ms=20, faults=(NOT_FOUND,))
    async def graph(self, invocation: Invocation, input: GraphInput) -> Graph:
        """Show what exists, in which state, what is connected to what, and what is missing.

        The summary is made for a model's context: counts, and every part that is unhealthy or dangling; only when those
        alone pass `maxTokens` does it cost more, and then without their details.
        """
        ids = self._ids(input)
        found = [resource for id in ids if (resource := self._index.find(id)) is not None]
        states = [(resource, state_of(resource, self._index)) for resource in found]
        unhealthy = [resource for resource, state in states if state == "unhealthy"]
        graph = Graph(
            position=self._index.position,
            counts=counted((resource.id, state) for resource, state in states),
            edge_count=sum(len(self._index.references(id)) for id in ids),
            dangling=dangling_edges(ids, self._index),
            unreferenced=[str(resource.id) for resource in found if not self._index.is_referenced(resource.id)],
        )
        if input.summary:
            return _fitted(graph, [trouble_of(resource, self._index) for resource in unhealthy], input.max_tokens)
        listed = [*unhealthy, *(resource for resource, state in states if state != "unhealthy")][: input.limit]
        nodes = [node_of(resource, self._index) for resource in listed]
        edges = [edge for resource in listed for edge in edges_of(resource.id, self._index)]
        return graph.model_copy(update={"nodes": nodes, "edges": edges, "omitted": len(found) - len(nodes)})

    @read("system.impact", permission="system.read", faults=(NOT_FOUND, UNKNOWN_KIND))
    async def impact(self, invocation: Invocation, input: ImpactInput) -> Impact:
        """Show what breaks if a resource goes: everything that refers to it, directly or through others."""
        id = identity(input, self._index, self._kinds)
        exists = self._index.find(id) is not None
        found = impact(id, self._index)
        if not exists and not found:
            raise missing(id, self._index)
        listed = found[: input.limit]
        return Impact(resource=str(id), exists=exists, dependents=listed, omitted=len(found) - len(listed))

    def _ids(self, input: GraphInput) -> list[ResourceId]:
        if input.root is None:
            return [resource.id for resource in self._index.everything()]
        try:
            root = ResourceId.parse(input.root)
        except ValueError:
            message = "Not a resource id; write Kind/name or Kind/namespace/name."
            raise invalid([Problem(pointer="/root", message=message)]) from None
        # Not validated: what cannot be a name names nothing, and is refused as missing.
        named = Named.model_construct(kind=root.kind, namespace=root.namespace, name=root.name)
        root = identity(named, self._index, self._kinds)
        found = around(root, input.depth, self._index)
        if len(found) == 1 and self._index.find(root) is None:
            raise missing(root, self._index)
        return found


def _fitted(graph: Graph, unhealthy: list[Trouble], limit: int) -> Graph:
    """The summary, as full as fits. The unreferenced go first, then details; never an unhealthy or dangling part."""
    room = limit - _FIGURES
    alone = graph.unreferenced
    told = min(len(alone), room // 4)  # none is shorter than that
    summary = graph.model_copy(update={"unhealthy": unhealthy, "unreferenced": alone[:told]})
    while (cost := tokens(summary)) > room and told:
        told //= 2
        summary = summary.model_copy(update={"unreferenced": alone[:told]})
    for why in (_first_reason, _no_reason):
        if cost <= room:
            break
        terse = [Trouble(resource=trouble.resource, why=why(trouble)) for trouble in unhealthy]
        summary = summary.model_copy(update={"unhealthy": terse})
        cost = tokens(summary)
    return summary.model_copy(update={"tokens": cost + _FIGURES, "omitted": len(alone) - told})


def _first_reason(trouble: Trouble) -> str:
    return trouble.why.partition(";")[0].partition(":")[0]


def _no_reason(trouble: Trouble) -> str:
    return ""
