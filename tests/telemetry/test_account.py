from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tiermesh_sidecar.core.decision import Reason
from tiermesh_sidecar.core.outcome import Ending, Usage
from tiermesh_sidecar.core.record import AttemptOutcome, CallRecord
from tiermesh_sidecar.telemetry.account import account

Make = Callable[..., AttemptOutcome]


def test_a_call_costs_what_its_attempt_cost_and_the_top_tier_would_have_cost_more(
    call: CallRecord,
) -> None:
    sums = account(call)
    assert sums.cost == 600 * 150_000 + 400 * 75_000 + 100 * 600_000
    assert sums.top_tier_cost == 600 * 2_500_000 + 400 * 1_250_000 + 100 * 10_000_000
    assert sums.saved == sums.top_tier_cost - sums.cost
    assert (sums.tier, sums.backend, sums.reason) == ("small", "small-a", Reason.CHOSEN)


def test_a_failed_attempt_without_usage_is_free_and_the_fallback_tells_the_reason(
    fallen_back: CallRecord,
) -> None:
    sums = account(fallen_back)
    assert sums.cost == sums.top_tier_cost == 1000 * 2_500_000 + 100 * 10_000_000
    assert (sums.tier, sums.reason, sums.saved) == ("large", Reason.IN_PLAN, 0)


def test_usage_of_every_attempt_is_paid_but_the_top_tier_answers_once(
    call: CallRecord, attempt: Make
) -> None:
    first = attempt(1, "small", error="timeout", usage=Usage(input=10, output=5, estimated=True))
    second = attempt(2, "large", usage=Usage(input=10, output=2))
    sums = account(replace(call, attempts=(first, second)))
    assert sums.usage == Usage(input=20, output=7, estimated=True)
    assert first.cost is not None
    assert second.cost is not None
    assert sums.cost == first.cost + second.cost
    assert sums.top_tier_cost == second.cost
    assert sums.saved == -first.cost


def test_an_answer_without_price_or_usage_leaves_the_cost_unknown(
    call: CallRecord, attempt: Make
) -> None:
    unpriced = attempt(1, "small", usage=Usage(input=10), cost=None)
    silent = attempt(1, "small")
    for one in (unpriced, silent):
        sums = account(replace(call, attempts=(one,)))
        assert (sums.cost, sums.saved) == (None, None)


def test_a_refused_call_costs_nothing_and_names_the_rejection_that_led_to_it(
    refused: CallRecord,
) -> None:
    sums = account(refused)
    assert (sums.cost, sums.usage, sums.top_tier_cost, sums.saved) == (0, None, None, None)
    assert (sums.tier, sums.reason) == (None, Reason.REGION)


def test_a_caller_that_left_before_an_answer_has_the_chosen_tier_and_no_backend(
    call: CallRecord,
) -> None:
    sums = account(replace(call, ending=Ending.CLIENT_GONE, attempts=(), answered_by=None))
    assert (sums.tier, sums.backend, sums.model) == ("small", None, None)
    assert sums.reason is Reason.CHOSEN


def test_the_tier_that_answered_need_not_be_the_last_one_tried(
    call: CallRecord, attempt: Make
) -> None:
    answered = attempt(1, "small", status=503, error="http_503")
    last = attempt(2, "large", status=None, error="connection_failed")
    sums = account(replace(call, attempts=(answered, last), answered_by=1))
    assert (sums.tier, sums.backend, sums.reason) == ("small", "small-a", Reason.CHOSEN)


def test_a_call_that_was_never_decided_has_no_reason(call: CallRecord) -> None:
    early = replace(
        call, policy=None, decision=None, features=None, attempts=(), ending=Ending.REFUSED
    )
    assert account(early).reason is None
