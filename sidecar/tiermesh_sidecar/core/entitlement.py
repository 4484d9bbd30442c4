"""Who may use which tier: the union of the grants that hold for what the caller *is*.

Grants see `identity` attributes only. A hint never reaches them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiermesh_sidecar.core.matching import Compile, Condition
from tiermesh_sidecar.core.question import Question
from tiermesh_spec.snapshot import Entitlements


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedGrant:
    name: str
    condition: Condition
    tiers: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedEntitlements:
    default_all: bool
    grants: tuple[PreparedGrant, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitled:
    """What a caller may use, and by which grants."""

    tiers: frozenset[str] | None
    """Short names; None is all of them."""
    held: tuple[str, ...] = ()
    """The grants that hold."""
    failed: tuple[str, ...] = ()
    """The grants whose expression could not be evaluated: they give nothing, and turn the default
    into None."""

    def allows(self, tier: str) -> bool:
        return self.tiers is None or tier in self.tiers


ALL = Entitled(tiers=None)


def prepare(entitlements: Entitlements, compile_when: Compile) -> PreparedEntitlements:
    return PreparedEntitlements(
        default_all=entitlements.default_all,
        grants=tuple(
            PreparedGrant(
                name=grant.name,
                condition=Condition(grant.match, grant.when, compile_when),
                tiers=frozenset(grant.tiers),
            )
            for grant in entitlements.grants
        ),
    )


def entitled(entitlements: PreparedEntitlements, question: Question) -> Entitled:
    if not entitlements.grants and entitlements.default_all:
        return ALL
    outcomes = [
        (grant, grant.condition.holds(question, question.asserted)) for grant in entitlements.grants
    ]
    held = [grant for grant, outcome in outcomes if outcome]
    failed = tuple(grant.name for grant, outcome in outcomes if outcome is None)
    if not held and not failed and entitlements.default_all:
        return ALL
    return Entitled(tiers=_union(held), held=tuple(grant.name for grant in held), failed=failed)


def _union(grants: Sequence[PreparedGrant]) -> frozenset[str]:
    return frozenset().union(*(grant.tiers for grant in grants))
