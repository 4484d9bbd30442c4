"""`pin`: this tier, whatever the call."""

from __future__ import annotations

from collections.abc import Collection

from tiermesh_sidecar.core.question import Question
from tiermesh_sidecar.core.strategies.base import Choice
from tiermesh_spec.snapshot import Pin, Route


class PinStrategy:
    __slots__ = ("_choice",)

    def __init__(self, pin: Pin) -> None:
        # `fallback: None` is "uniform, provable": this tier or an error, at any time of the call.
        self._choice = Choice(
            first=(pin.tier,),
            names=frozenset({pin.tier}),
            replace=pin.fallback,
            fallback=pin.fallback,
        )

    def choose(self, question: Question, eligible: Collection[str], seed: int) -> Choice:
        return self._choice

    def clause(self, question: Question, choice: Choice) -> str:
        return f"always {choice.first[0]}"


def prepare(route: Route) -> PinStrategy | None:
    return PinStrategy(route.pin) if route.pin is not None else None
