"""From what a call did to its `CallRecord`. Built once, when the call has ended."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tiermesh_sidecar.core.cost import cost
from tiermesh_sidecar.core.decision import Decision, Refusal
from tiermesh_sidecar.core.features import Features
from tiermesh_sidecar.core.outcome import AttemptRecord, Ending
from tiermesh_sidecar.core.record import AttemptOutcome, CallRecord, TraceContext
from tiermesh_sidecar.core.state import StateView
from tiermesh_sidecar.net.attempt import Attempt
from tiermesh_sidecar.net.call import Call
from tiermesh_spec.snapshot import AuditContent, Policy

CLIENT_CLOSED = 499
"""nginx's status for a caller that left before an answer began."""


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What is known of a call so far. Filled in as it goes; turned into its record at the end."""

    call: Call
    id: str
    at: float
    seed: int
    trace: TraceContext
    snapshot: str = ""
    policy: Policy | None = None
    features: Features | None = None
    view: StateView
    decision: Decision | None = None
    ending: Ending = Ending.REFUSED
    status: int = 0
    refusal: Refusal | None = None
    attempts: tuple[AttemptOutcome, ...] = ()
    answered_by: int | None = None
    first_sent_ms: float | None = None

    @property
    def input_tokens(self) -> int:
        return self.features.tokens if self.features else 0

    def record(self, now: float) -> CallRecord:
        """`now`: `time.monotonic()`, as `Call.began`."""
        duration_ms = (now - self.call.began) * 1000
        content_hash, content = self._content()
        return CallRecord(
            id=self.id,
            at=self.at,
            snapshot=self.snapshot,
            policy=self.policy,
            decision=self.decision,
            features=self.features,
            view=self.view,
            seed=self.seed,
            trace=self.trace,
            method=self.call.method,
            path=self.call.target.partition("?")[0],
            status=self.status or CLIENT_CLOSED,
            ending=self.ending,
            error_code=self.refusal.code.value if self.refusal else None,
            attempts=self.attempts,
            answered_by=self.answered_by,
            duration_ms=duration_ms,
            overhead_ms=duration_ms if self.first_sent_ms is None else self.first_sent_ms,
            content_hash=content_hash,
            content=content,
        )

    def _content(self) -> tuple[str | None, str | None]:
        wanted = self.policy.audit_content if self.policy else AuditContent.NONE
        if wanted is AuditContent.HASH:
            return hashlib.sha256(self.call.body).hexdigest(), None
        if wanted is AuditContent.FULL:
            return None, self.call.body.decode("utf-8", "replace")
        return None, None


def attempt_outcomes(
    records: tuple[AttemptRecord, ...], attempts: Mapping[int, Attempt], input_tokens: int
) -> tuple[AttemptOutcome, ...]:
    return tuple(_outcome(record, attempts[record.attempt], input_tokens) for record in records)


def _outcome(record: AttemptRecord, attempt: Attempt, input_tokens: int) -> AttemptOutcome:
    backend = attempt.step.backend
    host, port = _address(backend.url)
    usage = attempt.usage(input_tokens)
    said = attempt.reader or attempt.answer
    return AttemptOutcome(
        record=record,
        provider=backend.provider.value,
        model=backend.model,
        server_address=host,
        server_port=port,
        span_id=attempt.span_id,
        usage=usage,
        cost=cost(usage, backend.price) if usage else None,
        response_model=said.response_model if said else None,
        response_id=said.response_id if said else None,
        finish_reasons=said.finish_reasons if said else (),
        first_chunk_ms=attempt.first_chunk_ms,
    )


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
