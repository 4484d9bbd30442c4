"""Why a tier cannot take a call, in words that name the grant, constraint or limit at fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tiermesh_sidecar.core.case import Case
from tiermesh_sidecar.core.constraints import Demand
from tiermesh_sidecar.core.decision import Reason
from tiermesh_sidecar.core.eligibility import Standing


def why(standing: Standing, case: Case) -> str:
    """Every right that the tier lacks; if it lacks none, what keeps it from serving now."""
    if standing.rights:
        names = ", ".join(option.step.backend.name for option in standing.usable)
        return f"ejected after failures, or without their keys: {names}"
    return ", ".join(_EXPLAIN[reason](standing, case) for reason in standing.reasons)


def _not_entitled(standing: Standing, case: Case) -> str:
    entitled = case.entitled
    if entitled.failed:
        return f"not entitled (could not be evaluated: grant {', '.join(entitled.failed)})"
    if not entitled.held:
        return "not entitled (no grant holds for this caller)"
    given = ", ".join(sorted(entitled.tiers or ())) or "no tier"
    return f"not entitled (grant {', '.join(entitled.held)} gives {given})"


def _data(what: str, read: Callable[[Demand], frozenset[str]]) -> Callable[[Standing, Case], str]:
    def explain(standing: Standing, case: Case) -> str:
        asking = [
            f"{demand.constraint.name} asks for {', '.join(sorted(read(demand)))}"
            for demand in case.demands.data
            if read(demand)
        ]
        return f"{what} (constraint {'; '.join(asking)})"

    return explain


def _never_below(standing: Standing, case: Case) -> str:
    asking = [
        f"{demand.constraint.name} asks for {demand.constraint.never_below} or above"
        for demand in case.demands.applied
        if demand.floor is not None and standing.facts.rank < demand.floor
    ]
    return f"rank too low (constraint {'; '.join(asking)})"


def _context_window(standing: Standing, case: Case) -> str:
    features, facts = case.question.features, standing.facts
    asked = features.max_tokens or 0
    if facts.max_output_tokens is not None and asked > facts.max_output_tokens:
        return f"{asked} output tokens asked for, at most {facts.max_output_tokens} given"
    return (
        f"about {features.tokens} input and {asked} output tokens,"
        f" more than its window of {facts.context_window}"
    )


def _capability(standing: Standing, case: Case) -> str:
    features, facts = case.question.features, standing.facts
    lacking = sorted(features.needs - facts.capabilities)
    if lacking:
        return f"lacks {', '.join(lacking)}"
    return f"has no backend for this call that speaks the {features.dialect} API"


_EXPLAIN: Mapping[Reason, Callable[[Standing, Case], str]] = {
    Reason.NOT_ENTITLED: _not_entitled,
    Reason.DATA_CLASS: _data("data class", lambda demand: demand.classifications),
    Reason.REGION: _data("region", lambda demand: demand.regions),
    Reason.RETENTION: _data("retention", lambda demand: demand.retention),
    Reason.NEVER_BELOW: _never_below,
    Reason.CONTEXT_WINDOW: _context_window,
    Reason.CAPABILITY: _capability,
}
