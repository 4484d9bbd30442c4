"""Tiers prepared: order of ranks, who replaces whom, who follows whom."""

from __future__ import annotations

import pytest
from policy_makers import THREE, active, backend, fallback, policy, tier

from tiermesh_sidecar.core.candidates import TierFacts, by_rank
from tiermesh_sidecar.core.decision import Reason
from tiermesh_sidecar.core.features import Dialect
from tiermesh_spec.snapshot import Fallback, FallbackOn, FallbackOrder, Provider

FIVE = (
    tier("top", 100),
    tier("b", 20),
    tier("a", 20),
    tier("low", 10),
    tier("mid", 28),
)


def names(tiers: tuple[TierFacts, ...]) -> str:
    return " ".join(facts.name for facts in tiers)


def test_equal_ranks_are_ordered_by_name() -> None:
    assert names(by_rank(active(policy(tiers=FIVE)).tiers)) == "low a b mid top"


@pytest.mark.parametrize(
    ("rejected", "order"),
    [
        ("low", "a b mid top"),
        ("a", "b mid top low"),
        ("mid", "top b a low"),
        ("top", "mid b a low"),
    ],
)
def test_the_nearest_rank_above_replaces_a_tier_else_the_nearest_below(
    rejected: str, order: str
) -> None:
    assert names(active(policy(tiers=FIVE)).replacements[rejected]) == order


@pytest.mark.parametrize(
    ("given", "of_a", "of_mid"),
    [
        (fallback(FallbackOrder.UP), "b mid top", "top"),
        (fallback(FallbackOrder.DOWN), "b low", "a b low"),
        (fallback(FallbackOrder.NEAREST), "b mid low top", "a b low top"),
        (fallback(FallbackOrder.NONE), "", ""),
        (fallback(FallbackOrder.LISTED, "top", "mid", "top"), "top mid", "top"),
        (fallback(FallbackOrder.UP, on=frozenset({FallbackOn.UNHEALTHY})), "", ""),
        (fallback(FallbackOrder.UP, on=frozenset({FallbackOn.TIMEOUT})), "b mid top", "top"),
    ],
    ids=[
        "up",
        "down",
        "nearest",
        "none",
        "listed",
        "nothing that happens at run time",
        "one thing that does",
    ],
)
def test_the_fallback_tiers_in_order(given: Fallback, of_a: str, of_mid: str) -> None:
    found = active(policy(tiers=FIVE, fallback=given)).fallbacks
    assert (names(found["a"]), names(found["mid"])) == (of_a, of_mid)


def test_the_nearest_fallback_of_two_at_the_same_distance_is_the_higher() -> None:
    found = active(policy(tiers=THREE, fallback=fallback(FallbackOrder.NEAREST))).fallbacks
    assert names(found["medium"]) == "large small"


def test_backends_are_told_apart_by_dialect_and_sorted_by_priority() -> None:
    mixed = tier(
        "mixed",
        1,
        backend("late", priority=2),
        backend("claude", provider=Provider.ANTHROPIC),
        backend("early", priority=1),
    )
    facts = active(policy(tiers=(mixed,))).tiers[0]
    assert [o.step.backend.name for o in facts.by_dialect[Dialect.OPENAI]] == ["early", "late"]
    assert [o.step.backend.name for o in facts.by_dialect[Dialect.ANTHROPIC]] == ["claude"]
    assert facts.pass_through == facts.by_dialect


def test_a_path_of_a_dialect_that_a_tier_does_not_speak_gets_all_its_backends() -> None:
    facts = active(policy(tiers=THREE)).tiers[0]
    assert facts.by_dialect[Dialect.ANTHROPIC] == ()
    assert facts.pass_through[Dialect.ANTHROPIC] == facts.options


@pytest.mark.parametrize("reason", list(Reason))
def test_only_chosen_in_plan_and_eligible_are_kept(reason: Reason) -> None:
    facts = active(policy()).tiers[0]
    kept = reason in (Reason.CHOSEN, Reason.IN_PLAN, Reason.ELIGIBLE)
    assert facts.verdict(reason).kept is kept
    assert facts.verdict(reason, (Reason.UNHEALTHY,)).also == (Reason.UNHEALTHY,)
