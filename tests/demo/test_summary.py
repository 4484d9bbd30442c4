"""The figures of the demo add up."""

from decimal import Decimal

import pytest

from tiermesh_sidecar.demo.summary import Result, Tally, percentile, plain

TIERS = ("small", "large")


def result(**more: object) -> Result:
    usual: dict[str, object] = {
        "number": 1,
        "kind": "chat",
        "prompt": "Why?",
        "status": 200,
        "latency_ms": 100.0,
        "tier": "small",
        "rule": "difficulty",
        "reason": "Chosen",
        "attempts": 1,
        "cost": Decimal("0.001"),
        "top_tier_cost": Decimal("0.01"),
    }
    return Result(**{**usual, **more})  # type: ignore[arg-type]  # a table of fields


def tally(*results: Result) -> Tally:
    made = Tally(tiers=TIERS)
    for one in results:
        made.add(one)
    return made


def test_costs_and_what_was_saved_add_up() -> None:
    made = tally(result(), result(tier="large", cost=Decimal("0.01")))
    assert made.as_json(1.25) == {
        "calls": 2,
        "streams": 0,
        "tiers": {"small": 1, "large": 1},
        "rules": {"difficulty": 2},
        "cost": "0.011",
        "topTierCost": "0.02",
        "saved": "0.009",
        "savedPercent": 45.0,
        "fallbacks": 0,
        "extraAttempts": 0,
        "refusals": {},
        "failed": 0,
        "p50Ms": 100.0,
        "p95Ms": 100.0,
        "seconds": 1.2,
    }


def test_a_call_of_unknown_cost_counts_on_neither_side() -> None:
    made = tally(result(cost=None))
    assert (made.cost, made.top_tier_cost, made.saved_percent) == (0, 0, None)


def test_a_refusal_is_counted_by_code_and_is_no_failure() -> None:
    refused = result(status=403, code="not_entitled", tier=None, reason="NotEntitled", attempts=0)
    made = tally(refused)
    assert made.refusals == {"not_entitled": 1}
    assert made.failed == 0
    assert made.p50_ms is None


@pytest.mark.parametrize(
    "bad",
    [{"status": 0, "tier": None}, {"status": 503}, {"broken": True}],
    ids=["no answer", "a provider's error", "a broken stream"],
)
def test_what_is_neither_answer_nor_refusal_failed(bad: dict[str, object]) -> None:
    assert tally(result(**bad)).failed == 1


def test_fallbacks_and_attempts_are_counted() -> None:
    made = tally(result(reason="InPlan", attempts=3), result())
    assert (made.fallbacks, made.extra_attempts) == (1, 2)


def test_the_last_calls_are_remembered_in_order() -> None:
    made = tally(*(result(number=n) for n in range(20)))
    assert [one.number for one in made.last] == list(range(12, 20))


def test_percentiles_are_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 95)) == (50.0, 95.0)
    assert percentile([3.0], 95) == 3.0
    assert percentile([], 50) is None


@pytest.mark.parametrize(
    ("amount", "text"), [("1E-7", "0.0000001"), ("0.10", "0.1"), ("0", "0"), ("100", "100")]
)
def test_money_has_no_exponent(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text
