"""From standings and a choice to the ordered attempts: the elected tier's backends, then the
fallback tiers', each backend once. Every step has all rights; nothing adds a step later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tiermesh_sidecar.core.candidates import Option, TierFacts
from tiermesh_sidecar.core.case import Case
from tiermesh_sidecar.core.chance import lot
from tiermesh_sidecar.core.decision import Plan, Step
from tiermesh_sidecar.core.eligibility import Standing
from tiermesh_sidecar.core.strategies.base import Choice


def elect(choice: Choice, case: Case) -> Standing | None:
    """The tier that takes the call, if one can.

    A tier that lacks a right is passed over. One whose backends are all ejected is passed over too
    where the policy's `fallback.on` has Unhealthy. Where none is healthy, or no other may take
    over, `whenAllEjected` decides about one try.
    """
    possible = [s for t in _order(choice, case) if (s := case.standings[t.name]).rights]
    if not case.active.steering:
        del possible[1:]
    for standing in possible:
        if standing.healthy:
            return standing
    return next((standing for standing in possible if standing.tryable), None)


def _order(choice: Choice, case: Case) -> Iterable[TierFacts]:
    active = case.active
    if not choice.first:
        return reversed(active.ranked)
    first = [active.tiers_by_name[name] for name in choice.first]
    return (*first, *active.replacements[choice.first[-1]]) if choice.replace else first


def fallback_tiers(elected: Standing, choice: Choice, case: Case) -> Sequence[TierFacts]:
    """The tiers that the fallback names, whether or not they can serve this call."""
    return case.active.fallbacks[elected.facts.name] if choice.fallback else ()


def build(elected: Standing, choice: Choice, case: Case, deadline_ms: int | None) -> Plan:
    """The attempts that are allowed, at most `retry.maxAttempts`; a lone backend is repeated."""
    policy = case.active.policy
    limit = policy.retry.max_attempts
    steps = tuple(_steps(elected, choice, case))[:limit]
    if len(steps) > 1:
        limit = len(steps)
    elif not elected.healthy:
        limit = 1  # `TryOne` is one try, not a series of them at a backend that was just ejected
    timeouts = policy.timeouts
    return Plan(
        steps=steps,
        max_attempts=limit,
        fallback_on=policy.fallback.on,
        call_ms=timeouts.call_ms if deadline_ms is None else min(timeouts.call_ms, deadline_ms),
        attempt_ms=timeouts.attempt_ms,
        first_byte_ms=timeouts.first_byte_ms,
        stream_idle_ms=timeouts.stream_idle_ms,
        backoff_base_ms=policy.retry.backoff_base_ms,
        backoff_max_ms=policy.retry.backoff_max_ms,
    )


def _steps(elected: Standing, choice: Choice, case: Case) -> Iterator[Step]:
    yield from _in_order(elected.healthy or elected.tryable, case.seed)[: _width(elected)]
    for facts in fallback_tiers(elected, choice, case):
        standing = case.standings[facts.name]
        if standing.available:
            yield from _in_order(standing.healthy, case.seed)


def _width(elected: Standing) -> int:
    return len(elected.healthy) or 1


def _in_order(options: Sequence[Option], seed: int) -> list[Step]:
    """By priority; equal priorities in an order drawn by weight, 0 last."""
    if len(options) > 1:
        options = sorted(options, key=lambda o: (o.priority, lot(seed, o.salt, o.weight), o.key))
    return [option.step for option in options]
