"""One attempt: its deadlines as its stages go by, and what its record says."""

from __future__ import annotations

from math import inf

import pytest
from policy_makers import backend, tier

from tiermesh_sidecar.core.decision import Plan, Step
from tiermesh_sidecar.core.events import Failure, HeadReceived
from tiermesh_sidecar.core.flight import Flight, Stage
from tiermesh_spec.snapshot import FallbackOn

BACKEND = backend("a")
TIER = tier("small", 1, BACKEND)


def plan(*, call: int = 10_000, attempt: int = 5_000) -> Plan:
    return Plan(
        steps=(Step(tier=TIER, backend=BACKEND),),
        max_attempts=1,
        fallback_on=frozenset(),
        call_ms=call,
        attempt_ms=attempt,
        first_byte_ms=1_000,
        stream_idle_ms=2_000,
        backoff_base_ms=1,
        backoff_max_ms=1,
    )


PLAN = plan()


def taken_off(at: float = 100, a_plan: Plan = PLAN) -> Flight:
    return Flight.take_off(1, 0, a_plan, at)


def with_head(status: int = 200, *, stream: bool = False, whole: bool = True) -> Flight:
    flight = taken_off()
    flight.take_head(HeadReceived(attempt=1, status=status, stream=stream, whole=whole), PLAN, 300)
    return flight


@pytest.mark.parametrize(
    ("at", "a_plan", "deadline"),
    [
        (100, PLAN, 1_100),
        (100, plan(attempt=500), 600),
        (9_900, PLAN, 10_000),
    ],
)
def test_the_first_deadline_is_the_soonest_of_first_byte_attempt_and_call(
    at: float, a_plan: Plan, deadline: float
) -> None:
    assert taken_off(at, a_plan).deadline_ms == deadline


def test_after_the_head_a_whole_answer_has_the_attempts_time() -> None:
    assert with_head().deadline_ms == 5_100


def test_after_the_head_a_streams_first_event_must_come_before_it_counts_as_idle() -> None:
    flight = with_head(stream=True)
    assert flight.deadline_ms == 2_300
    flight.relay()
    assert flight.deadline_ms == inf


def test_a_passed_through_answer_keeps_its_deadline_when_relayed() -> None:
    flight = with_head(whole=False)
    flight.relay()
    assert flight.deadline_ms == 5_100


@pytest.mark.parametrize(
    ("status", "stage", "kind", "settled"),
    [
        (200, Stage.HELD, None, False),
        (400, Stage.HELD, None, False),
        (429, Stage.SPARE, FallbackOn.RATE_LIMITED, True),
        (503, Stage.SPARE, FallbackOn.SERVER_ERROR, True),
    ],
)
def test_its_status_says_what_it_is_good_for(
    status: int, stage: Stage, kind: FallbackOn | None, settled: bool
) -> None:
    flight = with_head(status)
    assert flight.stage is stage
    assert flight.kind is kind
    assert flight.settled is settled
    assert flight.open
    assert flight.undecided is (stage is Stage.HELD)


def test_what_must_be_waited_for() -> None:
    assert with_head().must_wait
    assert with_head(stream=True, whole=False).must_wait
    assert not with_head(whole=False).must_wait
    assert not with_head(500, stream=True, whole=False).must_wait


def test_what_was_an_http_error_stays_one_when_its_body_breaks_or_is_not_wanted() -> None:
    broken, unwanted = with_head(503), with_head(503)
    broken.fail(Failure.RESET, 400)
    unwanted.cancel(400)
    for flight in (broken, unwanted):
        record = flight.record()
        assert (record.status, record.error, record.ended_ms) == (503, "http_503", 400)
        assert not flight.open


@pytest.mark.parametrize(("status", "error"), [(200, None), (302, None), (404, "http_404")])
def test_an_answer_that_arrives_whole_has_its_status_for_an_error(
    status: int, error: str | None
) -> None:
    flight = with_head(status)
    flight.arrive(400)
    assert flight.record().error == error


def test_a_failure_without_a_head_has_no_status() -> None:
    flight = taken_off()
    assert not flight.good_status
    flight.fail(Failure.DNS, 150, "no such name")
    record = flight.record()
    assert (record.tier, record.backend) == ("small", "a")
    assert (record.status, record.error) == (None, "dns_failed")
    assert (record.started_ms, record.ended_ms) == (100, 150)
    assert flight.detail == "no such name"
    assert flight.kind is FallbackOn.SERVER_ERROR


def test_a_cancelled_one_is_nobodys_fault() -> None:
    flight = with_head()
    flight.cancel(400)
    assert flight.record().error == "cancelled"
    assert flight.kind is None
