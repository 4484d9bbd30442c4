"""`weighted`: shares of the calls, among the tiers that are eligible (A/B, canary)."""

from __future__ import annotations

from collections.abc import Collection

from tiermesh_sidecar.core.chance import lot, salt
from tiermesh_sidecar.core.question import Question
from tiermesh_sidecar.core.strategies.base import Choice
from tiermesh_spec.snapshot import Route, Weighted


class WeightedStrategy:
    __slots__ = ("_shares",)

    def __init__(self, weighted: Weighted) -> None:
        self._shares = tuple(
            (
                share.weight,
                salt(share.tier),
                Choice(first=(share.tier,), names=frozenset(t.tier for t in weighted.tiers)),
            )
            for share in weighted.tiers
        )

    def choose(self, question: Question, eligible: Collection[str], seed: int) -> Choice:
        # With none eligible the draw is among all: it says whose place another tier has to take.
        # A share of 0 draws infinity, so it goes only where nobody with a share can.
        possible = [s for s in self._shares if s[2].first[0] in eligible] or self._shares
        return min(possible, key=lambda share: lot(seed, share[1], share[0]))[2]

    def clause(self, question: Question, choice: Choice) -> str:
        weight = next(weight for weight, _, drawn in self._shares if drawn.first == choice.first)
        total = sum(weight for weight, _, _ in self._shares)
        return f"drawn by lot, {choice.first[0]} has {weight} of {total}"


def prepare(route: Route) -> WeightedStrategy | None:
    return WeightedStrategy(route.weighted) if route.weighted is not None else None
