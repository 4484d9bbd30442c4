"""Our own errors at the end of a call: what happened, to whom, and what to change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy_makers import backend, tier

from tiermesh_sidecar.core.decision import ErrorCode, Step
from tiermesh_sidecar.core.flight import Flight
from tiermesh_sidecar.core.giving_up import broke_off, deadline_exceeded, upstream_failed


def flight(of: str, at: str, error: str, detail: str = "") -> Flight:
    made = replace(backend(at), url="http://secret-address.test/v1")
    return Flight(
        attempt=1,
        index=0,
        step=Step(tier=tier(of, 1, made), backend=made),
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
