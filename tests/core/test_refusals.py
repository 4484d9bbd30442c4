"""Refusals: which code, and a message that says what, why and what to change."""

from __future__ import annotations

import pytest
from policy_makers import (
    THREE,
    backend,
    caller,
    code,
    constraint,
    decided,
    features,
    grant,
    grants,
    models,
    pin,
    policy,
    tier,
    when,
)

from tiermesh_sidecar.core.decision import ErrorCode, Reason, Refusal
from tiermesh_sidecar.core.features import Capability, Endpoint, Features
from tiermesh_sidecar.core.refusals import CODES
from tiermesh_spec.snapshot import Policy, WhenAllEjected

FAILING = (
    tier("small", 10, when_all_ejected=WhenAllEjected.FAIL),
    tier("large", 30, when_all_ejected=WhenAllEjected.FAIL),
)


def refusal(call: Features, given: Policy, *ejected: str) -> Refusal:
    found = decided(call, given, ejected=ejected).refusal
    assert found is not None
    return found


def windows(small: int, large: int) -> Policy:
    return policy(
        tiers=(tier("small", 10, context_window=small), tier("large", 30, context_window=large)),
        entitlements=grants(grant("free", "small", when=when('caller.plan == "free"'))),
    )


@pytest.mark.parametrize(
    ("call", "given", "expected"),
    [
        (features(), policy(entitlements=grants(default_all=False)), "not_entitled"),
        (features(), policy(constraints=(constraint(regions=("eu",)),)), "not_permitted"),
        (features(tokens=100), windows(10, 20), "context_length_exceeded"),
        (features(needs=(Capability.VISION,)), policy(), "capability_unavailable"),
        (features(tokens=100, caller=caller(plan="free")), windows(10, 1000), "not_entitled"),
    ],
    ids=[
        "entitlement",
        "constraint",
        "length",
        "capability",
        "different rights: the first of the list",
    ],
)
def test_the_code_follows_from_the_reasons(call: Features, given: Policy, expected: str) -> None:
    assert code(decided(call, given)) == expected


def test_a_tier_that_is_only_unhealthy_can_come_back_so_the_call_may_be_tried_again() -> None:
    given = policy(tiers=FAILING, entitlements=grants(grant("g", "small")))
    found = refusal(features(), given, "small/b")
    assert (found.code, found.reason) == (ErrorCode.UPSTREAM_UNAVAILABLE, Reason.UNHEALTHY)
    assert "ejected after failures: b" in found.message


def test_a_healthy_tier_that_may_not_take_over_is_not_blamed() -> None:
    from policy_makers import fallback

    given = policy(tiers=FAILING, default=pin("small"), fallback=fallback(on=frozenset()))
    found = refusal(features(), given, "small/b")
    assert found.code is ErrorCode.UPSTREAM_UNAVAILABLE
    assert "large" not in found.message


def test_a_refusal_names_tier_reason_remedy_and_policy() -> None:
    given = policy(default=pin("small", fallback=False), constraints=(constraint(regions=("eu",)),))
    found = refusal(features(), given)
    assert found.reason is Reason.REGION
    assert found.message == (
        "A constraint keeps the call from every tier that could serve it. small: region"
        " (constraint eu asks for eu). Give one of the tiers a backend that meets the constraint,"
        " or change spec.constraints (policy shop/checkout@7)."
    )


def test_every_tier_that_could_have_served_is_told() -> None:
    found = refusal(features(tokens=100), windows(10, 20))
    assert "small: about 100 input and 0 output tokens" in found.message
    assert "large: about 100 input and 0 output tokens" in found.message


def test_an_unknown_model_is_answered_with_what_may_be_asked_for() -> None:
    given = policy(
        tiers=(tier("small", 10, aliases=("fast",)), tier("large", 30)),
        models=models("gpt-4*", "team-model", direct=("small-model",)),
        entitlements=grants(grant("g", "small")),
    )
    found = refusal(features(model="team-modell"), given)
    assert found == Refusal(
        code=ErrorCode.MODEL_NOT_FOUND,
        message=(
            "The model 'team-modell' is not served by policy shop/checkout@7. Did you mean"
            " 'team-model'? What may be asked for: auto, gpt-4*, team-model, small-model, small,"
            " fast."
        ),
        param="model",
    )


def test_nothing_near_is_not_suggested_and_a_long_name_is_cut() -> None:
    found = refusal(features(model="x" * 5000), policy(models=models()))
    assert "Did you mean" not in found.message
    assert len(found.message) < 300


def test_embeddings_are_answered_with_models_that_do_not_change() -> None:
    given = policy(
        tiers=(
            tier("mixed", 10, backend("a", model="e5"), backend("b", model="ada")),
            tier("pure", 20, backend("c", model="e5")),
            tier("secret", 30, backend("d", model="hidden")),
        ),
        entitlements=grants(grant("g", "mixed", "pure")),
    )
    found = refusal(features(model="auto", endpoint=Endpoint.EMBEDDINGS), given)
    assert found.message.endswith("What may be asked for: pure, e5, ada.")


def test_a_caller_entitled_to_nothing_is_told_so() -> None:
    given = policy(entitlements=grants(default_all=False))
    found = refusal(features(model="auto", endpoint=Endpoint.EMBEDDINGS), given)
    assert found.message.endswith("What may be asked for: nothing.")


def test_an_unknown_path_is_answered_with_the_setting_that_relays_it() -> None:
    found = refusal(features(endpoint=Endpoint.OTHER), policy())
    assert found.code is ErrorCode.NOT_FOUND
    assert "spec.models.passThroughTier" in found.message


def test_codes_stand_in_the_order_of_reasons() -> None:
    assert list(CODES) == [reason for reason in Reason if reason in CODES]


def test_a_refused_embedding_blames_only_tiers_of_its_model() -> None:
    given = policy(tiers=THREE, constraints=(constraint(regions=("eu",)),))
    call = features(model="small-model", endpoint=Endpoint.EMBEDDINGS)
    found = refusal(call, given)
    assert found.code is ErrorCode.NOT_PERMITTED
    assert "large" not in found.message
