"""`pin`."""

from __future__ import annotations

import pytest
from policy_makers import decided, features, pin, policy, reasons, steps


def test_a_pin_takes_its_tier_and_the_policys_fallback_follows() -> None:
    decision = decided(features(), policy(default=pin("medium")))
    assert steps(decision) == ["medium/b", "large/b"]
    assert reasons(decision) == {"small": "NotInRoute", "medium": "Chosen", "large": "InPlan"}


def test_a_pin_without_fallback_takes_its_tier_alone() -> None:
    decision = decided(features(), policy(default=pin("medium", fallback=False)))
    assert steps(decision) == ["medium/b"]
    assert reasons(decision)["large"] == "NotInRoute"


@pytest.mark.parametrize("seed", range(5))
def test_a_pin_does_not_depend_on_the_seed(seed: int) -> None:
    assert decided(features(), policy(default=pin("small")), seed=seed).tier == "small"
