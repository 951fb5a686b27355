"""Amounts: exact on the wire, short in sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharos.mesh.money import MOST_COST, decimal_text, in_words, nanos_of


@given(st.integers(0, MOST_COST))
def test_the_wire_form_is_exact(nanos: int) -> None:
    assert nanos_of(decimal_text(nanos)) == nanos


@pytest.mark.parametrize(
    ("nanos", "said"),
    [(0, "0.00 USD"), (18_750, "0.00001875 USD"), (25_000_000_000, "25.00 USD"), (-1_500_000_000, "-1.50 USD")],
)
def test_a_sentence_has_no_zeros_that_say_nothing(nanos: int, said: str) -> None:
    assert in_words(nanos) == said
