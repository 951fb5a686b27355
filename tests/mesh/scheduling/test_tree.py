"""What a flow is owed, where the tree itself keeps it."""

from __future__ import annotations

from pharos.mesh.scheduling.tree import SCALE, Node, activate, charge, correct, park, unpark


def test_mesh_20_what_comes_back_comes_back_once() -> None:
    """A flow that has used up what it was charged too much is owed nothing any more, also behind a gate that shuts."""
    root = Node("", None)
    a, b = Node("a", root), Node("b", root)
    root.children = {"a": a, "b": b}
    activate(a, ())
    activate(b, ())
    dear = charge(a, 100)
    charge(b, 80)
    charge(b, 1)
    correct(a, -100, dear)
    assert a.credit == 80 * SCALE, "the others had 80 while it had nothing"
    charge(a, 80)
    assert a.credit == 0
    park(a)
    charge(b, 1000)
    charge(b, 1)
    unpark(a)
    assert a.tag == root.virtual, "nobody saves up by waiting"
