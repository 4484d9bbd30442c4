"""Where a failed call goes next, and after what pause."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_makers import backend, tier

from tiermesh_sidecar.core.decision import Plan, Step
from tiermesh_sidecar.core.events import Failure
from tiermesh_sidecar.core.retry import failed_status, failed_transfer, next_step, pause_ms
from tiermesh_spec.snapshot import FallbackOn


def plan(tiers: Sequence[str], *, max_attempts: int = 9, on: Sequence[FallbackOn] = ()) -> Plan:
    """One step per name: its tier."""
    made = backend()
    return Plan(
        steps=tuple(Step(tier=tier(name, 1, made), backend=made) for name in tiers),
        max_attempts=max_attempts,
        fallback_on=frozenset(on),
        call_ms=1,
        attempt_ms=1,
        first_byte_ms=1,
        stream_idle_ms=1,
        backoff_base_ms=100,
        backoff_max_ms=5_000,
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None),
        (302, None),
        (400, None),
        (404, None),
        (408, FallbackOn.TIMEOUT),
        (409, None),
        (429, FallbackOn.RATE_LIMITED),
        (499, None),
        (500, FallbackOn.SERVER_ERROR),
        (529, FallbackOn.SERVER_ERROR),
        (599, FallbackOn.SERVER_ERROR),
    ],
)
def test_a_status_is_the_kind_of_failure_that_fallback_on_names(
    status: int, kind: FallbackOn | None
) -> None:
    assert failed_status(status) is kind


def test_all_but_timeouts_of_a_transfer_are_server_errors() -> None:
    kinds = {failure: failed_transfer(failure) for failure in Failure}
    assert kinds.pop(Failure.TIMEOUT) is FallbackOn.TIMEOUT
    assert set(kinds.values()) == {FallbackOn.SERVER_ERROR}


@pytest.mark.parametrize(
    ("tiers", "sent", "last", "allowed", "expected"),
    [
        (["s"], 1, 0, False, 0),
        (["s"], 9, 0, True, None),
        (["s", "s"], 1, 0, False, 1),
        (["s", "s"], 2, 1, True, None),
        (["s", "l"], 1, 0, True, 1),
        (["s", "l"], 1, 0, False, None),
        (["s", "l", "s"], 1, 0, False, 2),
        (["s", "l", "l"], 2, 1, False, 2),
    ],
)
def test_the_next_step_is_the_next_that_is_allowed(
    tiers: list[str], sent: int, last: int, allowed: bool, expected: int | None
) -> None:
    a_plan = plan(tiers, on=[FallbackOn.TIMEOUT] if allowed else [])
    assert next_step(a_plan, sent=sent, last=last, kind=FallbackOn.TIMEOUT) == expected


@given(st.integers(1, 10_000), st.integers(0, 2**64 - 1))
def test_a_pause_grows_to_its_maximum_and_is_the_same_for_the_same_seed(
    repeat: int, seed: int
) -> None:
    pause = pause_ms(plan("s"), repeat=repeat, seed=seed, retry_after_ms=None)
    assert 0 <= pause <= min(5_000, 100 * 2 ** min(repeat - 1, 20))
    assert pause == pause_ms(plan("s"), repeat=repeat, seed=seed, retry_after_ms=None)


def test_the_jitter_is_full_and_even() -> None:
    pauses = [pause_ms(plan("s"), repeat=3, seed=s, retry_after_ms=None) for s in range(2_000)]
    quarters = [sum(1 for p in pauses if q * 100 <= p < (q + 1) * 100) for q in range(4)]
    assert sum(quarters) == 2_000
    assert all(400 < count < 600 for count in quarters), quarters


@pytest.mark.parametrize("asked", [0, 50, 60_000])
def test_what_the_provider_asks_for_counts_as_it_is(asked: int) -> None:
    assert pause_ms(plan("s"), repeat=1, seed=1, retry_after_ms=asked) == asked
