"""What a call used and cost in all, and what the top tier would have cost: worked out once per
call, so that the span, the metrics, the audit record and the page show the same figures.

Money is picodollars here. It must not guess: what nobody priced stays None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiermesh_sidecar.core.cost import top_tier_cost
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
    """The tier of the last attempt: the one that answered, if any did."""
    backend: str | None
    model: str | None
    reason: Reason | None
    """The decision's reason for `tier`; of a refused decision that of the first rejected one."""

    @property
    def saved(self) -> int | None:
        """Negative where fallbacks made the call dearer than one call of the top tier."""
        if self.cost is None or self.top_tier_cost is None:
            return None
        return self.top_tier_cost - self.cost


def account(call: CallRecord) -> Account:
    last = call.attempts[-1] if call.attempts else None
    answer = next((a.usage for a in reversed(call.attempts) if a.usage is not None), None)
    top = top_tier_cost(call.policy, answer) if call.policy and answer else None
    return Account(
        usage=_total_usage(call.attempts),
        cost=_total_cost(call.attempts),
        top_tier_cost=top,
        tier=last.record.tier if last else None,
        backend=last.record.backend if last else None,
        model=last.model if last else None,
        reason=_reason(call, last.record.tier if last else None),
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


def _total_cost(attempts: Sequence[AttemptOutcome]) -> int | None:
    total = 0
    for attempt in attempts:
        if attempt.cost is not None:
            total += attempt.cost
        elif attempt.usage is not None or attempt.record.error is None:
            # An answer was bought at a price that nobody told us. A failed attempt without usage is
            # free: providers do not bill their errors.
            return None
    return total


def _reason(call: CallRecord, tier: str | None) -> Reason | None:
    if call.decision is None:
        return None
    if tier is not None:
        candidate = candidate_for(call.decision, tier)
        return candidate.reason if candidate else None
    if call.decision.refusal is None:
        return None
    return next((c.reason for c in call.decision.candidates if not c.kept), None)
