"""What the constraints that apply to a call demand, of backends and of tiers.

A constraint whose expression cannot be evaluated applies: rights fail closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tiermesh_sidecar.core.candidates import Option
from tiermesh_sidecar.core.decision import Reason
from tiermesh_sidecar.core.matching import Compile, Condition
from tiermesh_sidecar.core.question import Question
from tiermesh_spec.snapshot import Constraint


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One constraint's right-hand side, prepared."""

    constraint: Constraint
    condition: Condition
    regions: frozenset[str]
    classifications: frozenset[str]
    retention: frozenset[str]
    floor: int | None
    """The rank of the tier below which none may serve."""

    @property
    def asks_data(self) -> bool:
        return bool(self.regions or self.classifications or self.retention)

    def applies(self, question: Question) -> bool:
        """Whether it holds for the identity alone or with any of the caller's hints: a hint can
        add a constraint, never lift one."""
        return any(
            self.condition.holds(question, attributes) is not False
            for attributes in question.views(self.condition.reads)
        )

    def objections(self, option: Option) -> list[Reason]:
        """The rights that this backend lacks; absent data fails."""
        found: list[Reason] = []
        if not self.classifications <= option.classifications:
            found.append(Reason.DATA_CLASS)
        if self.regions and option.region not in self.regions:
            found.append(Reason.REGION)
        if self.retention and option.retention not in self.retention:
            found.append(Reason.RETENTION)
        return found


def prepare(
    constraints: Sequence[Constraint], ranks: Mapping[str, int], compile_when: Compile
) -> tuple[Demand, ...]:
    return tuple(
        Demand(
            constraint=constraint,
            condition=Condition(constraint.match, constraint.when, compile_when),
            regions=frozenset(constraint.regions),
            classifications=frozenset(constraint.classifications),
            retention=frozenset(constraint.retention),
            floor=None if constraint.never_below is None else ranks[constraint.never_below],
        )
        for constraint in constraints
    )


class Demands:
    """All that apply to one call. They add up: every one of them must be met."""

    __slots__ = ("applied", "data", "floor")

    def __init__(self, applied: Sequence[Demand]) -> None:
        self.applied = applied
        self.data = [demand for demand in applied if demand.asks_data]
        self.floor = max((d.floor for d in applied if d.floor is not None), default=None)


NO_DEMANDS = Demands(())


def demands(constraints: Sequence[Demand], question: Question) -> Demands:
    applied = [demand for demand in constraints if demand.applies(question)]
    return Demands(applied) if applied else NO_DEMANDS
