"""Our own errors at the end of a call: what happened, to whom, and what to change."""

from __future__ import annotations

import pytest

from tiermesh_sidecar.core.decision import ErrorCode, Step
from tiermesh_sidecar.core.flight import Flight
from tiermesh_sidecar.core.giving_up import broke_off, deadline_exceeded, upstream_failed
from tiermesh_spec.snapshot import (
    Backend,
    Credentials,
    DataHandling,
    OutlierDetection,
    Provider,
    Tier,
    WhenAllEjected,
)


def flight(tier: str, backend: str, error: str, detail: str = "") -> Flight:
    made = Backend(
        name=backend,
        provider=Provider.OPENAI,
        model="m",
        url="http://secret-address.test/v1",
        ca_bundle=None,
        credentials=Credentials(),
        priority=0,
        weight=1,
        price=None,
        data=DataHandling(region=None, classifications=(), retention=None),
    )
    detection = OutlierDetection(
        consecutive_failures=1,
        eject_for_ms=1,
        max_eject_for_ms=1,
        when_all_ejected=WhenAllEjected.FAIL,
    )
    of = Tier(
        name=tier,
        resource=f"models/{tier}",
        rank=1,
        aliases=(),
        capabilities=frozenset(),
        context_window=None,
        max_output_tokens=None,
        outlier_detection=detection,
        backends=(made,),
    )
    return Flight(
        attempt=1,
        index=0,
        step=Step(tier=of, backend=made),
        started_ms=0,
        deadline_ms=1,
        error=error,
        detail=detail,
    )


def test_upstream_failed_names_each_backend_with_its_failure_and_no_address() -> None:
    refusal = upstream_failed(
        [flight("small", "a", "dns_failed", "no such\n name"), flight("large", "z", "timeout")]
    )
    assert refusal.code is ErrorCode.UPSTREAM_FAILED
    assert "(tried small/a: dns_failed (no such name); large/z: timeout)" in refusal.message
    assert "`fallback`" in refusal.message
    assert "secret-address" not in refusal.message


def test_a_long_detail_is_cut() -> None:
    message = upstream_failed([flight("small", "a", "tls_failed", "x" * 5_000)]).message
    assert len(message) < 400


def test_deadline_exceeded_names_the_deadline_and_what_to_raise() -> None:
    refusal = deadline_exceeded([flight("small", "a", "deadline_exceeded")], 1_500)
    assert refusal.code is ErrorCode.DEADLINE_EXCEEDED
    for part in (
        "1500 ms",
        "small/a: deadline_exceeded",
        "timeouts.call",
        "x-tiermesh-deadline-ms",
    ):
        assert part in refusal.message


def test_a_deadline_before_the_first_attempt_says_that_none_was_made() -> None:
    assert "tried none" in deadline_exceeded([], 1).message


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("connection_reset", ErrorCode.UPSTREAM_FAILED),
        ("timeout", ErrorCode.UPSTREAM_FAILED),
        ("deadline_exceeded", ErrorCode.DEADLINE_EXCEEDED),
    ],
)
def test_an_answer_that_broke_off_says_where_and_why(error: str, code: ErrorCode) -> None:
    refusal = broke_off(flight("small", "a", error))
    assert refusal.code is code
    assert f"small/a: {error}" in refusal.message
