"""Principals: nothing is allowed that no pattern allows, and rights only narrow along a chain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pharos.core.principal import Principal, PrincipalKind

NOUNS = ("ledger", "catalog", "keys")
PERMISSIONS = [f"{noun}.{verb}" for noun in NOUNS for verb in ("read", "write")]
PATTERNS = [*PERMISSIONS, *(f"{noun}.*" for noun in NOUNS), "*"]
patterns = st.frozensets(st.sampled_from(PATTERNS))


def holder(permissions: frozenset[str]) -> Principal:
    return Principal(PrincipalKind.KEY, "k", permissions=permissions)


def test_default_is_deny() -> None:
    assert not any(holder(frozenset()).may(p) for p in PERMISSIONS)


def test_patterns() -> None:
    assert holder(frozenset({"ledger.*"})).may("ledger.read")
    assert not holder(frozenset({"ledger.*"})).may("ledgers.read")
    assert holder(frozenset({"*"})).may("anything.at-all")
    assert not holder(frozenset({"ledger.read"})).may("ledger.*")


@given(patterns, patterns)
def test_narrowing_is_intersection(mine: frozenset[str], wanted: frozenset[str]) -> None:
    narrowed = holder(mine).narrowed(wanted)
    for permission in PERMISSIONS:
        assert narrowed.may(permission) == (holder(mine).may(permission) and holder(wanted).may(permission))


@given(st.lists(patterns, min_size=1, max_size=5))
def test_m7_a_chain_of_delegation_never_widens(chain: list[frozenset[str]]) -> None:
    principal = holder(chain[0])
    for step, permissions in enumerate(chain[1:]):
        delegate = principal.delegate(PrincipalKind.AGENT, f"a{step}", permissions)
        assert all(principal.may(p) for p in PERMISSIONS if delegate.may(p))
        assert delegate.chain[0].name == principal.name
        principal = delegate
