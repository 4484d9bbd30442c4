"""What a call used and cost in all, and what the top tier would have cost: worked out once per
call, so that the span, the metrics, the audit record and the page show the same figures.

Money is picodollars here. It must not guess: what nobody priced stays None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiermesh_sidecar.core.cost import top_tier_cost, total_cost
from tiermesh_sidecar.core.decision import Reason, candidate_for
from tiermesh_sidecar.core.outcome import Usage
from tiermesh_sidecar.core.record import AttemptOutcome, CallRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    usage: Usage | None
    """All attempts together; None where none said."""
    cost: int | None
    """All attempts together. None where one of them cost an unknown amount; 0 where nothing was
    bought."""
    top_tier_cost: int | None
    """The answer's usage at the price of the policy's highest rank."""
    tier: str | None
    """The tier that answered; where none did, the one that the decision chose."""
    backend: str | None
    model: str | None
    reason: Reason | None
    """The decision's reason for `tier`; of a refused decision the rejection that led to it."""

    @property
    def saved(self) -> int | None:
        """Negative where fallbacks made the call dearer than one call of the top tier."""
        if self.cost is None or self.top_tier_cost is None:
            return None
        return self.top_tier_cost - self.cost


def account(call: CallRecord) -> Account:
    answer = next((a for a in call.attempts if a.record.attempt == call.answered_by), None)
    billed = next((a.usage for a in reversed(call.attempts) if a.usage is not None), None)
    tier = answer.record.tier if answer else _decided_tier(call)
    return Account(
        usage=_total_usage(call.attempts),
        cost=total_cost((a.usage, a.cost, a.record.error is None) for a in call.attempts),
        top_tier_cost=top_tier_cost(call.policy, billed) if call.policy and billed else None,
        tier=tier,
        backend=answer.record.backend if answer else None,
        model=answer.model if answer else None,
        reason=_reason(call, tier),
    )


def _total_usage(attempts: Sequence[AttemptOutcome]) -> Usage | None:
    known = [a.usage for a in attempts if a.usage is not None]
    if len(known) <= 1:
        return known[0] if known else None
    return Usage(
        input=sum(u.input for u in known),
        output=sum(u.output for u in known),
        cached_input=sum(u.cached_input for u in known),
        cache_write=sum(u.cache_write for u in known),
        estimated=any(u.estimated for u in known),
    )


def _decided_tier(call: CallRecord) -> str | None:
    return call.decision.tier if call.decision else None


def _reason(call: CallRecord, tier: str | None) -> Reason | None:
    if call.decision is None:
        return None
    if call.decision.refusal is not None:
        return call.decision.refusal.reason
    candidate = candidate_for(call.decision, tier) if tier is not None else None
    return candidate.reason if candidate else None
