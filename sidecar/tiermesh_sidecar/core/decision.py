"""The values that a decision consists of. The header, span, page, audit record, `explain` and the
tests all print these; nobody derives a second version of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tiermesh_spec.snapshot import Backend, FallbackOn, Tier


class Reason(StrEnum):
    """Why a candidate is where it is. The order is the precedence: the first that applies is the
    primary one, the others stand under `also`. Values are the contract's; some belong to features
    that are not built yet and are never produced."""

    CHOSEN = "Chosen"
    IN_PLAN = "InPlan"
    ELIGIBLE = "Eligible"
    NOT_ENTITLED = "NotEntitled"
    DATA_CLASS = "DataClass"
    REGION = "Region"
    RETENTION = "Retention"
    NEVER_BELOW = "NeverBelow"
    CONTEXT_WINDOW = "ContextWindow"
    CAPABILITY = "Capability"
    OVER_BUDGET = "OverBudget"
    UNHEALTHY = "Unhealthy"
    AT_LIMIT = "AtLimit"
    TOO_SLOW = "TooSlow"
    NOT_IN_ROUTE = "NotInRoute"


class ErrorCode(StrEnum):
    """Our own error codes; `docs/troubleshooting.md` has a section for each."""

    INVALID_REQUEST = "invalid_request"
    BODY_TOO_LARGE = "body_too_large"
    MODEL_NOT_FOUND = "model_not_found"
    NOT_ENTITLED = "not_entitled"
    NOT_PERMITTED = "not_permitted"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    CAPABILITY_UNAVAILABLE = "capability_unavailable"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    NO_CONFIG = "no_config"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A call that we answer instead of a model: what happened, why, and what to change."""

    code: ErrorCode
    message: str
    param: str | None = None
    reason: Reason | None = None
    """The first rejection behind it (what `x-tiermesh-reason` says); None where no tier was
    rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    tier: str
    kept: bool
    reason: Reason
    also: tuple[Reason, ...] = ()

    def as_json(self) -> dict[str, object]:
        """As `explain`, the audit record and the page print it."""
        return {
            "tier": self.tier,
            "kept": self.kept,
            "reason": self.reason.value,
            "also": [reason.value for reason in self.also],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One backend that the plan allows, in order. Rights were checked for this very backend."""

    tier: Tier
    backend: Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The ordered attempts that a decision allows; the machine skips some, adds and reorders none.

    Times are milliseconds.
    """

    steps: tuple[Step, ...]
    max_attempts: int
    """More than `len(steps)` only when there is one step: then that one is repeated."""
    fallback_on: frozenset[FallbackOn]
    """What allows a move to a step of another tier. Backends of one tier are interchangeable."""
    call_ms: int
    """The policy's or the caller's deadline, whichever is sooner."""
    attempt_ms: int
    first_byte_ms: int
    stream_idle_ms: int
    backoff_base_ms: int
    backoff_max_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Complete before the first byte goes upstream. Exactly one of `plan` and `refusal` is set."""

    policy: str
    """`namespace/name@generation`."""
    rule: str | None
    """The rule that decided, `default`, or None where no rule was asked (the caller named a tier or
    model, embeddings, pass-through paths, Baseline)."""
    candidates: tuple[Candidate, ...]
    """One per candidate tier, in the policy's order."""
    signals: Mapping[str, float | str | None]
    """What was computed, None for abstain. Signals that nothing read are absent."""
    plan: Plan | None
    refusal: Refusal | None

    @property
    def tier(self) -> str | None:
        """The chosen tier's short name."""
        return self.plan.steps[0].tier.name if self.plan else None


def candidate_for(decision: Decision, tier: str) -> Candidate | None:
    return next((c for c in decision.candidates if c.tier == tier), None)
