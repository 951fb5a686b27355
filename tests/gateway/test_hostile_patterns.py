"""Texts made to keep a pattern busy: a question of the user's stops nobody else's call."""

from __future__ import annotations

import time

import pytest

from pharos.gateway.models.caching.guards import features


@pytest.mark.parametrize("piece", ["1", "1a", "a.", "不", "_", ".", "A ", "'", '"'])
def test_the_features_of_a_question_are_found_in_no_time(piece: str) -> None:
    began = time.process_time()
    features(piece * (8_192 // len(piece)) + "x_")
    assert time.process_time() - began < 1  # it took minutes
