"""Fair shares by weight, level by level: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996).

Each node of the tree (a tenant, an agent of it …) shares what it gets between its children. A child has a *tag*: the
virtual time at which its next grant begins. The child with the lowest tag is next, and its tag then moves on by the
cost of the grant divided by its weight. A child that comes back from a rest begins at its parent's virtual time (the
tag of what was granted last), so nobody saves up by waiting. Only the start of a grant decides, so its cost need not be
known before its end: it is charged as estimated, and the tag is put right when it is settled. What was too little is a
debt, for which the flow waits while others catch up; what was too much comes back to it.

Flows that may not begin (see ``gates.py``) are treated as resting. A gate that stands before a whole node takes it out
of its parent until it opens. Gates that stand across the tree (all flows of a model) are grouped: flows behind the same
gates have the same *signature*, every node keeps one heap for each signature, and a shut signature is left out as a
whole. So a grant costs the depth of the tree times the logarithm of its width, whoever waits behind whatever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from heapq import heapify, heappop, heappush
from itertools import count

from pharos.mesh.scheduling.gates import Gate

SCALE = 1 << 20
"""Virtual time of one unit of cost at weight 1: integers, so that shares are exact over any time."""

Signature = frozenset[Gate]

_order = count(1)


class Node:
    """A place in the tree. A leaf is a flow."""

    __slots__ = (
        "active", "children", "credit", "flying", "gates", "heaps", "jumped", "key", "marks", "parent", "parked",
        "resting", "tag", "virtual", "weight",
    )  # fmt: skip

    virtual: int

    def __init__(self, key: str, parent: Node | None, weight: int = 1, gates: tuple[Gate, ...] = ()) -> None:
        self.key = key
        self.parent = parent
        self.weight = weight
        self.gates = gates
        self.parked = False
        """One of its gates is shut, and it has been taken out of its parent."""
        self.tag = 0 if parent is None else parent.virtual
        self.jumped = 0
        """By how much its tag was put forward after rests, ever."""
        self.credit = 0
        """How far its tag may be behind its parent's virtual time: what it was charged too much."""
        self.flying = 0
        """Grants under way in it, and nodes in it that were taken out: while there are any, it is not forgotten."""
        self.virtual = 0
        self.children: dict[str, Node] = {}
        self.active: dict[Signature, int] = {}
        """For each signature, how many children have something to begin. Of a leaf: its signature, if it has."""
        self.heaps: dict[Signature, list[tuple[int, int, Node]]] = {}
        self.marks: dict[Signature, int] = {}
        """For each signature, which of its entries in its parent's heap is the valid one."""
        self.resting: list[tuple[int, int, Node]] = []
        """Children that rest with a debt, by when it is worked off."""

    def path(self) -> Iterator[Node]:
        """This node and those above it, without the root."""
        node = self
        while node.parent is not None:
            yield node
            node = node.parent

    def waits(self) -> bool:
        """Whether something in it waits, behind gates or not."""
        return bool(self.active)


def activate(leaf: Node, signature: Signature) -> None:
    """Something waits in the flow."""
    leaf.active = {signature: 1}
    _appear(leaf, signature, awake=True)


def deactivate(leaf: Node) -> None:
    """Nothing waits in the flow any more."""
    waiting, leaf.active = leaf.active, {}
    leaf.credit = 0
    for signature in waiting:
        _vanish(leaf, signature)
    settle_down(leaf)


def _appear(node: Node, signature: Signature, *, awake: bool) -> None:
    """A node has something for a signature that it had not; ``awake``: it had nothing at all."""
    while (parent := node.parent) is not None and not node.parked:
        if awake:
            _catch_up(node, parent)
        awake = not parent.active
        _push(parent, signature, node)
        before = parent.active.get(signature, 0)
        parent.active[signature] = before + 1
        if before:
            return
        node = parent


def _vanish(node: Node, signature: Signature) -> None:
    while (parent := node.parent) is not None and not node.parked:
        node.marks.pop(signature, None)
        left = parent.active[signature] - 1
        if left:
            parent.active[signature] = left
            return
        del parent.active[signature]
        parent.heaps.pop(signature, None)
        if not parent.active:
            parent.credit = 0
        node = parent


def _catch_up(node: Node, parent: Node) -> None:
    """Nobody saves up by waiting."""
    floor = parent.virtual - node.credit
    if node.tag < floor:
        node.jumped += floor - node.tag
        node.tag = floor


def _push(parent: Node, signature: Signature, node: Node) -> None:
    mark = node.marks[signature] = next(_order)
    heap = parent.heaps.setdefault(signature, [])
    heappush(heap, (node.tag, mark, node))
    if len(heap) > 64 and len(heap) > 4 * parent.active.get(signature, 0):
        # Entries that are valid no more have piled up below the top.
        heap[:] = [entry for entry in heap if entry[2].marks.get(signature) == entry[1]]
        heapify(heap)


def park(node: Node) -> None:
    """A gate of the node is shut: take it out of its parent."""
    for signature in node.active:
        _vanish(node, signature)
    node.parked = True
    for above in _above(node):
        above.flying += 1


def unpark(node: Node) -> None:
    """Its gates are open."""
    node.parked = False
    for above in _above(node):
        above.flying -= 1
    awake = True
    for signature in node.active:
        _appear(node, signature, awake=awake)
        awake = False


def _above(node: Node) -> Iterator[Node]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def gates_in(node: Node) -> Iterator[Gate]:
    """The gates of the node and of those in it."""
    yield from node.gates
    for child in node.children.values():
        yield from gates_in(child)


def find(root: Node, shut: Collection[Signature], now: int) -> tuple[Node | None, list[Node]]:
    """The flow that is next, behind none of the ``shut`` signatures, and the nodes that were found behind a shut gate
    of their own meanwhile and have been parked."""
    parked: list[Node] = []
    node = root
    while node.children or node is root:
        child = _first(node, shut)
        if child is None:
            return None, parked
        if child.gates and not all(gate.is_open(now) for gate in child.gates):
            park(child)
            parked.append(child)
            node = root
        else:
            node = child
    return node, parked


def _first(node: Node, shut: Collection[Signature]) -> Node | None:
    best: tuple[int, int, Node] | None = None
    for signature, heap in node.heaps.items():
        if signature in shut:
            continue
        while heap and heap[0][2].marks.get(signature) != heap[0][1]:
            heappop(heap)
        if heap and (best is None or heap[0] < best):
            best = heap[0]
    return None if best is None else best[2]


def charge(leaf: Node, cost: int) -> tuple[int, ...]:
    """Grant the flow's next piece of work, at an estimated cost. Give what is returned to :func:`correct`."""
    jumped = []
    node = leaf
    while (parent := node.parent) is not None:
        _catch_up(node, parent)
        jumped.append(node.jumped)
        if node.tag > parent.virtual:
            parent.virtual = node.tag
            if parent.resting:
                _forgive(parent)
        node.tag += cost * SCALE // node.weight
        node.credit = max(0, parent.virtual - node.tag)
        node.flying += 1
        _move(parent, node)
        node = parent
    node.flying += 1
    return tuple(jumped)


def correct(leaf: Node, difference: int, jumped: tuple[int, ...]) -> None:
    """A grant has ended, and cost more (or less) than :func:`charge` was told by ``difference``."""
    nodes = list(leaf.path())
    for node, before in zip(nodes, jumped, strict=True):
        node.flying -= 1
        amount = difference * SCALE // node.weight
        since = node.jumped - before
        # A rest that ended at the parent's virtual time has worked off that much of a debt, and ended any credit.
        amount = max(0, amount - since) if amount > 0 else 0 if since else amount
        if amount:
            node.tag += amount
            if node.parent is not None:
                node.credit = max(0, node.parent.virtual - node.tag) if node.active else 0
                _move(node.parent, node)
    root = nodes[-1].parent if nodes else leaf
    if root is not None:
        root.flying -= 1
    settle_down(leaf)


def _move(parent: Node, node: Node) -> None:
    """Its tag is another: so are its places in the heaps."""
    if not node.parked:
        for signature in node.active:
            _push(parent, signature, node)


def settle_down(node: Node) -> None:
    """Forget nodes of which nothing is to be remembered."""
    while (parent := node.parent) is not None and not (node.active or node.flying or node.children):
        if node.tag > parent.virtual and (parent.active or parent.flying):
            # It owes something to those who wait: kept until they have caught up.
            heappush(parent.resting, (node.tag, next(_order), node))
            return
        if parent.children.get(node.key) is node:
            del parent.children[node.key]
        node = parent
    if not (node.active or node.flying):
        # Nobody is left who could be owed anything.
        node.children.clear()
        node.resting.clear()
        if node.parent is not None:
            settle_down(node)


def _forgive(parent: Node) -> None:
    resting = parent.resting
    while resting and resting[0][0] <= parent.virtual:
        tag, _, node = heappop(resting)
        forgotten = node.tag == tag and not (node.active or node.flying or node.children)
        if forgotten and parent.children.get(node.key) is node:
            del parent.children[node.key]
