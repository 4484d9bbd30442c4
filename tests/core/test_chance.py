"""Lots: fixed by the seed, fair by weight, and independent of who else takes part."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.core.chance import lot, salt

seeds = st.integers(min_value=0, max_value=2**128)


def winner(seed: int, shares: dict[str, int]) -> str:
    return min(shares, key=lambda name: lot(seed, salt(name), shares[name]))


@pytest.mark.parametrize(("weight", "other"), [(1, 1), (90, 10), (1, 3)])
def test_shares_are_those_of_the_weights(weight: int, other: int) -> None:
    wins = sum(winner(seed, {"a": weight, "b": other}) == "a" for seed in range(20_000))
    assert wins / 20_000 == pytest.approx(weight / (weight + other), abs=0.015)


@given(seeds, st.integers(min_value=1, max_value=1000))
def test_a_seed_of_any_size_draws_a_finite_positive_lot(seed: int, weight: int) -> None:
    assert 0 < lot(seed, salt("a"), weight) < inf


@given(seeds)
def test_taking_away_a_loser_changes_nothing(seed: int) -> None:
    shares = {"a": 1, "b": 2, "c": 3}
    won = winner(seed, shares)
    for name in shares.keys() - {won}:
        assert winner(seed, {n: w for n, w in shares.items() if n != name}) == won


def test_weight_zero_never_beats_a_weight() -> None:
    assert lot(1, salt("a"), 0) == inf
