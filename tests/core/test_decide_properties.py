"""The laws that a decision keeps, whatever the policy, the call and the state of backends."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from policy_makers import backend, constraint, grants, tier, when
from policy_strategies import World, hinting, hints, world_of, worlds

from tiermesh_sidecar.core.decision import Decision, Reason
from tiermesh_sidecar.core.features import Caller, Endpoint, Features
from tiermesh_sidecar.core.refusals import CODES
from tiermesh_sidecar.core.replay import (
    features_as_json,
    features_from_json,
    view_as_json,
    view_from_json,
)
from tiermesh_sidecar.core.state import StateView, backend_key
from tiermesh_spec.expressions import Program
from tiermesh_spec.snapshot import (
    Backend,
    Band,
    Constraint,
    Expression,
    Grant,
    Match,
    Mode,
    Provider,
    Route,
    Threshold,
    Tier,
)

KEPT = {Reason.CHOSEN, Reason.IN_PLAN, Reason.ELIGIBLE}
RIGHTS = {
    Reason.NOT_ENTITLED,
    Reason.DATA_CLASS,
    Reason.REGION,
    Reason.RETENTION,
    Reason.NEVER_BELOW,
    Reason.CONTEXT_WINDOW,
    Reason.CAPABILITY,
}
ORDER = list(Reason)
CONSTRAINING = tuple(
    constraint("c", when=when(source), regions=("eu",))
    for source in (
        'caller.dataClass == "restricted"',
        'caller.dataClass == "restricted" && caller.step == ""',
        'caller.dataClass != "public" && caller.task == ""',
        'caller.step == "classify" || caller.task == "credit"',
    )
)
lawful = settings(max_examples=150, deadline=None)


def planned(decision: Decision) -> list[tuple[Tier, Backend]]:
    return [(s.tier, s.backend) for s in decision.plan.steps] if decision.plan else []


# Law 1: a complete plan, or a refusal.


@lawful
@given(worlds)
def test_a_decision_has_a_plan_or_a_refusal(world: World) -> None:
    decision = world.decide()
    assert (decision.plan is None) != (decision.refusal is None)


@lawful
@given(worlds)
def test_a_plan_names_each_backend_once_within_its_attempts(world: World) -> None:
    decision = world.decide()
    if decision.plan is None:
        return
    keys = [backend_key(*step) for step in planned(decision)]
    assert len(set(keys)) == len(keys) >= 1
    assert len(keys) <= decision.plan.max_attempts <= world.policy.retry.max_attempts
    assert len(keys) == decision.plan.max_attempts or len(keys) == 1


@lawful
@given(worlds)
def test_the_same_input_gives_the_same_decision(world: World) -> None:
    assert world.decide() == world.decide()


@lawful
@given(worlds)
def test_a_recorded_decision_can_be_repeated_without_the_prompt(world: World) -> None:
    first = world.decide()
    record = json.loads(
        json.dumps(
            {
                "features": features_as_json(world.call),
                "view": view_as_json(world.view),
                "signals": first.signals,
            }
        )
    )
    again = World(
        policy=world.policy,
        call=features_from_json(record["features"]),
        view=view_from_json(record["view"]),
        seed=world.seed,
        signals=record["signals"],
    )
    assert again.decide() == first


# Law 2: one primary reason for each candidate, by precedence.


@lawful
@given(worlds)
def test_every_candidate_is_explained_exactly_once(world: World) -> None:
    decision = world.decide()
    assert [c.tier for c in decision.candidates] == [t.name for t in world.policy.tiers]
    for candidate in decision.candidates:
        reasons = [candidate.reason, *candidate.also]
        assert candidate.kept is (candidate.reason in KEPT)
        assert reasons == sorted(set(reasons), key=ORDER.index)


@lawful
@given(worlds)
def test_the_reasons_agree_with_the_plan(world: World) -> None:
    decision = world.decide()
    by_reason = {
        reason: {c.tier for c in decision.candidates if c.reason is reason} for reason in Reason
    }
    tiers = [tier.name for tier, _ in planned(decision)]
    assert by_reason[Reason.CHOSEN] == set(tiers[:1])
    assert by_reason[Reason.IN_PLAN] == set(tiers) - set(tiers[:1])


@lawful
@given(worlds)
def test_a_refusal_stands_on_a_candidates_rejection(world: World) -> None:
    refusal = world.decide().refusal
    if refusal is None or refusal.reason is None:
        return
    assert CODES[refusal.reason] is refusal.code
    rejected = [c for c in world.decide().candidates if not c.kept]
    assert any(refusal.reason in (c.reason, *c.also) for c in rejected)


@lawful
@given(worlds, st.sampled_from([5, 15, 25, 35]), st.booleans())
def test_a_rejected_candidate_that_nothing_names_changes_nothing(
    world: World, rank: int, first: bool
) -> None:
    """Another tier, whose only backend speaks another dialect than the call."""
    other = {p.value: p for p in Provider}
    del other[world.call.dialect.value]
    extra = tier("extra", rank, backend("x", model="x", provider=next(iter(other.values()))))
    more = (extra, *world.policy.tiers) if first else (*world.policy.tiers, extra)
    before = world.decide()
    if before.plan is None:
        return
    after = replace(world, policy=replace(world.policy, tiers=more)).decide()
    assert after.plan == before.plan
    assert [c for c in after.candidates if c.tier != "extra"] == list(before.candidates)


# Laws 3 and 15: every attempt has every right, whatever was asked for. Judged by another reading of
# the policy than the one under test.


def holds(
    match: Match | None, when: Expression | None, world: World, attributes: dict[str, str]
) -> bool | None:
    if match is not None and match.steps and attributes.get("step", "") not in match.steps:
        return False
    if when is None:
        return True
    call, score = world.call, None
    values: dict[str, object] = {f"caller.{n}": attributes.get(n, "") for n in NAMES}
    if call.endpoint is Endpoint.OTHER:  # what an unread body says is not known
        return Program(when).evaluate(values)
    if "signal.complexity" in when.names:
        score = world.decide().signals["complexity"]
    values["request.tokens"] = call.tokens
    values["request.maxTokens"] = call.max_tokens or 0
    if score is not None:
        values["signal.complexity"] = score
    return Program(when).evaluate(values)


NAMES = ("plan", "step", "task", "dataClass")


def merged(call: Features) -> dict[str, str]:
    return {name: call.caller.get(name) for name in NAMES}


def applies(given: Constraint, world: World) -> bool:
    views = [merged(world.call), dict(world.call.caller.asserted)]
    if world.call.caller.data_class_hint:
        views.append({**views[0], "dataClass": world.call.caller.data_class_hint})
    return any(holds(given.match, given.when, world, v) is not False for v in views)


def entitled(world: World, name: str) -> bool:
    given = world.policy.entitlements
    asserted = dict(world.call.caller.asserted)

    def outcome(grant: Grant) -> bool | None:
        return holds(grant.match, grant.when, world, asserted)

    outcomes = [(grant, outcome(grant)) for grant in given.grants]
    held = [grant for grant, result in outcomes if result]
    if held:
        return any(name in grant.tiers for grant in held)
    return given.default_all and not any(result is None for _, result in outcomes)


def lacking(world: World, tier: Tier, backend: Backend) -> list[str]:
    """Every right that this backend lacks."""
    policy = world.policy
    ranks = {t.name: t.rank for t in policy.tiers}
    found = [] if entitled(world, tier.name) else ["entitlement"]
    for one in policy.constraints:
        if applies(one, world):
            found += violated(one, backend)
            if one.never_below and tier.rank < ranks[one.never_below]:
                found.append("never below")
    return found if world.call.endpoint is Endpoint.OTHER else found + unfit(world, tier, backend)


def violated(given: Constraint, backend: Backend) -> list[str]:
    data, found = backend.data, []
    if given.regions and data.region not in given.regions:
        found.append("region")
    if set(given.classifications) - set(data.classifications):
        found.append("data class")
    if given.retention and data.retention not in given.retention:
        found.append("retention")
    return found


def unfit(world: World, tier: Tier, backend: Backend) -> list[str]:
    call, found = world.call, []
    asked = call.max_tokens or 0
    if tier.context_window is not None and call.tokens + asked > tier.context_window:
        found.append("context window")
    if tier.max_output_tokens is not None and asked > tier.max_output_tokens:
        found.append("output tokens")
    if call.needs - tier.capabilities:
        found.append("capability")
    if backend.provider.value != call.dialect.value:
        found.append("dialect")
    return found


@lawful
@given(worlds)
def test_every_attempt_has_every_right(world: World) -> None:
    for one, served in planned(world.decide()):
        assert lacking(world, one, served) == []


def constrained(world: World, constraining: Constraint) -> World:
    """The same world with one constraint more, and open to every caller."""
    constraints = (constraining, *world.policy.constraints)
    policy = replace(world.policy, constraints=constraints, entitlements=grants())
    return replace(world, policy=policy)


@lawful
@given(worlds, st.sampled_from(CONSTRAINING))
def test_every_attempt_meets_a_constraint_that_identity_or_hints_call_for(
    world: World, constraining: Constraint
) -> None:
    world = constrained(world, constraining)
    for one, served in planned(world.decide()):
        assert lacking(world, one, served) == []


@lawful
@given(worlds)
def test_an_entitlement_rejects_exactly_who_lacks_it(world: World) -> None:
    for candidate in world.decide().candidates:
        refused = Reason.NOT_ENTITLED in (candidate.reason, *candidate.also)
        assert refused is not entitled(world, candidate.tier)


@lawful
@given(worlds)
def test_health_never_relaxes_a_right_and_no_backend_is_tried_without_its_key(
    world: World,
) -> None:
    keys = [backend_key(t, b) for t in world.policy.tiers for b in t.backends]
    for view in (world.view, StateView(ejected=frozenset(keys))):
        decision = replace(world, view=view).decide()
        for step in planned(decision):
            assert lacking(world, *step) == []
            assert backend_key(*step) not in view.keyless


# Law 6: no score, no guess.


@lawful
@given(worlds)
def test_without_a_score_the_call_goes_to_the_highest_rank_that_can_take_it(world: World) -> None:
    policy = world.policy
    ranks = {t.name: t.rank for t in policy.tiers}
    lowest = Band(below=None, tier=min(ranks, key=lambda name: ranks[name]))
    unsure = Route(threshold=Threshold(signal="complexity", bands=(lowest,), on_abstain=None))
    policy = replace(policy, rules=(), default=unsure, mode=Mode.ENFORCE)
    decision = replace(world, policy=policy, signals={"complexity": None}).decide()
    if decision.rule is None or decision.tier is None:
        return
    able = [c.tier for c in decision.candidates if c.kept or c.reason is Reason.NOT_IN_ROUTE]
    assert ranks[decision.tier] == max(ranks[name] for name in able)


# Law 13: hints never widen.


@lawful
@given(worlds, hints, st.sampled_from(CONSTRAINING))
def test_another_hint_never_makes_a_rejected_tier_or_backend_eligible(
    world: World, more: dict[str, str], constraining: Constraint
) -> None:
    world = constrained(world, constraining)
    who = world.call.caller
    # What is said already stays said: a second value for a hint is another call, not another hint.
    added = hinting(dict(who.asserted), {**more, **who.hinted})
    before, after = permitted(world, who), permitted(world, added)
    assert after <= before


def permitted(world: World, caller: Caller) -> set[str]:
    """The backends that a plan may contain: each tier is asked for by name, all being healthy."""
    policy = replace(
        world.policy,
        models=replace(world.policy.models, route=(), direct=()),
        retry=replace(world.policy.retry, max_attempts=9),
    )
    said = features_as_json(world.call)
    who = features_as_json(
        Features(endpoint=world.call.endpoint, dialect=world.call.dialect, caller=caller)
    )
    found: set[str] = set()
    for one in world.policy.tiers:
        asked = World(
            policy=policy,
            call=features_from_json(
                {**said, "caller": who["caller"], "model": one.name, "endpoint": "completions"}
            ),
            view=StateView(),
            seed=world.seed,
            signals=world.signals or {"complexity": 0.5},
        )
        found |= {backend_key(t, b) for t, b in planned(asked.decide()) if t.name == one.name}
    return found


@lawful
@given(worlds, st.integers(min_value=1, max_value=10**6))
def test_a_deadline_hint_never_gives_more_time(world: World, hint: int) -> None:
    found = world.decide(deadline_ms=hint).plan
    if found is not None:
        assert found.call_ms == min(hint, world.policy.timeouts.call_ms)


# Law 14: embeddings never change model.


@lawful
@given(worlds)
def test_embeddings_never_change_model(world: World) -> None:
    data = {**features_as_json(world.call), "endpoint": "embeddings", "needs": []}
    model = world.call.model
    decision = replace(world, call=features_from_json(data)).decide()
    assert decision.rule is None
    served = {b.model for _, b in planned(decision)}
    assert len(served) <= 1
    if model in {b.model for t in world.policy.tiers for b in t.backends}:
        assert served <= {model}
    elif served:
        named = [t for t in world.policy.tiers if model in (t.name, *t.aliases)]
        assert {b.model for b in named[0].backends} == served
        assert {t.name for t, _ in planned(decision)} == {named[0].name}
    else:
        assert decision.refusal is not None


def test_the_worlds_are_as_varied_as_the_laws_need() -> None:
    """Laws that never meet a plan, a fallback or a rejection would hold for nothing."""
    seen = [world_of(number).decide() for number in range(400)]
    found = {c.reason for decision in seen for c in decision.candidates}
    assert found == {*KEPT, *CODES, Reason.NOT_IN_ROUTE}
    assert {d.refusal.code for d in seen if d.refusal} >= set(CODES.values())
    assert sum(d.plan is not None for d in seen) > 150
    assert sum(d.plan is not None and len(d.plan.steps) > 1 for d in seen) > 50
