"""A policy's candidate tiers, prepared for decisions: what never changes between two calls.

Prepared once per policy, read only afterwards. Nothing here knows a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tiermesh_sidecar.core.chance import salt
from tiermesh_sidecar.core.decision import Candidate, Reason, Step
from tiermesh_sidecar.core.features import Dialect
from tiermesh_sidecar.core.state import BackendKey, backend_key
from tiermesh_spec.snapshot import Backend, Fallback, FallbackOn, FallbackOrder, Tier

RUN_TIME = frozenset({FallbackOn.TIMEOUT, FallbackOn.RATE_LIMITED, FallbackOn.SERVER_ERROR})
"""What can move a call on while it runs; `Unhealthy` is known before it starts."""

_KEPT = frozenset({Reason.CHOSEN, Reason.IN_PLAN, Reason.ELIGIBLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A backend as a possible step of a plan."""

    step: Step
    key: BackendKey
    salt: int
    priority: int
    weight: int
    dialect: Dialect
    region: str | None
    classifications: frozenset[str]
    retention: str | None


class TierFacts:
    """A candidate tier with all that can be known before a call."""

    __slots__ = (
        "by_dialect",
        "capabilities",
        "context_window",
        "max_output_tokens",
        "name",
        "options",
        "pass_through",
        "rank",
        "tier",
        "try_one",
        "verdicts",
    )

    def __init__(self, tier: Tier, *, try_one: bool) -> None:
        self.tier = tier
        self.name = tier.name
        self.rank = tier.rank
        self.capabilities = tier.capabilities
        self.context_window = tier.context_window
        self.max_output_tokens = tier.max_output_tokens
        self.try_one = try_one
        """What `whenAllEjected` says."""
        backends = sorted(tier.backends, key=lambda backend: backend.priority)
        self.options = tuple(_option(tier, backend) for backend in backends)
        self.by_dialect: Mapping[Dialect, tuple[Option, ...]] = {
            dialect: tuple(o for o in self.options if o.dialect is dialect) for dialect in Dialect
        }
        self.pass_through: Mapping[Dialect, tuple[Option, ...]] = {
            dialect: own or self.options for dialect, own in self.by_dialect.items()
        }
        """For paths that are passed through: a path's dialect is a guess, so a tier that has no
        backend of it gives all it has."""
        self.verdicts: Mapping[Reason, Candidate] = {
            reason: Candidate(tier=tier.name, kept=reason in _KEPT, reason=reason)
            for reason in Reason
        }
        """The usual answers, built once."""

    def verdict(self, reason: Reason, also: tuple[Reason, ...] = ()) -> Candidate:
        """The tier's one primary reason, and the further ones that apply."""
        if not also:
            return self.verdicts[reason]
        return Candidate(tier=self.name, kept=reason in _KEPT, reason=reason, also=also)


def _option(tier: Tier, backend: Backend) -> Option:
    key = backend_key(tier, backend)
    return Option(
        step=Step(tier=tier, backend=backend),
        key=key,
        salt=salt(key),
        priority=backend.priority,
        weight=backend.weight,
        dialect=Dialect(backend.provider.value),
        region=backend.data.region,
        classifications=frozenset(backend.data.classifications),
        retention=backend.data.retention,
    )


def by_rank(tiers: Sequence[TierFacts]) -> tuple[TierFacts, ...]:
    """Lowest rank first; equal ranks by name, so that nothing depends on the order of a list."""
    return tuple(sorted(tiers, key=lambda facts: (facts.rank, facts.name)))


def replacements(tier: TierFacts, ranked: Sequence[TierFacts]) -> tuple[TierFacts, ...]:
    """Who takes a rejected tier's place, best first: the nearest rank above, else below.

    A tier of equal rank is as capable, so it counts as the nearest above.
    """
    return (*_up(tier, ranked), *(t for t in reversed(ranked) if t.rank < tier.rank))


def fallbacks(
    tier: TierFacts, ranked: Sequence[TierFacts], fallback: Fallback
) -> tuple[TierFacts, ...]:
    """The tiers that a call may move to when this one fails while it runs, in order."""
    others = [t for t in ranked if t is not tier]
    if not fallback.on & RUN_TIME or fallback.order is FallbackOrder.NONE:
        return ()
    if fallback.order is FallbackOrder.UP:
        return _up(tier, ranked)
    if fallback.order is FallbackOrder.DOWN:
        lower = (t for t in others if t.rank <= tier.rank)
        return tuple(sorted(lower, key=lambda t: (-t.rank, t.name)))
    if fallback.order is FallbackOrder.NEAREST:
        return tuple(sorted(others, key=lambda t: (abs(t.rank - tier.rank), -t.rank, t.name)))
    listed = {t.name: t for t in others}
    return tuple(listed[name] for name in dict.fromkeys(fallback.tiers) if name in listed)


def _up(tier: TierFacts, ranked: Sequence[TierFacts]) -> tuple[TierFacts, ...]:
    return tuple(t for t in ranked if t is not tier and t.rank >= tier.rank)
