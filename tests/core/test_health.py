"""Outlier detection: what counts against a backend, when it is out, and how it comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.core.events import Failure
from tiermesh_sidecar.core.health import (
    HealthState,
    Verdict,
    ejected,
    observe,
    record_failure,
    record_success,
    verdict,
)
from tiermesh_sidecar.core.outcome import AttemptRecord
from tiermesh_spec.snapshot import OutlierDetection, WhenAllEjected

A = "models/small/a"
B = "models/small/b"
DETECTION = OutlierDetection(
    consecutive_failures=3,
    eject_for_ms=30_000,
    max_eject_for_ms=100_000,
    when_all_ejected=WhenAllEjected.TRY_ONE,
)


def attempt(
    error: str | None,
    status: int | None = 200,
    *,
    number: int = 1,
    started: float = 0,
    ended: float = 100,
) -> AttemptRecord:
    return AttemptRecord(
        attempt=number,
        tier="small",
        backend="a",
        started_ms=started,
        ended_ms=ended,
        status=status,
        error=error,
    )


def after_failures(*times: float) -> HealthState:
    state = HealthState()
    for now in times:
        state = record_failure(state, A, DETECTION, now)
    return state


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (attempt(None, 200), Verdict.SUCCESS),
        (attempt(None, 302), Verdict.NEUTRAL),
        (attempt(None, None), Verdict.NEUTRAL),
        (attempt("cancelled", 200), Verdict.NEUTRAL),
        (attempt("http_400", 400), Verdict.NEUTRAL),
        (attempt("http_401", 401), Verdict.NEUTRAL),
        (attempt("http_429", 429), Verdict.NEUTRAL),
        (attempt("http_408", 408), Verdict.FAILURE),
        (attempt("http_500", 500), Verdict.FAILURE),
        (attempt("http_529", 529), Verdict.FAILURE),
        (attempt("deadline_exceeded", None), Verdict.NEUTRAL),
        *(
            (attempt(failure.value), Verdict.FAILURE)
            for failure in Failure
            if failure is not Failure.DEADLINE
        ),
    ],
)
def test_an_attempt_speaks_for_or_against_its_backend(
    record: AttemptRecord, expected: Verdict
) -> None:
    assert verdict(record) is expected


@pytest.mark.parametrize(
    ("number", "ended", "expected"),
    [(1, 10_000, Verdict.FAILURE), (1, 9_999, Verdict.NEUTRAL), (2, 10_000, Verdict.NEUTRAL)],
)
def test_a_calls_deadline_counts_only_if_it_was_the_policys_and_the_attempt_had_all_of_it(
    number: int, ended: float, expected: Verdict
) -> None:
    record = attempt("deadline_exceeded", None, number=number, ended=ended)
    assert verdict(record, call_timeout_ms=10_000) is expected


def test_failures_in_a_row_eject_for_a_time() -> None:
    assert ejected(after_failures(1, 2), 2) == frozenset()
    state = after_failures(1, 2, 3)
    assert ejected(state, 3) == {A}
    assert ejected(state, 32.9) == {A}
    assert ejected(state, 33) == frozenset()


def test_a_success_breaks_the_row() -> None:
    state = record_success(after_failures(1, 2), A)
    assert state == HealthState()
    assert ejected(record_failure(state, A, DETECTION, 3), 3) == frozenset()


def test_backends_are_judged_apart() -> None:
    state = record_failure(after_failures(1, 2, 3), B, DETECTION, 3)
    assert ejected(state, 4) == {A}
    assert ejected(record_success(state, B), 4) == {A}


def test_half_open_a_single_failure_ejects_again_for_twice_as_long_up_to_the_maximum() -> None:
    state = after_failures(1, 2, 3)
    for at, seconds in ((33, 60), (100, 100), (300, 100)):
        state = record_failure(state, A, DETECTION, at)
        assert ejected(state, at + seconds - 0.1) == {A}
        assert ejected(state, at + seconds) == frozenset()


def test_ejections_without_number_stay_at_the_maximum() -> None:
    state = HealthState()
    for i in range(200):
        state = record_failure(state, A, DETECTION, i * 1_000)
    assert ejected(state, 199_000 + 99.9) == {A}
    assert ejected(state, 199_000 + 100) == frozenset()


def test_half_open_a_success_forgets_everything() -> None:
    state = record_success(after_failures(1, 2, 3), A)
    assert ejected(state, 4) == frozenset(), "TryOne's success ends the ejection"
    assert state == HealthState()


def test_failures_while_ejected_add_nothing() -> None:
    state = after_failures(1, 2, 3)
    assert record_failure(state, A, DETECTION, 20) is state


def test_attempts_begun_before_the_ejection_count_neither_way() -> None:
    state = after_failures(1, 2, 3)
    assert record_success(state, A, started=2.9) is state
    assert record_failure(state, A, DETECTION, 50, started=2.9) is state
    assert ejected(record_failure(state, A, DETECTION, 50, started=40), 50) == {A}
    assert record_success(state, A, started=4) == HealthState()


def test_attempts_begun_before_any_ejection_count() -> None:
    assert record_success(after_failures(1, 2), A, started=0) == HealthState()


def test_observe_knows_when_the_attempt_began() -> None:
    state = HealthState()
    for now in (1, 2, 3):
        state = observe(state, A, DETECTION, attempt("http_500", 500), now=now)
    assert ejected(state, 3) == {A}
    slow = attempt(None, started=0, ended=10_000)
    assert observe(state, A, DETECTION, slow, now=12.9) is state
    assert observe(state, A, DETECTION, slow, now=13) == HealthState()
    assert observe(state, A, DETECTION, attempt("cancelled"), now=50) is state
    timed_out = attempt("deadline_exceeded", None, ended=5_000)
    assert observe(state, A, DETECTION, timed_out, now=50) is state
    state = observe(state, A, DETECTION, timed_out, now=50, call_timeout_ms=5_000)
    assert ejected(state, 50) == {A}


@given(
    st.lists(
        st.tuples(st.sampled_from([A, B]), st.booleans(), st.floats(0, 90, allow_nan=False)),
        max_size=40,
    )
)
def test_nobody_is_ejected_without_failures_nor_for_longer_than_the_maximum(
    story: list[tuple[str, bool, float]],
) -> None:
    state, now = HealthState(), 0.0
    failures: dict[str, int] = {A: 0, B: 0}
    for key, good, pause in story:
        now += pause
        before = state
        if good:
            state = record_success(state, key)
            failures[key] = 0
        else:
            state = record_failure(state, key, DETECTION, now)
            failures[key] += 1
        others = {k: h for k, h in before.backends.items() if k != key}
        assert {k: h for k, h in state.backends.items() if k != key} == others
        assert all(failures[k] >= 3 for k in ejected(state, now))
        assert ejected(state, now + 100.001) == frozenset()
