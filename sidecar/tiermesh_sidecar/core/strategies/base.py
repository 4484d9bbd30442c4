"""What a strategy is given and what it answers. Strategies choose; rights were settled before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from tiermesh_sidecar.core.question import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Where a call should go, before it is known whether it can."""

    first: tuple[str, ...] = ()
    """The tiers wished for, best first. Empty: the highest-ranked that is eligible."""
    names: frozenset[str] = frozenset()
    """Every tier that the route could have taken for some call."""
    replace: bool = True
    """Whether the nearest eligible tier may take the place of one that is rejected."""
    fallback: bool = True
    """Whether a failure while the call runs may move it to another tier, as the policy says."""


class Strategy(Protocol):
    """One kind of route, prepared."""

    def choose(self, question: Question, eligible: Collection[str], seed: int) -> Choice:
        """`eligible`: the tiers that have the rights and could serve the call now."""

    def clause(self, question: Question, choice: Choice) -> str:
        """What made it choose so, in words that name no rule: `complexity 0.17 is below 0.35`."""
