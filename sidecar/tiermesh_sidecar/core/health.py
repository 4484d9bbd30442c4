"""Outlier detection: which backends past attempts speak against, as pure reducers.

A backend is *ejected* after `consecutiveFailures` failures in a row, for `ejectFor`, doubled with
each further ejection up to `maxEjectFor`. When the time is over it is *half open*: calls go to it
again, but a single failure ejects it anew, and a success forgets everything. Evidence of attempts
that began before the ejection counts neither way: it tells of the time that was judged already.

Times are seconds of whatever clock the one owner of the state supplies. Nothing here steers: what
becomes of an ejected backend is the decision's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tiermesh_sidecar.core.events import Failure
from tiermesh_sidecar.core.outcome import AttemptRecord
from tiermesh_sidecar.core.state import BackendKey
from tiermesh_spec.snapshot import OutlierDetection


class Verdict(StrEnum):
    """What an attempt says about its backend."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    """Nothing: the caller's fault or wish, or a limit, which is not an illness."""


_FAILURES = frozenset(failure.value for failure in Failure if failure is not Failure.DEADLINE)


def verdict(record: AttemptRecord, *, call_timeout_ms: int | None = None) -> Verdict:
    """Success: a whole 2xx answer. Failure: connection errors, timeouts (408 too), 5xx, answers
    that are unreadable, and streams that broke off. Neutral: all else, and cancelled attempts.

    429 is neutral, since ejecting for it would let `Unhealthy` do what the policy's `fallback.on`
    may deny to `RateLimited`. The call's deadline is neutral, since a caller may set it by a header
    and could eject backends for everyone; `call_timeout_ms` (the policy's own `timeouts.call`)
    makes it a failure of a first attempt that had all of that time.
    """
    if record.error is None:
        good = record.status is not None and 200 <= record.status < 300
        return Verdict.SUCCESS if good else Verdict.NEUTRAL
    if record.error == Failure.DEADLINE:
        had_all = call_timeout_ms is not None and record.ended_ms >= call_timeout_ms
        return Verdict.FAILURE if had_all and record.attempt == 1 else Verdict.NEUTRAL
    if record.error in _FAILURES or record.error == "http_408":
        return Verdict.FAILURE
    return Verdict.FAILURE if record.error.startswith("http_5") else Verdict.NEUTRAL


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendHealth:
    failures: int = 0
    """In a row, since the last success or ejection."""
    ejections: int = 0
    """In a row, since the last success."""
    ejected_at: float = 0.0
    ejected_until: float = 0.0


_WELL = BackendHealth()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthState:
    """Immutable; the reducers return a new one. Holds only backends with something against them."""

    backends: Mapping[BackendKey, BackendHealth] = field(default_factory=dict)


def observe(
    state: HealthState,
    key: BackendKey,
    detection: OutlierDetection,
    record: AttemptRecord,
    *,
    now: float,
    call_timeout_ms: int | None = None,
) -> HealthState:
    """The state after this attempt, which settled at `now`."""
    started = now - (record.ended_ms - record.started_ms) / 1000
    match verdict(record, call_timeout_ms=call_timeout_ms):
        case Verdict.SUCCESS:
            return record_success(state, key, started=started)
        case Verdict.FAILURE:
            return record_failure(state, key, detection, now, started=started)
    return state


def record_success(
    state: HealthState, key: BackendKey, *, started: float | None = None
) -> HealthState:
    """Forget what was against it. An attempt made while it was ejected (`TryOne`) ends that too:
    an answer is better evidence than the failures before it."""
    health = state.backends.get(key)
    if health is None or _is_old(health, started):
        return state
    return HealthState(backends={k: h for k, h in state.backends.items() if k != key})


def record_failure(
    state: HealthState,
    key: BackendKey,
    detection: OutlierDetection,
    now: float,
    *,
    started: float | None = None,
) -> HealthState:
    """Count it; eject at the limit, or at once when half open. Failures while ejected add nothing:
    else those of many calls in flight would double one ejection many times."""
    health = state.backends.get(key, _WELL)
    if now < health.ejected_until or _is_old(health, started):
        return state
    failures = health.failures + 1
    if health.ejections == 0 and failures < detection.consecutive_failures:
        new = BackendHealth(failures=failures)
    else:
        new = BackendHealth(
            ejections=health.ejections + 1,
            ejected_at=now,
            ejected_until=now + _eject_for(detection, health.ejections),
        )
    return HealthState(backends={**state.backends, key: new})


def ejected(state: HealthState, now: float) -> frozenset[BackendKey]:
    """The backends that are out at this time."""
    return frozenset(k for k, h in state.backends.items() if now < h.ejected_until)


def _is_old(health: BackendHealth, started: float | None) -> bool:
    """Whether evidence of an attempt begun then is older than the last ejection."""
    return started is not None and health.ejections > 0 and started < health.ejected_at


def _eject_for(detection: OutlierDetection, before: int) -> float:
    """Seconds. The exponent is bounded: `maxEjectFor` is reached long before."""
    return min(detection.max_eject_for_ms, detection.eject_for_ms << min(before, 32)) / 1000
