"""One attempt as the attempts machine keeps it: where it stands, its deadline, what became of it.

A flight knows nothing of other attempts; which of them becomes the answer is the machine's choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from math import inf

from tiermesh_sidecar.core.decision import Plan, Step
from tiermesh_sidecar.core.events import Failure, HeadReceived
from tiermesh_sidecar.core.outcome import AttemptRecord
from tiermesh_sidecar.core.retry import failed_status, failed_transfer
from tiermesh_spec.snapshot import FallbackOn

CANCELLED = "cancelled"
"""The `error` of an attempt that was given up through no fault of its backend."""


class Stage(Enum):
    """Where an attempt stands.

    ```
    OPENING --good head--> HELD ---> RELAYED ---> ARRIVED   the answer
       |                    +-------------------> ARRIVED   the answer, relayed when whole
       +----error head---> SPARE ---------------> ARRIVED   the answer if nothing better comes
    any of them ----------> OVER                            failed or cancelled
    ```
    """

    OPENING = auto()
    """Sent; no head yet."""
    HELD = auto()
    """Its answer is arriving, and would be relayed."""
    SPARE = auto()
    """The provider's own error answer is arriving; relayed only if nothing better comes."""
    RELAYED = auto()
    """The caller is getting this one. No other attempt is in flight any more."""
    ARRIVED = auto()
    """Here whole, a usable answer or a provider's error."""
    OVER = auto()
    """Failed or cancelled: nothing more of it can be used."""


_OPEN = frozenset({Stage.OPENING, Stage.HELD, Stage.SPARE, Stage.RELAYED})
_UNDECIDED = frozenset({Stage.OPENING, Stage.HELD})


@dataclass(slots=True, kw_only=True)
class Flight:
    """One attempt. Mutable; the machine that made it alone changes it. Times as in `Wait`."""

    attempt: int
    index: int
    """Of its step in the plan."""
    step: Step
    started_ms: float
    deadline_ms: float
    """When its time is up for what comes next: head, first event, or whole answer."""
    stage: Stage = Stage.OPENING
    status: int | None = None
    stream: bool = False
    """A stream of a good answer. An error is a plain answer, whatever its content type."""
    whole: bool = False
    """It must have arrived whole before it may be relayed."""
    kind: FallbackOn | None = None
    """What sort of failure it is, as `fallback.on` has it; None unless it failed."""
    error: str | None = None
    detail: str = ""
    retry_after_ms: int | None = None
    ended_ms: float | None = None
    """None as long as nobody can say whether it succeeded."""

    @classmethod
    def take_off(cls, attempt: int, index: int, plan: Plan, now_ms: float) -> Flight:
        flight = cls(
            attempt=attempt,
            index=index,
            step=plan.steps[index],
            started_ms=now_ms,
            deadline_ms=0,
        )
        flight.limit(plan, now_ms + plan.first_byte_ms)
        return flight

    @property
    def open(self) -> bool:
        """The shell may still report events of it, and must be told when to stop."""
        return self.stage in _OPEN

    @property
    def undecided(self) -> bool:
        """It may still become a good answer."""
        return self.stage in _UNDECIDED

    @property
    def settled(self) -> bool:
        """It is known whether it failed."""
        return self.ended_ms is not None

    @property
    def must_wait(self) -> bool:
        """Its head alone does not make it an answer that may be relayed."""
        return self.stream or self.whole

    @property
    def good_status(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def http_error(self) -> str | None:
        return f"http_{self.status}" if self.status is not None and self.status >= 400 else None

    def take_head(self, head: HeadReceived, plan: Plan, now_ms: float) -> None:
        """Note the head, and which deadline follows it: `firstByte` ends here."""
        self.status = head.status
        self.stream = head.stream and self.good_status
        self.whole = head.whole
        self.retry_after_ms = head.retry_after_ms
        self.limit(plan, now_ms + plan.stream_idle_ms if self.stream else inf)
        self.kind = failed_status(head.status)
        if self.kind is None:
            self.stage = Stage.HELD
        else:
            self.stage = Stage.SPARE
            self.error = self.http_error
            self.ended_ms = now_ms

    def fail(self, failure: Failure, now_ms: float, detail: str = "") -> None:
        """It is over without a usable answer. What was an HTTP error before stays that."""
        self.stage = Stage.OVER
        self.ended_ms = now_ms
        if self.error is None:
            self.error = failure.value
            self.kind = failed_transfer(failure)
            self.detail = detail

    def arrive(self, now_ms: float) -> None:
        """Its answer is here whole."""
        self.stage = Stage.ARRIVED
        self.ended_ms = now_ms
        self.error = self.http_error

    def relay(self) -> None:
        """It is the answer, and more of it comes. For a stream every deadline ends here."""
        self.stage = Stage.RELAYED
        if self.stream:
            self.deadline_ms = inf

    def cancel(self, now_ms: float) -> None:
        """Nobody wants it any more. What failed before stays failed."""
        self.stage = Stage.OVER
        self.ended_ms = now_ms
        self.error = self.error or CANCELLED

    def limit(self, plan: Plan, own_ms: float) -> None:
        """Set its deadline: `own_ms`, but never beyond the attempt's or the call's."""
        self.deadline_ms = min(own_ms, self.started_ms + plan.attempt_ms, plan.call_ms)

    def record(self) -> AttemptRecord:
        """What became of it; for flights that are settled."""
        assert self.ended_ms is not None
        return AttemptRecord(
            attempt=self.attempt,
            tier=self.step.tier.name,
            backend=self.step.backend.name,
            started_ms=self.started_ms,
            ended_ms=self.ended_ms,
            status=self.status,
            error=self.error,
        )
