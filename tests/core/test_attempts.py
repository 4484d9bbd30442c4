"""Playbooks of the attempts machine: what happens, when, and what is to be done about it.

Each line reads `(now in ms, event, commands)`. Commands are shortened: `rest 1 idle 30000` is
`RelayRest`, `break CODE` a `Respond` after the commit, and `record ENDING 1=503/http_503 2=200/ok`
lists each attempt's status and error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from policy_makers import backend, tier

from tiermesh_sidecar.core.attempts import Attempts
from tiermesh_sidecar.core.commands import (
    Cancel,
    Command,
    Hold,
    Record,
    Relay,
    RelayRest,
    Respond,
    Send,
    Wait,
)
from tiermesh_sidecar.core.decision import Plan, Step
from tiermesh_sidecar.core.events import (
    AnswerEnded,
    AttemptFailed,
    ChunkReceived,
    ClientGone,
    DeadlinePassed,
    Event,
    Failure,
    HeadReceived,
)
from tiermesh_sidecar.core.outcome import AttemptRecord
from tiermesh_spec.snapshot import FallbackOn

RUN_TIME = frozenset({FallbackOn.TIMEOUT, FallbackOn.RATE_LIMITED, FallbackOn.SERVER_ERROR})


def plan(
    tiers: Mapping[str, Sequence[str]],
    *,
    max_attempts: int = 3,
    on: frozenset[FallbackOn] = RUN_TIME,
    call: int = 120_000,
    attempt: int = 60_000,
    first_byte: int = 20_000,
) -> Plan:
    steps = tuple(
        Step(tier=made, backend=b)
        for made in (tier(name, 10, *map(backend, names)) for name, names in tiers.items())
        for b in made.backends
    )
    return Plan(
        steps=steps,
        max_attempts=max_attempts,
        fallback_on=on,
        call_ms=call,
        attempt_ms=attempt,
        first_byte_ms=first_byte,
        stream_idle_ms=30_000,
        backoff_base_ms=100,
        backoff_max_ms=5_000,
    )


ONE = {"small": ["a"]}
TWINS = {"small": ["a", "b"]}
TWO_TIERS = {"small": ["a"], "large": ["z"]}

GONE = ClientGone()
TIMER = DeadlinePassed()


def head(
    attempt: int, status: int = 200, *, whole: bool = True, retry_after: int | None = None
) -> HeadReceived:
    return HeadReceived(
        attempt=attempt, status=status, stream=False, whole=whole, retry_after_ms=retry_after
    )


def stream(attempt: int, status: int = 200) -> HeadReceived:
    return HeadReceived(attempt=attempt, status=status, stream=True)


def chunk(attempt: int) -> ChunkReceived:
    return ChunkReceived(attempt=attempt)


def error_event(attempt: int, detail: str = "Overloaded") -> ChunkReceived:
    return ChunkReceived(attempt=attempt, failed=True, detail=detail)


def end(attempt: int) -> AnswerEnded:
    return AnswerEnded(attempt=attempt)


def torn(attempt: int) -> AnswerEnded:
    return AnswerEnded(attempt=attempt, readable=False)


def failed(attempt: int, failure: Failure = Failure.CONNECT, detail: str = "") -> AttemptFailed:
    return AttemptFailed(attempt=attempt, failure=failure, detail=detail)


def shown(command: Command) -> str:
    match command:
        case Send(attempt=n, step=step):
            return f"send {n} {step.tier.name}/{step.backend.name}"
        case Wait(until_ms=until):
            return f"wait {until:g}"
        case Hold(attempt=n):
            return f"hold {n}"
        case Relay(attempt=n):
            return f"relay {n}"
        case RelayRest(attempt=n, idle_ms=idle):
            return f"rest {n}" if idle is None else f"rest {n} idle {idle}"
        case Cancel(attempt=n):
            return f"cancel {n}"
        case Respond(refusal=refusal, committed=committed):
            return f"{'break' if committed else 'respond'} {refusal.code}"
        case Record(ending=ending, attempts=attempts):
            return " ".join(
                [
                    f"record {ending}",
                    *(f"{r.attempt}={r.status}/{r.error or 'ok'}" for r in attempts),
                ]
            )


START = None
Line = tuple[float, Event | None, str]


def play(a_plan: Plan, *lines: Line, seed: int = 7) -> Attempts:
    machine = Attempts(a_plan, seed=seed)
    for now, event, expected in lines:
        commands = machine.start(now) if event is None else machine.handle(event, now)
        assert "; ".join(map(shown, commands)) == expected, f"at {now} ms, after {event}"
    return machine


# Whole answers


def test_a_whole_answer_is_relayed_when_it_has_arrived() -> None:
    play(
        plan(ONE),
        (1, START, "send 1 small/a; wait 20001"),
        (50, head(1), "hold 1; wait 60001"),
        (90, end(1), "relay 1; record answered 1=200/ok"),
        (91, end(1), ""),
        (92, GONE, ""),
        (93, TIMER, ""),
    )


def test_an_answer_that_is_passed_through_is_relayed_from_its_head_on() -> None:
    play(
        plan(TWINS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, whole=False), "relay 1; rest 1; wait 60000"),
        (60, chunk(1), ""),
        (70, end(1), "record answered 1=200/ok"),
    )


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413, 422])
def test_what_a_second_try_would_not_better_is_relayed_as_it_came(status: int) -> None:
    error = f"http_{status}" if status >= 400 else "ok"
    play(
        plan(TWO_TIERS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, status), "hold 1; wait 60000"),
        (90, torn(1), f"relay 1; record answered 1={status}/{error}"),
    )


def test_a_streams_error_answer_is_a_providers_error_and_no_stream() -> None:
    play(
        plan(ONE),
        (0, START, "send 1 small/a; wait 20000"),
        (50, HeadReceived(attempt=1, status=400, stream=True, whole=True), "hold 1; wait 60000"),
        (60, chunk(1), ""),
        (90, end(1), "relay 1; record answered 1=400/http_400"),
    )


# Streams


def test_a_stream_is_held_until_its_first_event_and_then_relayed_unasked() -> None:
    play(
        plan(TWINS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, stream(1), "hold 1; wait 30050"),
        (400, chunk(1), "relay 1; rest 1 idle 30000"),
        (500, chunk(1), ""),
        (30_050, TIMER, ""),
        (200_000, end(1), "record answered 1=200/ok"),
    )


def test_a_stream_that_breaks_after_the_commit_has_no_second_answer() -> None:
    play(
        plan(TWINS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, stream(1), "hold 1; wait 30050"),
        (60, chunk(1), "relay 1; rest 1 idle 30000"),
        (
            99,
            failed(1, Failure.RESET),
            "break upstream_failed; record broken 1=200/connection_reset",
        ),
        (100, TIMER, ""),
    )


def test_a_stream_that_is_closed_without_its_end_is_broken() -> None:
    play(
        plan(TWINS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, stream(1), "hold 1; wait 30050"),
        (60, chunk(1), "relay 1; rest 1 idle 30000"),
        (99, torn(1), "break upstream_failed; record broken 1=200/unreadable_answer"),
    )


def test_a_stream_that_falls_silent_is_broken() -> None:
    play(
        plan(TWINS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, stream(1), "hold 1; wait 30050"),
        (60, chunk(1), "relay 1; rest 1 idle 30000"),
        (30_060, failed(1, Failure.TIMEOUT), "break upstream_failed; record broken 1=200/timeout"),
    )


def test_a_stream_that_begins_with_an_error_falls_back() -> None:
    play(
        plan(TWINS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, stream(1), "hold 1; wait 30050"),
        (60, error_event(1), "cancel 1; send 2 small/b; wait 20060"),
        (70, stream(2), "hold 2; wait 30070"),
        (80, chunk(2), "relay 2; rest 2 idle 30000"),
        (90, end(2), "record answered 1=200/stream_error 2=200/ok"),
    )


def test_what_a_streams_error_says_reaches_the_caller_when_nothing_better_does() -> None:
    machine = play(
        plan(ONE, max_attempts=1),
        (0, START, "send 1 small/a; wait 20000"),
        (50, stream(1), "hold 1; wait 30050"),
    )
    cancel, respond, _ = machine.handle(error_event(1, "Overloaded"), 60)
    assert cancel == Cancel(attempt=1)
    assert isinstance(respond, Respond)
    assert "small/a: stream_error (Overloaded)" in respond.refusal.message


def test_a_stream_cut_before_its_first_event_falls_back() -> None:
    play(
        plan(TWINS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, stream(1), "hold 1; wait 30050"),
        (60, torn(1), "send 2 small/b; wait 20060"),
    )


def test_a_short_stream_that_ended_whole_before_an_event_was_seen_is_complete() -> None:
    play(
        plan(TWINS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, stream(1), "hold 1; wait 30050"),
        (60, end(1), "relay 1; record answered 1=200/ok"),
    )


def test_a_stream_without_a_first_event_in_time_falls_back() -> None:
    play(
        plan(TWINS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, stream(1), "hold 1; wait 30050"),
        (30_050, TIMER, "cancel 1; send 2 small/b; wait 50050"),
    )


# Retry and fallback


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_a_failed_status_moves_on_at_its_head_and_its_answer_is_kept(status: int) -> None:
    play(
        plan(TWO_TIERS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, status), "hold 1; send 2 large/z; wait 20050"),
        (60, head(2), "hold 2; wait 60000"),
        (70, end(2), f"relay 2; cancel 1; record answered 1={status}/http_{status} 2=200/ok"),
    )


@pytest.mark.parametrize(
    "failure", [Failure.CONNECT, Failure.TLS, Failure.DNS, Failure.RESET, Failure.UNREADABLE]
)
def test_a_connection_error_moves_on_at_once(failure: Failure) -> None:
    play(
        plan(TWO_TIERS),
        (0, START, "send 1 small/a; wait 20000"),
        (5, failed(1, failure), "send 2 large/z; wait 20005"),
    )


def test_a_200_that_is_not_what_its_type_says_moves_on() -> None:
    play(
        plan(TWO_TIERS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1), "hold 1; wait 60000"),
        (60, torn(1), "send 2 large/z; wait 20060"),
    )


@pytest.mark.parametrize(
    ("missing", "event"),
    [
        (FallbackOn.TIMEOUT, head(1, 408)),
        (FallbackOn.TIMEOUT, failed(1, Failure.TIMEOUT)),
        (FallbackOn.RATE_LIMITED, head(1, 429)),
        (FallbackOn.SERVER_ERROR, head(1, 500)),
        (FallbackOn.SERVER_ERROR, failed(1)),
        (FallbackOn.SERVER_ERROR, failed(1, Failure.UNREADABLE)),
    ],
)
def test_another_tier_needs_the_policys_leave_and_a_twin_does_not(
    missing: FallbackOn, event: Event
) -> None:
    for tiers, goes_on in ((TWO_TIERS, False), (TWINS, True)):
        machine = Attempts(plan(tiers, on=RUN_TIME - {missing}), seed=1)
        machine.start(0)
        sends = [c for c in machine.handle(event, 5) if isinstance(c, Send)]
        assert bool(sends) is goes_on


def test_a_step_of_another_tier_that_may_not_be_taken_is_skipped() -> None:
    mixed = plan(TWO_TIERS, on=frozenset())
    steps = (mixed.steps[0], mixed.steps[1], plan(TWINS).steps[1])
    play(
        Plan(
            steps=steps,
            max_attempts=3,
            fallback_on=frozenset(),
            call_ms=1000,
            attempt_ms=1000,
            first_byte_ms=1000,
            stream_idle_ms=1000,
            backoff_base_ms=100,
            backoff_max_ms=1000,
        ),
        (0, START, "send 1 small/a; wait 1000"),
        (5, failed(1), "send 2 small/b"),
        (
            6,
            failed(2),
            "respond upstream_failed; record refused 1=None/connection_failed"
            " 2=None/connection_failed",
        ),
    )


def test_attempts_end_at_their_maximum() -> None:
    play(
        plan({"small": ["a", "b", "c"]}, max_attempts=2),
        (0, START, "send 1 small/a; wait 20000"),
        (1, failed(1), "send 2 small/b; wait 20001"),
        (
            2,
            failed(2),
            "respond upstream_failed; record refused 1=None/connection_failed"
            " 2=None/connection_failed",
        ),
    )


def test_a_plan_of_one_backend_repeats_it_after_a_pause() -> None:
    machine = Attempts(plan(ONE, max_attempts=2), seed=7)
    machine.start(0)
    hold, wait = machine.handle(head(1, 503), 50)
    assert hold == Hold(attempt=1)
    assert isinstance(wait, Wait)
    assert 50 <= wait.until_ms < 150
    assert machine.handle(DeadlinePassed(), wait.until_ms - 1e-3) == (wait,), "the timer was early"
    send, _ = machine.handle(DeadlinePassed(), wait.until_ms)
    assert isinstance(send, Send)
    assert send.step.backend.name == "a"


def test_the_providers_pause_is_kept() -> None:
    play(
        plan(ONE),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, 429, retry_after=7_000), "hold 1; wait 7050"),
        (60, end(1), ""),
        (7_050, TIMER, "send 2 small/a; wait 27050"),
        (7_060, head(2), "hold 2; wait 67050"),
        (7_070, end(2), "relay 2; record answered 1=429/http_429 2=200/ok"),
    )


def test_a_pause_beyond_the_deadline_is_not_waited_for() -> None:
    play(
        plan(ONE, call=5_000),
        (0, START, "send 1 small/a; wait 5000"),
        (50, head(1, 429, retry_after=4_950), "hold 1"),
        (60, end(1), "relay 1; record answered 1=429/http_429"),
    )


def test_another_backend_is_not_made_to_wait_for_the_firsts_pause() -> None:
    play(
        plan(TWINS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, 429, retry_after=7_000), "hold 1; send 2 small/b; wait 20050"),
    )


# All failed


def test_the_last_providers_answer_is_relayed_when_all_failed() -> None:
    play(
        plan(TWO_TIERS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, 500), "hold 1; send 2 large/z; wait 20050"),
        (55, end(1), ""),
        (60, head(2, 429), "hold 2; wait 60050"),
        (65, end(2), "relay 2; record answered 1=500/http_500 2=429/http_429"),
    )


def test_an_earlier_providers_answer_is_relayed_when_later_attempts_gave_none() -> None:
    play(
        plan(TWO_TIERS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, 500), "hold 1; send 2 large/z; wait 20050"),
        (55, end(1), ""),
        (60, failed(2), "relay 1; record answered 1=500/http_500 2=None/connection_failed"),
    )


def test_an_error_answer_is_waited_for_until_it_is_whole() -> None:
    play(
        plan(TWO_TIERS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, 500), "hold 1; send 2 large/z; wait 20050"),
        (60, failed(2), "wait 60000"),
        (70, end(1), "relay 1; record answered 1=500/http_500 2=None/connection_failed"),
    )


def test_an_error_answer_that_never_becomes_whole_is_not_relayed() -> None:
    play(
        plan(ONE, max_attempts=1),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, 500), "hold 1; wait 60000"),
        (60, failed(1, Failure.RESET), "respond upstream_failed; record refused 1=500/http_500"),
    )
    play(
        plan(ONE, max_attempts=1),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, 500), "hold 1; wait 60000"),
        (60_000, TIMER, "cancel 1; respond upstream_failed; record refused 1=500/http_500"),
    )


def test_an_error_answer_that_is_passed_through_is_relayed_as_it_comes() -> None:
    play(
        plan(TWO_TIERS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, 500, whole=False), "hold 1; send 2 large/z; wait 20050"),
        (60, head(2, 502, whole=False), "hold 2; relay 2; rest 2; cancel 1; wait 60050"),
        (70, end(2), "record answered 1=500/http_500 2=502/http_502"),
    )


def test_the_refusal_names_the_backends_and_why_each_failed() -> None:
    machine = Attempts(plan(TWO_TIERS), seed=1)
    machine.start(0)
    machine.handle(failed(1, Failure.DNS, "no such name"), 5)
    respond = machine.handle(failed(2, Failure.TLS), 6)[0]
    assert isinstance(respond, Respond)
    assert "small/a: dns_failed (no such name); large/z: tls_failed" in respond.refusal.message


# Deadlines


def test_first_byte_ends_at_the_head_and_attempt_with_the_answer() -> None:
    play(
        plan(TWO_TIERS),
        (0, START, "send 1 small/a; wait 20000"),
        (20_000, TIMER, "cancel 1; send 2 large/z; wait 40000"),
        (30_000, head(2), "hold 2; wait 80000"),
        (
            80_000,
            TIMER,
            "cancel 2; respond upstream_failed; record refused 1=None/timeout 2=200/timeout",
        ),
    )


def test_the_calls_deadline_ends_what_is_in_flight() -> None:
    play(
        plan(TWO_TIERS, call=10_000),
        (0, START, "send 1 small/a; wait 10000"),
        (
            10_000,
            TIMER,
            "cancel 1; respond deadline_exceeded; record refused 1=None/deadline_exceeded",
        ),
    )


def test_the_calls_deadline_prefers_an_error_answer_that_is_here() -> None:
    play(
        plan(TWO_TIERS, call=10_000),
        (0, START, "send 1 small/a; wait 10000"),
        (50, head(1, 503), "hold 1; send 2 large/z"),
        (60, end(1), ""),
        (
            10_000,
            TIMER,
            "cancel 2; relay 1; record answered 1=503/http_503 2=None/deadline_exceeded",
        ),
    )


def test_the_calls_deadline_does_not_wait_for_an_error_answer() -> None:
    play(
        plan(TWO_TIERS, call=10_000),
        (0, START, "send 1 small/a; wait 10000"),
        (50, head(1, 503), "hold 1; send 2 large/z"),
        (
            10_000,
            TIMER,
            "cancel 1; cancel 2; respond deadline_exceeded;"
            " record refused 1=503/http_503 2=None/deadline_exceeded",
        ),
    )


def test_no_attempt_begins_after_the_calls_deadline() -> None:
    play(plan(ONE, call=100), (100, START, "respond deadline_exceeded; record refused"))
    play(
        plan(TWINS, call=100),
        (0, START, "send 1 small/a; wait 100"),
        (101, failed(1), "respond deadline_exceeded; record refused 1=None/connection_failed"),
    )


def test_a_pause_that_the_deadline_overtakes_is_not_ended_by_an_attempt() -> None:
    """The loop was late: the timer of the pause fires after the call's deadline."""
    play(
        plan(ONE, call=1_000),
        (0, START, "send 1 small/a; wait 1000"),
        (50, head(1, 429, retry_after=900), "hold 1; wait 950"),
        (60, end(1), ""),
        (1_200, TIMER, "relay 1; record answered 1=429/http_429"),
    )


def test_a_passed_through_answer_is_cut_off_at_its_deadlines() -> None:
    play(
        plan(ONE),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, whole=False), "relay 1; rest 1; wait 60000"),
        (60_000, TIMER, "cancel 1; break upstream_failed; record broken 1=200/timeout"),
    )
    play(
        plan(ONE, call=10_000),
        (0, START, "send 1 small/a; wait 10000"),
        (50, head(1, whole=False), "relay 1; rest 1"),
        (10_000, TIMER, "cancel 1; break deadline_exceeded; record broken 1=200/deadline_exceeded"),
    )


# The caller leaves


def test_a_caller_that_leaves_ends_everything() -> None:
    play(
        plan(TWO_TIERS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, 500), "hold 1; send 2 large/z; wait 20050"),
        (60, GONE, "cancel 1; cancel 2; record client_gone 1=500/http_500 2=None/cancelled"),
        (70, GONE, ""),
    )


def test_a_caller_that_leaves_mid_stream_cancels_it() -> None:
    play(
        plan(ONE),
        (0, START, "send 1 small/a; wait 20000"),
        (50, stream(1), "hold 1; wait 30050"),
        (60, chunk(1), "relay 1; rest 1 idle 30000"),
        (70, GONE, "cancel 1; record client_gone 1=200/cancelled"),
    )


# Events that come late, twice or out of order


def test_events_that_make_no_sense_any_more_change_nothing() -> None:
    play(
        plan(TWINS),
        (0, START, "send 1 small/a; wait 20000"),
        (1, end(1), ""),
        (2, chunk(1), ""),
        (3, head(9), ""),
        (4, failed(1), "send 2 small/b; wait 20004"),
        (5, head(1), ""),
        (6, failed(1), ""),
        (7, head(2), "hold 2; wait 60004"),
        (8, head(2, 500), ""),
        (9, chunk(2), ""),
        (10, TIMER, "wait 60004"),
        (11, end(2), "relay 2; record answered 1=None/connection_failed 2=200/ok"),
    )


# What health hears


def test_failures_are_known_to_others_while_a_later_attempt_still_streams() -> None:
    machine = play(
        plan(TWO_TIERS),
        (0, START, "send 1 small/a; wait 20000"),
        (50, head(1, 500), "hold 1; send 2 large/z; wait 20050"),
    )
    first = AttemptRecord(
        attempt=1,
        tier="small",
        backend="a",
        started_ms=0,
        ended_ms=50,
        status=500,
        error="http_500",
    )
    assert machine.settled() == (first,)
    assert machine.settled() == ()
    machine.handle(stream(2), 60)
    machine.handle(chunk(2), 70)
    assert machine.settled() == ()
    machine.handle(end(2), 90_000)
    assert [(r.attempt, r.error) for r in machine.settled()] == [(2, None)]
