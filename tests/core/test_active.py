"""The prepared policy: which one runs, what it takes from the pod, what it refuses to run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import policy_makers
import pytest
from policy_makers import (
    SMALL,
    active,
    caller,
    constraint,
    fallback,
    features,
    grant,
    grants,
    models,
    pin,
    policy,
    rule,
    threshold,
    weighted,
    when,
)

from tiermesh_sidecar.core.active import activate
from tiermesh_spec.snapshot import (
    FORMAT_MAJOR,
    Expression,
    FallbackOrder,
    IdentitySource,
    Policy,
    Selector,
    Snapshot,
)

IDENTITY = (
    IdentitySource(attribute="tenant", header="x-tenant-id"),
    IdentitySource(attribute="team", pod_label="team"),
    IdentitySource(attribute="owner", pod_label="owner"),
)
SELECTIVE = Selector(match_labels=(("app", "checkout"),), match_expressions=())


def snapshot(*policies: Policy) -> Snapshot:
    return Snapshot(format=FORMAT_MAJOR, epoch="", revision=1, policies=policies)


def test_the_pod_runs_the_policy_that_selects_it() -> None:
    found = activate(
        snapshot(policy(), replace(policy(selector=SELECTIVE), name="mine")),
        "shop",
        {"app": "checkout"},
    )
    assert found is not None
    assert found.policy.name == "mine"
    assert found.label == "shop/mine@7"


def test_a_pod_that_no_policy_selects_runs_none() -> None:
    assert activate(snapshot(policy()), "other", {}) is None


def test_identity_is_read_from_headers_and_from_the_labels_that_the_pod_has() -> None:
    found = active(policy(identity=IDENTITY), team="checkout")
    assert found.identity_headers == {"x-tenant-id"}
    assert found.pod_attributes == {"team": "checkout"}


def test_the_tiers_that_a_caller_may_see_are_those_that_it_is_entitled_to() -> None:
    given = active(
        policy(entitlements=grants(grant("free", "small", when=when('caller.plan == "free"'))))
    )
    assert given.tiers_for(features(caller=caller(plan="free"))) == {"small"}
    assert given.tiers_for(features()) == {"small", "medium", "large"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: policy(default=pin("gone")),
        lambda: policy(rule("r", weighted(small=1, gone=1))),
        lambda: policy(rule("r", threshold((0.5, "gone"), (None, "small")))),
        lambda: policy(rule("r", threshold((None, "small"), on_abstain="gone"))),
        lambda: policy(entitlements=grants(grant("g", "gone"))),
        lambda: policy(fallback=fallback(FallbackOrder.LISTED, "gone")),
        lambda: policy(constraints=(constraint(never_below="gone"),)),
        lambda: policy(models=models("*", pass_through="gone")),
    ],
    ids=[
        "pin",
        "weighted",
        "band",
        "on abstain",
        "grant",
        "fallback",
        "never below",
        "pass-through",
    ],
)
def test_a_policy_that_names_a_tier_that_it_has_not_is_not_run(make: Callable[[], Policy]) -> None:
    with pytest.raises(ValueError, match="names tiers that are not among its candidates: gone"):
        active(make())


def test_a_policy_without_tiers_is_not_run() -> None:
    empty = replace(policy(tiers=(SMALL,), default=weighted()), tiers=())
    with pytest.raises(ValueError, match="it has none"):
        active(empty)


def test_a_policy_whose_expression_does_not_compile_is_not_run() -> None:
    broken = Expression(source="caller.plan ==", names=("caller.plan",))
    with pytest.raises(ValueError, match="not a checked expression"):
        active(policy(rule("r", pin("small"), when=broken)))


def test_every_way_to_name_a_tier_is_accepted_where_the_tier_exists() -> None:
    given = policy(
        rule("a", threshold((0.5, "small"), (None, "large"), on_abstain="medium")),
        rule("b", weighted(small=1)),
        constraints=(constraint(never_below="small"), constraint()),
        models=models("*", pass_through="large"),
    )
    assert [name for name, _ in active(given).routes] == ["a", "b"]


def test_a_policy_without_expressions_does_not_load_the_cel_library() -> None:
    code = (
        "import sys; from policy_makers import active, policy; active(policy());"
        "assert not [m for m in sys.modules if m.startswith('cel_expr')]"
    )
    # The makers import the checker's module, which must not import the library either.
    folder = Path(policy_makers.__file__).parent
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
