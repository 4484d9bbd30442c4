"""What past calls say about backends, and the frozen view of it that `decide` reads.

One owner (the shell) holds a `HealthState` and replaces it by what these pure reducers return.
Times are seconds of one monotonic-enough clock that the caller supplies.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiermesh_spec.snapshot import Backend, Tier

BackendKey = str
"""`namespace/tier/backend`: two policies that share a ModelTier share its breakers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateView:
    """Frozen answers for one decision; recorded with it, so that a replay sees the same."""

    ejected: frozenset[BackendKey] = frozenset()
    """Outlier detection took these out for now."""
    keyless: frozenset[BackendKey] = frozenset()
    """Their credentials are not here (yet): never tried, whatever `whenAllEjected` says."""


def backend_key(tier: Tier, backend: Backend) -> BackendKey:
    """By the ModelTier's own name: what a policy calls it is that policy's affair."""
    return f"{tier.resource}/{backend.name}"
