"""Decisions from end to end: what is asked for, what the rules say, who is explained how."""

from __future__ import annotations

import pytest
from policy_makers import (
    THREE,
    backend,
    caller,
    code,
    constraint,
    decided,
    fallback,
    features,
    grant,
    grants,
    models,
    pin,
    policy,
    reasons,
    rule,
    steps,
    threshold,
    tier,
    when,
)

from tiermesh_sidecar.core.features import Caller, Dialect, Endpoint
from tiermesh_spec.snapshot import FallbackOn, FallbackOrder, Match, Mode, Provider

RULES = (
    rule("steps", pin("small"), match=Match(steps=("classify",))),
    rule("regulated", pin("large", fallback=False), match=Match(tasks=("credit",))),
    rule("premium", pin("large"), when=when('caller.plan == "premium" && request.tokens > 200')),
    rule(
        "rest",
        threshold((0.35, "small"), (0.7, "medium"), (None, "large")),
        match=Match(stream=True),
    ),
)
POLICY = policy(*RULES, default=pin("medium"))
FREE = grants(grant("free", "small", "medium", when=when('caller.plan == "free"')))


@pytest.mark.parametrize(
    ("who", "tokens", "stream", "rule", "chosen"),
    [
        (caller(step="classify"), 10, False, "steps", "small"),
        (caller({"step": "classify"}), 10, False, "steps", "small"),
        (caller({"step": "classify"}, step="other"), 10, False, "default", "medium"),
        (caller({"task": "credit"}), 10, False, "regulated", "large"),
        (caller(plan="premium"), 201, False, "premium", "large"),
        (caller(plan="premium"), 200, False, "default", "medium"),
        (caller(), 10, True, "rest", "small"),
        (caller(), 10, False, "default", "medium"),
    ],
    ids=[
        "by step",
        "by a hinted step",
        "the identity beats the hint",
        "by task",
        "by expression",
        "an expression that does not hold",
        "by stream, then by score",
        "no rule holds",
    ],
)
def test_the_first_rule_that_holds_decides(
    who: Caller, tokens: int, stream: bool, rule: str, chosen: str
) -> None:
    call = features("Who wrote Hamlet?", caller=who, tokens=tokens, stream=stream)
    decision = decided(call, POLICY)
    assert (decision.rule, decision.tier) == (rule, chosen)
    assert decision.policy == "shop/checkout@7"


def test_signals_that_nothing_read_are_not_computed() -> None:
    assert decided(features("hi"), POLICY).signals == {}
    assert set(decided(features("hi", stream=True), POLICY).signals) == {"complexity"}


def test_naming_a_tier_replaces_the_route_by_a_pin_with_the_policys_fallback() -> None:
    decision = decided(features(model="small", caller=caller({"task": "credit"})), POLICY)
    assert decision.rule is None
    assert steps(decision) == ["small/b", "medium/b", "large/b"]
    assert reasons(decision) == {"small": "Chosen", "medium": "InPlan", "large": "InPlan"}


def test_a_named_tier_that_is_rejected_is_not_replaced() -> None:
    given = policy(entitlements=FREE)
    decision = decided(features(model="large", caller=caller(plan="free")), given)
    assert code(decision) == "not_entitled"
    assert reasons(decision) == {
        "small": "NotInRoute",
        "medium": "NotInRoute",
        "large": "NotEntitled",
    }


def test_a_routed_tier_that_is_rejected_is_replaced_by_the_next_above_else_below() -> None:
    free = features(caller=caller(plan="free"))
    assert decided(free, policy(entitlements=FREE, default=pin("large"))).tier == "medium"
    given = policy(default=pin("small"), constraints=(constraint(never_below="medium"),))
    assert decided(features(), given).tier == "medium"


def test_a_pin_without_fallback_fails_with_its_tiers_rejection() -> None:
    given = policy(entitlements=FREE, default=pin("large", fallback=False))
    decision = decided(features(caller=caller(plan="free")), given)
    assert (code(decision), decision.rule) == ("not_entitled", "default")
    assert decision.tier is None


@pytest.mark.parametrize(
    ("on", "ejected", "outcome"),
    [
        (frozenset(FallbackOn), ["small/b"], ["small/b", "medium/b", "large/b"]),
        (frozenset(), ["small/b"], ["small/b"]),
    ],
    ids=["with a fallback", "without one"],
)
def test_a_named_tier_that_is_ejected_is_tried_once(
    on: frozenset[FallbackOn], ejected: list[str], outcome: list[str]
) -> None:
    given = policy(fallback=fallback(FallbackOrder.UP, on=on))
    assert steps(decided(features(model="small"), given, ejected=ejected)) == outcome


REAL = (
    tier("small", 10, backend("a", model="m"), backend("b", model="n")),
    tier("large", 30, backend("c", model="m"), backend("d", model="o")),
)
DIRECT = policy(tiers=REAL, models=models("*", direct=("m", "n", "d")), max_attempts=9)


def test_a_named_model_is_asked_of_its_backends_alone_then_the_fallback_holds() -> None:
    assert steps(decided(features(model="n"), DIRECT, seed=3))[0] == "small/b"
    found = set(steps(decided(features(model="n"), DIRECT)))
    assert found == {"small/b", "large/c", "large/d"}


def test_a_named_backend_is_asked_alone() -> None:
    assert steps(decided(features(model="d"), DIRECT)) == ["large/d"]


def test_a_model_of_two_tiers_goes_to_the_lower_one_that_can() -> None:
    found = decided(features(model="m"), DIRECT)
    assert found.tier == "small"
    assert steps(decided(features(model="m"), DIRECT, ejected=["small/a"]))[0] == "large/c"


def test_the_rights_of_a_named_backend_are_its_own() -> None:
    tiers = (tier("small", 10, backend("us", region="us"), backend("eu", region="eu")),)
    given = policy(
        tiers=tiers,
        models=models("*", direct=("us", "eu")),
        constraints=(constraint(regions=("eu",)),),
    )
    assert code(decided(features(model="us"), given)) == "not_permitted"
    assert steps(decided(features(model="eu"), given)) == ["small/eu"]


def test_an_unknown_model_is_refused_and_every_candidate_explained() -> None:
    given = policy(models=models("gpt-*"), entitlements=FREE)
    decision = decided(features(model="claude", caller=caller(plan="free")), given)
    assert code(decision) == "model_not_found"
    assert reasons(decision) == {
        "small": "NotInRoute",
        "medium": "NotInRoute",
        "large": "NotEntitled NotInRoute",
    }


EMBED = policy(
    *RULES,
    tiers=(
        tier("one", 10, backend("a", model="e5"), aliases=("alias",)),
        tier(
            "two", 20, backend("b", model="e5"), backend("c", model="ada"), aliases=("two-alias",)
        ),
        tier("three", 30, backend("d", model="ada")),
        *THREE,
    ),
    max_attempts=9,
)


@pytest.mark.parametrize(
    ("model", "plan"),
    [
        ("e5", ["one/a", "two/b"]),
        ("ada", ["two/c", "three/d"]),
        ("one", ["one/a"]),
        ("alias", ["one/a"]),
        ("three", ["three/d"]),
    ],
)
def test_embeddings_stay_with_the_model_that_was_asked_for(model: str, plan: list[str]) -> None:
    call = features(model=model, endpoint=Endpoint.EMBEDDINGS, caller=caller(step="classify"))
    decision = decided(call, EMBED)
    assert steps(decision) == plan
    assert decision.rule is None


@pytest.mark.parametrize("model", ["auto", "two", "two-alias", "anything"])
def test_embeddings_of_no_one_model_are_refused(model: str) -> None:
    call = features(model=model, endpoint=Endpoint.EMBEDDINGS)
    assert code(decided(call, EMBED)) == "model_not_found"


def test_embeddings_fall_back_to_the_same_model_only_and_say_so() -> None:
    call = features(model="e5", endpoint=Endpoint.EMBEDDINGS)
    decision = decided(call, EMBED, ejected=["one/a"])
    assert steps(decision) == ["two/b"]
    assert reasons(decision)["three"] == "NotInRoute"
    assert reasons(decision)["large"] == "NotInRoute"


def test_rights_hold_for_embeddings() -> None:
    from dataclasses import replace

    given = replace(EMBED, constraints=(constraint(never_below="two"),))
    call = features(model="e5", endpoint=Endpoint.EMBEDDINGS)
    assert steps(decided(call, given)) == ["two/b"]
    assert code(decided(features(model="one", endpoint=Endpoint.EMBEDDINGS), given)) == (
        "not_permitted"
    )


def test_other_paths_go_to_their_tier_without_rule_or_fallback() -> None:
    given = policy(*RULES, models=models("*", pass_through="small"))
    decision = decided(features(endpoint=Endpoint.OTHER, caller=caller(task="credit")), given)
    assert (decision.rule, steps(decision)) == (None, ["small/b"])
    assert reasons(decision)["large"] == "NotInRoute"


def test_other_paths_prefer_backends_of_their_dialect() -> None:
    both = tier("both", 10, backend("o"), backend("c", provider=Provider.ANTHROPIC))
    given = policy(tiers=(both,), models=models("*", pass_through="both"))
    call = features(endpoint=Endpoint.OTHER, dialect=Dialect.ANTHROPIC)
    assert steps(decided(call, given)) == ["both/c"]


def test_other_paths_without_a_tier_are_not_found() -> None:
    assert code(decided(features(endpoint=Endpoint.OTHER), POLICY)) == "not_found"


def test_baseline_serves_the_highest_rank_that_has_the_rights() -> None:
    given = policy(*RULES, mode=Mode.BASELINE, entitlements=FREE)
    decision = decided(features(caller=caller(step="classify")), given)
    assert (decision.rule, decision.tier) == (None, "large")
    free = features(caller=caller(plan="free", step="classify"))
    assert decided(free, given).tier == "medium"


def test_baseline_leaves_what_a_caller_names() -> None:
    given = policy(mode=Mode.BASELINE)
    assert decided(features(model="small"), given).tier == "small"


def test_observe_decides_as_enforce_does() -> None:
    call = features(caller=caller(step="classify"))
    watching = policy(*RULES, default=pin("medium"), mode=Mode.OBSERVE)
    assert decided(call, watching) == decided(call, POLICY)


def test_a_hint_does_not_entitle() -> None:
    given = policy(
        default=pin("large"),
        entitlements=grants(
            grant("premium", "large", when=when('caller.plan == "premium"')), default_all=False
        ),
    )
    assert code(decided(features(caller=caller({"plan": "premium"})), given)) == "not_entitled"
    assert decided(features(caller=caller(plan="premium")), given).tier == "large"


def test_a_hinted_data_class_tightens() -> None:
    tiers = (tier("us", 10, backend(region="us")), tier("eu", 20, backend(region="eu")))
    restricted = when('caller.dataClass == "restricted"')
    given = policy(
        tiers=tiers,
        default=pin("us"),
        constraints=(constraint(when=restricted, regions=("eu",)),),
    )
    assert decided(features(caller=caller(dataClass="public")), given).tier == "us"
    hinted = caller(data_class="restricted", dataClass="public")
    assert decided(features(caller=hinted), given).tier == "eu"
