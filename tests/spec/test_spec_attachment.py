"""Which policy a pod runs: by labels, its namespace's, the cluster's; the older, then by name."""

from __future__ import annotations

from itertools import permutations

import pytest
from spec_resources import Resource, compiled, policy, tier

LABELS = {"app": "checkout"}


def chosen(*policies: Resource, namespace: str = "shop", labels: dict[str, str] = LABELS) -> str:
    tiers = [tier("small", n) for n in {p["metadata"]["namespace"] for p in policies}]
    results = set()
    for order in permutations(policies):
        found = compiled(*tiers, *order).policy_for(namespace, labels)
        results.add(f"{found.namespace}/{found.name}" if found else "none")
    (result,) = results
    return result


def small(name: str, namespace: str = "shop", *, created: str = "", **spec: object) -> Resource:
    document = policy(name, namespace, tiers=[{"name": "small"}], **spec)
    if created:
        document["metadata"]["creationTimestamp"] = created
    return document


def selecting(name: str, value: str = "checkout", **more: str) -> Resource:
    return small(name, selector={"matchLabels": {"app": value}}, **more)


def test_a_policy_by_labels_beats_its_namespaces_and_the_clusters() -> None:
    cluster = small("a", "platform", scope="Cluster")
    assert chosen(selecting("z"), small("b"), cluster) == "shop/z"


def test_a_namespaces_policy_beats_the_clusters() -> None:
    assert chosen(small("z"), small("a", "platform", scope="Cluster")) == "shop/z"


def test_the_clusters_policy_is_for_every_namespace() -> None:
    assert chosen(small("a", "platform", scope="Cluster"), namespace="other") == "platform/a"


def test_a_policy_of_another_namespace_is_not_for_the_pod() -> None:
    assert chosen(small("a"), namespace="other") == "none"


def test_a_policy_whose_labels_do_not_fit_is_not_for_the_pod() -> None:
    assert chosen(selecting("a", "cart")) == "none"
    assert chosen(selecting("a", "cart"), small("b")) == "shop/b"


def test_on_one_level_the_older_wins_then_the_name() -> None:
    old = small("z", created="2025-01-01T00:00:00Z")
    new = small("a", created="2026-01-01T00:00:00Z")
    assert chosen(old, new) == "shop/z"
    assert chosen(small("b"), small("a")) == "shop/a"


@pytest.mark.parametrize(
    ("requirement", "selects"),
    [
        ({"key": "app", "operator": "In", "values": ["checkout"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["checkout"]}, False),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
        ({"key": "team", "operator": "NotIn", "values": ["x"]}, True),
    ],
)
def test_label_expressions_select_pods(requirement: dict[str, object], selects: bool) -> None:
    by_expression = small("a", selector={"matchExpressions": [requirement]})
    assert chosen(by_expression) == ("shop/a" if selects else "none")
