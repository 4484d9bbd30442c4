"""Rights on paths whose body is not read (`passThroughTier`): what it says is unknown, and what is
unknown never widens."""

from __future__ import annotations

import pytest
from policy_makers import active, caller, constraint, features, grant, grants, policy, when

from tiermesh_sidecar.core.constraints import demands
from tiermesh_sidecar.core.entitlement import entitled
from tiermesh_sidecar.core.features import Caller, Endpoint
from tiermesh_sidecar.core.question import Question
from tiermesh_spec.snapshot import Constraint, Grant, Match


def _question(who: Caller | None = None) -> Question:
    return Question(features(endpoint=Endpoint.OTHER, caller=who), {}, None)


@pytest.mark.parametrize(
    ("given", "applies"),
    [
        (constraint(when=when("request.tokens > 1000")), True),
        (constraint(when=when("request.tokens >= 0 && caller.plan == 'free'")), False),
        (constraint(match=Match(has_images=True)), True),
        (constraint(match=Match(stream=False)), True),
        (constraint(match=Match(models=("gpt-*",))), True),
        (constraint(match=Match(steps=("s",), has_images=True)), False),
        (constraint(match=Match(has_images=True), when=when("caller.plan == 'free'")), False),
        (constraint(match=Match(has_images=True), when=when("caller.plan == 'pro'")), True),
        (constraint(when=when("caller.plan == 'free'")), False),
    ],
    ids=[
        "when in doubt",
        "when false whatever the body says",
        "match in doubt",
        "match in doubt, false for an empty body too",
        "match of models in doubt",
        "another part of match is false",
        "match in doubt, when false",
        "match in doubt, when true",
        "nothing of the body is asked",
    ],
)
def test_a_constraint_that_asks_the_body_applies(given: Constraint, applies: bool) -> None:
    prepared = active(policy(constraints=(given,))).constraints
    assert bool(demands(prepared, _question(caller(plan="pro"))).applied) is applies


@pytest.mark.parametrize(
    "given",
    [
        grant("short", "large", when=when("request.tokens < 100")),
        grant("text", "large", match=Match(has_images=False)),
    ],
    ids=["when", "match"],
)
def test_a_grant_that_asks_the_body_gives_nothing(given: Grant) -> None:
    prepared = active(policy(entitlements=grants(given))).entitlements
    found = entitled(prepared, _question())
    assert (found.tiers, found.failed) == (set(), (given.name,))
