"""Plans: which backends, in which order, how often and how long."""

from __future__ import annotations

from collections import Counter

import pytest
from policy_makers import (
    SMALL,
    backend,
    decided,
    fallback,
    features,
    pin,
    policy,
    reasons,
    steps,
    tier,
)

from tiermesh_sidecar.core.decision import Plan
from tiermesh_spec.snapshot import FallbackOn, FallbackOrder, WhenAllEjected

TWINS = tier("small", 10, backend("a"), backend("b", priority=1), backend("c", priority=2))
PAIR = (TWINS, tier("large", 30))
STEERLESS = frozenset({FallbackOn.TIMEOUT, FallbackOn.SERVER_ERROR})


def plan_of(**settings: object) -> Plan:
    found = decided(features(), policy(**settings)).plan  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_tiers_backends_come_by_priority_then_the_fallback_tiers() -> None:
    found = decided(features(), policy(tiers=PAIR, default=pin("small"), max_attempts=9))
    assert steps(found) == ["small/a", "small/b", "small/c", "large/b"]
    assert found.plan is not None
    assert found.plan.max_attempts == 4


def test_the_plan_is_cut_at_the_most_attempts_and_says_who_fell_off() -> None:
    found = decided(features(), policy(tiers=PAIR, default=pin("small"), max_attempts=2))
    assert steps(found) == ["small/a", "small/b"]
    assert reasons(found) == {"small": "Chosen", "large": "Eligible"}


def test_a_plan_of_one_backend_repeats_it() -> None:
    alone = plan_of(tiers=(SMALL,))
    assert (len(alone.steps), alone.max_attempts) == (1, 3)


def test_backends_of_one_priority_share_by_weight() -> None:
    mixed = tier(
        "small", 10, backend("a", weight=3), backend("b", weight=1), backend("z", weight=0)
    )
    given = policy(tiers=(mixed,))
    found = [steps(decided(features(), given, seed=seed * 7919)) for seed in range(2000)]
    firsts = Counter(plan[0] for plan in found)
    assert firsts["small/a"] / 2000 == pytest.approx(0.75, abs=0.04)
    assert {plan[2] for plan in found} == {"small/z"}


def test_ejected_and_keyless_backends_are_skipped_where_a_healthy_one_exists() -> None:
    found = decided(
        features(),
        policy(tiers=PAIR, default=pin("small"), max_attempts=9),
        ejected=["small/a"],
        keyless=["small/c"],
    )
    assert steps(found) == ["small/b", "large/b"]


def test_an_unhealthy_tier_is_replaced_by_a_healthy_one() -> None:
    found = decided(features(), policy(default=pin("small")), ejected=["small/b"])
    assert steps(found) == ["medium/b", "large/b"]
    assert reasons(found)["small"] == "Unhealthy"


def test_an_unhealthy_fallback_tier_is_left_out() -> None:
    found = decided(features(), policy(default=pin("small")), ejected=["medium/b"])
    assert steps(found) == ["small/b", "large/b"]
    assert reasons(found)["medium"] == "Unhealthy"


def test_where_all_are_ejected_the_wished_for_tier_is_tried_once() -> None:
    everything = ["small/b", "medium/b", "large/b"]
    found = decided(features(), policy(default=pin("medium")), ejected=everything)
    assert steps(found) == ["medium/b"]
    assert found.plan is not None
    assert found.plan.max_attempts == 1
    assert reasons(found) == {
        "small": "Unhealthy NotInRoute",
        "medium": "Chosen Unhealthy",
        "large": "Unhealthy",
    }


def test_the_one_that_is_tried_is_the_best_that_has_its_key() -> None:
    found = decided(
        features(),
        policy(tiers=(TWINS,)),
        ejected=["small/b", "small/c"],
        keyless=["small/a"],
    )
    assert steps(found) == ["small/b"]


@pytest.mark.parametrize("ejected", [[], ["small/b"]], ids=["keyless", "ejected as well"])
def test_a_backend_without_its_key_is_never_tried(ejected: list[str]) -> None:
    found = decided(features(), policy(tiers=(SMALL,)), ejected=ejected, keyless=["small/b"])
    assert found.plan is None


def test_a_tier_that_would_rather_fail_leaves_the_try_to_another() -> None:
    tiers = (
        tier("small", 10, when_all_ejected=WhenAllEjected.FAIL),
        tier("large", 30),
    )
    found = decided(
        features(), policy(tiers=tiers, default=pin("small")), ejected=["small/b", "large/b"]
    )
    assert steps(found) == ["large/b"]


def test_where_health_does_not_steer_an_ejected_tier_is_tried_before_its_fallback() -> None:
    given = policy(default=pin("small"), fallback=fallback(on=STEERLESS))
    found = decided(features(), given, ejected=["small/b"])
    assert steps(found) == ["small/b", "medium/b", "large/b"]


def test_or_refused_where_its_tier_says_so() -> None:
    tiers = (tier("small", 10, when_all_ejected=WhenAllEjected.FAIL), tier("large", 30))
    given = policy(tiers=tiers, default=pin("small"), fallback=fallback(on=STEERLESS))
    found = decided(features(), given, ejected=["small/b"])
    assert found.plan is None
    assert reasons(found) == {"small": "Unhealthy", "large": "NotInRoute"}


def test_the_fallback_says_what_may_move_a_call_on() -> None:
    given = fallback(FallbackOrder.UP, on=frozenset({FallbackOn.RATE_LIMITED}))
    assert plan_of(fallback=given).fallback_on == {FallbackOn.RATE_LIMITED}


@pytest.mark.parametrize(("hint", "call_ms"), [(None, 120_000), (500, 500), (500_000, 120_000)])
def test_a_deadline_hint_shortens_and_never_lengthens(hint: int | None, call_ms: int) -> None:
    found = decided(features(), policy(), deadline_ms=hint).plan
    assert found is not None
    assert found.call_ms == call_ms


def test_the_other_times_are_the_policys() -> None:
    found = plan_of()
    assert (found.attempt_ms, found.first_byte_ms, found.stream_idle_ms) == (
        60_000,
        20_000,
        30_000,
    )
    assert (found.backoff_base_ms, found.backoff_max_ms) == (100, 5_000)
