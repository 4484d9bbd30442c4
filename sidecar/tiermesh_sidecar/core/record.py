"""One call, decided and done: what spans, metrics, the audit log and `/decisions` are made from.

The shell builds a `CallRecord` once, when a call ends, and hands it to telemetry. `as_json` is the
audit record (and `/decisions/{id}`); it holds all that `decide` read, so that `explain --replay`
can decide again without the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiermesh_sidecar.core.decision import Decision
from tiermesh_sidecar.core.features import Features
from tiermesh_sidecar.core.outcome import AttemptRecord, Ending, Usage
from tiermesh_sidecar.core.state import StateView
from tiermesh_spec.snapshot import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """An attempt with what it used and cost (picodollars; None where unknown)."""

    record: AttemptRecord
    provider: str
    model: str
    """The model asked of the backend."""
    server_address: str
    server_port: int
    span_id: str
    """16 hex digits; sent upstream in `traceparent`."""
    usage: Usage | None
    cost: int | None
    response_model: str | None = None
    response_id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    first_chunk_ms: float | None = None
    """Milliseconds from the attempt's start to the first byte of its body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """W3C trace context of the route span (https://www.w3.org/TR/trace-context/)."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    sampled: bool
    state: str = ""
    """`tracestate`, as the caller sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    id: str
    at: float
    """Unix time of the decision in seconds: `decide`'s `now`."""
    snapshot: str
    """The snapshot's content hash."""
    policy: Policy | None
    """None: refused before a policy was known, or relayed without one."""
    decision: Decision | None
    """None where the call was refused before it could be decided (bad JSON, no config ...)."""
    features: Features | None
    view: StateView
    seed: int
    trace: TraceContext
    method: str
    path: str
    status: int
    """What the caller got; 499 where it left before an answer began."""
    ending: Ending
    error_code: str | None
    """Our own `ErrorCode`, None for providers' answers."""
    attempts: tuple[AttemptOutcome, ...]
    answered_by: int | None = None
    """The number of the attempt whose answer the caller got, its own error answers included."""
    duration_ms: float
    overhead_ms: float
    """From the request's last byte read to the first byte sent upstream."""
    content_hash: str | None = None
    """SHA-256 of the request's body, for `audit.content: Hash`."""
    content: str | None = None
    """The request's body, for `audit.content: Full`."""
