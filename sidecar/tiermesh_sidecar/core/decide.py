"""The decision: which tier takes a call, what may follow it, and one reason for every candidate.

A plain function of its arguments: no clock, no chance that the seed does not fix, no side effect.
Whoever prints a decision prints this value.
"""

from __future__ import annotations

from collections.abc import Mapping

from tiermesh_sidecar.core import refusals
from tiermesh_sidecar.core.active import ActivePolicy
from tiermesh_sidecar.core.case import Case
from tiermesh_sidecar.core.constraints import demands
from tiermesh_sidecar.core.decision import Candidate, Decision, Plan, Reason, Refusal
from tiermesh_sidecar.core.eligibility import Rights, Standing
from tiermesh_sidecar.core.entitlement import entitled
from tiermesh_sidecar.core.features import Endpoint, Features
from tiermesh_sidecar.core.names import ROUTED, Asked
from tiermesh_sidecar.core.plan import build, elect, fallback_tiers
from tiermesh_sidecar.core.question import Question
from tiermesh_sidecar.core.state import StateView
from tiermesh_sidecar.core.strategies.base import Choice
from tiermesh_spec.snapshot import Mode

_TOP = Choice()
_NOWHERE = Choice(replace=False, fallback=False)


def decide(
    features: Features,
    active: ActivePolicy,
    view: StateView,
    now: float,
    seed: int,
    *,
    signals: Mapping[str, float | str | None] | None = None,
    deadline_ms: int | None = None,
) -> Decision:
    """Same arguments, same decision.

    `now` (Unix seconds) belongs to what a decision may depend on, and no condition reads it yet.
    `signals` are values that were resolved elsewhere, or recorded (replay); others are computed
    from the prompt when something reads them. `deadline_ms` is the caller's hint: it shortens only.
    """
    case = examine(Question(features, active.signals, signals), active, view, seed)
    return conclude(case, deadline_ms)[0]


def conclude(case: Case, deadline_ms: int | None = None) -> tuple[Decision, Choice]:
    """The second half of `decide`, for whoever explains the decision by the case and the choice."""
    rule, choice = _choice(case)
    elected = elect(choice, case) if case.asked is not None else None
    plan = build(elected, choice, case, deadline_ms) if elected is not None else None
    decision = Decision(
        policy=case.active.label,
        rule=rule,
        candidates=_verdicts(case, choice, elected, plan),
        signals=case.question.signals,
        plan=plan,
        refusal=None if plan is not None else _refuse(case, choice),
    )
    return decision, choice


def examine(question: Question, active: ActivePolicy, view: StateView, seed: int) -> Case:
    """Settles every candidate's rights. They hold whatever the route says, so it comes after."""
    asked = _asked(question.features, active)
    allowed = entitled(active.entitlements, question)
    demanded = demands(active.constraints, question)
    rights = Rights(question.features, asked or ROUTED, allowed, demanded, view)
    return Case(
        active=active,
        question=question,
        seed=seed,
        asked=asked,
        entitled=allowed,
        demands=demanded,
        standings={facts.name: rights.standing(facts) for facts in active.tiers},
    )


def _asked(features: Features, active: ActivePolicy) -> Asked | None:
    if features.endpoint is Endpoint.EMBEDDINGS:
        return active.names.embeddings.get(features.model)
    if features.endpoint is Endpoint.OTHER:
        return active.names.pass_through
    return active.names.resolve(features.model)


def _choice(case: Case) -> tuple[str | None, Choice]:
    """The rule that decides, if one was asked, and what its route wishes."""
    asked, active = case.asked, case.active
    if asked is None:
        return None, _NOWHERE
    if asked.pin:
        # Naming a tier or model replaces the route by a pin, and a pin's rejection is the answer.
        names = frozenset(asked.pin)
        return None, Choice(first=asked.pin, names=names, replace=False, fallback=asked.fallback)
    if active.policy.mode is Mode.BASELINE:
        return None, _TOP
    position = active.rules.first(case.question)
    rule, strategy = active.default if position is None else active.routes[position]
    return rule, strategy.choose(case.question, _eligible(case), case.seed)


def _eligible(case: Case) -> set[str]:
    """The tiers that could take the call now; where none could, those that have the rights."""
    if case.active.steering:
        available = {name for name, s in case.standings.items() if s.available}
        if available:
            return available
    return {name for name, s in case.standings.items() if s.rights}


def _verdicts(
    case: Case, choice: Choice, elected: Standing | None, plan: Plan | None
) -> tuple[Candidate, ...]:
    planned = {step.tier.name for step in plan.steps} if plan is not None else set()
    named = choice.names
    if elected is not None:
        named = named.union(facts.name for facts in fallback_tiers(elected, choice, case))
    return tuple(
        _verdict(standing, standing is elected, name in planned, name in named)
        for name, standing in case.standings.items()
    )


def _verdict(standing: Standing, chosen: bool, planned: bool, named: bool) -> Candidate:
    facts = standing.facts
    down = (Reason.UNHEALTHY,) if standing.usable and not standing.healthy else ()
    if chosen:
        return facts.verdict(Reason.CHOSEN, down)
    if planned:
        return facts.verdict(Reason.IN_PLAN)
    against = (*standing.reasons, *down)
    if standing.out or not named:
        against = (*against, Reason.NOT_IN_ROUTE)
    if not against:
        return facts.verdict(Reason.ELIGIBLE)
    return facts.verdict(against[0], against[1:])


def _refuse(case: Case, choice: Choice) -> Refusal:
    endpoint = case.question.features.endpoint
    if case.asked is None:
        unknown = endpoint is Endpoint.OTHER
        return refusals.unknown_path(case) if unknown else refusals.unknown_model(case)
    asked = case.standings.values() if choice.replace else map(case.standings.get, choice.first)
    return refusals.rejected([s for s in asked if s is not None], case)
