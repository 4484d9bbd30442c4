"""`threshold`: bands of a score, and what happens without one."""

from __future__ import annotations

import pytest
from policy_makers import decided, features, grant, grants, policy, reasons, threshold

from tiermesh_sidecar.core.strategies.base import Choice
from tiermesh_sidecar.core.strategies.threshold import ThresholdStrategy
from tiermesh_spec.snapshot import Band, Threshold

BANDS = ((0.35, "small"), (0.7, "medium"), (None, "large"))


@pytest.mark.parametrize(
    ("score", "chosen"),
    [(0.0, "small"), (0.3499, "small"), (0.35, "medium"), (0.7, "large"), (1, "large")],
)
def test_a_score_falls_in_the_first_band_that_ends_above_it(score: float, chosen: str) -> None:
    given = policy(default=threshold(*BANDS))
    assert decided(features(), given, signals={"complexity": score}).tier == chosen


@pytest.mark.parametrize("value", [None, "HIGH"], ids=["abstained", "a label is no score"])
def test_no_score_goes_to_the_tier_that_the_route_names_for_it(value: str | None) -> None:
    given = policy(default=threshold(*BANDS, on_abstain="medium"))
    decision = decided(features(), given, signals={"complexity": value})
    assert decision.tier == "medium"
    assert decision.signals == {"complexity": value}


def test_no_score_and_no_tier_for_it_goes_to_the_highest_rank() -> None:
    given = policy(default=threshold((0.5, "small"), (None, "medium")))
    decision = decided(features(), given)
    assert decision.tier == "large"
    assert decision.signals == {"complexity": None}


def test_to_the_highest_rank_that_is_eligible() -> None:
    given = policy(
        default=threshold((0.5, "small"), (None, "medium")),
        entitlements=grants(grant("g", "small", "medium")),
    )
    assert decided(features(), given).tier == "medium"


def test_to_the_highest_rank_that_is_healthy() -> None:
    given = policy(default=threshold((0.5, "small"), (None, "medium")))
    assert decided(features(), given, ejected=["large/b"]).tier == "medium"


def test_the_signal_is_computed_from_the_prompt() -> None:
    given = policy(default=threshold(*BANDS))
    assert decided(features("What is the capital of France?"), given).tier == "small"


def test_the_other_bands_could_have_taken_the_call() -> None:
    given = policy(default=threshold(*BANDS, on_abstain="medium"), max_attempts=1)
    decision = decided(features(), given, signals={"complexity": 0.9})
    assert reasons(decision) == {"small": "Eligible", "medium": "Eligible", "large": "Chosen"}


def test_a_score_above_every_band_is_no_guess_either() -> None:
    given = policy(default=threshold((0.5, "small"), on_abstain="medium"))
    assert decided(features(), given, signals={"complexity": 0.9}).tier == "medium"


def test_a_route_without_a_tier_for_abstaining_names_its_bands_only() -> None:
    bands = (Band(below=None, tier="small"),)
    strategy = ThresholdStrategy(Threshold(signal="s", bands=bands, on_abstain=None))
    assert strategy._abstained == Choice(names=frozenset({"small"}))
