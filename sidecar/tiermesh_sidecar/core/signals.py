"""Signals: named values computed from a request before the call, if something reads them.

One function per kind. None is *abstain*: the request says nothing about it, and no route may read
that as a low score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tiermesh_sidecar.core.features import Prompt
from tiermesh_sidecar.core.heuristic import complexity
from tiermesh_spec.snapshot import Signal

__all__ = ["Compute", "SignalValue", "complexity", "computed"]

SignalValue = float | str | None
"""A score in [0,1], a label, or None for abstain."""

Compute = Callable[[Prompt], SignalValue]


def computed(signals: tuple[Signal, ...]) -> Mapping[str, Compute]:
    """By name, how each of a policy's signals is computed."""
    return {signal.name: complexity for signal in signals if signal.heuristic is not None}
