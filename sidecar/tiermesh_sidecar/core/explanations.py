"""A decision in words: what chose a tier, or the grant, constraint or limit that speaks against it.

Nothing is decided here: whoever has a decision's case can have it explained, and only then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tiermesh_sidecar.core.candidates import Option
from tiermesh_sidecar.core.case import Case
from tiermesh_sidecar.core.constraints import Demand
from tiermesh_sidecar.core.decision import Candidate, Decision, Reason, candidate_for
from tiermesh_sidecar.core.eligibility import Standing
from tiermesh_sidecar.core.features import Endpoint
from tiermesh_sidecar.core.strategies.base import Choice


def explained(decision: Decision, case: Case, choice: Choice) -> Mapping[str, str]:
    """By candidate, why it is where it is."""
    steps = decision.plan.steps if decision.plan is not None else ()
    planned = tuple(dict.fromkeys(step.tier.name for step in steps))
    words = {c.tier: _place(c, planned, case) for c in decision.candidates}
    if decision.tier is not None:
        words[decision.tier] = _ground(decision, case, choice)
    return words


def _place(candidate: Candidate, planned: Sequence[str], case: Case) -> str:
    standing = case.standings[candidate.tier]
    if candidate.tier in planned[1:]:
        return f"tried if {planned[planned.index(candidate.tier) - 1]} fails"
    if candidate.reason is Reason.ELIGIBLE:
        return "may take the call, and the plan does without it"
    if candidate.reason is Reason.NOT_IN_ROUTE:
        if case.question.features.endpoint is Endpoint.OTHER:
            return "is not the tier for paths that are not routed"
        elsewhere = case.asked is None or standing.out
        return f"{'the name asked for' if elsewhere else 'the route'} leads elsewhere"
    return why(standing, case)


def _ground(decision: Decision, case: Case, choice: Choice) -> str:
    """What the choice rests on, and whose place the chosen tier takes."""
    source = _source(decision, case, choice)
    if not choice.first:
        source = f"the highest rank that may take the call ({source})"
    elif decision.tier not in choice.first:
        source = f"in place of {choice.first[0]} ({source})"
    chosen = candidate_for(decision, str(decision.tier))
    ejected = chosen is not None and Reason.UNHEALTHY in chosen.also
    return f"{source}; one try, since all of its backends are ejected" if ejected else source


def _source(decision: Decision, case: Case, choice: Choice) -> str:
    active, question = case.active, case.question
    if decision.rule is None:
        if not choice.first:
            return "mode Baseline"
        if question.features.endpoint is Endpoint.OTHER:
            return "the tier for paths that are not routed"
        return f"the caller asked for {question.features.model}"
    routes = dict((*active.routes, active.default))
    clause = routes[decision.rule].clause(question, choice)
    name = "default route" if decision.rule == active.default[0] else f"rule {decision.rule}"
    return f"{name}: {clause}"


def why(standing: Standing, case: Case) -> str:
    """Every right that the tier lacks; if it lacks none, what keeps it from serving now."""
    if standing.rights:
        ejected = [option for option in standing.usable if option not in standing.keyless]
        groups = (("without a key", standing.keyless), ("ejected after failures", ejected))
        return ", ".join(f"{what}: {_names(options)}" for what, options in groups if options)
    return ", ".join(_EXPLAIN[reason](standing, case) for reason in standing.reasons)


def _names(options: Sequence[Option]) -> str:
    return ", ".join(option.step.backend.name for option in options)


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
    if facts.by_dialect[features.dialect] and _DATA.intersection(standing.reasons):
        return f"its other backends do not speak the {features.dialect} API"
    return f"has no backend for this call that speaks the {features.dialect} API"


_DATA = frozenset({Reason.DATA_CLASS, Reason.REGION, Reason.RETENTION})
"""What is asked of each backend."""

_EXPLAIN: Mapping[Reason, Callable[[Standing, Case], str]] = {
    Reason.NOT_ENTITLED: _not_entitled,
    Reason.DATA_CLASS: _data("data class", lambda demand: demand.classifications),
    Reason.REGION: _data("region", lambda demand: demand.regions),
    Reason.RETENTION: _data("retention", lambda demand: demand.retention),
    Reason.NEVER_BELOW: _never_below,
    Reason.CONTEXT_WINDOW: _context_window,
    Reason.CAPABILITY: _capability,
}
