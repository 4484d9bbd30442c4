"""Whether a failed attempt is followed by another, by which, and after what pause.

Pure functions over the plan. They skip steps of the plan, and never add or reorder any: whatever
they return was decided, with its rights checked, before the call's first byte went upstream.
"""

from __future__ import annotations

from math import exp

from tiermesh_sidecar.core.chance import lot, salt
from tiermesh_sidecar.core.decision import Plan
from tiermesh_sidecar.core.events import Failure
from tiermesh_spec.snapshot import FallbackOn


def failed_status(status: int) -> FallbackOn | None:
    """What kind of failure this HTTP status is; None for an answer that no second try would better.

    408 is a timeout and 429 a rate limit, as `fallback.on` has them; every 5xx is the server's.
    """
    if status == 408:
        return FallbackOn.TIMEOUT
    if status == 429:
        return FallbackOn.RATE_LIMITED
    return FallbackOn.SERVER_ERROR if status >= 500 else None


def failed_transfer(failure: Failure) -> FallbackOn:
    """What kind of failure it is that an attempt gave no whole, readable answer."""
    return FallbackOn.TIMEOUT if failure is Failure.TIMEOUT else FallbackOn.SERVER_ERROR


def next_step(plan: Plan, *, sent: int, last: int, kind: FallbackOn) -> int | None:
    """The index of the step to try after step `last` failed, `sent` attempts having been made.

    Backends of one tier are interchangeable. A step of another tier needs `kind` in the plan's
    `fallback_on`, else it is skipped for good. Only a plan of one step repeats a step.
    """
    if sent >= plan.max_attempts:
        return None
    if len(plan.steps) == 1:
        return 0
    tier = plan.steps[last].tier.name
    for index in range(last + 1, len(plan.steps)):
        if kind in plan.fallback_on or plan.steps[index].tier.name == tier:
            return index
    return None


def pause_ms(plan: Plan, *, repeat: int, seed: int, retry_after_ms: int | None) -> float:
    """How long to wait before the same backend is asked again for the `repeat`-th time (from 1).

    What the provider asked for counts as it is. Else the pause is exponential with full jitter
    (anything from nothing to the ceiling): clients that failed together must not return together.
    """
    if retry_after_ms is not None:
        return float(retry_after_ms)
    # The exponent is bounded: max is reached long before, and it would grow without end.
    ceiling = min(plan.backoff_max_ms, plan.backoff_base_ms << min(repeat - 1, 32))
    # exp() turns the exponential lot back into the even one that it was drawn from.
    return ceiling * exp(-lot(seed, salt(f"pause-{repeat}"), 1))
