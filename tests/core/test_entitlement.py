"""Entitlements: the union of the grants that hold for the identity."""

from __future__ import annotations

import pytest
from policy_makers import active, caller, features, grant, grants, policy, when

from tiermesh_sidecar.core.entitlement import ALL, Entitled, entitled
from tiermesh_sidecar.core.features import Caller
from tiermesh_sidecar.core.question import Question
from tiermesh_spec.snapshot import Entitlements, Match

FREE = grant("free", "small", when=when('caller.plan == "free"'))
BETA = grant("beta", "medium", when=when('caller.team == "beta"'))
BROKEN = grant("broken", "large", when=when("request.tokens / request.maxTokens > 0"))


def given(entitlements: Entitlements, who: Caller | None = None) -> Entitled:
    prepared = active(policy(entitlements=entitlements)).entitlements
    return entitled(prepared, Question(features(caller=who), {}, None))


@pytest.mark.parametrize(
    ("entitlements", "who", "tiers"),
    [
        (grants(), caller(), None),
        (grants(default_all=False), caller(), set()),
        (grants(FREE), caller(), None),
        (grants(FREE, default_all=False), caller(), set()),
        (grants(FREE, BETA), caller(plan="free"), {"small"}),
        (grants(FREE, BETA), caller(plan="free", team="beta"), {"small", "medium"}),
        (grants(FREE, BROKEN), caller(), set()),
        (grants(FREE, BROKEN), caller(plan="free"), {"small"}),
        (grants(grant("nothing")), caller(), set()),
        (grants(FREE), caller({"plan": "free"}), None),
        (grants(grant("step", "small", match=Match(steps=("s",)))), caller({"step": "s"}), None),
        (grants(grant("step", "small", match=Match(steps=("s",)))), caller(step="s"), {"small"}),
    ],
    ids=[
        "without grants the default holds",
        "which may be none",
        "a grant that does not hold leaves the default",
        "which may be none again",
        "a grant that holds replaces the default",
        "several add up",
        "a failed grant gives nothing and turns the default into none",
        "and takes nothing from the others",
        "a grant of nothing is a grant",
        "a hint is not seen",
        "by match neither",
        "the identity is",
    ],
)
def test_entitled(entitlements: Entitlements, who: Caller, tiers: set[str] | None) -> None:
    found = given(entitlements, who).tiers
    assert found == tiers


def test_all_allows_any_tier_and_a_union_only_its_own() -> None:
    assert ALL.allows("large")
    assert given(grants(FREE), caller(plan="free")).allows("small")
    assert not given(grants(FREE), caller(plan="free")).allows("large")


def test_it_says_which_grants_held_and_which_failed() -> None:
    found = given(grants(FREE, BROKEN, BETA), caller(plan="free"))
    assert (found.held, found.failed) == (("free",), ("broken",))
