"""The attempts machine: events in, commands out, no I/O (in the manner of h11).

It owns retry, fallback, deadlines, the choice of the answer and the commit point, so that each of
them exists once for streams and whole answers, live and in tests. `docs/call-flow.md` draws it.
Attempts are kept by number, and several may be in flight; `_go_on` alone says what follows a
failure, `_commit` alone makes an attempt the answer, `_end` alone ends the call.

It must not look at bytes, read a clock, or send anything that the plan does not name.
"""

from __future__ import annotations

from math import inf

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
from tiermesh_sidecar.core.decision import Plan
from tiermesh_sidecar.core.events import (
    AnswerEnded,
    ChunkReceived,
    ClientGone,
    DeadlinePassed,
    Event,
    Failure,
    HeadReceived,
)
from tiermesh_sidecar.core.flight import Flight, Stage
from tiermesh_sidecar.core.giving_up import broke_off, deadline_exceeded, upstream_failed
from tiermesh_sidecar.core.outcome import AttemptRecord, Ending
from tiermesh_sidecar.core.retry import next_step, pause_ms


class Attempts:
    """One call's attempts. `start` once, then `handle` each event; obey the commands in order.

    `now_ms` is milliseconds since the call began: the plan's `call_ms` counts from there. Events
    may come late, twice or for attempts that are over; those change nothing. After `Record` every
    event yields `()`.
    """

    __slots__ = (
        "_answer",
        "_armed_ms",
        "_flights",
        "_next",
        "_over",
        "_plan",
        "_seed",
        "_told",
    )

    def __init__(self, plan: Plan, *, seed: int) -> None:
        self._plan = plan
        self._seed = seed
        self._flights: dict[int, Flight] = {}
        self._answer: Flight | None = None
        """The one that was committed."""
        self._next: tuple[int, float] | None = None
        """The step to try next, and when."""
        self._armed_ms = inf
        """The time of the last `Wait`."""
        self._told: set[int] = set()
        self._over = False

    def start(self, now_ms: float) -> tuple[Command, ...]:
        """Open the first attempt, or refuse where the deadline has passed already."""
        return self._with_timer(self._go_on(now_ms))

    def handle(self, event: Event, now_ms: float) -> tuple[Command, ...]:
        """What to do, in this order, now that this has happened."""
        if self._over:
            return ()
        return self._with_timer(self._react(event, now_ms))

    def settled(self) -> tuple[AttemptRecord, ...]:
        """The attempts of which it became known whether they failed, each returned once.

        For `health`, which must not wait for `Record`: while the second attempt streams for
        minutes, other calls should already know that the first one's backend is down.
        """
        news = [f for f in self._flights.values() if f.settled and f.attempt not in self._told]
        self._told.update(f.attempt for f in news)
        return tuple(f.record() for f in news)

    # What happened

    def _react(self, event: Event, now_ms: float) -> list[Command]:
        if isinstance(event, ClientGone):
            return self._client_gone(now_ms)
        if isinstance(event, DeadlinePassed):
            return self._time_passed(now_ms)
        flight = self._flights.get(event.attempt)
        if flight is None or not flight.open:
            return []
        match event:
            case HeadReceived():
                return self._head_received(flight, event, now_ms)
            case ChunkReceived():
                return self._chunk_received(flight, event, now_ms)
            case AnswerEnded():
                return self._answer_ended(flight, event, now_ms)
        flight.fail(event.failure, now_ms, event.detail)
        return self._go_on(now_ms)

    def _head_received(self, flight: Flight, head: HeadReceived, now_ms: float) -> list[Command]:
        if flight.stage is not Stage.OPENING:
            return []
        flight.take_head(head, self._plan, now_ms)
        if flight.kind is None and not flight.must_wait:
            return self._commit(flight, now_ms)
        return [Hold(attempt=flight.attempt), *self._go_on(now_ms)]

    def _chunk_received(self, flight: Flight, chunk: ChunkReceived, now_ms: float) -> list[Command]:
        if flight.stage is not Stage.HELD or not flight.stream:
            return []
        if not chunk.failed:
            return self._commit(flight, now_ms)
        flight.fail(Failure.STREAM_ERROR, now_ms, chunk.detail)
        return [Cancel(attempt=flight.attempt), *self._go_on(now_ms)]

    def _answer_ended(self, flight: Flight, end: AnswerEnded, now_ms: float) -> list[Command]:
        if flight.stage is Stage.OPENING:
            return []
        # An error answer is relayed as it came, readable or not: many are the HTML of a proxy.
        if flight.good_status and not end.readable:
            flight.fail(Failure.UNREADABLE, now_ms)
            return self._go_on(now_ms)
        held = flight.stage is Stage.HELD
        flight.arrive(now_ms)
        return self._commit(flight, now_ms) if held else self._go_on(now_ms)

    def _time_passed(self, now_ms: float) -> list[Command]:
        """A timer may fire early or late: what counts is the time that it is now."""
        self._armed_ms = inf
        failure = Failure.DEADLINE if now_ms >= self._plan.call_ms else Failure.TIMEOUT
        out: list[Command] = []
        for flight in self._flights.values():
            if flight.open and now_ms >= flight.deadline_ms:
                flight.fail(failure, now_ms)
                out.append(Cancel(attempt=flight.attempt))
        return out + self._go_on(now_ms)

    # What follows

    def _go_on(self, now_ms: float) -> list[Command]:
        """The one place that says what follows when something ended or failed, or time passed."""
        if self._answer is not None:
            return self._after_commit(self._answer)
        if any(flight.undecided for flight in self._flights.values()):
            return []
        if self._next is None or now_ms >= self._plan.call_ms:
            self._next = self._choose_next(now_ms)
        if self._next is None:
            return self._give_up(now_ms)
        index, at_ms = self._next
        return [self._send(index, now_ms)] if now_ms >= at_ms else []

    def _choose_next(self, now_ms: float) -> tuple[int, float] | None:
        """The step to try and when; None: no attempt follows, nor will one."""
        if now_ms >= self._plan.call_ms:
            return None
        sent = len(self._flights)
        if sent == 0:
            return 0, now_ms
        last = self._flights[sent]
        assert last.kind is not None, "what is neither undecided nor failed is the answer"
        index = next_step(self._plan, sent=sent, last=last.index, kind=last.kind)
        if index is None or index != last.index:
            return None if index is None else (index, now_ms)
        at_ms = now_ms + pause_ms(
            self._plan, repeat=sent, seed=self._seed, retry_after_ms=last.retry_after_ms
        )
        return (index, at_ms) if at_ms < self._plan.call_ms else None

    def _send(self, index: int, now_ms: float) -> Send:
        self._next = None
        flight = Flight.take_off(len(self._flights) + 1, index, self._plan, now_ms)
        self._flights[flight.attempt] = flight
        return Send(attempt=flight.attempt, step=flight.step)

    def _give_up(self, now_ms: float) -> list[Command]:
        """No attempt follows: the last provider's own error answer as it came, else ours."""
        spares = [f for f in self._flights.values() if f.stage in (Stage.SPARE, Stage.ARRIVED)]
        if not spares:
            return self._refuse(now_ms)
        last = spares[-1]
        if last.open and last.must_wait:
            return []
        return self._commit(last, now_ms)

    def _commit(self, flight: Flight, now_ms: float) -> list[Command]:
        """The one place that makes an attempt the answer; no other can be after it."""
        self._answer = flight
        out: list[Command] = [Relay(attempt=flight.attempt)]
        if flight.open:
            flight.relay()
            idle_ms = self._plan.stream_idle_ms if flight.stream else None
            out.append(RelayRest(attempt=flight.attempt, idle_ms=idle_ms))
        out += self._cancel_open(now_ms, keep=flight)
        return out + self._after_commit(flight)

    def _after_commit(self, answer: Flight) -> list[Command]:
        if answer.open:
            return []
        if answer.stage is Stage.ARRIVED:
            return [self._end(Ending.ANSWERED)]
        refusal = broke_off(answer)
        return [Respond(refusal=refusal, committed=True), self._end(Ending.BROKEN)]

    def _refuse(self, now_ms: float) -> list[Command]:
        flights = tuple(self._flights.values())
        if now_ms >= self._plan.call_ms:
            refusal = deadline_exceeded(flights, self._plan.call_ms)
        else:
            refusal = upstream_failed(flights)
        return [Respond(refusal=refusal), self._end(Ending.REFUSED)]

    def _client_gone(self, now_ms: float) -> list[Command]:
        out = self._cancel_open(now_ms)
        return [*out, self._end(Ending.CLIENT_GONE)]

    def _cancel_open(self, now_ms: float, keep: Flight | None = None) -> list[Command]:
        out: list[Command] = []
        for flight in self._flights.values():
            if flight.open and flight is not keep:
                flight.cancel(now_ms)
                out.append(Cancel(attempt=flight.attempt))
        return out

    def _end(self, ending: Ending) -> Record:
        """The one place that ends the call. No attempt is open here."""
        self._over = True
        records = tuple(flight.record() for flight in self._flights.values())
        return Record(ending=ending, attempts=records)

    def _with_timer(self, out: list[Command]) -> tuple[Command, ...]:
        """Add a `Wait` if the earliest deadline is another than the timer's."""
        if self._over:
            return tuple(out)
        due_ms = min((f.deadline_ms for f in self._flights.values() if f.open), default=inf)
        if self._next is not None:
            due_ms = min(due_ms, self._next[1])
        if due_ms not in (self._armed_ms, inf):
            self._armed_ms = due_ms
            out.append(Wait(until_ms=due_ms))
        return tuple(out)
