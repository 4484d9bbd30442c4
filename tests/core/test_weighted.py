"""`weighted`: shares among the eligible."""

from __future__ import annotations

from collections import Counter

import pytest
from policy_makers import (
    THREE,
    constraint,
    decided,
    features,
    grant,
    grants,
    policy,
    reasons,
    tier,
    weighted,
)

CALLS = 2000


def shares(ejected: tuple[str, ...] = (), **weights: int) -> Counter[str | None]:
    given = policy(default=weighted(**weights))
    return Counter(
        decided(features(), given, seed=seed * 7919, ejected=ejected).tier for seed in range(CALLS)
    )


def test_the_shares_are_those_of_the_weights() -> None:
    found = shares(small=80, large=20)
    assert found["small"] / CALLS == pytest.approx(0.8, abs=0.04)
    assert set(found) == {"small", "large"}


def test_a_tier_that_is_not_eligible_leaves_its_share_to_the_others() -> None:
    found = shares(("large/b",), small=25, medium=25, large=50)
    assert found["small"] / CALLS == pytest.approx(0.5, abs=0.05)
    assert set(found) == {"small", "medium"}


def test_a_share_of_zero_takes_calls_only_where_no_other_can() -> None:
    assert set(shares(small=0, large=1)) == {"large"}
    assert set(shares(("large/b",), small=0, large=1)) == {"small"}


def test_all_weighted_tiers_could_have_taken_the_call() -> None:
    decision = decided(features(), policy(default=weighted(small=1, medium=1), max_attempts=1))
    chosen = decision.tier
    assert chosen is not None
    other = {"small": "medium", "medium": "small"}[chosen]
    assert reasons(decision)[other] == "Eligible"


def test_with_none_of_them_eligible_the_nearest_other_takes_the_call() -> None:
    given = policy(default=weighted(small=1), entitlements=grants(grant("g", "large", "medium")))
    assert decided(features(), given).tier == "medium"


def test_a_tier_rejected_for_a_right_gets_no_share() -> None:
    given = policy(
        tiers=(*THREE, tier("huge", 40)),
        default=weighted(small=1, huge=1),
        constraints=(constraint(never_below="large"),),
    )
    assert {decided(features(), given, seed=seed).tier for seed in range(50)} == {"huge"}
