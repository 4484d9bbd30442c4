"""The routes that exist: one file each, and this literal registry. Importing registers nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tiermesh_sidecar.core.strategies import pin, threshold, weighted
from tiermesh_sidecar.core.strategies.base import Strategy
from tiermesh_spec.snapshot import Route

STRATEGIES: Mapping[str, Callable[[Route], Strategy | None]] = {
    "pin": pin.prepare,
    "weighted": weighted.prepare,
    "threshold": threshold.prepare,
}
"""By the field of `Route`: makes its strategy, or None where the field is not set."""


def strategy_for(route: Route) -> Strategy:
    """Raises ValueError for a route with no field set, which `compile` does not let through."""
    for prepare in STRATEGIES.values():
        strategy = prepare(route)
        if strategy is not None:
            return strategy
    raise ValueError(f"a route has one of {', '.join(STRATEGIES)}")
