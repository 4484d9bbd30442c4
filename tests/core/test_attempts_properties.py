"""Laws 1, 3 and 4 over any interleaving of events, also those that no sane shell would send.

The state machine below plays a hostile shell: it reports heads twice, ends without heads, chunks of
cancelled attempts, timers that are early or late. It keeps its own books of what was sent, relayed
and closed, and checks every command against them.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
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
from tiermesh_sidecar.core.outcome import Ending
from tiermesh_spec.snapshot import FallbackOn

CALL_MS = 10_000


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    sizes = draw(st.sampled_from([(1,), (2,), (1, 1), (2, 1), (1, 2, 1), (1, 1, 2), (4,)]))
    tiers = [
        tier(name, 1, *(backend(f"{name}-{i}") for i in range(size)))
        for name, size in zip("sml", sizes, strict=False)
    ]
    steps = tuple(Step(tier=t, backend=b) for t in tiers for b in t.backends)
    return Plan(
        steps=steps,
        max_attempts=draw(st.integers(1, 4)) if len(steps) == 1 else len(steps),
        fallback_on=draw(st.frozensets(st.sampled_from(list(FallbackOn)))),
        call_ms=CALL_MS,
        attempt_ms=draw(st.sampled_from([3_000, 20_000])),
        first_byte_ms=draw(st.sampled_from([1_000, 5_000])),
        stream_idle_ms=draw(st.sampled_from([500, 2_000])),
        backoff_base_ms=100,
        backoff_max_ms=1_000,
    )


def failure_kind(event: Event) -> FallbackOn:
    """What `fallback.on` must hold for a move to another tier after this event."""
    if isinstance(event, HeadReceived):
        named = {408: FallbackOn.TIMEOUT, 429: FallbackOn.RATE_LIMITED}
        return named.get(event.status, FallbackOn.SERVER_ERROR)
    timed_out = isinstance(event, AttemptFailed) and event.failure is Failure.TIMEOUT
    if timed_out or isinstance(event, DeadlinePassed):
        return FallbackOn.TIMEOUT
    return FallbackOn.SERVER_ERROR


RETRYABLE = (408, 429, 500, 503)
ProviderEvent = HeadReceived | ChunkReceived | AnswerEnded | AttemptFailed
attempts = st.integers(1, 5)
mostly = st.sampled_from([True, True, False])
heads = st.builds(
    HeadReceived,
    attempt=attempts,
    status=st.sampled_from([200, 200, 200, 302, 400, *RETRYABLE]),
    stream=st.booleans(),
    whole=mostly,
    retry_after_ms=st.sampled_from([None, None, 0, 300, 60_000]),
)
provider_events: st.SearchStrategy[ProviderEvent] = st.one_of(
    heads,
    st.builds(ChunkReceived, attempt=attempts, failed=st.booleans()),
    st.builds(AnswerEnded, attempt=attempts, readable=mostly),
    st.builds(
        AttemptFailed,
        attempt=attempts,
        failure=st.sampled_from([f for f in Failure if f is not Failure.DEADLINE]),
    ),
)
pauses = st.sampled_from([0, 0, 1, 40, 400, 2_000])


class HostileShell(RuleBasedStateMachine):
    @initialize(
        plan=plans(), seed=st.integers(0, 2**64 - 1), late=st.sampled_from([0] * 9 + [CALL_MS])
    )
    def begin(self, plan: Plan, seed: int, late: int) -> None:
        self.plan = plan
        self.seed = seed
        self.now = float(late)
        self.machine = Attempts(plan, seed=seed)
        self.log: list[tuple[Event | None, float, tuple[Command, ...]]] = []
        self.sent: list[Step] = []
        self.heads: dict[int, HeadReceived] = {}
        self.open: set[int] = set()
        self.lost: set[int] = set()
        self.begun: set[int] = set()
        self.not_before = 0.0
        self.relayed: int | None = None
        self.responded: Respond | None = None
        self.record: Record | None = None
        self.timer: float | None = None
        self.settled: list[int] = []
        self.see(None, self.machine.start(self.now))

    # Events

    def tell(self, event: Event) -> None:
        if not isinstance(event, ClientGone | DeadlinePassed):
            self.note(event)
        self.see(event, self.machine.handle(event, self.now))

    def note(self, event: ProviderEvent) -> None:
        """Keep the shell's own books of what the provider's side did."""
        number = event.attempt
        if number not in self.open:
            return
        if isinstance(event, HeadReceived):
            if number not in self.heads and event.status in RETRYABLE:
                self.not_before = self.now + (event.retry_after_ms or 0)
            self.heads.setdefault(number, event)
        elif isinstance(event, ChunkReceived) and number in self.heads and not event.failed:
            self.begun.add(number)
        elif isinstance(event, AnswerEnded) and number in self.heads:
            self.open.discard(number)
        elif isinstance(event, AttemptFailed):
            self.open.discard(number)
            self.lost.add(number)

    @rule(head=heads, good=mostly)
    def the_newest_goes_on(self, head: HeadReceived, good: bool) -> None:
        """As a provider would: first the head, then the first event or the end."""
        newest = len(self.sent)
        if newest not in self.heads:
            self.tell(replace(head, attempt=newest))
        elif self.heads[newest].stream and newest not in self.begun:
            self.tell(ChunkReceived(attempt=newest, failed=not good))
        else:
            self.tell(AnswerEnded(attempt=newest, readable=good))

    @rule(event=provider_events)
    def something_of_the_newest_attempt(self, event: ProviderEvent) -> None:
        self.tell(replace(event, attempt=len(self.sent)))

    @rule(event=provider_events)
    def something_of_any_attempt(self, event: ProviderEvent) -> None:
        """Of one that is over or was never sent, too."""
        self.tell(event)

    @rule(ms=pauses)
    def time_goes_by(self, ms: int) -> None:
        self.now += ms

    @rule()
    def timer_fires_whenever(self) -> None:
        self.tell(DeadlinePassed())

    @precondition(lambda self: self.timer is not None)
    @rule(late=st.sampled_from([0, 0, 3]))
    def timer_fires(self, late: int) -> None:
        assert self.timer is not None
        self.now = max(self.now, self.timer + late)
        self.tell(DeadlinePassed())

    @precondition(lambda self: len(self.log) > 12)
    @rule()
    def caller_leaves(self) -> None:
        self.tell(ClientGone())

    # Laws

    def see(self, event: Event | None, commands: tuple[Command, ...]) -> None:
        self.sound = False
        assert not (self.record and commands), "something follows the record"
        self.log.append((event, self.now, commands))
        for command in commands:
            assert self.record is None, "the record is not last"
            match command:
                case Send():
                    self.see_send(event, command)
                case Wait(until_ms=until):
                    assert until <= CALL_MS
                    self.timer = until
                case Hold(attempt=number):
                    assert number in self.open
                case Relay(attempt=number):
                    self.see_relay(number)
                case RelayRest(attempt=number, idle_ms=idle):
                    assert number == self.relayed
                    assert number in self.open
                    assert (idle is None) is not (
                        self.heads[number].stream and self.heads[number].status < 300
                    )
                case Cancel(attempt=number):
                    assert number in self.open
                    self.open.discard(number)
                    self.lost.add(number)
                case Respond():
                    assert self.responded is None
                    assert command.committed is (self.relayed is not None)
                    self.responded = command
                case Record():
                    self.see_record(event, command)
        self.settled += [r.attempt for r in self.machine.settled()]
        self.sound = True

    def see_send(self, event: Event | None, send: Send) -> None:
        assert self.relayed is None, "a second answer after the commit"
        assert self.responded is None
        assert self.now < CALL_MS
        self.sent.append(send.step)
        assert send.attempt == len(self.sent) <= self.plan.max_attempts
        if len(self.plan.steps) == 1:
            assert send.step is self.plan.steps[0]
            assert self.now >= self.not_before, "the provider asked for a longer pause"
        else:
            indexes = [self.plan.steps.index(step) for step in self.sent]
            assert indexes == sorted(set(indexes)), "added or reordered"
        if len(self.sent) > 1 and self.sent[-2].tier.name != send.step.tier.name:
            assert event is not None
            assert failure_kind(event) in self.plan.fallback_on
        self.open.add(send.attempt)

    def see_relay(self, number: int) -> None:
        assert self.relayed is None, "two answers"
        assert self.responded is None
        assert number in self.heads
        assert number not in self.lost
        head = self.heads[number]
        if head.stream and head.status < 300:
            assert number in self.begun or number not in self.open
        else:
            assert number not in self.open or not head.whole
        if head.status in RETRYABLE:
            later = {n for n, h in self.heads.items() if n > number and h.status in RETRYABLE}
            assert self.lost >= later, "not the last provider's answer"
        self.relayed = number

    def see_record(self, event: Event | None, record: Record) -> None:
        assert not self.open, "an attempt was left open"
        assert [r.attempt for r in record.attempts] == list(range(1, len(self.sent) + 1))
        assert all(r.started_ms <= r.ended_ms <= self.now for r in record.attempts)
        match record.ending:
            case Ending.ANSWERED:
                assert self.relayed
                assert not self.responded
            case Ending.BROKEN:
                assert self.relayed
                assert self.responded
                assert self.responded.committed
            case Ending.REFUSED:
                assert not self.relayed
                assert self.responded
            case Ending.CLIENT_GONE:
                assert isinstance(event, ClientGone)
                assert not self.responded
        good = [r for r in record.attempts if r.error is None]
        assert [r.attempt for r in good] in ([], [self.relayed])
        self.record = record

    def teardown(self) -> None:
        """However it stood, the call ends by its timers, or its stream by its end; and the same
        events yield the same commands again."""
        if not getattr(self, "sound", False):
            return
        for _ in range(20):
            if self.record:
                break
            if self.relayed and self.heads[self.relayed].stream and self.relayed in self.open:
                self.tell(AnswerEnded(attempt=self.relayed))
            if not self.record:
                assert self.timer is not None
                self.now = max(self.now, self.timer)
                self.tell(DeadlinePassed())
        assert self.record, "stuck"
        assert sorted(self.settled) == [r.attempt for r in self.record.attempts]
        again = Attempts(self.plan, seed=self.seed)
        for event, now, commands in self.log:
            assert (again.handle(event, now) if event else again.start(now)) == commands


TestHostileShell = HostileShell.TestCase
TestHostileShell.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
