"""Who may use a tier of another namespace, and that a refusal does not tell whether it exists."""

from __future__ import annotations

from typing import Any

import pytest
from spec_resources import changed, compiled, policy, refused, tier

from tiermesh_spec import Reason


def referring(namespace: str = "models", name: str = "small") -> dict[str, Any]:
    return policy(tiers=[{"name": "small", "ref": {"name": name, "namespace": namespace}}])


def shared(**allowed: object) -> dict[str, Any]:
    return tier("small", "models", allowedNamespaces=allowed)


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def test_a_candidate_means_the_tier_of_its_name_in_its_namespace_unless_said() -> None:
    snapshot = compiled(
        tier("small"),
        tier("large", "models", allowedNamespaces={"from": "All"}),
        policy(tiers=[{"name": "small"}, {"name": "large", "ref": {"namespace": "models"}}]),
    )
    assert [t.resource for t in snapshot.policies[0].tiers] == ["shop/small", "models/large"]


def test_a_candidate_may_have_a_name_of_its_own() -> None:
    snapshot = compiled(tier("qwen"), policy(tiers=[{"name": "small", "ref": {"name": "qwen"}}]))
    (candidate,) = snapshot.policies[0].tiers
    assert (candidate.name, candidate.resource) == ("small", "shop/qwen")


def test_the_same_namespace_is_the_default() -> None:
    (problem,) = refused(tier("small", "models"), referring())
    assert problem.reason is Reason.REF_NOT_PERMITTED


def test_all_namespaces_may_be_allowed() -> None:
    assert compiled(shared(**{"from": "All"}), referring()).policies


SELECTED = {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}}


def test_a_selector_reads_the_labels_of_namespace_documents() -> None:
    assert compiled(shared(**SELECTED), namespace("shop", team="shop"), referring()).policies
    assert refused(shared(**SELECTED), namespace("shop", team="other"), referring())
    assert refused(shared(**SELECTED), referring())


def test_the_name_label_of_a_namespace_needs_no_document() -> None:
    by_name = {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}
    assert compiled(shared(**{"from": "Selector", "selector": by_name}), referring()).policies


@pytest.mark.parametrize(
    ("requirement", "open_"),
    [
        ({"key": "env", "operator": "In", "values": ["prod", "dev"]}, True),
        ({"key": "env", "operator": "In", "values": ["dev"]}, False),
        ({"key": "env", "operator": "NotIn", "values": ["dev"]}, True),
        ({"key": "tier", "operator": "NotIn", "values": ["dev"]}, True),
        ({"key": "env", "operator": "Exists"}, True),
        ({"key": "tier", "operator": "Exists"}, False),
        ({"key": "env", "operator": "DoesNotExist"}, False),
        ({"key": "tier", "operator": "DoesNotExist"}, True),
    ],
)
def test_requirements_mean_what_they_mean_in_kubernetes(
    requirement: dict[str, object], open_: bool
) -> None:
    allowed = {"from": "Selector", "selector": {"matchExpressions": [requirement]}}
    resources = (shared(**allowed), namespace("shop", env="prod"), referring())
    if open_:
        assert compiled(*resources).policies
    else:
        assert refused(*resources)


def test_a_refusal_does_not_tell_whether_the_tier_exists() -> None:
    (closed,) = refused(tier("small", "models"), referring())
    (missing,) = refused(tier("other", "models"), referring())
    broken = [p for p in refused(tier("small", "models", rank="x"), referring()) if p.document == 2]
    assert closed == missing
    assert broken == [closed]
    assert closed.value == "models/small"
    assert closed.path == "spec.tiers[0].ref"


def test_a_tier_that_is_open_but_broken_is_reported_where_it_is_broken() -> None:
    problems = refused(changed(shared(**{"from": "All"}), "spec", "rank", to="x"), referring())
    assert [(p.document, p.path) for p in problems] == [(1, "spec.rank")]


def test_a_tier_missing_in_the_own_namespace_is_named_with_the_closest() -> None:
    (problem,) = refused(tier("small"), policy(tiers=[{"name": "smal"}]))
    assert problem.reason is Reason.TIER_NOT_FOUND
    assert problem.message == "namespace shop has no ModelTier smal"
    assert problem.fix == "did you mean `small`?"


def test_tiers_of_other_namespaces_are_not_offered_as_closest() -> None:
    (problem,) = refused(tier("small", "models"), policy(tiers=[{"name": "smal"}]))
    assert problem.fix == "there are no ModelTiers of shop"
